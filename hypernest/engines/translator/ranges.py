"""What is known of registers along a straight line of code: numbers they do not exceed, tables they point into.

An address that is a register plus a small number leads, as a rule, to the page that this register led to before: the
table of a checksum, of character classes, of a switch.
"""

from __future__ import annotations

from collections.abc import Mapping

from hypernest.engines.translator.meaning import Place
from hypernest.isa.word import Word

LARGEST_TABLE = 4096  # bytes


class Ranges:
    """Facts of registers, as of now."""

    def __init__(self) -> None:
        self._limits: dict[Place, int] = {}
        self._tables: dict[Place, Place] = {}

    def clear(self) -> None:
        """Control may come from elsewhere."""
        self._limits.clear()
        self._tables.clear()

    def table(self, place: Place) -> Place | None:
        """The register that points to the beginning of the small table that this one points into."""
        return self._tables.get(place)

    def write(self, place: Place, value: Word, read: Mapping[Word, Place]) -> None:
        """A register is given a value; `read` says which words are what registers held before."""
        limit = self._limit(value, read)
        words = [arg for arg in value.args if isinstance(arg, Word)]
        table = None
        if value.op == "add":
            for base, index in (words, reversed(words)):
                if base in read and self._limit(index, read) < LARGEST_TABLE and index.value is None:
                    table = read[base]
        self.forget(place)
        if limit < LARGEST_TABLE:
            self._limits[place] = limit
        if table is not None and table != place:
            self._tables[place] = table

    def forget(self, place: Place) -> None:
        """A register is given a value that is not known."""
        self._limits.pop(place, None)
        self._tables.pop(place, None)
        for each in [each for each, table in self._tables.items() if table == place]:
            del self._tables[each]

    def _limit(self, word: Word, read: Mapping[Word, Place]) -> int:
        """A number that the word never exceeds."""
        full = (1 << word.width) - 1
        if word.value is not None:
            return word.value
        if word in read:
            return min(full, self._limits.get(read[word], full))
        words = [arg for arg in word.args if isinstance(arg, Word)]
        match word.op:
            case "and":
                return min(self._limit(each, read) for each in words)
            case "zext" | "trunc":
                return min(full, self._limit(words[0], read))
            case "sext":
                limit = self._limit(words[0], read)
                return limit if limit < 1 << words[0].width - 1 else full
            case "add":
                limit = sum(self._limit(each, read) for each in words)
                return limit if limit <= full else full
            case "lshr" if words[1].value is not None:
                return self._limit(words[0], read) >> words[1].value
            case "shl" if words[1].value is not None and words[1].value < word.width:
                return min(full, self._limit(words[0], read) << words[1].value)
        return full
