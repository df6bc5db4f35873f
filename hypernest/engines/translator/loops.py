"""Registers that walk through memory: in a loop, they only ever move by constants, so they stay in a page for a while.

An access through such a register looks at the page of the access before first. Elsewhere that would not pay.
"""

from __future__ import annotations

from hypernest.engines.translator.meaning import Place
from hypernest.engines.translator.region import Region


def find_walkers(region: Region) -> dict[int, frozenset[Place]]:
    """For each instruction in a loop, the registers that do not change in the innermost one or only by constants."""
    loops = sorted(
        (
            (at + distance, at)
            for at, instruction in region.instructions.items()
            if not instruction.meaning.calls
            for distance in instruction.meaning.branches
            if distance <= 0 and at + distance in region.instructions
        ),
        key=lambda loop: loop[1] - loop[0],
        reverse=True,
    )
    found: dict[int, frozenset[Place]] = {}
    for first, last in loops:  # the longest first, so that the innermost has the last word
        body = [at for at in region.instructions if first <= at <= last]
        meanings = [region.instructions[at].meaning for at in body]
        used = {place for meaning in meanings for place in meaning.reads}
        lost = {place for meaning in meanings for place in meaning.may_write - meaning.steps}
        walkers = frozenset(used - lost)
        found.update(dict.fromkeys(body, walkers))
    return found
