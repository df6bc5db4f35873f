"""Guest memory as a Python program reads and writes it: bytes, integers, strings, searches."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import overload

from hypernest.errors import BadValue, OutOfRange
from hypernest.memory import GuestMemory

_CHUNK = 1 << 20
_INTEGER_SIZES = (1, 2, 4, 8)
_LAST = (1 << 64) - 1


class MemoryView(ABC):
    """Memory by address: `memory[a]` is a byte, `memory[a:b]` are bytes.

    What is read and written is RAM only: an address where a device is raises `OutOfRange`, so that looking never has
    a side effect. A write changes all or nothing, and code that was there is forgotten by the engines.
    """

    @abstractmethod
    def read(self, address: int, count: int) -> bytes:
        """The `count` bytes at `address`."""

    @abstractmethod
    def write(self, address: int, data: bytes) -> None:
        """Store `data` at `address`."""

    @abstractmethod
    def _pieces(self, start: int, end: int) -> Iterator[tuple[int, bytes]]:
        """What can be read between two addresses, as (address, bytes) in rising order."""

    def read_int(self, address: int, size: int, *, signed: bool = False) -> int:
        """The little-endian integer of `size` (1, 2, 4 or 8) bytes at `address`, aligned or not."""
        return int.from_bytes(self.read(address, _checked_size(size)), "little", signed=signed)

    def write_int(self, address: int, size: int, value: int) -> None:
        """Store `value`, signed or not, in `size` (1, 2, 4 or 8) bytes; `BadValue` if it does not fit."""
        bits = 8 * _checked_size(size)
        if not -(1 << bits - 1) <= value < 1 << bits:
            raise BadValue(f"{value:#x} does not fit into {size} bytes: give a larger size")
        self.write(address, (value & (1 << bits) - 1).to_bytes(size, "little"))

    def read_string(self, address: int, limit: int = 4096) -> str:
        """The text at `address` up to a NUL byte, or its first `limit` bytes; bytes that are no UTF-8 become U+FFFD.

        Nothing behind the NUL is touched.
        """
        if limit < 0:
            raise BadValue(f"{limit} is no number of bytes: give one that is not negative")
        text = b""
        while len(text) < limit:
            # To the end of the page, as the next one may not be there.
            here = address + len(text)
            data, nul, _ = self.read(here, min(4096 - here % 4096, limit - len(text))).partition(b"\0")
            text += data
            if nul:
                break
        return text.decode("utf-8", "replace")

    def find(self, data: bytes, start: int, end: int) -> int | None:
        """The lowest address from `start` on where all of `data` lies before `end`; None if there is none.

        What cannot be read in between is passed over.
        """
        if not data:
            raise BadValue("there is nothing to find: give at least one byte")
        overlap = len(data) - 1
        tail, expected = b"", -1
        for address, piece in self._pieces(start, end):
            if address != expected:
                tail = b""
            window = tail + piece
            if (at := window.find(data)) >= 0:
                return address - len(tail) + at
            tail, expected = window[max(len(window) - overlap, 0) :], address + len(piece)
        return None

    @overload
    def __getitem__(self, key: int) -> int: ...

    @overload
    def __getitem__(self, key: slice) -> bytes: ...

    def __getitem__(self, key: int | slice) -> int | bytes:
        if isinstance(key, slice):
            start, end = _bounds(key)
            return self.read(start, end - start)
        return self.read(key, 1)[0]

    @overload
    def __setitem__(self, key: int, value: int) -> None: ...

    @overload
    def __setitem__(self, key: slice, value: bytes) -> None: ...

    def __setitem__(self, key: int | slice, value: int | bytes) -> None:
        if isinstance(key, slice):
            start, end = _bounds(key)
            data = _byte(value) if isinstance(value, int) else value
            if len(data) != end - start:
                raise OutOfRange(f"{len(data)} bytes do not fill {start:#x} to {end:#x}: give {end - start} bytes")
            self.write(start, data)
        else:
            self.write(key, _byte(value) if isinstance(value, int) else value)


class MachineMemory(MemoryView):
    """RAM by guest-physical address. `OutOfRange` outside RAM."""

    def __init__(self, memory: Callable[[], GuestMemory]) -> None:
        self._memory = memory

    @property
    def base(self) -> int:
        """The first address."""
        return self._memory().base

    @property
    def size(self) -> int:
        """Bytes of RAM."""
        return self._memory().size

    def read(self, address: int, count: int) -> bytes:
        """The `count` bytes at guest-physical `address`."""
        return self._memory().read(address, count)

    def write(self, address: int, data: bytes) -> None:
        """Store `data` at guest-physical `address`."""
        self._memory().write(address, data)

    def find(self, data: bytes, start: int | None = None, end: int | None = None) -> int | None:
        """The lowest address where `data` lies, in all of RAM or from `start` up to `end`; None if there is none."""
        memory = self._memory()
        return super().find(data, memory.base if start is None else start, memory.end if end is None else end)

    def _pieces(self, start: int, end: int) -> Iterator[tuple[int, bytes]]:
        memory = self._memory()
        yield from ram_pieces(memory, max(start, memory.base), min(end, memory.end))

    def __repr__(self) -> str:
        memory = self._memory()
        return f"<RAM, {memory.base:#x} to {memory.end:#x} ({memory.size >> 20} MiB)>"


def ram_pieces(memory: GuestMemory, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """All of RAM between two addresses of it."""
    for address in range(start, end, _CHUNK):
        count = min(_CHUNK, end - address)
        if memory.file is None:
            yield address, memory.read(address, count)
        else:
            # Reading the mapping would fill the file's holes.
            yield address, os.pread(memory.file, count, address - memory.base)


def checked_address(address: int) -> int:
    """The address, if it has 64 bits; `OutOfRange` else."""
    if not 0 <= address <= _LAST:
        raise OutOfRange(f"{address:#x} is no address: give one of 64 bits")
    return address


def _checked_size(size: int) -> int:
    if size not in _INTEGER_SIZES:
        raise BadValue(f"there are no integers of {size} bytes: give 1, 2, 4 or 8")
    return size


def _byte(value: int) -> bytes:
    if not 0 <= value < 256:
        raise OutOfRange(f"{value} is not a byte: give 0 to 255")
    return bytes((value,))


def _bounds(key: slice) -> tuple[int, int]:
    if key.step not in (None, 1) or key.start is None or key.stop is None or key.stop < key.start:
        raise OutOfRange("a range of memory needs a first address and a later end, as in memory[0x80000000:0x80001000]")
    return key.start, key.stop
