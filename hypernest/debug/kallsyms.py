"""The symbols that a running Linux kernel keeps of itself, read from guest memory.

A distribution's kernel is stripped, but has all its names inside for its own messages, packed (scripts/kallsyms.c in
its sources). Nothing says where; the packing's table of tokens is recognized by its form, and all else lies around it.
The layout is that of 64-bit kernels with CONFIG_KALLSYMS_BASE_RELATIVE, in the order of Linux 6.5 and later or that of
6.1 and earlier. The base address in the tables has been relocated by the kernel itself, so that a randomized one is
right. The guest may have put anything there: everything is checked, and what is wrong means no symbols.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from struct import Struct, unpack_from
from typing import Protocol

from hypernest.debug.symbol_files import listed_symbols
from hypernest.debug.symbols import SymbolTable, readable

_LARGE_PAGE = 2 << 20  # a kernel begins at a multiple of it (Documentation/arch/riscv/boot.rst)
_SEARCHED = 4 << 30  # bytes of RAM in which a kernel is looked for
_LARGEST_IMAGE = 256 << 20
_MAXIMUM_IMAGES = 4
_IMAGE_HEADER = Struct("<16xQ24x8s4s")  # Documentation/arch/riscv/boot-image-header.rst: image_size, the magic numbers
_IMAGE_MAGIC, _IMAGE_MAGIC_2 = b"RISCV\0\0\0", b"RSC\x05"

_DIGITS = b"".join(b"%d\0" % digit for digit in range(10))  # all are in use, so each is its own token
_MAXIMUM_TRIES = 64
_TOKENS = 256
_LONGEST_TABLE = 1 << 16  # an offset into it has 16 bits
_BLOCK = 256  # symbols from one marker to the next
_MAXIMUM_SYMBOLS = 2_000_000
_LONGEST_TOKEN = 256
_LONGEST_NAME = 512  # KSYM_NAME_LEN
_LONGEST_BLOCK = _BLOCK * (_LONGEST_NAME + 2)
_LARGEST_NAMES = 32 << 20
_PATIENCE = 2 * _MAXIMUM_SYMBOLS  # names that are looked at, wherever they seem to be
_KERNEL_HALF = 1 << 63


class _Memory(Protocol):
    """RAM by guest-physical address."""

    @property
    def base(self) -> int: ...

    @property
    def size(self) -> int: ...

    def read(self, address: int, count: int) -> bytes: ...


def kernel_symbols(memory: _Memory) -> SymbolTable:
    """The symbols of the Linux kernel in `memory`, at the addresses where it runs; an empty table if there is none."""
    found = find_kernel(memory)
    return SymbolTable(()) if found is None else found.table


@dataclass(frozen=True, slots=True)
class KernelSymbols:
    """The symbols of a Linux kernel, and the number in its memory from which all their addresses were computed."""

    table: SymbolTable
    base_at: int
    base: bytes

    def hold_in(self, memory: _Memory) -> bool:
        """Is that number still there? A kernel that moves itself, or another one, has another."""
        return memory.read(self.base_at, len(self.base)) == self.base


def find_kernel(memory: _Memory) -> KernelSymbols | None:
    """The symbols of the Linux kernel in `memory`; None if there is none."""
    patience = iter(range(_PATIENCE))
    for address, size in _images(memory):
        image = memory.read(address, size)
        for tokens in _token_tables(image):
            unpacked = _unpack(image, tokens, patience)
            if unpacked is not None:
                entries, base_at = unpacked
                start = next((at for at, _, name in entries if name in ("_start", "_text")), entries[0][0])
                table = listed_symbols(entries, physical_offset=start - address)
                return KernelSymbols(table, address + base_at, image[base_at : base_at + 8])
    return None


def _images(memory: _Memory) -> Iterator[tuple[int, int]]:
    """Where Linux kernels seem to be, and what they take."""
    end = memory.base + memory.size
    found = 0
    for address in range(memory.base, min(end, memory.base + _SEARCHED) - _IMAGE_HEADER.size, _LARGE_PAGE):
        size, magic, magic_2 = _IMAGE_HEADER.unpack(memory.read(address, _IMAGE_HEADER.size))
        if magic == _IMAGE_MAGIC and magic_2 == _IMAGE_MAGIC_2:
            yield address, min(size, _LARGEST_IMAGE, end - address)
            found += 1
            if found == _MAXIMUM_IMAGES:
                return


@dataclass(frozen=True, slots=True)
class _TokenTable:
    """What each byte of a packed name stands for. It lies at `start`; its index of 16-bit offsets ends at `end`."""

    tokens: tuple[bytes, ...]
    start: int
    end: int


def _token_tables(image: bytes) -> Iterator[_TokenTable]:
    digits = -1
    for _ in range(_MAXIMUM_TRIES):
        digits = image.find(_DIGITS, digits + 1)
        if digits < 0:
            return
        position = digits - 1  # the end of the token before "0"
        for _ in range(ord("0")):
            position = image.rfind(b"\0", max(0, digits - _LONGEST_TABLE), max(position, 0))
        start = position + 1
        if position < 0 or start % 8:
            continue
        tokens = image[start : start + _LONGEST_TABLE].split(b"\0", _TOKENS)[:_TOKENS]
        if len(tokens) < _TOKENS or max(map(len, tokens)) > _LONGEST_TOKEN:
            continue
        offsets, length = [], 0
        for token in tokens:
            offsets.append(length)
            length += len(token) + 1
        index_at = _align(start + length)
        if offsets[-1] < 1 << 16 and _integers(image, index_at, _TOKENS, "H") == tuple(offsets):
            yield _TokenTable(tuple(tokens), start, index_at + 2 * _TOKENS)


def _unpack(image: bytes, table: _TokenTable, patience: Iterator[int]) -> tuple[list[tuple[int, str, str]], int] | None:
    """(address, kind, name) of each symbol in the order of addresses, and where in the image their base is.

    None if the tables do not fit together.
    """
    markers = _markers(image, table.start)
    markers_at = _align_down(table.start - 4 * len(markers))
    for count_at in _counts(image, markers, markers_at):
        count = unpack_from("<I", image, count_at)[0]
        names = _names(image, count_at + 8, count, markers, markers_at, patience)
        if not names:
            continue
        after, before = _align(table.end), _align_down(count_at - 8 - 4 * count)
        for offsets_at in (after, before):
            addresses = _addresses(image, offsets_at, count)
            if addresses:
                expanded = (b"".join([table.tokens[code] for code in name]) for name in names)
                entries = [
                    (address, chr(name[0]), readable(name[1:]))
                    for address, name in zip(addresses, expanded, strict=True)
                    if len(name) > 1
                ]
                return (entries, _align(offsets_at + 4 * count)) if entries else None
    return None


def _markers(image: bytes, end: int) -> list[int]:
    """The rising numbers before `end`: where in the packed names each block begins, the first at 0."""
    position = end - 4
    if position >= 4 and image[position:end] == bytes(4):
        position -= 4  # up to a multiple of 8
    markers: list[int] = []
    while position >= 0 and len(markers) <= _MAXIMUM_SYMBOLS // _BLOCK:
        value = unpack_from("<I", image, position)[0]
        if value > _LARGEST_NAMES or (markers and value >= markers[-1]):
            break
        markers.append(value)
        if not value:
            return markers[::-1]
        position -= 4
    return []


def _counts(image: bytes, markers: list[int], markers_at: int) -> Iterator[int]:
    """Where the number of symbols may be: before the names, which end at the markers."""
    if len(markers) < 2:
        return
    most = _BLOCK * len(markers)
    last = _align_down(markers_at - markers[-1] - 8)
    for position in range(last, max(last - _LONGEST_BLOCK, -1), -8):
        count, zero = unpack_from("<II", image, position)
        if most - _BLOCK < count <= most and not zero:
            yield position


def _names(
    image: bytes, start: int, count: int, markers: list[int], markers_at: int, patience: Iterator[int]
) -> list[bytes]:
    names = []
    position = start
    for number, _ in zip(range(count), patience, strict=False):
        if number % _BLOCK == 0 and position - start != markers[number // _BLOCK]:
            return []
        if position + 2 > markers_at:
            return []
        length = image[position]
        position += 1
        if length & 0x80:
            length = length & 0x7F | image[position] << 7
            position += 1
        if not 0 < length <= _LONGEST_NAME:
            return []
        names.append(image[position : position + length])
        position += length
    return names if len(names) == count and _align(position) == markers_at else []


def _addresses(image: bytes, offsets_at: int, count: int) -> list[int]:
    offsets = _integers(image, offsets_at, count, "I")
    base = _integers(image, _align(offsets_at + 4 * count), 1, "Q")
    if not offsets or not base or base[0] < _KERNEL_HALF or base[0] + offsets[-1] >= 1 << 64:
        return []
    if any(a > b for a, b in pairwise(offsets)):
        return []
    return [base[0] + offset for offset in offsets]


def _integers(image: bytes, offset: int, count: int, kind: str) -> tuple[int, ...]:
    """`count` little-endian numbers at `offset`; none if they are not all in the image."""
    row = Struct(f"<{count}{kind}")
    if offset < 0 or offset + row.size > len(image):
        return ()
    return row.unpack_from(image, offset)


def _align(offset: int) -> int:
    return offset + 7 & -8


def _align_down(offset: int) -> int:
    return offset & -8
