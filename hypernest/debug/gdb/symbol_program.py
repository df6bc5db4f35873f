"""What gdb is given to read when it was started without a file: the program that runs, with its names.

An ELF program is handed over as it is. For anything else, such as Debian's kernel, which knows its own names, an ELF
file is made that has symbols and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING

from hypernest.debug.elf_file import ElfFile, is_elf
from hypernest.debug.gdb.target import GuestFile
from hypernest.debug.symbols import Symbol, SymbolTable
from hypernest.machine.boot_files import BootFile

if TYPE_CHECKING:
    from hypernest.machine.machine import Machine

_HEADER = Struct("<4s5B7xHHIQQQIHHHHHH")
_SECTION = Struct("<IIQQQQIIQQ")
_SYMBOL = Struct("<IBBHQQ")
_EXECUTABLE, _RISCV, _FLAGS = 2, 243, 5  # compressed instructions, double-float ABI
_SYMBOLS, _STRINGS, _NO_CONTENTS = 2, 3, 8  # kinds of sections
_ALLOCATED, _CODE, _WRITABLE = 2, 4, 1
_OBJECT, _FUNCTION, _GLOBAL = 1, 2, 1 << 4
_LARGEST_DATA = 1 << 30


@dataclass(frozen=True, slots=True)
class _Section:
    """A range of addresses in which symbols lie."""

    name: str
    flags: int
    start: int
    end: int
    symbols: list[Symbol]


def guest_program(machine: Machine) -> GuestFile | None:
    """What gdb may read of what boots on `machine`; None if nothing has names."""
    for program in reversed(machine.programs):  # the kernel rather than the firmware
        file = BootFile(program.source, program.what)
        if is_elf(file) and not ElfFile(file).shift(program.address):
            return file
    tables = [table for table in machine.symbols.tables if len(table)]
    return BootFile(symbol_program(tables), "symbols") if tables else None


def symbol_program(tables: Iterable[SymbolTable]) -> bytes:
    """An ELF program without contents that has the symbols of `tables` at their virtual addresses."""
    sections = [section for table in tables for section in _sections(table)]
    names, symbols = bytearray(b"\0"), bytearray(_SYMBOL.size)
    for number, section in enumerate(sections, 1):
        kind = _FUNCTION if section.flags & _CODE else _OBJECT
        for symbol in section.symbols:
            symbols += _SYMBOL.pack(
                len(names), _GLOBAL | kind, 0, number, symbol.start, max(symbol.end - symbol.start, 0)
            )
            names += symbol.name.encode() + b"\0"
    return _lay_out(sections, bytes(symbols), bytes(names))


def _sections(table: SymbolTable) -> Iterable[_Section]:
    code = list(table)
    start, end = code[0].start, max(symbol.end for symbol in code)
    yield _Section(".text", _ALLOCATED | _CODE, start, end, code)
    data = [symbol for symbol in table.others if end <= symbol.start < end + _LARGEST_DATA]
    if data:
        last = max(max(symbol.end, symbol.start + 1) for symbol in data)
        yield _Section(".data", _ALLOCATED | _WRITABLE, min(symbol.start for symbol in data), last, data)


def _lay_out(sections: list[_Section], symbols: bytes, names: bytes) -> bytes:
    titles = [section.name for section in sections] + [".symtab", ".strtab", ".shstrtab"]
    title_table = b"\0" + b"".join(title.encode() + b"\0" for title in titles)
    title_at = [1 + sum(len(title) + 1 for title in titles[:number]) for number in range(len(titles))]
    count = len(sections)
    symbols_at = _HEADER.size
    names_at = symbols_at + len(symbols)
    titles_at = names_at + len(names)
    table_at = titles_at + len(title_table)
    rows = [
        _SECTION.pack(title, _NO_CONTENTS, each.flags, each.start, symbols_at, each.end - each.start, 0, 0, 2, 0)
        for title, each in zip(title_at, sections, strict=False)
    ]
    rows.append(_SECTION.pack(title_at[count], _SYMBOLS, 0, 0, symbols_at, len(symbols), count + 2, 1, 8, _SYMBOL.size))
    rows.append(_SECTION.pack(title_at[count + 1], _STRINGS, 0, 0, names_at, len(names), 0, 0, 1, 0))
    rows.append(_SECTION.pack(title_at[count + 2], _STRINGS, 0, 0, titles_at, len(title_table), 0, 0, 1, 0))
    header = _HEADER.pack(
        *(b"\x7fELF", 2, 1, 1, 0, 0, _EXECUTABLE, _RISCV, 1, 0, 0, table_at, _FLAGS, _HEADER.size, 0, 0),
        *(_SECTION.size, len(rows) + 1, len(rows)),
    )
    return header + symbols + names + title_table + bytes(_SECTION.size) + b"".join(rows)
