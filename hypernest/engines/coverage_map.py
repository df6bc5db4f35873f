"""Which instructions of a range of addresses were executed, as engines note it down."""

from __future__ import annotations

import ctypes

PARCEL = 2  # bytes between two places where an instruction can begin
_FULL_WORD = 64


class CoverageMap:
    """A bit for each halfword from `start` to `end` (exclusive, virtual), in any mode and address space: was an
    instruction there reached? One that traps counts; one that cannot be fetched does not.

    An engine sets bits once it was told to (`Engine.cover`); whoever clears some tells it again.
    """

    def __init__(self, start: int, end: int) -> None:
        if start % PARCEL or end % PARCEL or not 0 <= start < end <= 1 << 64:
            raise ValueError(f"code cannot be from {start:#x} to {end:#x}")
        self.start, self.end = start, end
        places = (end - start) // PARCEL
        self._bits = (ctypes.c_uint64 * ((places + _FULL_WORD - 1) // _FULL_WORD))()
        self._codes = (ctypes.c_uint16 * places)()
        self._count = ctypes.c_uint64()

    @property
    def count(self) -> int:
        """How many bits are set."""
        return self._count.value

    @property
    def bitmap(self) -> bytes:
        """The bits, lowest address first, lowest bit of a byte first."""
        return bytes(self._bits)[: ((self.end - self.start) // PARCEL + 7) // 8]

    def code(self, address: int) -> int:
        """The first 16 bits of the instruction that was first reached at an address."""
        return self._codes[(address - self.start) // PARCEL]

    def note(self, address: int, code: int) -> None:
        """An instruction, of which `code` are the first 16 bits, was reached; harmless if it is elsewhere."""
        if self.start <= address < self.end:
            place = (address - self.start) // PARCEL
            word, bit = place // _FULL_WORD, 1 << place % _FULL_WORD
            if not self._bits[word] & bit:
                self._bits[word] |= bit
                self._codes[place] = code
                self._count.value += 1

    def has(self, address: int) -> bool:
        """Was the instruction at an address reached?"""
        place = (address - self.start) // PARCEL
        inside = self.start <= address < self.end and address % PARCEL == 0
        return inside and bool(self._bits[place // _FULL_WORD] >> place % _FULL_WORD & 1)

    def clear(self) -> None:
        """Forget everything."""
        ctypes.memset(self._bits, 0, ctypes.sizeof(self._bits))
        self._count.value = 0

    @property
    def words(self) -> tuple[int, ...]:
        """For native code: start, end, and where the bits, the codes and the count are."""
        places = (self._bits, self._codes, self._count)
        return self.start, self.end, *(ctypes.addressof(each) for each in places)
