"""A program as guest memory holds it before its first instruction, without a machine."""

from __future__ import annotations

from hypernest.errors import OutOfRange
from hypernest.machine.boot_files import Program

_LARGE_PAGE = 2 << 20


class ProgramMemory:
    """The segments of a program by guest-physical address; zeros between them, `OutOfRange` around them."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self.base = min(segment.address for segment in program.segments) // _LARGE_PAGE * _LARGE_PAGE
        """The first address, at a multiple of 2 MiB."""
        self.size = program.end - self.base

    def contains(self, address: int) -> bool:
        """Does the file hold this byte?"""
        return any(each.address <= address < each.address + each.count for each in self._program.segments)

    def describe(self) -> str:
        """The addresses that the file holds."""
        held = [each for each in self._program.segments if each.count]
        return ", ".join(f"{each.address:#x} to {each.address + each.count:#x}" for each in held)

    def read(self, address: int, count: int) -> bytes:
        """The `count` bytes at `address`."""
        if not self.base <= address <= address + count <= self.base + self.size:
            raise OutOfRange(f"{address:#x} is outside the program")
        data = bytearray(count)
        for each in self._program.segments:
            start, end = max(address, each.address), min(address + count, each.address + each.count)
            if start < end:
                data[start - address : end - address] = self._program.file.read(
                    each.offset + start - each.address, end - start
                )
        return bytes(data)

    def page(self, address: int, size: int) -> bytes:
        """The page that holds `address`, with zeros where the file holds nothing."""
        first = address // size * size
        start, end = max(first, self.base), min(first + size, self.base + self.size)
        return bytes(start - first) + self.read(start, end - start) + bytes(first + size - end)
