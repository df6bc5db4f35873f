"""Instructions of a row, the same ones in each run: extreme values of every field, then random ones."""

from __future__ import annotations

import random
from collections.abc import Iterator

from hypernest.isa.row import Row


def samples(row: Row, count: int) -> Iterator[int]:
    """At least `count` instructions that `row` matches (fewer only if there are not as many)."""
    free = ~row.mask & ((1 << 8 * row.length) - 1)
    source = random.Random(row.name)
    patterns = [0, free]
    for field in row.fields.values():
        bits = sum(((1 << piece.width) - 1) << piece.low for piece in field.pieces)
        patterns += [bits, free & ~bits]
    patterns += [source.getrandbits(32) & free for _ in range(2 * count)]
    codes = dict.fromkeys(row.match | bits for bits in patterns)
    legal = [code for code in codes if row.matches(code)]
    yield from legal[: max(count, 2 + 2 * len(row.fields))]
