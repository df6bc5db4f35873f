"""The state of one hart as an array of 64-bit words that every engine shares.

The layout is derived from the ISA's register table, so Python, native code, snapshots and debuggers agree on it, and
an engine can take over from another between any two instructions.
"""

from __future__ import annotations

import ctypes

from hypernest.isa.layout import Layout


class HartState:
    """The registers of one hart, by name. Values are unsigned ints, cut to the register's width when written."""

    def __init__(self, layout: Layout, extra_words: int = 0) -> None:
        """`extra_words` are appended for an engine's own use (translation caches) and are not part of the state."""
        self.layout = layout
        self.words = (ctypes.c_uint64 * (layout.words + extra_words))()
        self.address = ctypes.addressof(self.words)
        for name, register in layout.registers.items():
            for i in range(register.count):
                self.words[layout.index[name] + i] = register.reset

    def __getitem__(self, key: str | tuple[str, int]) -> int:
        """`hart["pc"]`, `hart["x", 10]`. KeyError or IndexError if there is no such register."""
        return self.words[self.layout.index[key] if isinstance(key, str) else self._at(*key)]

    def __setitem__(self, key: str | tuple[str, int], value: int) -> None:
        name, index = (key, 0) if isinstance(key, str) else key
        self.words[self._at(name, index)] = value & ((1 << self.layout.registers[name].width) - 1)

    def _at(self, name: str, index: int) -> int:
        if not 0 <= index < self.layout.registers[name].count:
            raise IndexError(f"{name} has {self.layout.registers[name].count} registers, no number {index}")
        return self.layout.index[name] + index

    def snapshot(self) -> bytes:
        """All registers as little-endian 64-bit words, in layout order."""
        return bytes(memoryview(self.words).cast("B")[: self.layout.words * 8])

    def problem(self, data: bytes) -> str | None:
        """What keeps `data` from being a hart's state with this layout, as half a sentence; None if nothing does."""
        if len(data) != self.layout.words * 8:
            return f"a hart's state has {self.layout.words * 8} bytes, not {len(data)}"
        words = memoryview(data).cast("Q")
        for name, register in self.layout.registers.items():
            first = self.layout.index[name]
            if any(word >> register.width for word in words[first : first + register.count]):
                return f"the register {name} of a hart has more than {register.width} bits"
        return None

    def restore(self, data: bytes) -> None:
        """Undo `snapshot`. ValueError if the size is not that of this layout."""
        if len(data) != self.layout.words * 8:
            raise ValueError(f"a hart's state has {self.layout.words * 8} bytes, not {len(data)}")
        memoryview(self.words).cast("B")[: len(data)] = data
