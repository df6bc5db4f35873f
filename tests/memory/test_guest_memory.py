"""Guest memory: what is written is read, nothing outside is touched, and the host pays only for what is used."""

from __future__ import annotations

import ctypes
import gc
import mmap
import os
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypernest.errors import BadConfiguration, OutOfRange
from hypernest.memory import GuestMemory

BASE = 0x8000_0000
SIZE = 4 * mmap.PAGESIZE
OUTSIDE = [
    (BASE - 1, 1),
    (BASE - 1, 2),
    (BASE + SIZE, 1),
    (BASE + SIZE - 1, 2),
    (BASE, SIZE + 1),
    (BASE, -1),
    (-1, 1),
    (-BASE, 8),
    (1 << 64, 1),
    (1 << 200, 1),
    (BASE, 1 << 200),
    (0, 0),
]


@pytest.fixture(params=["memory file", "anonymous"])
def memory(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[GuestMemory]:
    if request.param == "anonymous":
        monkeypatch.delattr(os, "memfd_create", raising=False)
    with GuestMemory(BASE, SIZE) as memory:
        yield memory


def test_reads_what_was_written(memory: GuestMemory) -> None:
    assert memory.read(BASE, SIZE) == bytes(SIZE)
    memory.write(BASE + 5, b"hello")
    memory.write(memory.end - 2, bytearray(b"ok"))
    memory.write(BASE + 20, memoryview(b"view"))
    assert memory.read(BASE + 4, 7) == b"\0hello\0"
    assert memory.read(BASE + SIZE - 2, 2) == b"ok"
    assert memory.read(BASE + 20, 4) == b"view"
    assert (memory.base, memory.size, memory.end) == (BASE, SIZE, BASE + SIZE)


@pytest.mark.parametrize(("address", "count"), OUTSIDE)
def test_refuses_what_is_outside(memory: GuestMemory, address: int, count: int) -> None:
    assert not memory.contains(address, count)
    with pytest.raises(OutOfRange, match="RAM"):
        memory.read(address, count)
    assert memory.read(BASE, SIZE) == bytes(SIZE)


@pytest.mark.parametrize("address", [BASE - 1, BASE + SIZE - 7, BASE + SIZE, -1, 1 << 64])
def test_refuses_writes_and_integers_outside(memory: GuestMemory, address: int) -> None:
    with pytest.raises(OutOfRange):
        memory.write(address, bytes(8))
    with pytest.raises(OutOfRange):
        memory.write_integer(address, 8, 1)
    with pytest.raises(OutOfRange):
        memory.read_integer(address, 8)
    assert memory.read(BASE, SIZE) == bytes(SIZE)


def test_contains_its_borders(memory: GuestMemory) -> None:
    assert memory.contains(BASE, SIZE)
    assert memory.contains(BASE + SIZE, 0)
    assert not memory.contains(BASE + SIZE, 1)
    assert memory.read(BASE + SIZE, 0) == b""


@given(st.sampled_from([1, 2, 4, 8]), st.integers(0, 64), st.integers(0, (1 << 64) - 1))
def test_integers_are_little_endian(size: int, offset: int, value: int) -> None:
    with GuestMemory(BASE, mmap.PAGESIZE) as memory:
        memory.write_integer(BASE + offset, size, value)
        expected = value & ((1 << 8 * size) - 1)
        assert memory.read_integer(BASE + offset, size) == expected
        assert memory.read(BASE + offset, size) == expected.to_bytes(size, "little")
        assert memory.read_integer(BASE + offset + size, 8) == 0


def test_listeners_hear_of_every_write_and_only_of_writes(memory: GuestMemory) -> None:
    heard: list[tuple[int, int]] = []
    memory.on_write(lambda address, count: heard.append((address, count)))
    memory.write(BASE + 3, b"abc")
    memory.write_integer(BASE + 8, 4, 7)
    memory.read(BASE, 8)
    with pytest.raises(OutOfRange):
        memory.write(BASE - 1, b"abc")
    assert heard == [(BASE + 3, 3), (BASE + 8, 4)]


def test_native_code_sees_the_same_bytes(memory: GuestMemory) -> None:
    memory.write(BASE, b"from python")
    assert ctypes.string_at(memory.host_address, 11) == b"from python"
    ctypes.memmove(memory.host_address + 100, b"from native", 11)
    assert memory.read(BASE + 100, 11) == b"from native"


def test_is_sparse() -> None:
    with GuestMemory(BASE, 1 << 36) as memory:
        assert memory.resident_size == 0
        memory.write_integer(memory.end - 8, 8, 1)
        assert 0 < memory.resident_size <= 4 << 20


def test_counts_resident_pages(memory: GuestMemory) -> None:
    before = memory.resident_size
    memory.write(BASE + mmap.PAGESIZE, b"x" * (2 * mmap.PAGESIZE))
    assert memory.resident_size - before >= 2 * mmap.PAGESIZE


def test_after_close_everything_is_outside(memory: GuestMemory) -> None:
    memory.close()
    memory.close()
    assert memory.resident_size == 0
    for access in (lambda: memory.read(BASE, 1), lambda: memory.read_integer(BASE, 1), lambda: memory.read(BASE, 0)):
        with pytest.raises(OutOfRange):
            access()
    with pytest.raises(OutOfRange):
        memory.write(BASE, b"x")


@pytest.mark.parametrize("size", [0, -4096, 1, 4097, 1 << 56, 1 << 80])
def test_refuses_impossible_sizes(size: int) -> None:
    with pytest.raises(BadConfiguration):
        GuestMemory(BASE, size)


def test_says_when_the_host_has_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    descriptors = len(os.listdir("/proc/self/fd"))
    with pytest.raises(BadConfiguration, match="less memory"):
        GuestMemory(BASE, 1 << 55)
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_memory_that_nobody_closes_keeps_no_descriptor() -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        GuestMemory(0x8000_0000, 1 << 16)
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= before
