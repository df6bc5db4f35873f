"""Framing: whatever comes, and however it is cut, whole packets are found and nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hypernest.debug.gdb.packets import LARGEST_PACKET, Event, Mark, Packet, PacketReader, encode, unescape


def read(*pieces: bytes) -> list[Event]:
    reader = PacketReader()
    return [event for piece in pieces for event in reader.feed(piece)]


def test_the_manuals_examples() -> None:
    assert encode(b"OK") == b"$OK#9a"
    assert encode(b"") == b"$#00"
    assert encode(b"a#b$c}d*e") == b"$a}\x03b}\x04c}]d}\x0ae#%02x" % (sum(b"a}\x03b}\x04c}]d}\x0ae") & 0xFF)
    assert read(b"$OK#9a") == [Packet(b"OK")]
    assert read(b"$OK#9A") == [Packet(b"OK")]


@given(st.binary(max_size=200), st.data())
def test_any_payload_comes_through_however_it_is_cut(payload: bytes, data: st.DataObject) -> None:
    stream = b"+" + encode(payload) + b"\x03" + encode(b"g")
    cut = data.draw(st.integers(0, len(stream)))
    assert read(stream[:cut], stream[cut:]) == [Mark.ACKNOWLEDGED, Packet(payload), Mark.INTERRUPT, Packet(b"g")]


def test_an_interrupt_byte_in_a_packet_is_data() -> None:
    assert read(b"$\x03#03") == [Packet(b"\x03")]


def test_a_wrong_checksum() -> None:
    assert read(b"$g#00$g#67") == [Mark.DAMAGED, Packet(b"g")]
    assert read(b"$g#zz$g#67") == [Mark.DAMAGED, Packet(b"g")]


def test_a_packet_that_was_cut_off_is_forgotten_when_the_next_begins() -> None:
    assert read(b"$m8000$g#67") == [Packet(b"g")]


def test_noise_between_packets_is_nothing() -> None:
    assert read(b"hello#99\0\xff$g#67-") == [Packet(b"g"), Mark.REPEAT]


def test_a_long_packet_is_dropped_without_being_held() -> None:
    reader = PacketReader()
    assert not list(reader.feed(b"$"))
    for _ in range(100):
        assert not list(reader.feed(b"a" * LARGEST_PACKET))
    assert len(reader._payload or b"") <= LARGEST_PACKET
    assert list(reader.feed(b"#00$g#67")) == [Mark.OVERSIZED, Packet(b"g")]


def test_the_longest_packet_fits() -> None:
    payload = b"a" * LARGEST_PACKET
    assert read(encode(payload)) == [Packet(payload)]
    assert read(encode(payload + b"a")) == [Mark.OVERSIZED]


def test_an_escape_at_the_end_is_nothing() -> None:
    assert unescape(b"ab}") == b"ab"
    assert unescape(b"}}]") == b"]]"  # an escaped 0x7d, which is 0x5d, and one more


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_garbage_never_raises_and_a_packet_after_it_is_read(pieces: list[bytes]) -> None:
    events = read(*pieces, b"#00", b"$g#67")
    assert events[-1] == Packet(b"g")
