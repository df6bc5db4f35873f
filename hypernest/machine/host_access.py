"""Guest-physical memory as a Python program reads and writes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import overload

from hypernest.errors import OutOfRange
from hypernest.memory import GuestMemory


class MachineMemory:
    """RAM by guest-physical address: `memory[a]` is a byte, `memory[a:b]` are bytes. `OutOfRange` outside RAM."""

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
        """The `count` bytes at `address`."""
        return self._memory().read(address, count)

    def write(self, address: int, data: bytes) -> None:
        """Store `data` at `address`."""
        self._memory().write(address, data)

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


def _byte(value: int) -> bytes:
    if not 0 <= value < 256:
        raise OutOfRange(f"{value} is not a byte: give 0 to 255")
    return bytes((value,))


def _bounds(key: slice) -> tuple[int, int]:
    if key.step not in (None, 1) or key.start is None or key.stop is None or key.stop < key.start:
        raise OutOfRange("a range of memory needs a first address and a later end, as in memory[0x80000000:0x80001000]")
    return key.start, key.stop
