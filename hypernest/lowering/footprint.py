"""Which registers a traced function reads and writes, by itself and through the routines that it calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from hypernest.isa.hart import Routine
from hypernest.isa.trace import Block, Branch, Effect, Tracer


def effects(block: Block) -> Iterator[Effect]:
    """All effects of a tree."""
    yield from block.effects
    if isinstance(block.end, Branch):
        yield from effects(block.end.yes)
        yield from effects(block.end.no)


def registers(kind: str, block: Block, tracer: Callable[[], Tracer]) -> frozenset[str]:
    """The registers to which effects of this kind ("read" or "write") happen; `tracer` makes one for each routine.

    What CSR accesses and memory accesses do is not followed.
    """
    return frozenset(_registers(kind, block, tracer, set()))


def registers_of(kind: str, routines: Iterable[Routine], tracer: Callable[[], Tracer]) -> frozenset[str]:
    """The same for routines."""
    seen: set[str] = set()
    return frozenset(name for each in routines for name in _of_routine(kind, each, tracer, seen))


def _of_routine(kind: str, routine: Routine, tracer: Callable[[], Tracer], seen: set[str]) -> Iterator[str]:
    if routine.name not in seen:
        seen.add(routine.name)
        yield from _registers(kind, tracer().routine(routine)[0], tracer, seen)


def _registers(kind: str, block: Block, tracer: Callable[[], Tracer], seen: set[str]) -> Iterator[str]:
    for effect in effects(block):
        if effect.kind == kind:
            yield str(effect.arguments[0])
        elif effect.kind == "call":
            yield from _of_routine(kind, effect.arguments[0], tracer, seen)
