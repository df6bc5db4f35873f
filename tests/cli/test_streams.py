"""The console on pipes and files: bytes pass unchanged, ends and failures of either side are survived."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hypernest.cli.streams import OutputLost, Streams

EVERY_BYTE = bytes(range(256))


@pytest.fixture
def source() -> Iterator[tuple[int, int]]:
    """The ends of a pipe: what the guest reads from, and what to write to."""
    ends = os.pipe()
    yield ends
    for end in ends:
        with contextlib.suppress(OSError):
            os.close(end)


def test_input_passes_unchanged_and_is_not_waited_for(source: tuple[int, int]) -> None:
    streams = Streams(source[0], -1)
    assert streams.read() == b""
    os.write(source[1], EVERY_BYTE)
    assert streams.wait(None)
    assert streams.read() == EVERY_BYTE
    assert streams.read() == b""


def test_after_the_end_of_input_nobody_waits_for_more(source: tuple[int, int]) -> None:
    streams = Streams(source[0], -1)
    os.write(source[1], b"last")
    os.close(source[1])
    assert streams.read() == b"last"
    assert streams.read() == b""
    assert not streams.wait(None)
    assert not streams.wait(0)


def test_input_that_is_closed_is_at_its_end(source: tuple[int, int]) -> None:
    streams = Streams(source[0], -1)
    os.close(source[0])
    assert streams.read() == b""
    assert not streams.wait(None)


def test_a_slow_reader_loses_nothing() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    data = EVERY_BYTE * 4096
    received = bytearray()

    def receive() -> None:
        while chunk := os.read(reader, 1000):
            received.extend(chunk)

    thread = threading.Thread(target=receive)
    thread.start()
    Streams(-1, writer).write(data)
    os.close(writer)
    thread.join()
    os.close(reader)
    assert received == data


def test_a_reader_that_has_gone_ends_the_run_at_the_next_look(source: tuple[int, int]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    streams = Streams(source[0], writer)
    streams.write(b"lost")
    streams.write(b"lost too")
    with pytest.raises(BrokenPipeError):
        streams.read()
    with pytest.raises(BrokenPipeError):
        streams.check()
    os.close(writer)


def test_a_full_disk_is_an_error_that_says_so(source: tuple[int, int]) -> None:
    full = os.open(Path("/dev/full"), os.O_WRONLY)
    streams = Streams(source[0], full)
    streams.write(b"lost")
    with pytest.raises(OutputLost, match="No space left on device"):
        streams.check()
    os.close(full)


@pytest.mark.parametrize(("text", "typed"), [(b"", b"\x04"), (b"one\n", b"one\n\x04"), (b"one", b"one\n\x04")])
def test_the_end_of_input_may_be_typed(source: tuple[int, int], text: bytes, typed: bytes) -> None:
    streams = Streams(source[0], -1, types_end=True)
    os.write(source[1], text)
    os.close(source[1])
    assert b"".join(streams.read() for _ in range(10)) == typed
    assert not streams.wait(None)
    assert b"".join(streams.read() for _ in range(100)) == b"\x04\x04"
