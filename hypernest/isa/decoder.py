"""From an instruction word to its row, by a decision tree that is derived from the encodings of the rows.

The tree is plain data: inner nodes switch on a field of contiguous bits, leaves list the rows that are still possible.
`Decoder.decode` walks it; the lowering turns the same tree into native code.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from hypernest.isa.row import Row

WIDEST_SWITCH = 7  # bits: RISC-V's opcode and funct7


@dataclass(frozen=True)
class Candidate:
    """A row that a leaf still has to tell from others.

    An instruction is this row if `code & mask == match`, and `code & m != v` for every (m, v) of `excluded`. `mask`
    holds only the bits that the switches above have not looked at.
    """

    row: Row
    mask: int
    match: int
    excluded: tuple[tuple[int, int], ...]

    def accepts(self, code: int) -> bool:
        """Is `code`, which has come down the tree to this leaf, this row?"""
        return code & self.mask == self.match and all(code & mask != match for mask, match in self.excluded)


Leaf: TypeAlias = tuple[Candidate, ...]  # the most specific first: the first that accepts is it; none: illegal


@dataclass(frozen=True)
class Switch:
    """Go on at `cases[code >> low & (1 << width) - 1]`; `cases` has an entry for each value."""

    low: int
    width: int
    cases: tuple[Switch | Leaf, ...]


class AmbiguityError(ValueError):
    """Two rows describe the same instruction and neither is a special case of the other: a mistake in the table."""


def exclusions(row: Row) -> tuple[tuple[int, int], ...]:
    """The field values a row excludes, as (mask, match) of the instruction's bits."""
    result = []
    for each in row.fields.values():
        mask = sum(((1 << piece.width) - 1) << piece.low for piece in each.pieces)
        for value in sorted(each.excluded):
            bits = value - each.offset
            result.append((mask, sum((bits >> p.at & (1 << p.width) - 1) << p.low for p in each.pieces)))
    return tuple(result)


class Decoder:
    """Decodes the instructions that `rows` describe. AmbiguityError if two of them claim the same instruction."""

    def __init__(self, rows: Iterable[Row]) -> None:
        # A row is more specific the more bits it fixes; among rows that can meet, `_check` allows no other order.
        ordered = sorted(rows, key=lambda row: -row.mask.bit_count())
        _check(ordered)
        candidates = tuple(Candidate(row, row.mask, row.match, exclusions(row)) for row in ordered)
        self.tree: Switch | Leaf = _build(candidates)

    def decode(self, code: int) -> Row | None:
        """The row of the instruction whose first 32 bits are `code`, None if it is illegal.

        Where the low two bits say that it has 16 bits, the upper half is ignored.
        """
        node = self.tree
        while isinstance(node, Switch):
            node = node.cases[code >> node.low & (1 << node.width) - 1]
        for candidate in node:
            if candidate.accepts(code):
                return candidate.row
        return None


def _build(candidates: Leaf) -> Switch | Leaf:
    """The tree for these candidates: switch on the bits that all of them fix as long as that tells some apart."""
    common = -1
    for candidate in candidates:
        common &= candidate.mask
    field = _best_field(candidates, common) if len(candidates) > 1 else None
    if field is None:
        return candidates
    low, width = field
    seen = ((1 << width) - 1) << low
    groups: dict[int, list[Candidate]] = {}
    for each in candidates:
        left = Candidate(each.row, each.mask & ~seen, each.match & ~seen, each.excluded)
        groups.setdefault((each.match & seen) >> low, []).append(left)
    return Switch(low, width, tuple(_build(tuple(groups.get(value, ()))) for value in range(1 << width)))


def _best_field(candidates: Leaf, common: int) -> tuple[int, int] | None:
    """(low, width) of the common bits that split the candidates into the most groups; the narrowest of several."""
    best, best_rank = None, (1, 0)
    for low in range(common.bit_length()):
        for width in range(1, WIDEST_SWITCH + 1):
            mask = ((1 << width) - 1) << low
            if common & mask != mask:
                break
            rank = (len({candidate.match & mask for candidate in candidates}), -width)
            if rank > best_rank and rank[0] > 1:
                best, best_rank = (low, width), rank
    return best


def _check(rows: list[Row]) -> None:
    """Every two rows must be disjoint, or one be a special case of the other (fix the same bits and more)."""
    excluded = {id(row): exclusions(row) for row in rows}
    for index, first in enumerate(rows):
        for second in rows[index + 1 :]:
            if first.length != second.length or (first.match ^ second.match) & first.mask & second.mask:
                continue
            special = first.mask & second.mask == second.mask and first.mask != second.mask
            if special or _excludes(excluded[id(first)], second) or _excludes(excluded[id(second)], first):
                continue
            raise AmbiguityError(f"{first.name} ({first.pattern}) and {second.name} ({second.pattern}) overlap")


def _excludes(excluded: tuple[tuple[int, int], ...], row: Row) -> bool:
    """Does one of the exclusions rule out every instruction of `row`?"""
    return any(row.mask & mask == mask and row.match & mask == match for mask, match in excluded)
