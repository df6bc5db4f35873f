"""The symbols of a machine's guest: of what was loaded, of files that the user adds, of the Linux that runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hypernest.debug.kallsyms import KernelSymbols, find_kernel
from hypernest.debug.places import find_place
from hypernest.debug.symbol_files import program_symbols, read_symbols
from hypernest.debug.symbols import Symbol, SymbolOffset, SymbolTable
from hypernest.errors import BadValue
from hypernest.isa.riscv.state import Privilege

if TYPE_CHECKING:
    from hypernest.machine.boot import Loaded
    from hypernest.machine.boot_files import Source
    from hypernest.machine.harts import MachineHart
    from hypernest.machine.machine import Machine

_MODE = 60  # the lowest bit of satp's mode


class MachineSymbols:
    """Addresses by name and names by address: `symbols["panic"]`, `symbols.find(address)`.

    What the user added comes first, then the programs that were loaded, then the names that a Linux kernel in memory
    keeps of itself. Files are read when they are first asked for; a damaged one raises `BadImage`.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._added: list[SymbolTable] = []
        self._programs: tuple[Loaded, ...] = ()
        self._loaded: list[SymbolTable] = []
        self._kernel: KernelSymbols | None = None
        self._searched: tuple[object, int] | None = None

    def add(self, source: Source, offset: int = 0) -> None:
        """Take the names of an ELF program or a list such as System.map, too; `offset` is added to its addresses.

        Raises `BadImage` if it is neither, or damaged, or has no names of code.
        """
        if not -(1 << 64) < offset < 1 << 64:
            raise BadValue(f"{offset:#x} is no distance between addresses: give one of 64 bits")
        self._added.insert(0, read_symbols(source).moved(offset))

    @property
    def tables(self) -> list[SymbolTable]:
        """The tables in the order in which they are asked."""
        programs = self._machine.programs
        if programs is not self._programs:
            self._loaded = [program_symbols(program) for program in programs]
            self._programs = programs
        kernel = self._find_kernel()
        return [*self._added, *self._loaded, *([kernel.table] if kernel is not None else [])]

    def _find_kernel(self) -> KernelSymbols | None:
        memory = self._machine.memory
        if self._kernel is not None and not self._kernel.hold_in(memory):
            self._kernel = self._searched = None
        now = (self._programs, self._machine.instructions)
        if self._kernel is None and self._searched != now:
            self._kernel, self._searched = find_kernel(memory), now
        return self._kernel

    def __getitem__(self, place: str) -> int:
        """The address of a symbol; `schedule+0x1c` and numbers are understood, too.

        Raises `NoSuchPlace`, a `KeyError`, if there is none of that name in any table, or several in the first.
        """
        return find_place(place, self.tables).address

    def resolve(self, place: str | int) -> int:
        """The address that is meant: a number is one, text is as in `symbols[text]`."""
        if isinstance(place, str):
            return self[place]
        if not 0 <= place < 1 << 64:
            raise BadValue(f"{place:#x} is no address: give one of 64 bits")
        return place

    def addresses(self, name: str) -> list[int]:
        """All addresses of symbols of that name, those of the first table first."""
        return list(dict.fromkeys(address for table in self.tables for address in table.addresses(name)))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and any(table.addresses(name) for table in self.tables)

    def __iter__(self) -> Iterator[Symbol]:
        """All symbols, table by table: those of code in the order of addresses, then the others."""
        for table in self.tables:
            yield from table
            yield from table.others

    def __len__(self) -> int:
        return sum(len(table) + len(table.others) for table in self.tables)

    def find(self, address: int, hart: MachineHart | None = None) -> SymbolOffset | None:
        """The symbol at a virtual address, and how far behind its beginning that is; None if there is none.

        While `hart` (by default the one that runs) does not translate addresses, those of physical memory are known,
        too, for a kernel that is linked elsewhere.
        """
        tables = self.tables
        searched = [(table, address) for table in tables]
        if not _translates(hart or self._machine.running_hart):
            searched += [(table, address + table.physical_offset) for table in tables if table.physical_offset]
        for table, at in searched:
            if found := table.find(at) or table.find_other(at):
                return found
        return None

    def __repr__(self) -> str:
        return f"<{len(self)} symbols of {len(self.tables)} programs>"


def _translates(hart: MachineHart) -> bool:
    return hart["priv"] != Privilege.MACHINE and hart["satp"] >> _MODE != 0
