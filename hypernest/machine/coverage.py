"""Coverage: which instructions of the guest's code were executed, for people's viewers and for fuzzers.

Noted once for each instruction, when it is first reached; from then on it runs at full speed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import Any, Protocol

from hypernest.engines.coverage_map import PARCEL, CoverageMap
from hypernest.errors import HypernestError

_BLOCK = Struct("<IHH")  # offset in the module, size, number of the module
_LARGEST_BLOCK = 0xFFFF
_LARGEST_MODULE = 1 << 32
_MOST_MODULES = 1 << 16

# The first 16 bits of instructions after which control may go elsewhere (unprivileged manual, tables of opcodes).
_LONG, _OPCODE = 3, 0x7F
_TRANSFERS = {0x63, 0x67, 0x6F, 0x73}  # branches, jalr, jal, system
_SHORT_TRANSFERS = {(1, 5), (1, 6), (1, 7)}  # quadrant and funct3 of c.j, c.beqz, c.bnez
_SHORT_COMPUTED, _RS2 = (2, 4), 0x7C  # c.jr, c.jalr and c.ebreak if there is no rs2


_APART = 1 << 20  # bytes between symbols that are two pieces of code


class Symbol(Protocol):
    """A name of code, as `debug` knows it; sorted by address."""

    @property
    def start(self) -> int: ...

    @property
    def end(self) -> int: ...

    @property
    def name(self) -> str: ...

    def __lt__(self, other: Any) -> bool: ...


class BadCoverage(HypernestError):
    """Coverage cannot be collected, or written, as asked."""


@dataclass(frozen=True, slots=True)
class Module:
    """A piece of code as coverage viewers know it: the file's name, and where its first and last byte are."""

    name: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Block:
    """Instructions that were executed, one behind the other, up to one after which control may go elsewhere."""

    start: int
    size: int


class Coverage:
    """What was executed of some ranges of virtual addresses, in every mode and address space, since it was attached or
    cleared. A `with` block ends it; what was collected stays.

    An instruction counts when it is reached, even if it traps. Of one piece of code that is executed at two addresses
    of the ranges, each instruction counts at one of them.
    """

    def __init__(self, modules: Sequence[Module], changed: Callable[[Coverage], None], end: Callable[[Coverage], None]):
        """`changed` is called when bits were cleared, `end` to detach."""
        self.modules = tuple(modules)
        """The ranges."""
        self.maps = tuple(CoverageMap(each.start, each.end) for each in modules)
        """What engines write to, for each range."""
        self._changed, self._end = changed, end
        self._seen = [0] * len(self.maps)
        self._seen_count = 0

    @property
    def count(self) -> int:
        """How many instructions were executed at least once. Cheap: if it has grown, there is something new."""
        return sum(each.count for each in self.maps)

    def bitmap(self) -> bytes:
        """A bit for each two bytes of the ranges, one after the other, each filled up to whole bytes: does an
        instruction that was executed begin there? The lowest bit of a byte comes first."""
        return b"".join(each.bitmap for each in self.maps)

    def addresses(self) -> list[int]:
        """Where instructions that were executed begin, range by range."""
        return [address for each in self.maps for address in _addresses(each, _bits(each))]

    def new(self) -> list[int]:
        """Those of them that were not there yet when this was called last, or never before. Cheap if there are none."""
        count = self.count
        if count == self._seen_count:
            return []
        found: list[int] = []
        for number, each in enumerate(self.maps):
            bits = _bits(each)
            found += _addresses(each, bits & ~self._seen[number])
            self._seen[number] = bits
        self._seen_count = count
        return found

    def __contains__(self, address: object) -> bool:
        """Was the instruction at an address executed?"""
        return isinstance(address, int) and any(each.has(address) for each in self.maps)

    def blocks(self) -> list[Block]:
        """What was executed as blocks, each instruction in one of them."""
        return [block for each in self.maps for block in _blocks(each)]

    def clear(self) -> None:
        """Forget everything, as for the next input of a fuzzer; costs microseconds, and what is executed then is
        decoded again. A fuzzer that looks for what is new need not clear."""
        for each in self.maps:
            each.clear()
        self._seen = [0] * len(self.maps)
        self._seen_count = 0
        self._changed(self)

    def detach(self) -> None:
        """Collect no more. Harmless when repeated."""
        self._end(self)

    def write_drcov(self, path: str | os.PathLike[str], modules: Sequence[Module] = ()) -> None:
        """Write a file in the format of DynamoRIO's drcov (version 2), which Lighthouse and other viewers open.

        `modules` are the files that the viewer knows, the whole of them; by default the ranges. Blocks outside all of
        them are left out. Raises `BadCoverage` if the file cannot be written.
        """
        known = tuple(modules) or self.modules
        if len(known) > _MOST_MODULES or any(not 0 < each.end - each.start <= _LARGEST_MODULE for each in known):
            raise BadCoverage("drcov has room for modules of 1 byte to 4 GiB, and for 65536 of them: give others")
        blocks = [
            _BLOCK.pack(start - module.start, size, number)
            for block in self.blocks()
            for number, module in enumerate(known)
            if module.start <= block.start < module.end
            for start, size in _pieces(block)
        ]
        lines = [
            "DRCOV VERSION: 2",
            "DRCOV FLAVOR: drcov",
            f"Module Table: version 2, count {len(known)}",
            "Columns: id, base, end, entry, path",
            *(
                f"{number:3}, {each.start:#018x}, {each.end:#018x}, {0:#018x}, {_printable(each.name)}"
                for number, each in enumerate(known)
            ),
            f"BB Table: {len(blocks)} bbs",
            "",
        ]
        try:
            Path(path).write_bytes("\n".join(lines).encode() + b"".join(blocks))
        except OSError as error:
            raise BadCoverage(f"the coverage cannot be written to {path} ({error.strerror or error})") from error

    def __enter__(self) -> Coverage:
        return self

    def __exit__(self, *_: object) -> None:
        self.detach()

    def __repr__(self) -> str:
        places = sum(each.end - each.start for each in self.maps)
        return f"<coverage of {places} bytes of code, {self.count} instructions executed>"


