"""A console that both its user and gdb are listened to at."""

from __future__ import annotations

import time
from collections import deque

import pytest

from hypernest.debug.gdb.attention import AttentiveBackend, Interrupted


class Typed:
    """A back end at which things have been typed already; `ended`: and nothing will be any more."""

    def __init__(self, *inputs: bytes, ended: bool = False) -> None:
        self.inputs, self.ended = deque(inputs), ended
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data

    def read(self) -> bytes:
        return self.inputs.popleft() if self.inputs else b""

    def wait(self, seconds: float | None) -> bool:
        if not self.inputs and seconds:
            time.sleep(seconds)
        return not self.ended


class Asked:
    """Interrupts when asked for the nth time."""

    def __init__(self, count: int) -> None:
        self.left = count

    def __call__(self) -> bool:
        self.left -= 1
        return self.left <= 0


def test_bytes_pass_in_both_directions() -> None:
    inner = Typed(b"ls\n")
    backend = AttentiveBackend(inner, lambda: False)
    backend.write(b"# ")
    assert inner.written == b"# "
    assert [backend.read(), backend.read()] == [b"ls\n", b""]


def test_what_is_typed_while_the_machine_stands_waits_for_it() -> None:
    backend = AttentiveBackend(Typed(b"a", b"b"), lambda: False)
    backend.attend()
    backend.attend()
    backend.attend()
    assert backend.wait(None)
    assert [backend.read(), backend.read()] == [b"ab", b""]


def test_a_user_who_types_without_end_is_not_listened_to_forever() -> None:
    inner = Typed(*[b"x" * 4096] * 100)
    backend = AttentiveBackend(inner, lambda: False)
    for _ in range(100):
        backend.attend()
    assert len(backend.read()) == 1 << 16


@pytest.mark.parametrize("seconds", [None, 100.0])
@pytest.mark.parametrize("inner", [None, Typed(), Typed(ended=True)])
def test_gdb_ends_a_sleep(inner: Typed | None, seconds: float | None) -> None:
    backend = AttentiveBackend(inner, Asked(1))
    assert backend.wait(seconds)
    with pytest.raises(Interrupted):
        backend.read()
    backend._interrupted = lambda: False
    assert backend.read() == b""


@pytest.mark.parametrize("inner", [None, Typed(), Typed(ended=True)])
def test_a_sleep_takes_as_long_as_it_should(inner: Typed | None) -> None:
    begin = time.monotonic()
    AttentiveBackend(inner, lambda: False).wait(0.12)
    assert time.monotonic() - begin >= 0.12


@pytest.mark.parametrize("inner", [None, Typed(ended=True)])
def test_nothing_is_waited_for_that_cannot_come(inner: Typed | None) -> None:
    assert not AttentiveBackend(inner, lambda: False).wait(None)


def test_input_ends_a_sleep() -> None:
    backend = AttentiveBackend(Typed(b"x"), lambda: False)
    assert backend.wait(None)
    assert backend.read() == b"x"
