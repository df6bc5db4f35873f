"""The disassembler against GNU objdump."""

from __future__ import annotations

import re

import pytest

from hypernest.isa.disassembler import Disassembler, disassemble
from hypernest.isa.riscv.riscv64 import RISCV64
from tests.isa.objdump import all_compressed, objdump
from tests.isa.sampling import samples

DISASSEMBLER = Disassembler(RISCV64.rows, {number: csr.name for number, csr in RISCV64.csrs.items()})

# Where objdump 2.40 writes something else, row by row: what is ours rewritten to compare, None if it knows nothing.
SAME_BY_ANOTHER_NAME = {
    "c.nop": "c.addi x0,0",
    "pause": "fence w,unknown",
}
HINT_SHIFTS = {"c.slli", "c.srli", "c.srai"}  # by 0: "c.slli64 x1"
NOT_KNOWN = {"czero.eqz", "czero.nez"}  # Zicond is known since 2.41
# Reserved values of fields that are to be ignored: objdump knows only zeros. rm of exact conversions is one of them.
IGNORED_FIELDS = {"fence": ("fm", "rs1", "rd"), "fence.i": ("imm", "rs1", "rd"), "fcvt.d.w": ("rm",),
                  "fcvt.d.wu": ("rm",), "fcvt.d.s": ("rm",)}  # fmt: skip


def as_objdump(text: str) -> str:
    """Our text with the differences listed above taken away."""
    name, _, operands = text.partition(" ")
    if text.startswith("."):
        return ""
    if name in HINT_SHIFTS and operands.endswith(",0x0"):
        return f"{name}64 {operands.removesuffix(',0x0')}"
    if name in IGNORED_FIELDS and "rm" in IGNORED_FIELDS[name]:
        return text.removesuffix(",rne")
    if name == "fence":
        return re.sub(r"\b0\b", "unknown", text)
    return SAME_BY_ANOTHER_NAME.get(text, text)


def test_all_16_bit_codes() -> None:
    only_objdump = {"c.unimp", "c.addi16sp x2,0"}  # reserved: illegal for us
    for code, (pc, text) in all_compressed().items():
        expected = "" if text in only_objdump else text
        assert as_objdump(DISASSEMBLER.disassemble(code, pc)) == expected, hex(code)


def test_every_32_bit_row() -> None:
    codes, names = [], []
    for row in RISCV64.rows.values():
        if row.length == 2 or row.name in NOT_KNOWN:
            continue
        for code in samples(row, 50):
            for name in IGNORED_FIELDS.get(row.name, ()):
                code &= ~sum(((1 << piece.width) - 1) << piece.low for piece in row.fields[name].pieces)
            if "csr" in row.fields and row.fields["csr"].extract(code) not in RISCV64.csrs:
                code = code & 0xFFFFF | 0x300 << 20  # objdump names CSRs that we do not have
            codes.append(code)
            names.append(row.name)
    assert set(names) | NOT_KNOWN == {row.name for row in RISCV64.rows.values() if row.length == 4}
    for code, (pc, text) in zip(codes, objdump(codes), strict=True):
        assert as_objdump(DISASSEMBLER.disassemble(code, pc)) == text, hex(code)


def test_csr_names_are_those_of_objdump() -> None:
    codes = [RISCV64.rows["csrrs"].encode(rd=1, csr=number) for number in sorted(RISCV64.csrs)]
    for code, (_, text) in zip(codes, objdump(codes), strict=True):
        assert DISASSEMBLER.disassemble(code) == text


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (0x0F7354B3, "czero.eqz x9,x6,x23"),
        (0x0F7374B3, "czero.nez x9,x6,x23"),
        (0, ".half 0x0000"),
        (0xFFFFFFFF, ".word 0xffffffff"),
        (0x7FF09073, "csrrw x0,0x7ff,x1"),
        (0x12340001, "c.nop"),
    ],
)
def test_what_objdump_does_not_know(code: int, text: str) -> None:
    assert disassemble(code) == text


def test_targets_wrap_around_the_address_space() -> None:
    assert disassemble(0xFFDFF06F, 0) == "jal x0,0xfffffffffffffffc"
    assert disassemble(0x0080006F, 0xFFFF_FFFF_FFFF_FFFC) == "jal x0,0x4"
