"""Names of a machine's addresses: of what was loaded, of files that the user adds, of the Linux that runs."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hypernest.debug.dwarf.lines import SourceLine
from hypernest.debug.kallsyms import KernelSymbols, find_kernel
from hypernest.debug.places import NoSuchPlace, find_place
from hypernest.debug.program import DebugProgram
from hypernest.debug.symbols import Symbol, SymbolOffset, SymbolTable
from hypernest.errors import BadValue
from hypernest.isa.riscv.state import Privilege

if TYPE_CHECKING:
    from hypernest.machine.boot import Loaded
    from hypernest.machine.boot_files import Source
    from hypernest.machine.harts import MachineHart
    from hypernest.machine.machine import Machine

_MODE = 60  # the lowest bit of satp's mode


@dataclass(slots=True)
class _Read:
    """What was read from the files that were loaded, and from the kernel that they became."""

    programs: tuple[Loaded, ...] = ()
    loaded: list[DebugProgram] = field(default_factory=list)
    kernel: KernelSymbols | None = None


class MachineSymbols:
    """Addresses by name and names by address: `symbols["panic"]`, `symbols.find(address)`.

    What the user added comes first, then the programs that were loaded, then the names that a Linux kernel in memory
    keeps of itself. Files are read when they are first asked for; a damaged one raises `BadImage`.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._added: list[DebugProgram] = []
        self._searched: tuple[object, int] | None = None
        # What was read once serves forks, too.
        self._read: _Read = machine.setup.notes.setdefault("symbols", _Read())

    def add(self, source: Source, offset: int = 0) -> None:
        """Know an ELF program or a list such as System.map, too; `offset` is added to its addresses.

        Raises `BadImage` if it is neither, or damaged, or has no names of code.
        """
        if not -(1 << 64) < offset < 1 << 64:
            raise BadValue(f"{offset:#x} is no distance between addresses: give one of 64 bits")
        self._added.insert(0, DebugProgram.added(source, offset))

    @property
    def programs(self) -> list[DebugProgram]:
        """The files in the order in which they are asked."""
        programs, read = self._machine.programs, self._read
        if programs is not read.programs:
            read.loaded = [DebugProgram.loaded(program) for program in programs]
            read.programs = programs
        return [*self._added, *read.loaded]

    @property
    def tables(self) -> list[SymbolTable]:
        """The tables in the order in which they are asked."""
        kernel = self._find_kernel()
        return [*(each.table for each in self.programs), *([kernel.table] if kernel is not None else [])]

    def _find_kernel(self) -> KernelSymbols | None:
        memory, known = self._machine.memory, self._read.kernel
        if known is not None and known.hold_in(memory):
            return known
        now = self._machine.programs, self._machine.instructions
        if known is None and self._searched == now:
            return None
        self._read.kernel, self._searched = find_kernel(memory), now
        return self._read.kernel

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
        translates = self._translates(hart)
        for table in self.tables:
            for at in _meanings(address, table, translates):
                if found := table.find(at) or table.find_other(at):
                    return found
        return None

    def line(self, address: int, hart: MachineHart | None = None) -> SourceLine | None:
        """(file, line) of the source that the instruction at a virtual address was made of; None if nobody tells.

        Raises `BadImage` if a file's debug information is damaged.
        """
        translates = self._translates(hart)
        for program in self.programs:
            for at in _meanings(address, program.table, translates):
                if found := program.line(at):
                    return found
        return None

    def address_of_line(self, file: str, line: int) -> int:
        """The lowest address of the code that a line of the source was made into, or of the next line that has any.

        `file` is the end of a path: `main.c`, `lib/main.c`. Raises `NoSuchPlace` if there is no such file or line,
        `BadImage` if a file's debug information is damaged.
        """
        for program in self.programs:
            places = [place for place in program.lines.places(file) if place[0] >= line]
            if places:
                return min(places)[1] + program.shift
        files = {path for program in self.programs for path in program.lines.files}
        if any(f"/{path}".endswith(f"/{file}") for path in files):
            raise NoSuchPlace(f"{file} has no code at line {line} or behind it: give a line before.")
        near = difflib.get_close_matches(file, {path.rpartition("/")[2] for path in files}, n=1)
        hint = f"(did you mean {near[0]}?)." if near else "whose lines are known: add a program that was built with -g."
        raise NoSuchPlace(f"there is no source file {file!r} {hint}")

    def _translates(self, hart: MachineHart | None) -> bool:
        one = hart or self._machine.running_hart
        return one["priv"] != Privilege.MACHINE and one["satp"] >> _MODE != 0

    def __repr__(self) -> str:
        programs = sum(1 for table in self.tables if len(table))
        return f"<{len(self)} symbols of {programs} program{'s' if programs != 1 else ''}>"


def _meanings(address: int, table: SymbolTable, translates: bool) -> tuple[int, ...]:
    """An address as it is and, where it may be one of physical memory, as the program is linked."""
    if translates or not table.physical_offset:
        return (address,)
    return address, address + table.physical_offset
