"""Symbols from files: ELF programs, and lists of symbols as Linux makes them (System.map, /proc/kallsyms)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from struct import Struct

from hypernest.debug.symbols import LONGEST_NAME, Symbol, SymbolTable, readable
from hypernest.machine.boot import Loaded
from hypernest.machine.boot_files import BootFile, Source

_ELF = b"\x7fELF"
_IDENTITY = b"\x7fELF\x02\x01"  # 64 bits, little-endian
_HEADER = Struct("<16xHH4x8xQQ6xHHHHH")  # type, machine, phoff, shoff, phentsize, phnum, shentsize, shnum, shstrndx
_RISCV, _LOAD, _EXECUTABLE_SEGMENT = 243, 1, 1
_PROGRAM_HEADER = Struct("<IIQQQQQQ")
_SECTION_HEADER = Struct("<IIQQQQIIQQ")
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
    file = BootFile(source, "symbols file")
    if file.read(0, 4) == _ELF:
        table = _read_elf(file, None)
        if not len(table):
            raise file.bad("has no symbols, it was stripped: give the file as it was linked")
        return table
    return _read_list(file)


def program_symbols(program: Loaded) -> SymbolTable:
    """The symbols of a program that boots, at the addresses where it was loaded; none if the file has none.

    Raises `BadImage` if they are damaged.
    """
    file = BootFile(program.source, program.what)
    return _read_elf(file, program.address) if file.read(0, 4) == _ELF else SymbolTable(())


# --- ELF -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Section:
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int


def _read_elf(file: BootFile, loaded_at: int | None) -> SymbolTable:
    header = file.read(0, _HEADER.size)
    if len(header) < _HEADER.size or header[: len(_IDENTITY)] != _IDENTITY:
        raise file.bad("is no ELF file for a 64-bit little-endian machine: give one for RISC-V")
    _, machine, programs_at, sections_at, program_size, programs, section_size, sections, _ = _HEADER.unpack(header)
    if machine != _RISCV:
        raise file.bad("is an ELF file for another machine: give one for RISC-V")
    shift, offset = 0, 0
    segments = _rows(file, programs_at, program_size, programs, _PROGRAM_HEADER)
    loaded = [row for row in segments if row[0] == _LOAD and row[6]]
    if loaded_at is not None and loaded:
        shift = loaded_at - loaded[0][4]
    for _, flags, _, virtual, physical, *_ in loaded:
        if flags & _EXECUTABLE_SEGMENT:
            offset = virtual - physical
            break
    headers = [_Section(*row[1:7]) for row in _rows(file, sections_at, section_size, sections, _SECTION_HEADER)]
    for kind in (_SYMBOL_TABLE, _DYNAMIC_SYMBOL_TABLE):
        table = next((section for section in headers if section.kind == kind), None)
        symbols = list(_entries(file, headers, table)) if table is not None else []
        code = [symbol for symbol in symbols if symbol.is_code]
        if kind == _DYNAMIC_SYMBOL_TABLE:
            # It has a few names only, and what has no size would swallow all that follows.
            code = [symbol for symbol in code if symbol.size]
        if code:
            kept = _without_overlap(code)
            others = [each for each in symbols if each not in kept]
            return SymbolTable(_with_ends(kept, shift), offset, [each.moved(shift) for each in others])
    return SymbolTable(())


def _rows(file: BootFile, offset: int, size: int, count: int, row: Struct) -> list[tuple[int, ...]]:
    if not offset or not count:
        return []
    data = file.read(offset, size * count) if size == row.size and offset < file.size else b""
    if len(data) < row.size * count:
        raise file.bad("has damaged ELF tables: build it again")
    return list(row.iter_unpack(data))


def _contents(file: BootFile, section: _Section) -> bytes:
    if section.offset + section.size > file.size:
        raise file.bad("has a damaged symbol table: build it again")
    return file.read(section.offset, section.size)


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


def _entries(file: BootFile, sections: list[_Section], table: _Section) -> Iterator[_Entry]:
    if table.link >= len(sections):
        raise file.bad("has a damaged symbol table: build it again")
    names = _contents(file, sections[table.link])
    data = _contents(file, table)
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
