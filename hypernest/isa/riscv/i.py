"""RV64I, the base integer instructions: the unprivileged manual, chapters "RV32I" and "RV64I".

Fences, environment calls and CSR instructions are in `system.py`.
"""

from __future__ import annotations

from collections.abc import Callable

from hypernest.isa.hart import Hart, bit
from hypernest.isa.row import Extension, Semantics
from hypernest.isa.word import Word

Operation = Callable[[Word, Word], Word]
Condition = Callable[[Word, Word], Word]

I = Extension("I")  # noqa: E741  (the manual's name)


@I.row("lui rd, imm20", "imm[31:12] rd 0110111")
def lui(h: Hart) -> None:
    h.rd = h.imm


@I.row("auipc rd, imm20", "imm[31:12] rd 0010111")
def auipc(h: Hart) -> None:
    h.rd = h.pc + h.imm


@I.row("jal rd, target", "imm[20|10:1|11|19:12] rd 1101111")
def jal(h: Hart) -> None:
    h.rd = h.next_pc
    h.branch(h.imm)


@I.row("jalr rd, imm(rs1)", "imm[11:0] rs1 000 rd 1100111")
def jalr(h: Hart) -> None:
    target = (h.rs1 + h.imm) & ~1  # before rd is written: it may be rs1
    h.rd = h.next_pc
    h.jump(target)


def _branch(condition: Condition) -> Semantics:
    def execute(h: Hart) -> None:
        if condition(h.rs1, h.rs2):
            h.branch(h.imm)

    return execute


BRANCHES: list[tuple[str, str, Condition]] = [
    ("beq", "000", lambda a, b: a == b),
    ("bne", "001", lambda a, b: a != b),
    ("blt", "100", lambda a, b: a.slt(b)),
    ("bge", "101", lambda a, b: a.sge(b)),
    ("bltu", "110", lambda a, b: a < b),
    ("bgeu", "111", lambda a, b: a >= b),
]
for name, funct3, condition in BRANCHES:
    I.add(f"{name} rs1, rs2, target", f"imm[12|10:5] rs2 rs1 {funct3} imm[4:1|11] 1100011", _branch(condition))


def _load(bits: int, extend: Callable[[Word], Word]) -> Semantics:
    def execute(h: Hart) -> None:
        h.rd = extend(h.load(h.rs1 + h.imm, bits))

    return execute


def _store(bits: int) -> Semantics:
    def execute(h: Hart) -> None:
        h.store(h.rs1 + h.imm, h.rs2.trunc(bits))

    return execute


def _sign(value: Word) -> Word:
    return value.sext(64)


def _zero(value: Word) -> Word:
    return value.zext(64)


for name, funct3, bits, extend in [
    ("lb", "000", 8, _sign),
    ("lh", "001", 16, _sign),
    ("lw", "010", 32, _sign),
    ("ld", "011", 64, _sign),
    ("lbu", "100", 8, _zero),
    ("lhu", "101", 16, _zero),
    ("lwu", "110", 32, _zero),
]:
    I.add(f"{name} rd, imm(rs1)", f"imm[11:0] rs1 {funct3} rd 0000011", _load(bits, extend))
for name, funct3, bits in [("sb", "000", 8), ("sh", "001", 16), ("sw", "010", 32), ("sd", "011", 64)]:
    I.add(f"{name} rs2, imm(rs1)", f"imm[11:5] rs2 rs1 {funct3} imm[4:0] 0100011", _store(bits))


# --- arithmetic: one meaning for the forms with a register and with an immediate ---------------------------------


def _register(operation: Operation) -> Semantics:
    def execute(h: Hart) -> None:
        h.rd = operation(h.rs1, h.rs2)

    return execute


def _immediate(operation: Operation) -> Semantics:
    def execute(h: Hart) -> None:
        h.rd = operation(h.rs1, h.imm)

    return execute


ARITHMETIC: list[tuple[str, str, str, Operation]] = [
    ("add", "addi", "000", lambda a, b: a + b),
    ("slt", "slti", "010", lambda a, b: bit(a.slt(b))),
    ("sltu", "sltiu", "011", lambda a, b: bit(a < b)),
    ("xor", "xori", "100", lambda a, b: a ^ b),
    ("or", "ori", "110", lambda a, b: a | b),
    ("and", "andi", "111", lambda a, b: a & b),
]
for name, immediate, funct3, operation in ARITHMETIC:
    I.add(f"{name} rd, rs1, rs2", f"0000000 rs2 rs1 {funct3} rd 0110011", _register(operation))
    I.add(f"{immediate} rd, rs1, imm", f"imm[11:0] rs1 {funct3} rd 0010011", _immediate(operation))


@I.row("sub rd, rs1, rs2", "0100000 rs2 rs1 000 rd 0110011")
def sub(h: Hart) -> None:
    h.rd = h.rs1 - h.rs2


# Shifts come in four forms: by a register or an immediate, of 64 bits or of the low 32 ("w", result sign-extended).
# An immediate is below the width already; a register counts by its low 6 (5) bits.
SHIFTS: list[tuple[str, str, str, Operation]] = [
    ("sll", "00000", "001", lambda a, n: a << n),
    ("srl", "00000", "101", lambda a, n: a >> n),
    ("sra", "01000", "101", lambda a, n: a.sar(n)),
]


def _shift(shift: Operation) -> Semantics:
    def execute(h: Hart) -> None:
        h.rd = shift(h.rs1, h.rs2 & 63)

    return execute


def _shift_immediate(shift: Operation) -> Semantics:
    def execute(h: Hart) -> None:
        h.rd = shift(h.rs1, h.uimm)

    return execute


def _shift_word(shift: Operation) -> Semantics:
    def execute(h: Hart) -> None:
        h.rd = shift(h.rs1.trunc(32), h.rs2.trunc(32) & 31).sext(64)

    return execute


def _shift_word_immediate(shift: Operation) -> Semantics:
    def execute(h: Hart) -> None:
        h.rd = shift(h.rs1.trunc(32), h.uimm.trunc(32)).sext(64)

    return execute


for name, funct5, funct3, shift in SHIFTS:
    I.add(f"{name} rd, rs1, rs2", f"{funct5}00 rs2 rs1 {funct3} rd 0110011", _shift(shift))
    I.add(f"{name}i rd, rs1, shamt", f"{funct5}0 uimm[5:0] rs1 {funct3} rd 0010011", _shift_immediate(shift))
    I.add(f"{name}w rd, rs1, rs2", f"{funct5}00 rs2 rs1 {funct3} rd 0111011", _shift_word(shift))
    I.add(f"{name}iw rd, rs1, shamt", f"{funct5}00 uimm[4:0] rs1 {funct3} rd 0011011", _shift_word_immediate(shift))


@I.row("addiw rd, rs1, imm", "imm[11:0] rs1 000 rd 0011011")
def addiw(h: Hart) -> None:
    h.rd = (h.rs1 + h.imm).trunc(32).sext(64)


@I.row("addw rd, rs1, rs2", "0000000 rs2 rs1 000 rd 0111011")
def addw(h: Hart) -> None:
    h.rd = (h.rs1 + h.rs2).trunc(32).sext(64)


@I.row("subw rd, rs1, rs2", "0100000 rs2 rs1 000 rd 0111011")
def subw(h: Hart) -> None:
    h.rd = (h.rs1 - h.rs2).trunc(32).sext(64)
