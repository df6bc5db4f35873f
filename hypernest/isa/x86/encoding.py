"""How the rows of this ISA are written, and the operands they share (volume 2, chapter 2).

A pattern lists the bytes of an instruction as they stand in memory; immediates and displacements are little-endian.
`dst` and `src` are numbers of general registers in the byte ModR/M (mod 11) or in the opcode. A memory operand is
`imm(base)`: ModR/M with mod 10, a displacement of 32 bits, through DS; the bases 4 (another byte follows) and 5 (EBP,
through SS) are not described.
"""

from __future__ import annotations

from hypernest.isa.hart import Hart
from hypernest.isa.row import Format
from hypernest.isa.word import Word

FORMAT = Format({"dst": 3, "src": 3, "base": 3}, frozenset(range(8, 64, 8)), bytewise=True)

IMM32 = "imm[7:0|15:8|23:16|31:24]"
OFFSET = "uimm[7:0|15:8|23:16|31:24]"
SELECTOR = "sel[7:0|15:8]"


def opcode(*values: int) -> str:
    """Fixed bytes of a pattern."""
    return " ".join(f"{value:08b}" for value in values)


def memory(register: str) -> str:
    """ModR/M and displacement of a memory operand, beside a field or the three bits of an opcode's extension."""
    return f"10 {register} base!=4,5 {IMM32}"


def extension(number: int) -> str:
    """The three bits of ModR/M that are part of the opcode, as the manual's `/number`."""
    return f"{number:03b}"


def dst(h: Hart) -> Word:
    """The general register `dst`, 32 bits."""
    return h.read("r", h.operand("dst"))


def src(h: Hart) -> Word:
    """The general register `src`, 32 bits."""
    return h.read("r", h.operand("src"))


def set_dst(h: Hart, value: Word) -> None:
    """Write the general register `dst`."""
    h.write("r", value, h.operand("dst"))


def effective_address(h: Hart) -> Word:
    """The offset of a memory operand, as `h.load` and `h.store` take it."""
    return (h.read("r", h.operand("base")) + h.imm.trunc(32)).zext(64)
