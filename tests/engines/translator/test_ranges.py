"""What is known of registers is never more than holds."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hypernest.engines.translator.ranges import LARGEST_TABLE, Ranges
from hypernest.isa.riscv.riscv64 import RISCV64
from hypernest.isa.trace import Tracer
from hypernest.isa.word import Word, word

TRACER = Tracer(RISCV64.registers_by_name)
BASE, INDEX, OTHER, SUM = ("x", 10), ("x", 11), ("x", 12), ("x", 13)


def held(number: int, width: int = 64) -> Word:
    """What a register held."""
    return TRACER.unique("parameter", (number,), width)


BASE_WORD, INDEX_WORD, OTHER_WORD = held(10), held(11), held(12)
READ = {BASE_WORD: BASE, INDEX_WORD: INDEX, OTHER_WORD: OTHER}


def points_into(ranges: Ranges, index: Word) -> bool:
    """Is base + index taken for an address in the table at base? Asked of both orders."""
    answers = []
    for address in (BASE_WORD + index, index + BASE_WORD):
        ranges.write(SUM, address, READ)
        answers.append(ranges.table(SUM) == BASE)
    assert answers[0] == answers[1]
    return answers[0]


SMALL: dict[str, Callable[[Word], Word]] = {
    "and": lambda w: w & (LARGEST_TABLE - 1),
    "and with more": lambda w: (w & 15) & OTHER_WORD,
    "zext": lambda w: w.trunc(8).zext(64),
    "trunc of small": lambda w: (w & 255).trunc(32).zext(64),
    "sext of what has no sign": lambda w: (w.trunc(16) & 0x7FF).sext(64),
    "add": lambda w: (w & 255) + (OTHER_WORD & 1023) + 7,
    "lshr": lambda w: w >> 52,
    "shl": lambda w: (w & 511) << 3,
}
LARGE: dict[str, Callable[[Word], Word]] = {
    "unknown": lambda w: w,
    "a constant": lambda w: word(8),
    "and": lambda w: w & LARGEST_TABLE,
    "or": lambda w: (w & 15) | OTHER_WORD,
    "zext": lambda w: w.trunc(13).zext(64),
    "trunc of large": lambda w: w.trunc(32).zext(64),
    "sext of what may have a sign": lambda w: w.trunc(8).sext(64),
    "add": lambda w: (w & 4095) + (OTHER_WORD & 1),
    "add that may wrap": lambda w: (w & 15) + -1,
    "lshr": lambda w: w >> 51,
    "lshr by what is unknown": lambda w: w >> OTHER_WORD,
    "shl": lambda w: (w & 512) << 3,
    "shl by what is unknown": lambda w: (w & 1) << OTHER_WORD,
    "sub": lambda w: (w & 15) - (OTHER_WORD & 1),
}


@pytest.mark.parametrize("name", SMALL)
def test_small_numbers(name: str) -> None:
    assert points_into(Ranges(), SMALL[name](INDEX_WORD))


@pytest.mark.parametrize("name", LARGE)
def test_numbers_that_may_be_large(name: str) -> None:
    assert not points_into(Ranges(), LARGE[name](INDEX_WORD))


@pytest.mark.parametrize("name", SMALL)
def test_a_limit_is_kept_with_its_register(name: str) -> None:
    ranges = Ranges()
    ranges.write(INDEX, SMALL[name](INDEX_WORD), READ)
    assert points_into(ranges, INDEX_WORD)


def test_limits_end_when_something_else_is_written() -> None:
    ranges = Ranges()
    ranges.write(INDEX, INDEX_WORD & 255, READ)
    ranges.write(INDEX, INDEX_WORD + 1, READ)  # 256 at most
    assert points_into(ranges, INDEX_WORD << 3)
    ranges.write(INDEX, INDEX_WORD - 1, READ)
    assert not points_into(ranges, INDEX_WORD)
    ranges.write(INDEX, INDEX_WORD & 255, READ)
    ranges.forget(INDEX)
    assert not points_into(ranges, INDEX_WORD)
    ranges.write(INDEX, INDEX_WORD & 255, READ)
    ranges.clear()
    assert not points_into(ranges, INDEX_WORD)


def with_table() -> Ranges:
    ranges = Ranges()
    ranges.write(INDEX, INDEX_WORD & 255, READ)
    ranges.write(SUM, BASE_WORD + INDEX_WORD, READ)
    assert ranges.table(SUM) == BASE
    return ranges


def test_a_table_stays_when_the_index_changes() -> None:
    ranges = with_table()
    ranges.write(INDEX, OTHER_WORD, READ)
    ranges.forget(OTHER)
    assert ranges.table(SUM) == BASE


SPOILING: dict[str, Callable[[Ranges], None]] = {
    "the base is forgotten": lambda ranges: ranges.forget(BASE),
    "the base moves": lambda ranges: ranges.write(BASE, BASE_WORD + 8, READ),
    "the sum is forgotten": lambda ranges: ranges.forget(SUM),
    "the sum moves": lambda ranges: ranges.write(SUM, held(13) + 8, {held(13): SUM}),
    "all is forgotten": lambda ranges: ranges.clear(),
}


@pytest.mark.parametrize("name", SPOILING)
def test_a_table_lasts_as_long_as_the_base_and_the_sum(name: str) -> None:
    ranges = with_table()
    SPOILING[name](ranges)
    assert ranges.table(SUM) is None


def test_a_register_points_into_no_table_of_its_own() -> None:
    ranges = Ranges()
    ranges.write(INDEX, INDEX_WORD & 255, READ)
    ranges.write(BASE, BASE_WORD + INDEX_WORD, READ)
    assert ranges.table(BASE) is None


def test_a_base_is_what_a_register_held() -> None:
    ranges = Ranges()
    ranges.write(SUM, (BASE_WORD + OTHER_WORD) + (INDEX_WORD & 255), READ)
    assert ranges.table(SUM) is None
