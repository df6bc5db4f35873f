"""What two engines intercept of the same program: the same things, at the same counts, in the same states."""

from __future__ import annotations

from dataclasses import dataclass
from zlib import crc32

from hypernest.engines.coverage_map import CoverageMap
from hypernest.engines.engine import Exit
from hypernest.engines.watched import Interception, Kind, Watched
from tests.engines.equivalence import LAYOUT, Pair, Side

_OWN = {LAYOUT.index[name] for name in ("remaining", "clock_end", "stop")} | {LAYOUT.index["x"] + 32}


@dataclass(frozen=True)
class Seen:
    """An interception: the steps done before, what it was and a checksum of the registers."""

    steps: int
    what: Interception
    registers: int


def watch(pair: Pair, watched: Watched) -> None:
    """Have both engines watch that."""
    for side in pair.sides:
        side.engine.watch(watched)


def cover(pair: Pair, *ranges: tuple[int, int]) -> list[tuple[CoverageMap, CoverageMap]]:
    """Maps of these ranges for both engines, the reference first."""
    pairs = [(CoverageMap(*each), CoverageMap(*each)) for each in ranges]
    for side, maps in zip(pair.sides, zip(*pairs, strict=True) if pairs else ((), ()), strict=True):
        side.engine.cover(maps)
    return pairs


def check_covered(pairs: list[tuple[CoverageMap, CoverageMap]], about: str = "") -> None:
    """Both engines have executed the same."""
    for theirs, mine in pairs:
        places = [
            address
            for address in range(theirs.start, theirs.end, 2)
            if covered(theirs, address) != covered(mine, address)
        ]
        assert not places, f"{about}: only one engine was at {', '.join(map(hex, places[:8]))}"
        assert theirs.count == mine.count == int.from_bytes(mine.bitmap, "little").bit_count(), about


def covered(each: CoverageMap, address: int) -> bool:
    place = (address - each.start) // 2
    return bool(each.bitmap[place // 8] >> place % 8 & 1)


def run_watched(pair: Pair, steps: int, *, pieces: int = 0, about: str = "") -> list[Seen]:
    """Run both for so many steps, going on after whatever is intercepted, and compare that and how they end.

    The native engine runs in pieces of `pieces` steps if that is given. Fewer steps if the program waits.
    """
    (theirs, left), (mine, rest) = _run(pair.reference, pair.now, steps, 0), _run(pair.native, pair.now, steps, pieces)
    for one, other in zip(theirs, mine, strict=False):
        assert one == other, f"{about}: native intercepts {other}, reference {one}"
    assert len(theirs) == len(mine), f"{about}: {theirs[len(mine) :][:1]} or {mine[len(theirs) :][:1]} is only on one"
    assert left == rest, f"{about}: steps left, reference and native"
    pair.now += steps - left
    for side in pair.sides:
        side.hart["remaining"], side.hart["clock_end"] = left, pair.now + left
    pair.check(about)
    return theirs


def _run(side: Side, now: int, steps: int, pieces: int) -> tuple[list[Seen], int]:
    seen: list[Seen] = []
    done, passing, place = 0, Kind.NONE, -1
    while done < steps:
        budget = min(pieces or steps, steps - done)
        side.hart["clock_end"] = now + done + budget
        why = side.engine.run(side.hart, budget, passing)
        executed = budget - side.hart["remaining"]
        done += executed
        if executed or side.hart["pc"] != place:
            passing = Kind.NONE
        place = side.hart["pc"]
        if why is Exit.HOOK:
            what = side.engine.interception(side.hart)
            assert not what.kind & passing, f"{what} was intercepted again"
            passing |= what.kind
            seen.append(Seen(done, what, _registers(side)))
        elif why is not Exit.BUDGET:
            break
    return seen, steps - done


def _registers(side: Side) -> int:
    words = side.hart.words[: LAYOUT.words]
    # `retired` is exact between runs; what depends on how they were cut is left out.
    return crc32(repr([word for at, word in enumerate(words) if at not in _OWN]).encode())
