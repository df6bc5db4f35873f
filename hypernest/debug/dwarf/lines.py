"""Lines of the source by address, and back: the section .debug_line (DWARF 5, section 6.2)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from operator import attrgetter
from typing import NamedTuple

from hypernest.debug.dwarf.reader import Damaged, Reader

_ADDRESSES = (1 << 64) - 1
_LONGEST_PATH = 4096
_MOST_ROWS = 20_000_000

# Standard opcodes of a line program.
_COPY, _ADVANCE_PC, _ADVANCE_LINE, _SET_FILE, _SET_COLUMN, _NEGATE_STATEMENT = range(1, 7)
_CONSTANT_ADD_PC, _FIXED_ADVANCE_PC = 8, 9
# Contents and forms of a table of files.
_PATH, _FOLDER = 1, 2
_STRING, _STRING_AT, _LINE_STRING_AT = 0x08, 0x0E, 0x1F
_UNSIGNED, _BLOCK = 0x0F, 0x09
_FIXED_FORMS = {0x0B: 1, 0x05: 2, 0x06: 4, 0x07: 8, 0x1E: 16}


class _Extended(IntEnum):
    """Opcodes behind a zero."""

    END_SEQUENCE = 1
    SET_ADDRESS = 2
    DEFINE_FILE = 3


class SourceLine(NamedTuple):
    """A line of a source file; the path is as the compiler was given it."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class _Row(NamedTuple):
    address: int
    file: int
    line: int
    is_statement: bool


@dataclass(frozen=True, slots=True)
class _Sequence:
    """Rows by rising address, which hold up to `end`; the files by number."""

    start: int
    end: int
    rows: list[_Row]
    files: Mapping[int, str]


