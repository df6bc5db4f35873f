"""From addresses of guest code to names: what a profile, a trace or a debugger shows instead of numbers."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import chain
from typing import NamedTuple

LONGEST_NAME = 512
"""What is longer is cut: as much as Linux allows its own names."""

_UNREADABLE = re.compile(r"[^!-:<-~]")


class Symbol(NamedTuple):
    """A function or another piece of code: addresses `start` to `end` (exclusive)."""

    start: int
    end: int
    name: str


class SymbolOffset(NamedTuple):
    """A place in a program: the name of a symbol and how far behind its beginning."""

    name: str
    offset: int

    def __str__(self) -> str:
        return f"{self.name}+{self.offset:#x}" if self.offset else self.name


class SymbolTable:
    """The symbols of one program. Where several begin at one address the first given one counts; none overlap.

    `others` are not code, or only second names of it: data, aliases, labels inside functions.
    `physical_offset` is the virtual minus the physical address of the program's code, for a program that also runs
    before it has switched address translation on.
    """

    def __init__(self, symbols: Iterable[Symbol], physical_offset: int = 0, others: Iterable[Symbol] = ()) -> None:
        self._given, self._others = list(symbols), list(others)
        self._symbols = _unique(self._given)
        self._starts = [symbol.start for symbol in self._symbols]
        self.physical_offset = physical_offset

    def find(self, address: int) -> SymbolOffset | None:
        """The symbol of code at a virtual `address` and the address's offset in it; None if there is none."""
        return _find(self._symbols, self._starts, address)

    def find_other(self, address: int) -> SymbolOffset | None:
        """The same of data."""
        return _find(*self._other_places, address)

    def addresses(self, name: str) -> list[int]:
        """Where symbols of this name begin, those included that do not count in `find`; none if there is none."""
        return sorted(set(self._named.get(name, ())))

    @property
    def names(self) -> Iterable[str]:
        """All names, each once."""
        return self._named.keys()

    @property
    def others(self) -> Sequence[Symbol]:
        """What is no code, and second names."""
        return self._others

    @cached_property
    def _named(self) -> dict[str, list[int]]:
        named: dict[str, list[int]] = {}
        for symbol in chain(self._given, self._others):
            named.setdefault(symbol.name, []).append(symbol.start)
        return named

    @cached_property
    def _other_places(self) -> tuple[list[Symbol], list[int]]:
        places = _unique(self._others)
        return places, [symbol.start for symbol in places]

    def moved(self, distance: int) -> SymbolTable:
        """The same program at addresses that are `distance` higher."""
        if not distance:
            return self

        def move(symbols: Iterable[Symbol]) -> Iterator[Symbol]:
            return (Symbol(start + distance, end + distance, name) for start, end, name in symbols)

        return SymbolTable(move(self._given), self.physical_offset + distance, move(self._others))

    def __iter__(self) -> Iterator[Symbol]:
        """Those of code, in the order of addresses."""
        return iter(self._symbols)

    def __len__(self) -> int:
        return len(self._symbols)


def _unique(symbols: Iterable[Symbol]) -> list[Symbol]:
    """One for each address, in their order."""
    unique: dict[int, Symbol] = {}
    for symbol in symbols:
        unique.setdefault(symbol.start, symbol)
    return sorted(unique.values())


def _find(symbols: Sequence[Symbol], starts: Sequence[int], address: int) -> SymbolOffset | None:
    index = bisect_right(starts, address) - 1
    if index < 0 or address >= symbols[index].end:
        return None
    symbol = symbols[index]
    return SymbolOffset(symbol.name, address - symbol.start)


class Symbols:
    """Several tables; the first that knows an address names it."""

    def __init__(self, tables: Sequence[SymbolTable]) -> None:
        self._tables = tuple(tables)

    def find(self, address: int, *, translated: bool = True) -> SymbolOffset | None:
        """The symbol and the offset in it. An address that is not `translated` is a guest-physical one."""
        for table in self._tables:
            if found := table.find(address if translated else address + table.physical_offset):
                return found
        return None


def readable(name: bytes | str) -> str:
    """The name as it may be printed and written to files, whoever made it up: ASCII without blanks and semicolons."""
    text = name[:LONGEST_NAME].decode("ascii", "replace") if isinstance(name, bytes) else name[:LONGEST_NAME]
    return _UNREADABLE.sub("?", text)
