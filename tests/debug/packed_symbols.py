"""Packs symbols as scripts/kallsyms.c of Linux does, into the memory of a machine with a kernel in it."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from hypernest.errors import OutOfRange

RAM, IMAGE = 0x8000_0000, 0x8020_0000
BASE = 0xFFFF_FFFF_8000_0000
PAIRS = (b"sc", b"he", b"du", b"le", b"fun")

Entry = tuple[int, str, str]
"""Address, kind, name."""


@dataclass(frozen=True)
class Memory:
    """RAM that ends behind `data`, which lies at `IMAGE`."""

    data: bytes
    base: int = RAM

    @property
    def size(self) -> int:
        return IMAGE - RAM + len(self.data)

    def read(self, address: int, count: int) -> bytes:
        if address < RAM or address + count > RAM + self.size:
            raise OutOfRange("outside")
        start = address - IMAGE
        below = min(max(-start, 0), count)
        return bytes(below) + self.data[max(start, 0) : max(start + count, 0)]


def entries(count: int, base: int = BASE) -> list[Entry]:
    """`_start`, then functions of 16 bytes with something else now and then."""
    rows = [(base, "T", "_start")]
    rows += [(base + 16 * n, "d" if n % 100 == 99 else "t", f"function_{n}") for n in range(1, count)]
    rows[5] = (rows[5][0], "t", "long_" * 60)  # takes two bytes for its length
    rows[7] = (rows[7][0], "t", "schedule")
    return rows


def kernel(symbols: list[Entry], *, old_order: bool = False, magic: bytes = b"RISCV\0\0\0") -> Memory:
    """Memory with a kernel that has these symbols, in the order of Linux 6.5 or of 6.1."""
    codes = {bytes([c]): c for c in range(33, 127)} | {pair: 200 + n for n, pair in enumerate(PAIRS)}
    by_code = {code: token for token, code in codes.items()}
    table, index = b"", []
    for code in range(256):
        index.append(len(table))
        table += by_code.get(code, b"") + b"\0"
    names, markers = b"", []
    for number, (_, kind, name) in enumerate(symbols):
        if number % 256 == 0:
            markers.append(len(names))
        packed = _pack((kind + name).encode(), codes)
        size = len(packed)
        names += (bytes([size]) if size < 128 else bytes([size & 127 | 128, size >> 7])) + packed
    base = symbols[0][0]
    offsets = struct.pack(f"<{len(symbols)}I", *(address - base for address, _, _ in symbols))
    addresses = [offsets, struct.pack("<Q", base)]
    packed_names = [struct.pack("<I", len(symbols)), names, struct.pack(f"<{len(markers)}I", *markers)]
    tokens = [table, struct.pack("<256H", *index)]
    parts = [*addresses, *packed_names, *tokens] if old_order else [*packed_names, *tokens, *addresses]
    body = b"".join(part.ljust(-(-len(part) // 8) * 8, b"\0") for part in parts)
    image = bytes(0x1000) + b"rodata: " + body + b"behind it".ljust(64, b"\xff")
    header = struct.pack("<IIQQQIIQ8s4sI", 0x6F, 0, 0x20_0000, len(image), 0, 2, 0, 0, magic, b"RSC\x05", 0)
    return Memory(header + image[len(header) :])


def _pack(text: bytes, codes: dict[bytes, int]) -> bytes:
    packed = bytearray()
    while text:
        token = next((pair for pair in PAIRS if text.startswith(pair)), text[:1])
        packed.append(codes[token])
        text = text[len(token) :]
    return bytes(packed)
