"""Reading the pieces that DWARF is made of."""

from __future__ import annotations

_ADDRESSES = (1 << 64) - 1
_LONGEST_NUMBER = 10  # bytes of a number in LEB128 with 64 bits


class Damaged(Exception):
    """The data ends too early or cannot be."""


class Reader:
    """Reads `data` from `position` up to `end`, little-endian; `Damaged` when it would go beyond."""

    __slots__ = ("_data", "end", "position")

    def __init__(self, data: bytes, position: int = 0, end: int | None = None) -> None:
        self._data, self.position = data, position
        self.end = len(data) if end is None else end
        if not 0 <= position <= self.end <= len(data):
            raise Damaged

    @property
    def more(self) -> bool:
        """Is there anything left?"""
        return self.position < self.end

    def take(self, count: int) -> bytes:
        """The next bytes."""
        position = self.position
        if count < 0 or position + count > self.end:
            raise Damaged
        self.position = position + count
        return self._data[position : position + count]

    def skip(self, count: int) -> None:
        """Pass over bytes."""
        if count < 0 or self.position + count > self.end:
            raise Damaged
        self.position += count

    def byte(self) -> int:
        """An unsigned number of 8 bits."""
        position = self.position
        if position >= self.end:
            raise Damaged
        self.position = position + 1
        return self._data[position]

    def number(self, size: int, *, signed: bool = False) -> int:
        """A number of `size` bytes."""
        return int.from_bytes(self.take(size), "little", signed=signed)

    def unsigned(self) -> int:
        """A number in LEB128, cut to 64 bits."""
        value = shift = 0
        for _ in range(_LONGEST_NUMBER):
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value & _ADDRESSES
        raise Damaged

    def signed(self) -> int:
        """A signed number in LEB128."""
        value = shift = 0
        for _ in range(_LONGEST_NUMBER):
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value - (1 << shift) if byte & 0x40 else value
        raise Damaged

    def string(self) -> bytes:
        """Bytes up to a NUL."""
        end = self._data.find(b"\0", self.position, self.end)
        if end < 0:
            raise Damaged
        text = self._data[self.position : end]
        self.position = end + 1
        return text

    def unit(self) -> tuple[Reader, bool]:
        """The contents of a unit that begins with its length, and whether its offsets have 64 bits; passes over it."""
        length, wide = self.number(4), False
        if length == 0xFFFF_FFFF:
            length, wide = self.number(8), True
        elif length >= 0xFFFF_FFF0:
            raise Damaged
        start = self.position
        self.skip(length)
        return Reader(self._data, start, self.position), wide
