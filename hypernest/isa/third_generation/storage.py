"""Relocation and bounds: section 2 of the paper. R is active in both modes; there is no other way to E."""

from __future__ import annotations

from hypernest.isa.hart import Hart, Trap, routine
from hypernest.isa.third_generation.state import WORD
from hypernest.isa.third_generation.traps import Cause
from hypernest.isa.word import Word


@routine((64, 64), (64,))
def translate(h: Hart, address: Word, access: Word) -> Word:
    """Where in memory (a byte's address) word `address` of the program is: at E[address + l].

    Raises the memory trap if address >= b, or if storage has no word address + l.
    """
    if address >= h.bound.zext(64):
        raise Trap(Cause.MEMORY, address)
    physical = (address + h.location.zext(64)) * WORD
    if h.is_memory(physical, WORD) == 0:
        raise Trap(Cause.MEMORY, address)
    return physical


@routine((64,), (64,))
def load(h: Hart, address: Word) -> Word:
    """The word of the program's storage at a virtual address."""
    return h.physical_load(translate(h, address, 0), 64)[0]


@routine((64, 64))
def store(h: Hart, address: Word, value: Word) -> None:
    """Set the word at a virtual address."""
    h.physical_store(translate(h, address, 1), value)


@routine((64,), (64,))
def fetch(h: Hart, address: Word) -> Word:
    """The instruction at a virtual address."""
    return h.physical_load(translate(h, address, 2), 64)[0]
