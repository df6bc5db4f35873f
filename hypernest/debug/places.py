"""From what a person types to an address: a number, or a symbol with an offset."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import NamedTuple

from hypernest.debug.symbols import SymbolTable
from hypernest.errors import HypernestError

_NUMBER = re.compile(r"0x[0-9a-fA-F]{1,16}|[0-9]{1,20}")
_WITH_OFFSET = re.compile(rf"(.+?)([+-])({_NUMBER.pattern})")
_MOST_SHOWN = 4


class NoSuchPlace(HypernestError, KeyError):
    """A text that names no address."""

    exit_status = 2

    def __str__(self) -> str:  # KeyError would print the sentence in quotes.
        return str(self.args[0])


class Place(NamedTuple):
    """An address; `table` is the one whose symbol was named, None for a number."""

    address: int
    table: SymbolTable | None


def find_place(text: str, tables: Sequence[SymbolTable]) -> Place:
    """The address that `text` means: `0x80200000`, `schedule`, `schedule+0x1c`. The first table that knows a symbol
    counts.

    Raises `NoSuchPlace`, proposing what may have been meant.
    """
    if _NUMBER.fullmatch(text):
        return Place(_in_range(int(text, 0 if text.startswith("0x") else 10), text), None)
    name, distance = text, 0
    match = _WITH_OFFSET.fullmatch(text)
    if match is not None and not any(table.addresses(text) for table in tables):
        name = match[1]
        distance = int(match[3], 0 if match[3].startswith("0x") else 10) * (1 if match[2] == "+" else -1)
    for table in tables:
        starts = table.addresses(name)
        if len(starts) > 1:
            shown = ", ".join(map(hex, starts[:_MOST_SHOWN])) + (", ..." if len(starts) > _MOST_SHOWN else "")
            raise NoSuchPlace(f"{len(starts)} symbols are called {name!r}: give one of the addresses {shown}.")
        if starts:
            return Place(_in_range(starts[0] + distance, text), table)
    names = {each for table in tables for each in table.names}
    if not names:
        raise NoSuchPlace(f"there is no symbol {name!r}, as no symbols are known: give an address such as 0x80200000.")
    near = difflib.get_close_matches(name, names, n=1)
    raise NoSuchPlace(f"there is no symbol {name!r}" + (f" (did you mean {near[0]}?)." if near else "."))


def _in_range(address: int, text: str) -> int:
    if not 0 <= address < 1 << 64:
        raise NoSuchPlace(f"{text} is no address of 64 bits.")
    return address
