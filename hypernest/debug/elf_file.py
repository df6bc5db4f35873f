"""What an ELF program for RISC-V has inside: its segments and sections, none of them believed."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from struct import Struct

from hypernest.machine.boot_files import BootFile

_ELF = b"\x7fELF"
_IDENTITY = b"\x7fELF\x02\x01"  # 64 bits, little-endian
_HEADER = Struct("<16xHH4x8xQQ6xHHHHH")  # type, machine, phoff, shoff, phentsize, phnum, shentsize, shnum, shstrndx
_RISCV, _LOAD = 243, 1
_PROGRAM_HEADER = Struct("<IIQQQQQQ")
_SECTION_HEADER = Struct("<IIQQQQIIQQ")
_NO_CONTENTS = 8  # a kind of section
_COMPRESSED = 1 << 11
_COMPRESSION_HEADER = Struct("<I4xQQ")  # kind, size, alignment
_ZLIB = 1
_LARGEST_SECTION = 512 << 20


@dataclass(frozen=True, slots=True)
class ElfSegment:
    """What is loaded: flags, addresses, and how many bytes are taken from where in the file."""

    flags: int
    virtual: int
    physical: int
    offset: int
    count: int


@dataclass(frozen=True, slots=True)
class ElfSection:
    """A row of the section table."""

    name: str
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int


class ElfFile:
    """An ELF file for 64-bit RISC-V. Raises `BadImage` if it is none, or as soon as it is seen to be damaged."""

    def __init__(self, file: BootFile) -> None:
        self.file = file
        header = file.read(0, _HEADER.size)
        if len(header) < _HEADER.size or header[: len(_IDENTITY)] != _IDENTITY:
            raise file.bad("is no ELF file for a 64-bit little-endian machine: give one for RISC-V")
        _, machine, programs_at, sections_at, program_size, programs, section_size, sections, names = _HEADER.unpack(
            header
        )
        if machine != _RISCV:
            raise file.bad("is an ELF file for another machine: give one for RISC-V")
        rows = self._rows(programs_at, program_size, programs, _PROGRAM_HEADER)
        self.segments = [
            ElfSegment(flags, virtual, physical, offset, count)
            for kind, flags, offset, virtual, physical, count, size, _ in rows
            if kind == _LOAD and size
        ]
        """Those that are loaded."""
        self.sections = self._sections(self._rows(sections_at, section_size, sections, _SECTION_HEADER), names)

    def _rows(self, offset: int, size: int, count: int, row: Struct) -> list[tuple[int, ...]]:
        if not offset or not count:
            return []
        data = self.file.read(offset, size * count) if size == row.size and offset < self.file.size else b""
        if len(data) < row.size * count:
            raise self.file.bad("has damaged ELF tables: build it again")
        return list(row.iter_unpack(data))

    def _sections(self, rows: list[tuple[int, ...]], names_index: int) -> list[ElfSection]:
        names = b""
        if 0 < names_index < len(rows):
            offset, size = rows[names_index][4:6]
            names = self.file.read(offset, min(size, self.file.size)) if offset < self.file.size else b""
        return [
            ElfSection(names[row[0] : row[0] + 64].partition(b"\0")[0].decode("ascii", "replace"), *row[1:7])
            for row in rows
        ]

    def section(self, name: str) -> ElfSection | None:
        """The first section of that name."""
        return next((section for section in self.sections if section.name == name), None)

    def contents(self, section: ElfSection) -> bytes:
        """The bytes of a section, unpacked."""
        if section.kind == _NO_CONTENTS:
            return b""
        if section.offset + section.size > self.file.size:
            raise self.file.bad(f"ends before its section {section.name!r} does: build it again")
        data = self.file.read(section.offset, section.size)
        return self._unpack(section, data) if section.flags & _COMPRESSED else data

    def _unpack(self, section: ElfSection, data: bytes) -> bytes:
        if len(data) < _COMPRESSION_HEADER.size:
            raise self.file.bad(f"has a damaged section {section.name!r}: build it again")
        kind, size, _ = _COMPRESSION_HEADER.unpack_from(data)
        if kind != _ZLIB or size > _LARGEST_SECTION:
            raise self.file.bad(f"has a section {section.name!r} packed as is not known here: build it without -gz")
        try:
            unpacked = zlib.decompressobj().decompress(data[_COMPRESSION_HEADER.size :], size)
        except zlib.error:
            unpacked = b""
        if len(unpacked) != size:
            raise self.file.bad(f"has a damaged section {section.name!r}: build it again")
        return unpacked

    def contents_of(self, name: str) -> bytes:
        """The bytes of the section of that name, none if there is none."""
        section = self.section(name)
        return b"" if section is None else self.contents(section)

    def shift(self, loaded_at: int) -> int:
        """How far from where it is linked it runs, if its first segment was loaded at that physical address."""
        return loaded_at - self.segments[0].physical if self.segments else 0


def is_elf(file: BootFile) -> bool:
    """Does the file claim to be one?"""
    return file.read(0, len(_ELF)) == _ELF
