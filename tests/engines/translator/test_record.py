"""What comes from the disk or the compiler's process is believed only as far as it cannot do harm."""

from __future__ import annotations

import contextlib
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypernest.engines.translator.record import Record, Reply, decode_record, decode_reply, encode

GOOD = Record(
    head=8,
    entries=[8, 40],
    first=8,
    last=99,
    instructions=20,
    covered=b"\x55" * 256,
    microseconds=3,
    start=2,
    code=b"\x90\x90\xc3",
)
PLACES = st.integers(-5000, 5000) | st.integers()


def test_a_record_survives_its_encoding() -> None:
    assert decode_record(encode(GOOD)) == GOOD


@pytest.mark.parametrize(
    "wrong",
    [
        {"head": -2},
        {"head": 4096},
        {"head": 9},
        {"entries": []},
        {"entries": [8, 4096]},
        {"entries": [8, -2]},
        {"entries": [8, 41]},
        {"first": -1},
        {"first": 4096},
        {"last": 7},
        {"last": 4096},
        {"start": -1},
        {"start": 3},
        {"code": b"", "start": 0},
        {"covered": b""},
        {"covered": bytes(257)},
    ],
    ids=repr,
)
def test_a_record_that_could_not_be_installed_is_none(wrong: dict[str, object]) -> None:
    assert decode_record(encode(msgspec.structs.replace(GOOD, **wrong))) is None


def harmless(record: Record | None) -> bool:
    """Installing it writes to slots of its page only, and enters its own code."""
    if record is None:
        return True
    places = [record.head, *record.entries]
    return (
        all(0 <= place < 4096 and place % 2 == 0 for place in places)
        and 0 <= record.first <= record.last < 4096
        and 0 <= record.start < len(record.code)
    )


@given(st.binary(max_size=200))
def test_garbage_is_no_record(data: bytes) -> None:
    assert harmless(decode_record(data))


@given(PLACES, st.lists(PLACES, max_size=4), PLACES, PLACES, PLACES, st.binary(max_size=4))
def test_any_numbers_are_refused_or_harmless(
    head: int, entries: list[int], first: int, last: int, start: int, code: bytes
) -> None:
    try:
        data = encode([head, entries, first, last, 1, bytes(256), 1, start, code])
    except OverflowError:  # no number of msgpack
        return
    assert harmless(decode_record(data))


def test_damaged_records_are_refused_or_harmless() -> None:
    random, whole = Random("damage"), encode(GOOD)
    for _ in range(3000):
        data = bytearray(whole)
        for _ in range(random.randint(1, 3)):
            data[random.randrange(len(data))] = random.randrange(256)
        assert harmless(decode_record(bytes(data[: random.choice((len(data), random.randrange(len(data))))])))


@given(st.binary(max_size=200))
def test_garbage_is_no_reply(data: bytes) -> None:
    with contextlib.suppress(msgspec.MsgspecError):
        assert isinstance(decode_reply(data), Reply)


def test_a_reply_cut_short_is_none() -> None:
    whole = encode(Reply(3, b"d" * 16, [encode(GOOD)], [4], "nothing"))
    assert decode_reply(whole).records == [encode(GOOD)]
    for length in range(len(whole)):
        with pytest.raises(msgspec.MsgspecError):
            decode_reply(whole[:length])
