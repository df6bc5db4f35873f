"""Direct memory access: the guest's RAM as a device reaches it."""

from __future__ import annotations

from collections.abc import Callable

from hypernest.memory import GuestMemory


class DirectMemory:
    """Reads and writes RAM at guest-physical addresses; raises `OutOfRange` for what is not all RAM, and then nothing
    has changed. `after_write` is called after each write."""

    def __init__(self, memory: GuestMemory, after_write: Callable[[], None]) -> None:
        self._memory, self._after_write = memory, after_write

    def contains(self, address: int, count: int) -> bool:
        """Are all of the `count` bytes at `address` RAM?"""
        return self._memory.contains(address, count)

    def read(self, address: int, count: int) -> bytes:
        """The `count` bytes at `address`."""
        return self._memory.read(address, count)

    def write(self, address: int, data: bytes | bytearray | memoryview) -> None:
        """Store `data` at `address`."""
        self._memory.write(address, data)
        self._after_write()

    def read_integer(self, address: int, size: int) -> int:
        """The unsigned little-endian integer of `size` (1, 2, 4 or 8) bytes at `address`."""
        return self._memory.read_integer(address, size)

    def write_integer(self, address: int, size: int, value: int) -> None:
        """Store the low `size` (1, 2, 4 or 8) bytes of `value` at `address`."""
        self._memory.write_integer(address, size, value)
        self._after_write()
