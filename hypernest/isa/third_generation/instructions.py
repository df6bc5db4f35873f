"""The innocuous instructions: arithmetic, storage, jumps, and the supervisor call, which traps in both modes.

An instruction is one word: from the top an operation of 8 bits, three register numbers, 15 zeros and a signed
immediate of 32 bits. Addresses, jump targets too, are virtual: the sum of a register and the immediate.
"""

from __future__ import annotations

from collections.abc import Callable

from hypernest.isa.hart import Hart, Trap
from hypernest.isa.row import Extension, Format, Semantics
from hypernest.isa.third_generation.state import ADDRESSES
from hypernest.isa.third_generation.traps import Cause
from hypernest.isa.word import Word, select

FORMAT = Format(fields={"ra": 3, "rb": 3, "rc": 3}, sizes=frozenset({64}), unit=64)
REST = "000000000000000 imm[31:0]"
NO_IMMEDIATE = "0" * 47

BASE = Extension("base", FORMAT)


def general(h: Hart, operand: str) -> Word:
    """The value of the general register whose number an operand is."""
    return h.read("r", h.operand(operand))


def address(h: Hart) -> Word:
    """The virtual address imm(rb)."""
    return general(h, "rb") + h.imm


# --- storage ---------------------------------------------------------------------------------------------------------


@BASE.row("load ra, imm(rb)", f"00000001 ra rb 000 {REST}")
def load(h: Hart) -> None:
    h.write("r", h.load(address(h), 64), h.operand("ra"))


@BASE.row("store ra, imm(rb)", f"00000010 ra rb 000 {REST}")
def store(h: Hart) -> None:
    h.store(address(h), general(h, "ra"))


# --- arithmetic ------------------------------------------------------------------------------------------------------


@BASE.row("li ra, imm", f"00000011 ra 000 000 {REST}")
def li(h: Hart) -> None:
    """Load immediate."""
    h.write("r", h.imm, h.operand("ra"))


@BASE.row("addi ra, rb, imm", f"00000100 ra rb 000 {REST}")
def addi(h: Hart) -> None:
    h.write("r", general(h, "rb") + h.imm, h.operand("ra"))


def _arithmetic(operation: Callable[[Word, Word], Word]) -> Semantics:
    def execute(h: Hart) -> None:
        h.write("r", operation(general(h, "rb"), general(h, "rc")), h.operand("ra"))

    return execute


ARITHMETIC: list[tuple[str, str, Callable[[Word, Word], Word]]] = [
    ("add", "00010000", lambda a, b: a + b),
    ("sub", "00010001", lambda a, b: a - b),
    ("and", "00010010", lambda a, b: a & b),
    ("or", "00010011", lambda a, b: a | b),
    ("xor", "00010100", lambda a, b: a ^ b),
    ("shl", "00010101", lambda a, b: a << (b & 63)),
    ("shr", "00010110", lambda a, b: a >> (b & 63)),
]
for name, code, operation in ARITHMETIC:
    BASE.add(f"{name} ra, rb, rc", f"{code} ra rb rc {NO_IMMEDIATE}", _arithmetic(operation))


# --- control flow ----------------------------------------------------------------------------------------------------


def _branch(condition: Callable[[Word, Word], Word]) -> Semantics:
    def execute(h: Hart) -> None:
        taken = condition(general(h, "ra"), general(h, "rb"))
        h.jump(select(taken, h.imm & ADDRESSES, h.next_pc))

    return execute


BRANCHES: list[tuple[str, str, Callable[[Word, Word], Word]]] = [
    ("beq", "00100000", lambda a, b: a == b),
    ("bne", "00100001", lambda a, b: a != b),
    ("blt", "00100010", lambda a, b: a.slt(b)),
]
for name, code, condition in BRANCHES:
    BASE.add(f"{name} ra, rb, imm", f"{code} ra rb 000 {REST}", _branch(condition))


@BASE.row("jal ra, imm(rb)", f"00100011 ra rb 000 {REST}")
def jal(h: Hart) -> None:
    """Jump and link: ra becomes the virtual address of the following instruction."""
    target = address(h) & ADDRESSES  # before ra is written: it may be rb
    h.write("r", h.next_pc, h.operand("ra"))
    h.jump(target)


@BASE.row("svc imm", f"00100100 000 000 000 {REST}", system=True)
def svc(h: Hart) -> None:
    """Supervisor call."""
    raise Trap(Cause.SUPERVISOR_CALL, h.imm)
