"""Kernels, firmware and initrds: what format a file is in, where its parts go, and whether it can be believed."""

from __future__ import annotations

import os
import stat
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from struct import Struct

from hypernest.errors import BadImage

Source = str | os.PathLike[str] | bytes
"""A file, or its bytes."""

_CHUNK = 1 << 20
_LARGEST_UNPACKED = 512 << 20

_GZIP = b"\x1f\x8b"
_ELF = b"\x7fELF"
_IMAGE_MAGIC, _IMAGE_MAGIC_AT = b"RSC\x05", 0x38
_IMAGE_HEADER = Struct("<8xQQQ")  # text_offset, image_size, flags

# What people have lying around and try: (magic number, where it is, what it means, what to do)
_NOT_FOR_US = (
    (b"\xfd7zXZ\0", 0, "is compressed with xz", "unpack it first"),
    (b"\x28\xb5\x2f\xfd", 0, "is compressed with zstd", "unpack it first"),
    (b"BZh", 0, "is compressed with bzip2", "unpack it first"),
    (b"zimg", 4, "is a compressed EFI kernel", "give the Image it was made from"),
    (b"ARM\x64", 0x38, "is a Linux Image for Arm", "give one for riscv64"),
    (b"HdrS", 0x202, "is a Linux kernel for x86", "give one for riscv64"),
    (b"QFI\xfb", 0, "is a disk of QEMU's (qcow2)", "give a kernel"),
    (b"070701", 0, "is an initial RAM file system", "give it as the initrd"),
)
_DOS, _PE_OFFSET_AT, _PE, _PE_SECTION_COUNT_AT, _PE_HEADER = b"MZ", 0x3C, b"PE\0\0", 6, 24

_MACHINES = {3: "32-bit x86", 40: "32-bit Arm", 62: "x86-64", 183: "64-bit Arm", 8: "MIPS", 21: "64-bit PowerPC"}
_ELF_HEADER = Struct("<4xBB10xHH4xQQ14xHH6x")  # class, data, type, machine, entry, phoff, phentsize, phnum
_PROGRAM_HEADER = Struct("<IIQQQQQQ")
_ELF64, _LITTLE_ENDIAN, _RISCV, _LOAD = 2, 1, 243, 1
_POSITION_INDEPENDENT = 3
_EXECUTABLE_TYPES = (2, _POSITION_INDEPENDENT)
_MAXIMUM_SEGMENTS = 128


class BootFile:
    """The bytes of a file, read in pieces so that a large kernel is never held twice. `what` names it in errors.

    What is packed with gzip is unpacked, unless the guest does that itself (`packed`).
    """

    def __init__(self, source: Source, what: str, packed: bool = False) -> None:
        self.name = what if isinstance(source, bytes) else f"{what} {os.fspath(source)}"
        self._bytes: bytes | bytearray | None = source if isinstance(source, bytes) else None
        self._path = Path() if isinstance(source, bytes) else Path(source)
        try:
            self.size = len(self._bytes) if self._bytes is not None else self._measure()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise self.bad(f"cannot be read ({reason}): give a readable file") from None
        if not self.size:
            raise self.bad("is empty: give another file")
        if not packed and self.read(0, 2) == _GZIP:
            self._bytes = self._unpack()
            self.size = len(self._bytes)

    def _measure(self) -> int:
        # Asked before it is opened, as opening a pipe would wait for somebody to write to it.
        status = self._path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is a folder" if stat.S_ISDIR(status.st_mode) else "it is not a file")
        with self._path.open("rb"):
            return status.st_size

    def bad(self, why: str) -> BadImage:
        """The error that says what is wrong with this file."""
        return BadImage(f"{self.name} {why}")

    def read(self, offset: int, count: int) -> bytes:
        """The bytes from `offset` on, fewer at the end of the file."""
        if self._bytes is not None:
            return bytes(self._bytes[offset : offset + count])
        try:
            with self._path.open("rb") as file:
                file.seek(offset)
                return file.read(count)
        except OSError as error:
            raise self.bad(f"cannot be read ({error.strerror}): give a readable file") from None

    def chunks(self, offset: int, count: int) -> Iterator[bytes]:
        """`count` bytes from `offset` on, piece by piece."""
        while count:
            data = self.read(offset, min(count, _CHUNK))
            if not data:
                raise self.bad("has become shorter while it was read: try again")
            yield data
            offset += len(data)
            count -= len(data)

    def _unpack(self) -> bytearray:
        unpacker = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        unpacked = bytearray()
        try:
            for chunk in self.chunks(0, self.size):
                unpacked += unpacker.decompress(chunk, _LARGEST_UNPACKED + 1 - len(unpacked))
                if len(unpacked) > _LARGEST_UNPACKED:
                    raise self.bad("unpacks to more than 512 MiB: give a smaller one")
                if unpacker.eof:
                    break
        except zlib.error as error:
            raise self.bad(f"is damaged gzip data ({error}): fetch it again") from None
        if not unpacker.eof:
            raise self.bad("is gzip data that ends too early: fetch it again")
        if not unpacked:
            raise self.bad("unpacks to nothing: give another file")
        return unpacked


@dataclass(frozen=True, slots=True)
class Segment:
    """`count` bytes of the file from `offset` on go to `address`; up to `size` zeros follow."""

    address: int
    offset: int
    count: int
    size: int


