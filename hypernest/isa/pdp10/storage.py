"""Protection and relocation (KA10 with the KT10 option, one pair of registers), in blocks of 1024 words.

In user mode an address whose block is above the protection register is refused; the relocation register is added to the
others. Executive mode has the physical addresses on the real machine. The strap `relocates_executive` makes it the
machine of the paper's section 2, where R is active in both modes; then a trap also loads R (traps.py).

What lies beyond storage is a memory trap. The KA10's adder has 18 bits; a sum beyond them is outside storage here.
"""

from __future__ import annotations

from hypernest.isa.hart import Hart, Trap, routine
from hypernest.isa.pdp10.state import ADDRESSES, BLOCK_BITS, WORD
from hypernest.isa.pdp10.traps import Cause
from hypernest.isa.word import Word


@routine((64, 64), (64,))
def translate(h: Hart, address: Word, access: Word) -> Word:
    """Where in memory (a byte's address) the word at a program's address is. Raises the memory traps."""
    physical = address & ADDRESSES
    if h.user | h.relocates_executive:
        if physical >> BLOCK_BITS > h.protection.zext(64):
            raise Trap(Cause.PROTECTION, address)
        physical = physical + (h.relocation.zext(64) << BLOCK_BITS)
    if h.is_memory(physical * WORD, WORD) == 0:
        raise Trap(Cause.NONEXISTENT_MEMORY, address)
    return physical * WORD


@routine((64,), (36,))
def load(h: Hart, address: Word) -> Word:
    """The word at a program's address."""
    return h.physical_load(translate(h, address, 0), 64)[0].trunc(36)


@routine((64, 36))
def store(h: Hart, address: Word, value: Word) -> None:
    """Set the word at a program's address."""
    h.physical_store(translate(h, address, 1), value.zext(64))


@routine((64,), (36,))
def fetch(h: Hart, address: Word) -> Word:
    """The instruction at PC."""
    return h.physical_load(translate(h, address, 2), 64)[0].trunc(36)
