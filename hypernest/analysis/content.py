"""What memory or a file of registers holds, as an expression of how it came to be: writes over a beginning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from hypernest.analysis.expressions import Expressions
from hypernest.isa.word import Word, select, word


@dataclass(frozen=True, eq=False)
class Initial:
    """What a state begins with: an unknown function of the index, named so that states can share it."""

    name: str
    width: int


@dataclass(frozen=True, eq=False)
class Fixed:
    """An `Initial` of which some bits are fixed, and others may be another beginning's."""

    base: Content
    mask: int  # bits that are `value`'s
    value: int
    other: Content | None = None
    other_mask: int = 0  # bits that are `other`'s


@dataclass(frozen=True, eq=False)
class Listed:
    """Known values; zero where none is listed. What a concrete state holds."""

    values: Mapping[int, int]
    width: int


@dataclass(frozen=True, eq=False)
class Written:
    """Another content but for one index."""

    before: Content
    index: Word
    value: Word


@dataclass(frozen=True, eq=False)
class Merged:
    """One content where a condition holds, another where it does not."""

    condition: Word
    yes: Content
    no: Content


Content: TypeAlias = Initial | Listed | Fixed | Written | Merged


def merge(condition: Word, yes: Content, no: Content) -> Content:
    """One of two contents."""
    return yes if yes is no else Merged(condition, yes, no)


class Reader:
    """Reads contents; remembers what it read."""

    def __init__(self, expressions: Expressions) -> None:
        self._expressions = expressions
        self._known: dict[tuple[int, int, int], Word] = {}
        self._kept: list[object] = []

    def read(self, content: Content, index: Word) -> Word:
        """What is at an index."""
        key = (id(content), id(index) if index.value is None else -1, index.value or 0)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._read(content, index)
            self._kept += [content, index]
        return found

    def _read(self, content: Content, index: Word) -> Word:
        match content:
            case Initial(name, width):
                return self._expressions.unique("initial", (name, index), width)
            case Listed(values, width):
                return word(values.get(int(index), 0), width)
            case Fixed(base, mask, value, other, other_mask):
                result = self.read(base, index)
                if other is not None:
                    result = result & ~other_mask | self.read(other, index) & other_mask
                return result & ~mask | value
            case Written(before, place, value):
                here = index == place
                if here.value == 1:
                    return value
                if here.value == 0:
                    return self.read(before, index)
                return select(here, value, self.read(before, index))
            case Merged(condition, yes, no):
                return select(condition, self.read(yes, index), self.read(no, index))
