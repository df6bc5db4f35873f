"""The description language: patterns, fields, rows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypernest.isa.hart import Hart
from hypernest.isa.riscv.riscv64 import RISCV64
from hypernest.isa.row import Extension, Row, parse_pattern

ROWS = sorted(RISCV64.rows.values(), key=lambda row: row.name)


def nothing(h: Hart) -> None:
    """The meaning of rows that only tests have."""


def test_pattern_gives_fields_mask_and_match() -> None:
    fields, mask, match, length = parse_pattern("imm[12|10:5] rs2 rs1 101 imm[4:1|11] 1100011")
    assert (mask, match, length) == (0x707F, 0x5063, 4)
    assert {name: field.width for name, field in fields.items()} == {"imm": 13, "rs1": 5, "rs2": 5}
    # bge x3, x4, -2, as GNU as encodes it
    assert [fields[name].extract(0xFE41DFE3) for name in ("imm", "rs1", "rs2")] == [-2, 3, 4]


def test_three_bit_registers_count_from_8() -> None:
    fields, *_ = parse_pattern("010 uimm[5:3] rs1' uimm[2|6] rd' 00")
    code = 0x4000 | 3 << 7 | 7 << 2
    assert (fields["rs1"].extract(code), fields["rd"].extract(code)) == (11, 15)
    with pytest.raises(ValueError, match="rd cannot be 7"):
        fields["rd"].insert(7)


def test_constraint_covers_the_whole_field() -> None:
    extension = Extension("X")
    extension.add("x rd, imm", "011 imm[17] rd!=0,2 imm[16:12]!=0 01", nothing)
    row = extension["x"]
    assert row.matches(row.match | 1 << 12 | 1 << 7)  # imm = -0x20000: only its high piece is not zero
    assert not row.matches(row.match | 1 << 7)
    assert not row.matches(row.match | 1 << 12)
    assert not row.matches(row.match | 1 << 12 | 2 << 7)
    with pytest.raises(ValueError, match="imm cannot be 0"):
        row.encode(rd=1)


@pytest.mark.parametrize("pattern", ["0101", "0" * 31 + " rd", "rd 0000000000? 0", "imm[11:0] rs1 000 rd 001001"])
def test_unreadable_patterns(pattern: str) -> None:
    with pytest.raises(ValueError, match="encoding"):
        parse_pattern(pattern)


def test_encode_refuses_what_does_not_fit() -> None:
    row = RISCV64.rows["addi"]
    for values in ({"imm": 2048}, {"imm": -2049}, {"rd": 32}, {"rd": -1}):
        with pytest.raises(ValueError, match="cannot be"):
            row.encode(**values)
    with pytest.raises(ValueError, match="no operand uimm"):
        row.encode(uimm=1)
    with pytest.raises(ValueError, match="cannot be"):
        RISCV64.rows["beq"].encode(imm=3)


def test_missing_rounding_mode_is_dynamic() -> None:
    row = RISCV64.rows["fadd.s"]
    assert row.fields["rm"].extract(row.encode()) == 7


def test_a_row_cannot_be_described_twice() -> None:
    extension = Extension("X")
    extension.add("x rd", "0000000 rd 0000", nothing)
    with pytest.raises(ValueError, match="x is described twice"):
        extension.add("x rd", "0000001 rd 0000", nothing)


@given(st.sampled_from(ROWS), st.integers(0, 2**32 - 1))
def test_fields_can_be_taken_out_and_put_back(row: Row, bits: int) -> None:
    code = row.match | bits & ~row.mask & ((1 << 8 * row.length) - 1)
    if not row.matches(code):
        return  # an excluded value; `test_constraint_covers_the_whole_field` is about those
    values = {name: field.extract(code) for name, field in row.fields.items()}
    assert row.encode(**values) == code


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_bit_is_fixed_or_in_one_field(row: Row) -> None:
    covered = row.mask
    for field in row.fields.values():
        for piece in field.pieces:
            bits = ((1 << piece.width) - 1) << piece.low
            assert not covered & bits
            covered |= bits
    assert covered == (1 << 8 * row.length) - 1
    assert row.match & ~row.mask == 0
    assert (row.match & 3 == 3) == (row.length == 4)
