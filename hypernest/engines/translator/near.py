"""Which registers are known to be in a window of host pages, or near one, when an instruction begins.

An access relative to a register checks that the register itself is in the window. The guards around windows are larger
than what instructions add to it, so that one check serves all accesses around one address.
"""

from __future__ import annotations

from collections.abc import Mapping

from hypernest.engines.interpreter.words import WINDOW_GUARD
from hypernest.engines.translator.code_page import Instruction
from hypernest.engines.translator.meaning import Place, place_of, split_sum
from hypernest.engines.translator.region import Region
from hypernest.isa.word import Word

Checked = Mapping[Place, int]
"""Registers, and how far each has moved since it was checked."""

_FARTHEST = WINDOW_GUARD - 64  # room for the access itself


def base_and_distance(address: Word, reads: Mapping[Word, Place]) -> tuple[Place, int] | None:
    """The register that an address is relative to, and the distance; None if there is none, or if it is far."""
    word, distance = split_sum(address)
    place = reads.get(word)
    whole = address.width == word.width == 64
    return (place, distance) if place is not None and whole and abs(distance) <= _FARTHEST else None


def base_word(address: Word, reads: Mapping[Word, Place]) -> Word:
    """The part of an address that is a register."""
    return split_sum(address)[0]


def is_near(checked: Checked, place: Place, distance: int) -> bool:
    """Is an access so far from a register in the window or its guards?"""
    moved = checked.get(place)
    return moved is not None and abs(moved + distance) <= _FARTHEST


def find_checked(region: Region) -> dict[int, Checked]:
    """What is checked when each instruction begins."""
    found: dict[int, dict[Place, int]] = {at: {} for at in region.entries}
    waiting = list(region.entries)
    while waiting:
        at = waiting.pop()
        instruction = region.instructions[at]
        after = _after(found[at], instruction)
        for each in region.successors(instruction):
            before = found.get(each)
            # Only what all ways agree on; what they once did not agree on is gone for good.
            both = after if before is None else {p: m for p, m in before.items() if after.get(p) == m}
            if both != before:
                found[each] = dict(both)
                waiting.append(each)
    return {at: found.get(at, {}) for at in region.instructions}


def _after(before: Checked, instruction: Instruction) -> dict[Place, int]:
    meaning, state = instruction.meaning, dict(before)
    effects = meaning.block.effects
    if not meaning.quick:
        return {}
    reads = {e.results[0]: place_of(e) for e in effects if e.kind == "read"}
    for effect in effects:
        if effect.kind in ("load", "store") and not any(e.kind == "locate" for e in effects):
            base = base_and_distance(effect.arguments[0], reads)
            if base is not None and not is_near(state, *base):
                state[base[0]] = 0
    moved = {}
    for effect in effects:
        if effect.kind == "write":
            base = base_and_distance(effect.arguments[2], reads)
            if base is not None and base[0] in state and is_near(state, *base):
                moved[place_of(effect)] = state[base[0]] + base[1]
    return {place: far for place, far in state.items() if place not in meaning.may_write} | moved
