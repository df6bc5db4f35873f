"""Symbols from files: ELF programs, and lists of symbols as Linux makes them (System.map, /proc/kallsyms)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from struct import Struct

from hypernest.debug.elf_file import ElfFile, ElfSection, is_elf
from hypernest.debug.symbols import LONGEST_NAME, Symbol, SymbolTable, readable
from hypernest.machine.boot import Loaded
from hypernest.machine.boot_files import BootFile, Source

_EXECUTABLE_SEGMENT = 1
_SYMBOL = Struct("<IBBHQQ")
_SYMBOL_TABLE, _DYNAMIC_SYMBOL_TABLE = 2, 11
_LOADED_SECTION, _EXECUTABLE_SECTION = 2, 4
_NO_TYPE, _OBJECT, _FUNCTION = range(3)
_WEAK = 2

_NO_NAME = re.compile(r"(__pi_)?(\$|\.L)")
"""How names begin that are for the linker and the disassembler: mapping symbols, local labels (Linux adds __pi_)."""

_LINE = re.compile(rb"([0-9a-fA-F]{8,16}) ([a-zA-Z?]) (\S+)(?:[ \t]+\[(\S+)\])?\r?")
_LARGEST_LIST = 256 << 20
_LAST_SYMBOL_SIZE = 4096
_TEXT_KINDS = frozenset("tTwW")
_ABSOLUTE_KINDS = frozenset("aA")


def read_symbols(source: Source) -> SymbolTable:
    """The symbols of an ELF program for RISC-V, or of a list such as System.map; either may be packed with gzip.

    Raises `BadImage` if the file is neither, is damaged or holds no symbols of code.
    """
    return symbols_of_file(BootFile(source, "symbols file"))[0]


def symbols_of_file(file: BootFile) -> tuple[SymbolTable, ElfFile | None]:
    """The same of a file that is open, and what else is in it if it is an ELF program."""
    if not is_elf(file):
        return _read_list(file), None
    elf = ElfFile(file)
    table = elf_symbols(elf)
    if not len(table):
        raise file.bad("has no symbols, it was stripped: give the file as it was linked")
    return table, elf


def program_symbols(program: Loaded) -> SymbolTable:
    """The symbols of a program that boots, at the addresses where it was loaded; none if the file has none.

    Raises `BadImage` if they are damaged.
    """
    file = BootFile(program.source, program.what)
    if not is_elf(file):
        return SymbolTable(())
    elf = ElfFile(file)
    return elf_symbols(elf, elf.shift(program.address))


# --- ELF -----------------------------------------------------------------------------------------------------------


def elf_symbols(elf: ElfFile, shift: int = 0) -> SymbolTable:
    """The symbols of an ELF program, `shift` behind where it is linked; none if it was stripped."""
    code_segment = next((each for each in elf.segments if each.flags & _EXECUTABLE_SEGMENT), None)
    offset = 0 if code_segment is None else code_segment.virtual - code_segment.physical
    for kind in (_SYMBOL_TABLE, _DYNAMIC_SYMBOL_TABLE):
        table = next((section for section in elf.sections if section.kind == kind), None)
        symbols = list(_entries(elf, table)) if table is not None else []
        code = [symbol for symbol in symbols if symbol.is_code]
        if kind == _DYNAMIC_SYMBOL_TABLE:
            # It has a few names only, and what has no size would swallow all that follows.
            code = [symbol for symbol in code if symbol.size]
        if code:
            kept = _without_overlap(code)
            others = [each for each in symbols if each not in kept]
            return SymbolTable(_with_ends(kept, shift), offset, [each.moved(shift) for each in others])
    return SymbolTable(())


@dataclass(frozen=True, slots=True)
class _Entry:
    """A symbol as the file has it; `end` is that of its section if it has no `size`."""

    start: int
    size: int
    end: int
    is_code: bool
    is_function: bool
    is_weak: bool
    name: str

    def moved(self, distance: int) -> Symbol:
        """As others see it, that far behind where it was linked. What has no size is a place, not a range."""
        return Symbol(self.start + distance, self.start + max(self.size, 1) + distance, self.name)

    @property
    def rank(self) -> tuple[int, bool, bool, bool, int]:
        """By address; the names that a person would use come first."""
        return self.start, not self.size, not self.is_function, self.is_weak, len(self.name)


def _entries(elf: ElfFile, table: ElfSection) -> Iterator[_Entry]:
    sections = elf.sections
    if table.link >= len(sections):
        raise elf.file.bad("has a damaged symbol table: build it again")
    names, data = elf.contents(sections[table.link]), elf.contents(table)
    for name_at, info, _, index, value, size in _SYMBOL.iter_unpack(data[: len(data) // _SYMBOL.size * _SYMBOL.size]):
        if not 0 < index < len(sections) or info & 15 not in (_NO_TYPE, _OBJECT, _FUNCTION):
            continue
        section = sections[index]
        end = section.address + section.size
        is_code = bool(section.flags & _EXECUTABLE_SECTION) and info & 15 != _OBJECT and value < end
        # A name of data may be that of its end.
        if not section.flags & _LOADED_SECTION or not section.address <= value <= end:
            continue
        name = names[name_at : name_at + LONGEST_NAME].partition(b"\0")[0]
        if name and not _NO_NAME.match(text := readable(name)):
            yield _Entry(value, min(size, end - value), end, is_code, info & 15 == _FUNCTION, info >> 4 == _WEAK, text)


def _without_overlap(symbols: list[_Entry]) -> dict[_Entry, None]:
    """By address, without aliases and labels inside a function that has a size."""
    kept: dict[_Entry, None] = {}
    covered, last = 0, -1
    for symbol in sorted(symbols, key=lambda symbol: symbol.rank):
        if symbol.start == last or (not symbol.size and symbol.start < covered):
            continue
        kept[symbol] = None
        covered, last = max(covered, symbol.start + symbol.size), symbol.start
    return kept


def _with_ends(kept: Iterable[_Entry], shift: int) -> Iterator[Symbol]:
    """What has no size ends where the next begins."""
    symbols = list(kept)
    ends = [following.start for _, following in pairwise(symbols)]
    ends += [symbol.end for symbol in symbols[-1:]]
    for symbol, next_start in zip(symbols, ends, strict=True):
        end = min(next_start, symbol.start + symbol.size if symbol.size else symbol.end)
        yield Symbol(symbol.start + shift, end + shift, symbol.name)


# --- lists ---------------------------------------------------------------------------------------------------------


def _read_list(file: BootFile) -> SymbolTable:
    if file.size > _LARGEST_LIST:
        raise file.bad("is neither an ELF file nor a list of symbols such as System.map: give one of them")
    entries = []
    for number, line in enumerate(file.read(0, file.size).splitlines(), 1):
        match = _LINE.fullmatch(line)
        if match is None:
            if number == 1:
                raise file.bad("is neither an ELF file nor a list of symbols such as System.map: give one of them")
            raise file.bad(
                f"has no symbol in line {number}: give a list such as System.map, with lines like"
                " 'ffffffff80000000 T _start'"
            )
        module = f"{readable(match[4])}:" if match[4] else ""
        entries.append((int(match[1], 16), match[2].decode(), module + readable(match[3])))
    if not any(address for address, _, _ in entries):
        raise file.bad("hides its addresses: read /proc/kallsyms as root")
    table = listed_symbols(entries)
    if not len(table):
        raise file.bad("has no symbols of code: give a list such as System.map")
    return table


def listed_symbols(entries: list[tuple[int, str, str]], physical_offset: int = 0) -> SymbolTable:
    """The table of (address, kind as nm prints it, name); each symbol ends where the next of any kind begins."""
    entries = [entry for entry in entries if not _NO_NAME.match(entry[2])]
    addresses = sorted({address for address, _, _ in entries})
    ends = dict(pairwise(addresses))
    code, others = [], []
    for address, kind, name in entries:
        symbol = Symbol(address, ends.get(address, address + _LAST_SYMBOL_SIZE), name)
        if kind in _TEXT_KINDS:
            code.append(symbol)
        elif kind not in _ABSOLUTE_KINDS:
            others.append(symbol)
    return SymbolTable(code, physical_offset, others)
