"""From addresses of guest code to names: what a profile, a trace or a debugger shows instead of numbers."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

LONGEST_NAME = 512
"""What is longer is cut: as much as Linux allows its own names."""


class Symbol(NamedTuple):
    """A function or another piece of code: addresses `start` to `end` (exclusive)."""

    start: int
    end: int
    name: str


class SymbolTable:
    """The symbols of one program. Where several begin at one address the first given one counts; none overlap.

    `physical_offset` is the virtual minus the physical address of the program's code, for a program that also runs
    before it has switched address translation on.
    """

    def __init__(self, symbols: Iterable[Symbol], physical_offset: int = 0) -> None:
        unique: dict[int, Symbol] = {}
        self._named: dict[str, list[int]] = {}
        for symbol in symbols:
            unique.setdefault(symbol.start, symbol)
            self._named.setdefault(symbol.name, []).append(symbol.start)
        self._symbols = sorted(unique.values())
        self._starts = [symbol.start for symbol in self._symbols]
        self.physical_offset = physical_offset

    def find(self, address: int) -> tuple[str, int] | None:
        """The symbol at a virtual `address` and the address's offset in it; None if there is none."""
        index = bisect_right(self._starts, address) - 1
        if index < 0 or address >= self._symbols[index].end:
            return None
        symbol = self._symbols[index]
        return symbol.name, address - symbol.start

    def addresses(self, name: str) -> list[int]:
        """Where symbols of this name begin, those included that do not count in `find`; none if there is none."""
        return sorted(set(self._named.get(name, ())))

    @property
    def names(self) -> Iterable[str]:
        """All names, each once."""
        return self._named.keys()

    def __iter__(self) -> Iterator[Symbol]:
        """In the order of addresses."""
        return iter(self._symbols)

    def __len__(self) -> int:
        return len(self._symbols)


class Symbols:
    """Several tables; the first that knows an address names it."""

    def __init__(self, tables: Sequence[SymbolTable]) -> None:
        self._tables = tuple(tables)

    def find(self, address: int, *, translated: bool = True) -> tuple[str, int] | None:
        """The symbol and the offset in it. An address that is not `translated` is a guest-physical one."""
        for table in self._tables:
            if found := table.find(address if translated else address + table.physical_offset):
                return found
        return None


def readable(name: bytes | str) -> str:
    """The name as it may be printed and written to files, whoever made it up: ASCII without blanks and semicolons."""
    text = name.decode("ascii", "replace") if isinstance(name, bytes) else name
    return "".join(letter if "!" <= letter <= "~" and letter != ";" else "?" for letter in text[:LONGEST_NAME])