def known_code(tables: Iterable[Iterable[Symbol]]) -> list[Module]:
    """The code that symbols are about, in pieces where there is much between two."""
    modules: list[Module] = []
    for symbol in sorted(symbol for table in tables for symbol in table):
        if modules and symbol.start - modules[-1].end < _APART:
            last = modules.pop()
            modules.append(Module(last.name, last.start, max(last.end, symbol.end)))
        else:
            modules.append(Module(symbol.name, symbol.start, symbol.end))
    return [Module(each.name, each.start & ~1, each.end + 1 & ~1) for each in modules]


def _bits(each: CoverageMap) -> int:
    return int.from_bytes(each.bitmap, "little")


def _addresses(each: CoverageMap, bits: int) -> Iterable[int]:
    """Where the bits of a range are set, lowest first."""
    data = bits.to_bytes((bits.bit_length() + 7) // 8, "little")
    for at, byte in enumerate(data):
        while byte:
            lowest = byte & -byte
            yield each.start + PARCEL * (8 * at + lowest.bit_length() - 1)
            byte ^= lowest


def _blocks(each: CoverageMap) -> Iterable[Block]:
    start = following = -1
    for address in _addresses(each, _bits(each)):
        if address < following:  # the middle of an instruction, as another begins there, too: not shown
            continue
        if address != following:
            if start >= 0:
                yield Block(start, following - start)
            start = address
        code = each.code(address)
        following = address + (4 if code & 3 == _LONG else 2)
        if _may_go_elsewhere(code):
            yield Block(start, following - start)
            start = following = -1
    if start >= 0:
        yield Block(start, following - start)


def _may_go_elsewhere(code: int) -> bool:
    if code & 3 == _LONG:
        return code & _OPCODE in _TRANSFERS
    form = code & 3, code >> 13
    return form in _SHORT_TRANSFERS or (form == _SHORT_COMPUTED and not code & _RS2)


def _pieces(block: Block) -> Iterable[tuple[int, int]]:
    """The block, in pieces of sizes that the format has room for."""
    for distance in range(0, block.size, _LARGEST_BLOCK - 1):
        yield block.start + distance, min(block.size - distance, _LARGEST_BLOCK - 1)


def _printable(name: str) -> str:
    """A name that cannot break the table's lines."""
    return "".join(letter if letter.isprintable() and letter != "," else "?" for letter in name)
