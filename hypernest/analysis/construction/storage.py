"""Memory of a real machine, and the piece of it that a monitor has given to a virtual one."""

from __future__ import annotations


class PhysicalMemory:
    """E of the bare machine: [0, size) bytes, zero at first. Nothing is clipped: ask `contains` before."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.data = bytearray(size)

    def contains(self, address: int, count: int) -> bool:
        """Are these bytes all memory?"""
        return address >= 0 and address + count <= self.size

    def read_integer(self, address: int, count: int) -> int:
        """Little-endian."""
        return int.from_bytes(self.data[address : address + count], "little")

    def write_integer(self, address: int, count: int, value: int) -> None:
        """Little-endian."""
        self.data[address : address + count] = value.to_bytes(count, "little")

    def view(self, address: int, count: int) -> memoryview:
        """The bytes themselves, to be read or written; not to be kept."""
        return memoryview(self.data)[address : address + count]


class Region:
    """`size` bytes of a memory from `base`, as a memory of its own that begins at 0. Regions nest at no cost."""

    def __init__(self, memory: PhysicalMemory | Region, base: int, size: int) -> None:
        if not memory.contains(base, size):
            raise ValueError(f"a region of {size} bytes at {base:#x} is not within {memory.size} bytes")
        self.base: int = base
        self.size: int = size
        self._memory: PhysicalMemory = memory._memory if isinstance(memory, Region) else memory
        self._start: int = memory._start + base if isinstance(memory, Region) else base

    def contains(self, address: int, count: int) -> bool:
        """Are these bytes all memory of the virtual machine?"""
        return address >= 0 and address + count <= self.size

    def read_integer(self, address: int, count: int) -> int:
        """Little-endian."""
        return self._memory.read_integer(self._start + address, count)

    def write_integer(self, address: int, count: int, value: int) -> None:
        """Little-endian."""
        self._memory.write_integer(self._start + address, count, value)

    def view(self, address: int, count: int) -> memoryview:
        """The bytes themselves, to be read or written; not to be kept."""
        return self._memory.view(self._start + address, count)


Storage = PhysicalMemory | Region
