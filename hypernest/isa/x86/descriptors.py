"""Selectors, descriptors and the tables they are in (volume 3, sections 3.4 and 3.5).

Descriptor tables are read at linear addresses, which are physical ones here. The accessed bit of a descriptor is not
set when its segment is loaded, as if the tables were in memory that cannot be written (section 3.4.5.1 allows for it).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from hypernest.isa.hart import Hart, routine
from hypernest.isa.word import Word, concat, select, word
from hypernest.isa.x86.state import RIGHTS, Rights


class System(IntEnum):
    """Types of system descriptors (table 3-2)."""

    TSS_16_AVAILABLE = 1
    LDT = 2
    TSS_16_BUSY = 3
    CALL_GATE_16 = 4
    TASK_GATE = 5
    TSS_AVAILABLE = 9
    TSS_BUSY = 11
    CALL_GATE = 12
    INTERRUPT_GATE = 14
    TRAP_GATE = 15


def cpl(h: Hart) -> Word:
    """The current privilege level, 2 bits: the mode."""
    return h.cs.bits(1, 0)


def is_null(selector: Word) -> Word:
    """Is it one of the four selectors that name no descriptor?"""
    return (selector & 0xFFFC) == 0


def error_code(selector: Word) -> Word:
    """What a fault about a selector reports: its index and table."""
    return selector & 0xFFFC


@dataclass(frozen=True)
class Descriptor:
    """Eight bytes of a descriptor table. Conditions have 1 bit."""

    raw: Word

    @property
    def rights(self) -> Word:
        """Bits 55:40 without the limit, 16 bits, as `Rights` names them."""
        return self.raw.bits(55, 40) & RIGHTS

    @property
    def base(self) -> Word:
        return concat(self.raw.bits(63, 56), self.raw.bits(39, 16))

    @property
    def limit(self) -> Word:
        """In bytes, 32 bits."""
        limit = concat(self.raw.bits(51, 48), self.raw.bits(15, 0)).zext(32)
        return select(self.rights.bit(Rights.GRANULARITY), limit << 12 | 0xFFF, limit)

    @property
    def dpl(self) -> Word:
        return self.raw.bits(46, 45)

    @property
    def present(self) -> Word:
        return self.raw.bit(47)

    @property
    def segment(self) -> Word:
        """Code or data, not a system descriptor."""
        return self.raw.bit(44)

    @property
    def code(self) -> Word:
        return self.segment & self.raw.bit(43)

    @property
    def conforming(self) -> Word:
        return self.code & self.raw.bit(42)

    @property
    def readable(self) -> Word:
        """Data, or code that can be read too."""
        return self.segment & (~self.raw.bit(43) | self.raw.bit(41))

    @property
    def writable(self) -> Word:
        return self.segment & ~self.raw.bit(43) & self.raw.bit(41)

    def is_system(self, *types: System) -> Word:
        """Is it a system descriptor of one of these types?"""
        wanted = sum(1 << kind for kind in types)
        return ~self.segment & (word(wanted, 16) >> self.raw.bits(43, 40).zext(16)).bit(0)

    @property
    def target_selector(self) -> Word:
        """Of a gate: the selector of the code behind it."""
        return self.raw.bits(31, 16)

    @property
    def target_offset(self) -> Word:
        """Of a gate: the entry point, 32 bits."""
        return concat(self.raw.bits(63, 48), self.raw.bits(15, 0))


def read_linear(h: Hart, linear: Word, bits: int) -> Word:
    """What is at a linear address (32 bits); all ones where nothing answers."""
    value, ok = h.physical_load(linear.zext(64), bits)
    return select(ok, value, -1)


@routine((16,), (64, 1))
def read_descriptor(h: Hart, selector: Word) -> tuple[Word, Word]:
    """(descriptor, 1 if it is within its table) of a selector; for a null one, whatever the first entry holds."""
    local = selector.bit(2)
    limit = select(local, h.ldtr_limit, h.gdtr_limit.zext(32))
    usable = ~local | h.ldtr_rights.bit(Rights.PRESENT)
    offset = (selector & 0xFFF8).zext(32)
    descriptor = read_linear(h, select(local, h.ldtr_base, h.gdtr_base) + offset, 64)
    return descriptor, usable & (offset + 7 <= limit)


def find(h: Hart, selector: Word) -> tuple[Descriptor, Word]:
    """The same with names for the descriptor's fields."""
    raw, exists = read_descriptor(h, selector)
    return Descriptor(raw), exists


def visible(h: Hart, selector: Word, descriptor: Descriptor) -> Word:
    """Is a descriptor open to CPL and to the selector's RPL? Conforming code is to everyone (section 5.5)."""
    level = descriptor.dpl
    return descriptor.conforming | (cpl(h) <= level) & (selector.bits(1, 0) <= level)
