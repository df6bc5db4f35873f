"""Bit manipulation: the unprivileged manual, chapter "B" (Zba address generation, Zbb basic, Zbs single bits)."""

from __future__ import annotations

from collections.abc import Callable

from hypernest.isa.hart import Hart
from hypernest.isa.row import Extension, Semantics
from hypernest.isa.word import Word, select, word

Unary = Callable[[Word], Word]
Operation = Callable[[Word, Word], Word]

ZBA = Extension("Zba")
ZBB = Extension("Zbb")
ZBS = Extension("Zbs")


def _unary(operation: Unary) -> Semantics:
    def execute(h: Hart) -> None:
        h.rd = operation(h.rs1)

    return execute


def _unary_word(operation: Unary) -> Semantics:
    def execute(h: Hart) -> None:
        h.rd = operation(h.rs1.trunc(32)).sext(64)

    return execute


def _binary(operation: Operation) -> Semantics:
    def execute(h: Hart) -> None:
        h.rd = operation(h.rs1, h.rs2)

    return execute


# --- Zba -----------------------------------------------------------------------------------------------------------


def _shift_add(count: int) -> Operation:
    return lambda a, b: (a << count) + b


def _shift_add_word(count: int) -> Operation:
    return lambda a, b: (a.trunc(32).zext(64) << count) + b


ZBA.add("add.uw rd, rs1, rs2", "0000100 rs2 rs1 000 rd 0111011", _binary(_shift_add_word(0)))
for count, funct3 in [(1, "010"), (2, "100"), (3, "110")]:
    ZBA.add(f"sh{count}add rd, rs1, rs2", f"0010000 rs2 rs1 {funct3} rd 0110011", _binary(_shift_add(count)))
    ZBA.add(f"sh{count}add.uw rd, rs1, rs2", f"0010000 rs2 rs1 {funct3} rd 0111011", _binary(_shift_add_word(count)))


@ZBA.row("slli.uw rd, rs1, shamt", "000010 uimm[5:0] rs1 001 rd 0011011")
def slli_uw(h: Hart) -> None:
    h.rd = h.rs1.trunc(32).zext(64) << h.uimm


# --- Zbb -----------------------------------------------------------------------------------------------------------


def _or_combine(a: Word) -> Word:
    """Every byte that is not zero becomes 0xff."""
    low_bits = 0x7F7F_7F7F_7F7F_7F7F
    nonzero = ((((a & low_bits) + low_bits) | a) >> 7) & 0x0101_0101_0101_0101
    return nonzero * 0xFF


def _rotate_right(a: Word, count: Word) -> Word:
    """`count` must be below the width, a power of two."""
    return (a >> count) | (a << (-count & (a.width - 1)))


def _rotate_left(a: Word, count: Word) -> Word:
    return (a << count) | (a >> (-count & (a.width - 1)))


COUNTS: list[tuple[str, str, Unary]] = [
    ("clz", "00000", Word.clz),
    ("ctz", "00001", Word.ctz),
    ("cpop", "00010", Word.popcount),
]
for name, rs2, operation in COUNTS:
    ZBB.add(f"{name} rd, rs1", f"0110000 {rs2} rs1 001 rd 0010011", _unary(operation))
    ZBB.add(f"{name}w rd, rs1", f"0110000 {rs2} rs1 001 rd 0011011", _unary_word(operation))

ZBB.add("sext.b rd, rs1", "0110000 00100 rs1 001 rd 0010011", _unary(lambda a: a.trunc(8).sext(64)))
ZBB.add("sext.h rd, rs1", "0110000 00101 rs1 001 rd 0010011", _unary(lambda a: a.trunc(16).sext(64)))
ZBB.add("zext.h rd, rs1", "0000100 00000 rs1 100 rd 0111011", _unary(lambda a: a.trunc(16).zext(64)))
ZBB.add("orc.b rd, rs1", "001010000111 rs1 101 rd 0010011", _unary(_or_combine))
ZBB.add("rev8 rd, rs1", "011010111000 rs1 101 rd 0010011", _unary(Word.byte_swap))

BINARY: list[tuple[str, str, str, Operation]] = [
    ("andn", "0100000", "111", lambda a, b: a & ~b),
    ("orn", "0100000", "110", lambda a, b: a | ~b),
    ("xnor", "0100000", "100", lambda a, b: ~(a ^ b)),
    ("min", "0000101", "100", lambda a, b: select(a.slt(b), a, b)),
    ("minu", "0000101", "101", lambda a, b: select(a < b, a, b)),
    ("max", "0000101", "110", lambda a, b: select(a.slt(b), b, a)),
    ("maxu", "0000101", "111", lambda a, b: select(a < b, b, a)),
    ("rol", "0110000", "001", lambda a, b: _rotate_left(a, b & 63)),
    ("ror", "0110000", "101", lambda a, b: _rotate_right(a, b & 63)),
]
for name, funct7, funct3, combine in BINARY:
    ZBB.add(f"{name} rd, rs1, rs2", f"{funct7} rs2 rs1 {funct3} rd 0110011", _binary(combine))


@ZBB.row("rori rd, rs1, shamt", "011000 uimm[5:0] rs1 101 rd 0010011")
def rori(h: Hart) -> None:
    h.rd = _rotate_right(h.rs1, h.uimm)


@ZBB.row("rolw rd, rs1, rs2", "0110000 rs2 rs1 001 rd 0111011")
def rolw(h: Hart) -> None:
    h.rd = _rotate_left(h.rs1.trunc(32), h.rs2.trunc(32) & 31).sext(64)


@ZBB.row("rorw rd, rs1, rs2", "0110000 rs2 rs1 101 rd 0111011")
def rorw(h: Hart) -> None:
    h.rd = _rotate_right(h.rs1.trunc(32), h.rs2.trunc(32) & 31).sext(64)


@ZBB.row("roriw rd, rs1, shamt", "0110000 uimm[4:0] rs1 101 rd 0011011")
def roriw(h: Hart) -> None:
    h.rd = _rotate_right(h.rs1.trunc(32), h.uimm.trunc(32)).sext(64)


# --- Zbs: the bit number is the low 6 bits of rs2, or an immediate ---------------------------------------------------


def _bit_register(operation: Operation) -> Semantics:
    def execute(h: Hart) -> None:
        h.rd = operation(h.rs1, h.rs2 & 63)

    return execute


def _bit_immediate(operation: Operation) -> Semantics:
    def execute(h: Hart) -> None:
        h.rd = operation(h.rs1, h.uimm)

    return execute


SINGLE: list[tuple[str, str, str, Operation]] = [
    ("bclr", "010010", "001", lambda a, n: a & ~(word(1) << n)),
    ("bext", "010010", "101", lambda a, n: (a >> n) & 1),
    ("binv", "011010", "001", lambda a, n: a ^ (word(1) << n)),
    ("bset", "001010", "001", lambda a, n: a | (word(1) << n)),
]
for name, funct6, funct3, combine in SINGLE:
    ZBS.add(f"{name} rd, rs1, rs2", f"{funct6}0 rs2 rs1 {funct3} rd 0110011", _bit_register(combine))
    ZBS.add(f"{name}i rd, rs1, shamt", f"{funct6} uimm[5:0] rs1 {funct3} rd 0010011", _bit_immediate(combine))