class LineTable:
    """The lines of a program, at the addresses where it is linked. Raises `Damaged` for sections that cannot be."""

    def __init__(self, lines: bytes, line_strings: bytes = b"", strings: bytes = b"") -> None:
        self._strings = {_LINE_STRING_AT: line_strings, _STRING_AT: strings}
        self._rows_left = _MOST_ROWS
        sequences: list[_Sequence] = []
        reader = Reader(lines)
        while reader.more:
            sequences += self._unit(*reader.unit())
        self._sequences = sorted(sequences, key=attrgetter("start"))
        self._starts = [sequence.start for sequence in self._sequences]

    def find(self, address: int) -> SourceLine | None:
        """The line that the instruction at `address` was made of; None if that is not known."""
        index = bisect_right(self._starts, address) - 1
        if index < 0 or address >= self._sequences[index].end:
            return None
        sequence = self._sequences[index]
        row = sequence.rows[bisect_right(sequence.rows, address, key=attrgetter("address")) - 1]
        if not row.line or row.file not in sequence.files:
            return None
        return SourceLine(sequence.files[row.file], row.line)

    def places(self, file: str) -> Iterator[tuple[int, int]]:
        """(line, address) of each statement of the files whose path ends in `file`."""
        for sequence in self._sequences:
            wanted = {number for number, path in sequence.files.items() if f"/{path}".endswith(f"/{file}")}
            if wanted:
                for row in sequence.rows:
                    if row.file in wanted and row.is_statement and row.line:
                        yield row.line, row.address

    @property
    def files(self) -> set[str]:
        """The paths of all source files."""
        return {path for sequence in self._sequences for path in sequence.files.values()}

    # --- reading ---------------------------------------------------------------------------------------------------

    def _unit(self, reader: Reader, wide: bool) -> list[_Sequence]:
        version = reader.number(2)
        if not 2 <= version <= 5:
            raise Damaged
        offset_size = 8 if wide else 4
        if version >= 5:
            reader.skip(2)  # sizes of addresses and of segment selectors
        length = reader.number(offset_size)
        program = Reader(reader.take(reader.end - reader.position))
        header = Reader(program.take(length))
        smallest = header.byte()
        if version >= 4:
            header.skip(1)  # operations of an instruction word: RISC-V has no such
        is_statement = header.byte() != 0
        base, span, opcodes = header.number(1, signed=True), header.byte(), header.byte()
        if not span or not opcodes:
            raise Damaged
        arguments = list(header.take(opcodes - 1))
        files = self._files(header, offset_size) if version >= 5 else _old_files(header)
        return self._run(program, _Program(smallest, is_statement, base, span, opcodes, arguments), files)

    def _files(self, header: Reader, offset_size: int) -> dict[int, str]:
        folders = [entry.get(_PATH, b"") for entry in self._entries(header, offset_size)]
        files = {}
        for number, entry in enumerate(self._entries(header, offset_size)):
            folder = entry.get(_FOLDER, 0)
            assert isinstance(folder, int)
            below = folders[folder : folder + 1] if folder else []
            files[number] = _join(folders[:1] + below, entry.get(_PATH, b""))
        return files

    def _entries(self, header: Reader, offset_size: int) -> list[dict[int, bytes | int]]:
        formats = [(header.unsigned(), header.unsigned()) for _ in range(header.byte())]
        count = header.unsigned()
        if count > header.end - header.position or (count and not formats):
            raise Damaged
        return [{what: self._value(header, form, offset_size) for what, form in formats} for _ in range(count)]

    def _value(self, header: Reader, form: int, offset_size: int) -> bytes | int:
        if form == _STRING:
            return header.string()
        if form in self._strings:
            return Reader(self._strings[form], header.number(offset_size)).string()
        if form == _UNSIGNED:
            return header.unsigned()
        if form == _BLOCK:
            return header.take(header.unsigned())
        if form in _FIXED_FORMS:
            return header.number(_FIXED_FORMS[form])
        raise Damaged

    def _run(self, reader: Reader, program: _Program, files: dict[int, str]) -> list[_Sequence]:
        """Execute a line program (section 6.2.5)."""
        sequences: list[_Sequence] = []
        rows: list[_Row] = []
        address, file, line, is_statement = 0, 1, 1, program.is_statement
        while reader.more:
            opcode = reader.byte()
            append = False
            if opcode >= program.opcodes:
                steps, forward = divmod(opcode - program.opcodes, program.span)
                address += steps * program.smallest
                line += program.base + forward
                append = True
            elif opcode == 0:
                extended = Reader(reader.take(reader.unsigned()))
                match extended.byte() if extended.more else 0:
                    case _Extended.END_SEQUENCE:
                        _finish(sequences, rows, address, files)
                        rows = []
                        address, file, line, is_statement = 0, 1, 1, program.is_statement
                    case _Extended.SET_ADDRESS:
                        address = extended.number(extended.end - extended.position)
                    case _Extended.DEFINE_FILE:
                        name, _ = extended.string(), extended.unsigned()
                        files[max(files, default=0) + 1] = _text(name)
            elif opcode == _COPY:
                append = True
            elif opcode == _ADVANCE_PC:
                address += reader.unsigned() * program.smallest
            elif opcode == _ADVANCE_LINE:
                line += reader.signed()
            elif opcode == _SET_FILE:
                file = reader.unsigned()
            elif opcode == _NEGATE_STATEMENT:
                is_statement = not is_statement
            elif opcode == _CONSTANT_ADD_PC:
                address += (255 - program.opcodes) // program.span * program.smallest
            elif opcode == _FIXED_ADVANCE_PC:
                address += reader.number(2)
            else:  # what changes nothing that is kept here, or is not known
                for _ in range(program.arguments[opcode - 1]):
                    reader.unsigned()
            address &= _ADDRESSES
            if append:
                self._rows_left -= 1
                if not self._rows_left:
                    raise Damaged
                rows.append(_Row(address, file, max(line, 0), is_statement))
        return sequences


@dataclass(frozen=True, slots=True)
class _Program:
    """The constants of a line program."""

    smallest: int
    is_statement: bool
    base: int
    span: int
    opcodes: int
    arguments: list[int]


def _finish(sequences: list[_Sequence], rows: list[_Row], end: int, files: dict[int, str]) -> None:
    """A sequence ends. What a linker has thrown away lies at address 0."""
    rows.sort(key=attrgetter("address"))
    if rows and rows[0].address and rows[0].address < end:
        sequences.append(_Sequence(rows[0].address, end, rows, files))


def _old_files(header: Reader) -> dict[int, str]:
    """The tables of files up to DWARF 4: folder 0 is where the compiler ran, which is not told here."""
    folders: list[bytes | int] = [b""]
    while folder := header.string():
        folders.append(folder)
    files: dict[int, str] = {}
    while name := header.string():
        number = header.unsigned()
        header.unsigned()
        header.unsigned()
        files[len(files) + 1] = _join(folders[number : number + 1], name)
    return files


def _join(folders: list[bytes | int], name: bytes | int) -> str:
    """A path below folders, each of which may begin anew at the root."""
    path = ""
    for part in (*folders, name):
        text = _text(part) if isinstance(part, bytes) else ""
        path = text if text.startswith("/") or not path else f"{path}/{text}" if text else path
    return path


def _text(name: bytes) -> str:
    """As it may be printed, whoever made it up."""
    text = name[:_LONGEST_PATH].decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else "?" for letter in text)
