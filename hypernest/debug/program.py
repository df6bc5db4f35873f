"""A program that somebody debugs: its symbols, the lines of its source, the layout of its stack frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TypeVar

from hypernest.debug.dwarf.frames import FrameTable, Memory, Unwound
from hypernest.debug.dwarf.lines import LineTable, SourceLine
from hypernest.debug.dwarf.reader import Damaged
from hypernest.debug.elf_file import ElfFile, is_elf
from hypernest.debug.symbol_files import elf_symbols, symbols_of_file
from hypernest.debug.symbols import SymbolTable
from hypernest.machine.boot import Loaded
from hypernest.machine.boot_files import BootFile, Source

_Table = TypeVar("_Table")


class DebugProgram:
    """A file with symbols, which runs `shift` behind where it is linked. What else is in it is read when asked for.

    Everything raises `BadImage` if the file turns out to be damaged.
    """

    def __init__(self, table: SymbolTable, elf: ElfFile | None, shift: int) -> None:
        self.table, self.shift = table, shift
        self._elf = elf

    @classmethod
    def loaded(cls, program: Loaded) -> DebugProgram:
        """One that boots, where it was loaded."""
        file = BootFile(program.source, program.what)
        if not is_elf(file):
            return cls(SymbolTable(()), None, 0)
        elf = ElfFile(file)
        shift = elf.shift(program.address)
        return cls(elf_symbols(elf, shift), elf, shift)

    @classmethod
    def added(cls, source: Source, shift: int) -> DebugProgram:
        """A file of the user's: an ELF program or a list of symbols."""
        table, elf = symbols_of_file(BootFile(source, "symbols file"))
        return cls(table.moved(shift), elf, shift)

    @cached_property
    def lines(self) -> LineTable:
        """The lines of its source, at the addresses where it is linked; empty if they are not told."""

        def read(elf: ElfFile) -> LineTable:
            sections = (elf.contents_of(name) for name in (".debug_line", ".debug_line_str", ".debug_str"))
            return LineTable(*sections)

        return self._read(read, LineTable(b""), "line numbers")

    @cached_property
    def _frames(self) -> FrameTable:
        def read(elf: ElfFile) -> FrameTable:
            section = elf.section(".eh_frame")
            address = section.address if section is not None else 0
            return FrameTable(elf.contents_of(".eh_frame"), address, elf.contents_of(".debug_frame"))

        return self._read(read, FrameTable(b"", 0, b""), "stack frames")

    def _read(self, read: Callable[[ElfFile], _Table], nothing: _Table, what: str) -> _Table:
        if self._elf is None:
            return nothing
        try:
            return read(self._elf)
        except Damaged:
            raise self._elf.file.bad(f"has damaged debug information ({what}): build it again") from None

    def line(self, address: int) -> SourceLine | None:
        """The line of the source that the instruction at a virtual address was made of."""
        return self.lines.find(address - self.shift)

    def unwind(self, pc: int, registers: Mapping[int, int], memory: Memory) -> Unwound | None:
        """The caller of the function at `pc`, None if its frames are not described."""
        try:
            return self._frames.unwind(pc - self.shift, registers, memory)
        except Damaged:
            assert self._elf is not None
            raise self._elf.file.bad("has damaged debug information (stack frames): build it again") from None
