"""Where guest time went: samples of what the harts execute, and the names of the places they show.

Time is counted in instructions, so a profile is a property of the guest alone: the same in every run, on any engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from hypernest.debug.symbols import Symbols
from hypernest.engines.hart_state import HartState

PERIOD = 99_991
"""Instructions between two samples: a prime, so that they do not fall into step with a loop of the guest."""

_MOST_POINTS = 1 << 18
_LONGEST_HISTORY = 1 << 18
_USER, _MACHINE = 0, 3
_PAGE = 4096
_SATP_MODE, _SATP_ROOT = 60, (1 << 44) - 1
ELSEWHERE = -1
"""In place of a pc where too many were seen to remember them all."""

Stack = tuple[str, ...]
"""What a sample shows, the widest circle first: hart if there are several, mode, symbol."""

Stacks = list[tuple[Stack, int]]
"""Stacks and the instructions that were spent there."""


class Point(NamedTuple):
    """Where a hart was: its number, pc, privilege mode and address translation."""

    hart: int
    pc: int
    privilege: int
    satp: int

    @property
    def translated(self) -> bool:
        """Is pc a virtual address?"""
        return self.privilege != _MACHINE and self.satp >> _SATP_MODE != 0

    @property
    def root(self) -> int:
        """Page number of the root page table, which tells address spaces apart."""
        return self.satp & _SATP_ROOT


class Profile:
    """Collects samples: give it to `Machine.sample_with`. It is complete whenever the machine is not running."""

    def __init__(self, period: int = PERIOD) -> None:
        self.period = period
        """Instructions from one sample to the next."""
        self._point = Point(0, ELSEWHERE, _MACHINE, 0)
        self._instructions: dict[Point, int] = {}
        self._history: list[tuple[Point, int]] = []

    def look(self, hart: HartState) -> None:
        """The hart is about to execute the instruction at its pc."""
        point = Point(hart["hartid"], hart["pc"], hart["priv"], hart["satp"])
        # A guest can be everywhere; what it makes the host remember has an end.
        if len(self._instructions) >= _MOST_POINTS and point not in self._instructions:
            point = Point(point.hart, ELSEWHERE, point.privilege, 0)
        self._point = point

    def account(self, steps: int) -> None:
        """`steps` instructions were executed since the last call of this or of `look`."""
        point = self._point
        self._instructions[point] = self._instructions.get(point, 0) + steps
        if len(self._history) < _LONGEST_HISTORY:
            self._history.append((point, steps))

    @property
    def instructions(self) -> int:
        """All that were accounted for."""
        return sum(self._instructions.values())

    def samples(self) -> list[tuple[Point, int]]:
        """Points and the instructions spent there: in the order of time, or of a very long run one for each point."""
        if len(self._history) < _LONGEST_HISTORY:
            return list(self._history)
        return list(self._instructions.items())


@dataclass(frozen=True, slots=True)
class Names:
    """How a point is shown: by what symbols, what the privilege modes are called, and whether harts are told apart."""

    symbols: Symbols
    modes: Mapping[int, str]
    harts: bool

    def stacks(self, profile: Profile) -> Stacks:
        """The samples of `profile` by name."""
        names: dict[Point, Stack] = {}
        stacks = []
        for point, steps in profile.samples():
            if (stack := names.get(point)) is None:
                stack = names[point] = self.stack(point)
            stacks.append((stack, steps))
        return stacks

    def stack(self, point: Point) -> Stack:
        """What is shown for one point. Code without a symbol is shown by page, and if it is a user's by process."""
        mode = self.modes.get(point.privilege, f"mode {point.privilege}")
        outer = (f"hart {point.hart}", mode) if self.harts else (mode,)
        if point.pc == ELSEWHERE:
            return *outer, "[elsewhere]"
        if found := self.symbols.find(point.pc, translated=point.translated):
            return *outer, found[0]
        if point.privilege == _USER and point.translated:
            outer = *outer, f"address space {point.root:#x}"
        return *outer, f"[{mode}] {point.pc // _PAGE * _PAGE:#x}"