@dataclass(frozen=True, slots=True)
class Program:
    """A file and where its parts go in guest-physical memory; execution begins at `entry`."""

    file: BootFile
    segments: tuple[Segment, ...]
    entry: int

    @property
    def end(self) -> int:
        """The address behind everything that it occupies."""
        return max(segment.address + segment.size for segment in self.segments)


def read_program(source: Source, what: str, base: int, flat_address: int) -> Program:
    """The program in `source`: an ELF file or a Linux Image, either of them perhaps packed with gzip, or flat.

    An Image goes to `base` plus its own offset, but not below `flat_address`, which is where a flat binary goes, and a
    position-independent ELF file that is linked at 0.
    Raises `BadImage` for a file that claims to be one of them and is damaged.
    """
    file = BootFile(source, what)
    if file.read(0, 4) == _ELF:
        return _read_elf(file, flat_address)
    if file.read(_IMAGE_MAGIC_AT, 4) == _IMAGE_MAGIC:
        return _read_image(file, base, flat_address)
    for magic, offset, meaning, advice in _NOT_FOR_US:
        if file.read(offset, len(magic)) == magic:
            raise file.bad(f"{meaning}: {advice}")
    return Program(file, (Segment(flat_address, 0, file.size, file.size),), flat_address)


def _read_image(file: BootFile, base: int, lowest: int) -> Program:
    """Documentation/arch/riscv/boot-image-header.rst"""
    offset, size, flags = _IMAGE_HEADER.unpack(file.read(0, _IMAGE_HEADER.size))
    if flags & 1:
        raise file.bad("is a big-endian Linux Image: give one for little-endian RISC-V")
    if offset > 1 << 40 or size > 1 << 40 or offset % 4096:
        raise file.bad("has a damaged Linux Image header: fetch it again")
    if size and file.size > size:
        raise file.bad(f"is longer than its header says ({size} bytes): fetch it again")
    _check_length(file)
    address = max(base + offset, lowest)
    return Program(file, (Segment(address, 0, file.size, max(size, file.size)),), address)


def _check_length(file: BootFile) -> None:
    """Linux says in its header how much memory it takes, not how long the file is; its EFI header knows the latter."""
    if file.read(0, 2) != _DOS:
        return
    try:
        (start,) = struct.unpack("<I", file.read(_PE_OFFSET_AT, 4))
        header = file.read(start, _PE_HEADER)
        if header[:4] != _PE:
            return
        count, optional_size = struct.unpack("<H12xH", header[_PE_SECTION_COUNT_AT:22])
        table = file.read(start + _PE_HEADER + optional_size, 40 * count)
        ends = [sum(struct.unpack_from("<II", table, 40 * index + 16)) for index in range(count)]
    except struct.error:
        raise file.bad("is a Linux Image that ends in its header: fetch it again") from None
    if max(ends, default=0) > file.size:
        raise file.bad(f"is a Linux Image that ends too early ({file.size} of {max(ends)} bytes): fetch it again")


def _read_elf(file: BootFile, flat_address: int) -> Program:
    header = file.read(0, _ELF_HEADER.size)
    if len(header) < _ELF_HEADER.size:
        raise file.bad("is an ELF file that ends in its header: fetch it again")
    wide, endian, kind, machine, entry, table, entry_size, count = _ELF_HEADER.unpack(header)
    if why := _unsuitable(wide, endian, machine, kind):
        raise file.bad(f"is an ELF file {why}: give a program for 64-bit RISC-V")
    if entry_size != _PROGRAM_HEADER.size or count > _MAXIMUM_SEGMENTS:
        raise file.bad("has a damaged ELF header: build it again")
    segments = []
    start = None
    for index in range(count):
        row = file.read(table + index * entry_size, entry_size)
        if len(row) < entry_size:
            raise file.bad("is an ELF file that ends in its program headers: fetch it again")
        what, _, offset, virtual, physical, in_file, in_memory, _ = _PROGRAM_HEADER.unpack(row)
        if what != _LOAD or not in_memory:
            continue
        if in_file > in_memory or offset + in_file > file.size:
            raise file.bad("is an ELF file that ends before its contents do: fetch it again")
        segments.append(Segment(physical, offset, in_file, in_memory))
        if virtual <= entry < virtual + in_memory:
            start = entry - virtual + physical
    if start is None:
        raise file.bad("has an entry point outside everything that is loaded: build it again")
    if kind == _POSITION_INDEPENDENT and min(segment.address for segment in segments) == 0:
        # Linked nowhere, as OpenSBI is since 1.5; such programs relocate themselves.
        segments = [replace(segment, address=segment.address + flat_address) for segment in segments]
        start += flat_address
    return Program(file, tuple(segments), start)


def _unsuitable(wide: int, endian: int, machine: int, kind: int) -> str | None:
    """What keeps an ELF file from running here, from its header."""
    if endian != _LITTLE_ENDIAN:
        return "for a big-endian machine"
    if machine != _RISCV:
        return f"for {_MACHINES.get(machine, f'machine {machine}')}"
    if wide != _ELF64:
        return "for 32-bit RISC-V"
    if kind not in _EXECUTABLE_TYPES:
        return "that is not linked into a program"
    return None
