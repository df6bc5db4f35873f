"""What the words of a row's assembly syntax stand for: the assembler reads by it, the disassembler writes by it.

Operands are separated by commas. One is a word (`rd`), a word and a base register (`imm(rs1)`), or a base register
alone (`(rs1)`). A word that is not in `OPERANDS` stands for itself: `x2` in `c.lwsp rd, uimm(x2)`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from functools import cache


class Kind(Enum):
    """How the value of a field is written."""

    INTEGER_REGISTER = auto()
    FLOAT_REGISTER = auto()
    DECIMAL = auto()
    HEXADECIMAL = auto()
    UPPER = auto()  # bits 31 to 12 of the value, as 20 bits
    TARGET = auto()  # the address that many bytes from the instruction
    CSR = auto()
    FENCE = auto()  # a set of the letters i, o, r, w


@dataclass(frozen=True)
class Operand:
    """A word of the syntax: the field of the encoding it is, and how it is written."""

    field: str
    kind: Kind


OPERANDS = {
    "rd": Operand("rd", Kind.INTEGER_REGISTER),
    "rs1": Operand("rs1", Kind.INTEGER_REGISTER),
    "rs2": Operand("rs2", Kind.INTEGER_REGISTER),
    "fd": Operand("rd", Kind.FLOAT_REGISTER),
    "fs1": Operand("rs1", Kind.FLOAT_REGISTER),
    "fs2": Operand("rs2", Kind.FLOAT_REGISTER),
    "fs3": Operand("rs3", Kind.FLOAT_REGISTER),
    "imm": Operand("imm", Kind.DECIMAL),
    "uimm": Operand("uimm", Kind.DECIMAL),
    "shamt": Operand("uimm", Kind.HEXADECIMAL),
    "imm20": Operand("imm", Kind.UPPER),
    "target": Operand("imm", Kind.TARGET),
    "csr": Operand("csr", Kind.CSR),
    "pred": Operand("pred", Kind.FENCE),
    "succ": Operand("succ", Kind.FENCE),
}

ROUNDING_MODES = {0: "rne", 1: "rtz", 2: "rdn", 3: "rup", 4: "rmm", 7: "dyn"}  # field rm
ORDERINGS = {(0, 0): "", (1, 0): ".aq", (0, 1): ".rl", (1, 1): ".aqrl"}  # fields aq, rl: a suffix of the name
FENCE_LETTERS = "wroi"  # from bit 0 up; written the other way round


@dataclass(frozen=True)
class Slot:
    """What stands between two commas: a word, `word(base)` or `(base)`."""

    word: str | None
    base: str | None


@cache
def slots(syntax: str) -> tuple[Slot, ...]:
    """The operands of a row's syntax in order, without the rounding mode. ValueError if it cannot be read."""
    _, _, operands = syntax.removesuffix(", rm").partition(" ")
    return tuple(_slot(text.strip()) for text in operands.split(",")) if operands.strip() else ()


def _slot(text: str) -> Slot:
    found = re.fullmatch(r"(\w+)?(?:\((\w+)\))?", text)
    if not found or not text:
        raise ValueError(f"cannot read the operand {text!r} of an instruction's syntax")
    return Slot(found[1], found[2])
