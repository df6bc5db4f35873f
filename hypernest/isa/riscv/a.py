"""A, atomic memory operations: the unprivileged manual, chapter "A" (Zaamo and Zalrsc).

Harts take turns, so every instruction is atomic and the aq and rl bits ask for nothing more. A hart's reservation is
the guest-physical address of its last load-reserved (state registers `reservation` and `reservation_valid`); whoever
lets another hart run, or writes memory from outside, clears `reservation_valid`. Atomics work on RAM only.
"""

from __future__ import annotations

from collections.abc import Callable

from hypernest.isa.hart import Access, Hart, Trap, bit
from hypernest.isa.riscv.traps import Cause
from hypernest.isa.row import Extension, Semantics
from hypernest.isa.word import Word, select

Operation = Callable[[Word, Word], Word]

A = Extension("A")


def _locate(h: Hart, access: Access, size: int) -> Word:
    """The guest-physical address that rs1 points to; every trap of an atomic instruction is raised here."""
    loads = access is Access.READ
    if (h.rs1 & (size - 1)) != 0:
        raise Trap(Cause.LOAD_ADDRESS_MISALIGNED if loads else Cause.STORE_ADDRESS_MISALIGNED, h.rs1)
    physical = h.locate(h.rs1, access)
    if h.is_memory(physical, size) == 0:
        raise Trap(Cause.LOAD_ACCESS_FAULT if loads else Cause.STORE_ACCESS_FAULT, h.rs1)
    return physical


def _load_reserved(bits: int) -> Semantics:
    def execute(h: Hart) -> None:
        physical = _locate(h, Access.READ, bits // 8)
        h.rd = h.load(h.rs1, bits).sext(64)
        h.write("reservation", physical)
        h.write("reservation_valid", 1)

    return execute


def _store_conditional(bits: int) -> Semantics:
    def execute(h: Hart) -> None:
        physical = _locate(h, Access.WRITE, bits // 8)
        holds = h.reservation_valid & (h.reservation == physical)
        if holds:
            h.store(h.rs1, h.rs2.trunc(bits))
        h.write("reservation_valid", 0)
        h.rd = bit(~holds)

    return execute


def _amo(bits: int, operation: Operation) -> Semantics:
    def execute(h: Hart) -> None:
        _locate(h, Access.WRITE, bits // 8)  # first: a page that cannot be written is a store fault, not a load fault
        old = h.load(h.rs1, bits)
        h.store(h.rs1, operation(old, h.rs2.trunc(bits)))
        h.rd = old.sext(64)

    return execute


AMOS: list[tuple[str, str, Operation]] = [
    ("amoswap", "00001", lambda _, value: value),
    ("amoadd", "00000", lambda old, value: old + value),
    ("amoxor", "00100", lambda old, value: old ^ value),
    ("amoand", "01100", lambda old, value: old & value),
    ("amoor", "01000", lambda old, value: old | value),
    ("amomin", "10000", lambda old, value: select(old.slt(value), old, value)),
    ("amomax", "10100", lambda old, value: select(old.slt(value), value, old)),
    ("amominu", "11000", lambda old, value: select(old < value, old, value)),
    ("amomaxu", "11100", lambda old, value: select(old < value, value, old)),
]
for suffix, funct3, bits in [("w", "010", 32), ("d", "011", 64)]:
    A.add(f"lr.{suffix} rd, (rs1)", f"00010 aq rl 00000 rs1 {funct3} rd 0101111", _load_reserved(bits))
    A.add(f"sc.{suffix} rd, rs2, (rs1)", f"00011 aq rl rs2 rs1 {funct3} rd 0101111", _store_conditional(bits))
    for name, funct5, operation in AMOS:
        A.add(f"{name}.{suffix} rd, rs2, (rs1)", f"{funct5} aq rl rs2 rs1 {funct3} rd 0101111", _amo(bits, operation))
