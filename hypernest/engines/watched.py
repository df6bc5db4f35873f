"""What a host asks an engine to watch, and what an engine reports of it.

An engine leaves its run *before* what is watched happens, with the hart as if the instruction had not begun (only what
the walk of page tables has marked in them stays). The host looks, changes what it likes, and goes on with `passing`:
the first step is not intercepted again for the kinds given there, but for others it may be.

An access is intercepted when it is certain to be allowed: one that causes a page fault is not, but is when it is tried
again. What page walks, instruction fetch and devices do to memory is no access. A store-conditional that fails
writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntFlag
from functools import reduce
from operator import or_

_PAGE = 4096


class Kind(IntFlag):
    """What is about to happen. `Interception` has one; `passing` may have several."""

    NONE = 0
    EXECUTE = 1  # the instruction at a watched address
    READ = 2  # a load, load-reserved, or the reading of an AMO
    WRITE = 4  # a store, or the writing of an AMO
    TRAP = 8  # the exception that the instruction raises is taken
    INTERRUPT = 16  # an interrupt is taken before the instruction
    CSR = 32  # a CSR instruction writes


@dataclass(frozen=True, slots=True)
class Range:
    """The addresses from `start` to `end` (exclusive): virtual, in any address space, or guest-physical ones."""

    start: int
    end: int
    physical: bool = False


@dataclass(frozen=True, slots=True)
class Watched:
    """All that is watched, on every hart."""

    execute: frozenset[int] = frozenset()
    """Virtual addresses of instructions, in every mode and address space."""
    reads: tuple[Range, ...] = ()
    writes: tuple[Range, ...] = ()
    traps: frozenset[int] = frozenset()
    """Causes, below 64; interrupts with bit 63 set."""
    csrs: frozenset[int] = frozenset()
    """Numbers of CSRs whose writes by CSR instructions are watched, also where nothing changes thereby."""

    @property
    def kinds(self) -> Kind:
        """The kinds of which something is watched."""
        found = {
            Kind.EXECUTE: bool(self.execute),
            Kind.READ: bool(self.reads),
            Kind.WRITE: bool(self.writes),
            Kind.TRAP: any(not cause >> 63 for cause in self.traps),
            Kind.INTERRUPT: any(cause >> 63 for cause in self.traps),
            Kind.CSR: bool(self.csrs),
        }
        return reduce(or_, (kind for kind, any_ in found.items() if any_), Kind.NONE)


NOTHING = Watched()


@dataclass(frozen=True, slots=True)
class Interception:
    """What is about to happen on a hart. What does not belong to the kind is 0."""

    kind: Kind
    address: int = 0
    """Virtual address of the instruction or the data; the number of the CSR."""
    size: int = 0
    """Bytes that are read or written."""
    value: int = 0
    """What is about to be written (a block of zeros is 0); of an exception, what goes to mtval or stval."""
    physical: int = 0
    """Guest-physical address of the first byte of data."""
    last: int = 0
    """Guest-physical address of the last byte of data, which may be in a page anywhere."""
    cause: int = 0
    """Of a trap; interrupts have bit 63 set."""


def touches(ranges: Iterable[Range], address: int, size: int, first: int, last: int) -> bool:
    """Does an access of `size` bytes at a virtual address overlap one of the ranges? `first` and `last` are the
    guest-physical addresses of its first and last byte."""
    inside = min(size, _PAGE - address % _PAGE)  # bytes in its first page
    parts = [(address, first, inside), (address + inside, last + 1 - (size - inside), size - inside)]
    return any(
        each.start < (physical if each.physical else virtual) + count
        and (physical if each.physical else virtual) < each.end
        for each in ranges
        for virtual, physical, count in parts
        if count
    )
