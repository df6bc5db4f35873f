"""Input and output of a command in the guest: what is its own, and what a terminal would do to it undone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from hypernest.cli.command_streams import CommandStreams

READY = b"<ready>"


@dataclass
class Pipes:
    """The streams of a command, and their other ends."""

    streams: CommandStreams
    stdin: int
    stdout: int
    stderr: int

    def output(self) -> bytes:
        return os.read(self.stdout, 65536)

    def messages(self) -> bytes:
        return os.read(self.stderr, 65536)


@pytest.fixture
def pipes() -> Iterator[Pipes]:
    ends = [os.pipe() for _ in range(3)]
    for reader, _ in ends[1:]:
        os.set_blocking(reader, False)
    streams = CommandStreams(ends[0][0], ends[1][1], ends[2][1], READY)
    yield Pipes(streams, ends[0][1], ends[1][0], ends[2][0])
    for end in {*(end for pair in ends for end in pair)}:
        try:
            os.close(end)
        except OSError:  # a test has closed it
            continue


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_what_comes_before_the_command_is_a_message(pipes: Pipes, size: int) -> None:
    text = b"boot <re noise" + READY + b"output " + READY
    for start in range(0, len(text), size):
        pipes.streams.write(text[start : start + size])
    assert pipes.messages() == b"boot <re noise"
    assert pipes.output() == b"output " + READY


def test_no_input_passes_before_the_command_runs(pipes: Pipes) -> None:
    os.write(pipes.stdin, b"early")
    assert pipes.streams.read() == b""
    pipes.streams.write(READY)
    assert pipes.streams.read() == b"early"


@pytest.mark.parametrize(("text", "end"), [(b"line\n", b"\x04"), (b"", b"\x04"), (b"unfinished", b"\x04\x04")])
def test_the_command_sees_the_end_of_input_once(pipes: Pipes, text: bytes, end: bytes) -> None:
    pipes.streams.write(READY)
    os.write(pipes.stdin, text)
    os.close(pipes.stdin)
    received = b"".join(pipes.streams.read() for _ in range(5))
    assert received == text + end


def test_what_a_terminal_would_act_upon_is_quoted(pipes: Pipes) -> None:
    pipes.streams.write(READY)
    os.write(pipes.stdin, b"a\x03b\x04c\r\x16\x7f\x00\xff\n")
    assert pipes.streams.read() == b"a\x16\x03b\x16\x04c\x16\r\x16\x16\x16\x7f\x00\xff\n"


def test_a_long_line_is_handed_over_in_pieces(pipes: Pipes) -> None:
    pipes.streams.write(READY)
    line = b"x" * 5000
    for start in range(0, len(line), 700):
        os.write(pipes.stdin, line[start : start + 700])
    os.write(pipes.stdin, b"\n")
    os.close(pipes.stdin)
    received = b"".join(pipes.streams.read() for _ in range(10))
    assert received.replace(b"\x04", b"") == line + b"\n"
    assert max(map(len, received.split(b"\x04"))) <= 1024
    assert b"\x04\x04" not in received
