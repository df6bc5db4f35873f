"""Memory at virtual addresses, as a debugger wants to see it: whatever is mapped, and without leaving a trace.

The page tables in force are walked as the hart walks them (isa/riscv/translation.py), except that permissions, PMP
and missing accessed or dirty bits do not stand in the way, and that no bit is set in the tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from hypernest.engines.engine import Devices
from hypernest.engines.hart_state import HartState
from hypernest.engines.reference import ReferenceHart
from hypernest.errors import NotMapped, OutOfRange
from hypernest.isa.hart import Access
from hypernest.isa.isa import Isa
from hypernest.isa.riscv.state import Environment, Privilege, Status
from hypernest.isa.riscv.translation import DONE, walk
from hypernest.isa.word import Word, word
from hypernest.machine.host_access import MemoryView, checked_address, ram_pieces
from hypernest.memory import GuestMemory

_PHYSICAL_END = 1 << 56
_END = 1 << 64
_READ_ALL = 1 << Status.SUM | 1 << Status.MXR  # with both, S-mode may read every page that is mapped
_MODE = 60  # the lowest bit of satp's mode
_OPEN, _OPEN_ADDRESS = 0x1F, (1 << 54) - 1  # a PMP entry that allows everything everywhere


class Mapping(NamedTuple):
    """What is at a virtual address: the guest-physical address behind it, None if it is not mapped.

    The same holds for the `size` bytes that begin there.
    """

    physical: int | None
    size: int


class DebuggerHart(ReferenceHart):
    """A hart that may read every page, and whose page walks leave no trace."""

    _levels = 0
    _shift = 0

    def __init__(self, isa: Isa, state: HartState, memory: GuestMemory, devices: Devices) -> None:
        super().__init__(isa, state, memory, devices)
        self._edges = memory.base, memory.end, _PHYSICAL_END

    def read(self, register: str, index: Word | int = 0) -> Word:
        match register:
            case "mstatus":
                return word(_READ_ALL)
            case "menvcfg":
                return word(1 << Environment.ADUE)
            case "pmpcfg":
                return word(_OPEN if index == 0 else 0)
            case "pmpaddr":
                return word(_OPEN_ADDRESS)
        return super().read(register, index)

    def physical_store(self, address: Word, value: Word) -> Word:
        return word(1, 1)  # accessed bits stay as they are

    def is_memory(self, address: Word, size: int) -> Word:
        self._levels += 1  # asked once of each entry of a table
        return super().is_memory(address, size)

    def note_mapping(self, shift: Word) -> None:
        self._shift = int(shift)

    def mapping(self, address: int) -> Mapping:
        """What is at a virtual address now: as the mode that the hart is in sees it, or else by its page tables.

        RAM is preferred to what is none, so that a kernel's addresses are seen while firmware runs.
        """
        mode = self._state["satp"] >> _MODE
        paged = self._state["priv"] != Privilege.MACHINE and mode != 0
        identity = Mapping(None, _END - address)
        if not paged and address < _PHYSICAL_END:
            identity = Mapping(address, _PHYSICAL_END - address)
            if mode == 0 or self._memory.contains(address, 1):
                return Mapping(address, self._in_one_piece(address))
        if mode == 0:
            return identity
        found = self._walk(address, mode)
        if found.physical is None and identity.physical is not None:
            return Mapping(address, min(found.size, self._in_one_piece(address)))
        return found

    def _in_one_piece(self, address: int) -> int:
        """Up to where RAM, or what is none, goes on."""
        return next(end - address for end in self._edges if address < end)

    def _walk(self, address: int, mode: int) -> Mapping:
        self._levels = self._shift = 0
        physical, outcome = walk(self, word(address), word(Access.READ, 2), word(Privilege.SUPERVISOR, 2))
        if int(outcome) == DONE:
            return Mapping(int(physical), _rest(address, self._shift))
        top = 9 * mode - 42  # the lowest bit of the topmost virtual page number
        if not self._levels:  # between the two halves of the address space
            return Mapping(None, _END - (1 << top + 8) - address)
        return Mapping(None, _rest(address, top - 9 * (self._levels - 1)))


def _rest(address: int, shift: int) -> int:
    return (1 << shift) - address % (1 << shift)


class VirtualMemory(MemoryView):
    """RAM by virtual address, as the page tables that a hart uses now map it, whatever they permit.

    `NotMapped` where nothing is mapped, `OutOfRange` where a device is. Accessed and dirty bits are not set.
    """

    def __init__(self, memory: Callable[[], GuestMemory], hart: Callable[[], DebuggerHart]) -> None:
        self._memory, self._hart = memory, hart

    def read(self, address: int, count: int) -> bytes:
        """The `count` bytes at virtual `address`."""
        memory = self._memory()
        return b"".join([memory.read(*place) for place in self._places(address, count)])

    def write(self, address: int, data: bytes) -> None:
        """Store `data` at virtual `address`, even where the guest itself may not write."""
        memory = self._memory()
        done = 0
        for physical, count in self._places(address, len(data)):
            memory.write(physical, data[done : done + count])
            done += count

    def _places(self, address: int, count: int) -> list[tuple[int, int]]:
        """Guest-physical address and size of each piece of a range, all of them RAM."""
        memory, hart = self._memory(), self._hart()
        if not 0 <= count <= memory.size or checked_address(address) + count > _END:
            raise OutOfRange(f"{count} bytes at virtual address {address:#x} are too many: access them in pieces")
        places = []
        end = address + count
        while address < end:
            mapping = hart.mapping(address)
            if mapping.physical is None:
                raise NotMapped(f"the virtual address {address:#x} is not mapped now: use one that is")
            size = min(mapping.size, end - address)
            if not memory.contains(mapping.physical, size):
                raise OutOfRange(
                    f"the virtual address {address:#x} leads to guest-physical {mapping.physical:#x}, which is not"
                    f" all RAM ({memory.base:#x} to {memory.end:#x}): the host accesses RAM only"
                )
            places.append((mapping.physical, size))
            address += size
        return places

    def _pieces(self, start: int, end: int) -> Iterator[tuple[int, bytes]]:
        memory, hart = self._memory(), self._hart()
        address, end = max(start, 0), min(end, _END)
        while address < end:
            physical, size = hart.mapping(address)
            size = min(size, end - address)
            if physical is not None:
                for at, data in ram_pieces(memory, max(physical, memory.base), min(physical + size, memory.end)):
                    yield address + at - physical, data
            address += size

    def __repr__(self) -> str:
        return "<virtual memory of a hart, as its page tables map it now>"
