"""The decision tree against the definition of decoding, and against objdump's idea of what is legal."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypernest.isa.decoder import AmbiguityError, Candidate, Decoder, Switch
from hypernest.isa.hart import Hart
from hypernest.isa.riscv.riscv64 import RISCV64
from hypernest.isa.row import Extension, Row
from tests.isa.objdump import all_compressed, objdump
from tests.isa.sampling import samples

ROWS = list(RISCV64.rows.values())
DECODER = Decoder(ROWS)

# One instruction of each extension that a RISCV64 must have.
EXTENSIONS = {
    "I": "add", "M": "mul", "A": "amoadd.d", "F": "fmadd.s", "D": "fcvt.d.s", "C": "c.addi4spn", "Zicsr": "csrrw",
    "Zifencei": "fence.i", "Zba": "sh1add", "Zbb": "clz", "Zbs": "bset", "Zicond": "czero.eqz", "Zicbom": "cbo.clean",
    "Zicboz": "cbo.zero", "Zawrs": "wrs.nto", "Svinval": "sinval.vma", "S": "sret",
}  # fmt: skip

# Where objdump 2.40 is stricter than the manual, or older.
FENCES = {"fence", "fence.i"}  # reserved values of fm, rd, rs1 and imm must be ignored
RM_IN_EXACT_CONVERSIONS = {"fcvt.d.w", "fcvt.d.wu", "fcvt.d.s"}  # exact in every mode; objdump wants rm to be 0
ZICOND = {"czero.eqz", "czero.nez"}  # known since 2.41
UNKNOWN_TO_OBJDUMP = FENCES | RM_IN_EXACT_CONVERSIONS | ZICOND
# Where it is more liberal: withdrawn instructions of old drafts; c.addi16sp x2,0, which is reserved; all zeros.
ONLY_OBJDUMP = {"uret", "hret", "sfence.vm", "c.addi16sp x2,0", "c.unimp"}


def nothing(h: Hart) -> None:
    """The meaning of rows that only tests have."""


def by_definition(code: int) -> Row | None:
    """Of the rows that match, the one that fixes the most bits."""
    code &= 0xFFFFFFFF if code & 3 == 3 else 0xFFFF
    return max((row for row in ROWS if row.matches(code)), key=lambda row: row.mask.bit_count(), default=None)


def near_misses() -> Iterator[int]:
    """32-bit instructions one bit away from those of each row."""
    source = random.Random(1)
    for row in ROWS:
        if row.length == 4:
            for code in samples(row, 40):
                flipped = code ^ 1 << source.randrange(2, 32)
                if flipped & 0x1C != 0x1C:  # else it is longer than 32 bits
                    yield flipped


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_instructions_of_a_row_decode_to_it(row: Row) -> None:
    for code in samples(row, 40):
        found = DECODER.decode(code)
        assert found is by_definition(code)
        assert found is row or (found is not None and found.mask & row.mask == row.mask)


def test_all_16_bit_codes_decode_as_defined() -> None:
    rows = [row for row in ROWS if row.length == 2]
    for code in (code for code in range(1 << 16) if code & 3 != 3):
        matching = [row for row in rows if row.matches(code)]
        expected = max(matching, key=lambda row: row.mask.bit_count(), default=None)
        assert DECODER.decode(code) is expected, hex(code)
        assert DECODER.decode(code | 0xABCD0000) is expected


@given(st.integers(0, 2**32 - 1))
def test_random_codes_decode_as_defined(code: int) -> None:
    assert DECODER.decode(code) is by_definition(code)
    assert DECODER.decode(code | 3) is by_definition(code | 3)


def test_near_misses_decode_as_defined() -> None:
    for code in near_misses():
        assert DECODER.decode(code) is by_definition(code), hex(code)


@pytest.mark.parametrize("code", [0, 0xFFFFFFFF, 0xFFFF0000])
def test_all_zeros_and_all_ones_are_illegal(code: int) -> None:
    assert DECODER.decode(code) is None


def test_near_misses_are_as_legal_as_objdump_says() -> None:
    source = random.Random(2)
    codes = list(near_misses())
    codes += [code | 3 for code in (source.getrandbits(32) for _ in range(5000)) if code & 0x1C != 0x1C]
    wrong: list[tuple[str, str | None, str]] = []
    for code, (_, text) in zip(codes, objdump(codes), strict=True):
        row = DECODER.decode(code)
        if row is None and text.split(" ")[0] not in ONLY_OBJDUMP | {""}:
            wrong.append((hex(code), None, text))
        if row is not None and not text and row.name not in UNKNOWN_TO_OBJDUMP:
            wrong.append((hex(code), row.name, text))
    assert not wrong


def test_16_bit_codes_are_as_legal_as_objdump_says() -> None:
    for code, (_, text) in all_compressed().items():
        assert (DECODER.decode(code) is None) == (text == "" or text in ONLY_OBJDUMP), (hex(code), text)


def test_the_required_extensions_are_there() -> None:
    assert {RISCV64.rows[name].extension for name in EXTENSIONS.values()} == set(EXTENSIONS)
    for extension, name in EXTENSIONS.items():
        assert RISCV64.rows[name].extension == extension


def test_rows_that_overlap_are_named() -> None:
    extension = Extension("X")
    extension.add("first rd", "1000 rd!=0 00011 10", nothing)
    extension.add("second rs2", "1000 00001 rs2 10", nothing)
    with pytest.raises(AmbiguityError, match=r"first .* and second .* overlap"):
        Decoder(extension.rows.values())


def test_equal_encodings_are_ambiguous() -> None:
    extension = Extension("X")
    extension.add("first rd", "1000 rd 00000 10", nothing)
    extension.add("second rd", "1000 rd 00000 10", nothing)
    with pytest.raises(AmbiguityError, match="first"):
        Decoder(extension.rows.values())


def test_an_exclusion_resolves_an_overlap() -> None:
    extension = Extension("X")
    extension.add("first rd", "1000 rd!=1 00011 10", nothing)
    extension.add("second rs2", "1000 00001 rs2 10", nothing)
    decoder = Decoder(extension.rows.values())
    assert decoder.decode(0x800E) is extension["first"]
    assert decoder.decode(0x808E) is extension["second"]
    assert decoder.decode(0x8082) is extension["second"]
    assert decoder.decode(0x8002) is None


def test_a_special_case_comes_first_in_whatever_order_it_is_written() -> None:
    extension = Extension("X")
    extension.add("general rd, rs2", "1000 rd rs2 10", nothing)
    extension.add("special rd", "1000 rd 00011 10", nothing)
    for rows in (list(extension.rows.values()), list(extension.rows.values())[::-1]):
        assert Decoder(rows).decode(0x800E) is extension["special"]
        assert Decoder(rows).decode(0x8012) is extension["general"]


def test_the_tree_has_good_fan_out() -> None:
    """Few steps and short leaves: what makes the native decoder fast."""

    def walk(node: Switch | tuple[Candidate, ...], depth: int) -> Iterator[tuple[int, int]]:
        if isinstance(node, Switch):
            assert len(node.cases) == 1 << node.width
            for case in node.cases:
                yield from walk(case, depth + 1)
        else:
            yield depth, len(node)

    leaves = list(walk(DECODER.tree, 0))
    assert max(depth for depth, _ in leaves) <= 6
    assert max(size for _, size in leaves) <= 5
