"""M, integer multiplication and division: the unprivileged manual, chapter "M".

Division never traps: by zero the quotient is all ones and the remainder the dividend; the one overflow (most negative
by minus one) gives the dividend and zero.
"""

from __future__ import annotations

from collections.abc import Callable

from hypernest.isa.hart import Hart
from hypernest.isa.row import Extension, Semantics
from hypernest.isa.word import Word, word

Operation = Callable[[Word, Word], Word]

M = Extension("M")


def _overflows(a: Word, b: Word) -> Word:
    return (a == 1 << (a.width - 1)) & (b == -1)


def _div(a: Word, b: Word) -> Word:
    if b == 0:
        return word(-1, a.width)
    if _overflows(a, b):
        return a
    return a.sdiv(b)


def _divu(a: Word, b: Word) -> Word:
    if b == 0:
        return word(-1, a.width)
    return a.udiv(b)


def _rem(a: Word, b: Word) -> Word:
    if b == 0:
        return a
    if _overflows(a, b):
        return word(0, a.width)
    return a.srem(b)


def _remu(a: Word, b: Word) -> Word:
    if b == 0:
        return a
    return a.urem(b)


def _double(operation: Operation) -> Semantics:
    def execute(h: Hart) -> None:
        h.rd = operation(h.rs1, h.rs2)

    return execute


def _word(operation: Operation) -> Semantics:
    def execute(h: Hart) -> None:
        h.rd = operation(h.rs1.trunc(32), h.rs2.trunc(32)).sext(64)

    return execute


DOUBLE: list[tuple[str, str, Operation]] = [
    ("mul", "000", lambda a, b: a * b),
    ("mulh", "001", lambda a, b: (a.sext(128) * b.sext(128)).bits(127, 64)),
    ("mulhsu", "010", lambda a, b: (a.sext(128) * b.zext(128)).bits(127, 64)),
    ("mulhu", "011", lambda a, b: (a.zext(128) * b.zext(128)).bits(127, 64)),
    ("div", "100", _div),
    ("divu", "101", _divu),
    ("rem", "110", _rem),
    ("remu", "111", _remu),
]
WORD: list[tuple[str, str, Operation]] = [
    ("mulw", "000", lambda a, b: a * b),
    ("divw", "100", _div),
    ("divuw", "101", _divu),
    ("remw", "110", _rem),
    ("remuw", "111", _remu),
]
for name, funct3, operation in DOUBLE:
    M.add(f"{name} rd, rs1, rs2", f"0000001 rs2 rs1 {funct3} rd 0110011", _double(operation))
for name, funct3, operation in WORD:
    M.add(f"{name} rd, rs1, rs2", f"0000001 rs2 rs1 {funct3} rd 0111011", _word(operation))
