"""Pages of code: what is an instruction in them, and how many follow."""

from __future__ import annotations

import pytest

from hypernest.engines.translator.code_page import PAGE_BYTES, CodePage
from tests.engines.translator.pages import TABLES, page_of

C_NOP = b"\x01\x00"
NOP = b"\x13\x00\x00\x00"


def ending_with(code: bytes) -> CodePage:
    return CodePage(TABLES, code.rjust(PAGE_BYTES, b"\0"), 0)


@pytest.mark.parametrize("size", [0, PAGE_BYTES - 1, PAGE_BYTES + 1])
def test_a_page_has_4096_bytes(size: int) -> None:
    with pytest.raises(ValueError, match=str(size)):
        CodePage(TABLES, bytes(size), 0)


def test_instructions_of_both_lengths() -> None:
    page = page_of("c.addi a0, 1\n addi a1, a2, -3\n c.nop")
    first, second, third = (page.at(offset) for offset in (0, 2, 6))
    assert first and second and third
    assert (first.row.name, first.length, first.following) == ("c.addi", 2, 2)
    assert (second.row.name, second.length, second.following) == ("addi", 4, 6)
    assert second.operands == {"rd": 11, "rs1": 12, "imm": -3}
    assert third.offset == 6 and third.following == 8
    assert page.at(2) is second


def test_equal_instructions_share_their_meaning() -> None:
    page = page_of("addi a0, a0, 1\n addi a0, a0, 1\n c.addi a0, 1\n addi a0, a0, 2")
    one, same, compressed, other = (page.at(offset) for offset in (0, 4, 8, 10))
    assert one and same and compressed and other
    assert one.meaning is same.meaning is compressed.meaning
    assert one.meaning is not other.meaning


def test_what_is_illegal_is_none() -> None:
    page = page_of("nop")
    assert page.at(0) and page.at(4) is None


def test_what_goes_beyond_the_page_is_none() -> None:
    assert ending_with(NOP).at(PAGE_BYTES - 4)
    assert ending_with(NOP[:2]).at(PAGE_BYTES - 2) is None
    assert ending_with(C_NOP).at(PAGE_BYTES - 2)


def test_instructions_are_counted_up_to_the_end_from_each_halfword() -> None:
    page = ending_with(NOP + C_NOP + NOP + NOP[:2])
    # The second halves of nops are zeros: instructions of two bytes, though illegal ones.
    assert page.counts[-8:] == [4, 4, 3, 2, 2, 1, 0, 0]
    assert ending_with(b"").counts[0] == PAGE_BYTES // 2


def test_a_jump_costs_the_steps_that_it_goes_back_and_returns_what_it_skips() -> None:
    page = page_of("nop\n c.nop\n nop\n nop")
    assert page.cost(0, 4) == 0  # as if it were no jump
    assert page.cost(10, 0) == -4
    assert page.cost(10, 10) == -1
    assert page.cost(0, 10) == 2


def test_what_was_executed() -> None:
    page = page_of("nop\n nop\n nop", executed=[0, 6, PAGE_BYTES - 2])
    assert [offset for offset in range(0, PAGE_BYTES, 2) if page.was_executed(offset)] == [0, 6, PAGE_BYTES - 2]
