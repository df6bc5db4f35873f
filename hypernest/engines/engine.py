"""The contract of every engine: run a hart for a number of steps and say why it stopped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Protocol

from hypernest.engines.coverage_map import CoverageMap
from hypernest.engines.hart_state import HartState
from hypernest.engines.watched import Interception, Kind, Watched


class Exit(IntEnum):
    """Why `run` returned. `hart["remaining"]` tells how many steps were left."""

    BUDGET = 0  # all steps were done
    WAIT = 1  # wfi, and no interrupt is pending
    STOP = 2  # `hart["stop"]` was set: a timer was programmed, an interrupt line of another hart moved, ...
    MONITOR = 3  # a trap reached M-mode on a hosted hart; the hart is in the state that firmware would find
    HOOK = 4  # something that is watched is about to happen: `interception` says what


class Devices(Protocol):
    """What lies outside RAM, for engines. Both raise `hypernest.devices.bus.BusError` where nothing answers."""

    def read(self, address: int, size: int) -> int: ...

    def write(self, address: int, size: int, value: int) -> None: ...


class Engine(Protocol):
    """Runs harts that share a memory and devices.

    A step is one instruction, whether it completes or traps; taking an interrupt is not a step. Interrupts are
    looked for before the first step and whenever something may have made one pending, so that every engine takes it
    before the same instruction.
    """

    def new_hart(self) -> HartState:
        """A hart at reset, with the room this engine needs."""

    def run(self, hart: HartState, steps: int, passing: Kind = Kind.NONE) -> Exit:
        """Run up to `steps` steps. Exceptions raised by devices other than BusError pass through, hart consistent.

        What is watched of the kinds `passing` does not end the first step, or keep an interrupt from being taken
        before it; once that is taken, everything watched counts.
        """

    def watch(self, watched: Watched) -> None:
        """Watch that and nothing else from the next run on. It may take milliseconds."""

    def cover(self, maps: Sequence[CoverageMap]) -> None:
        """Note in these maps, and no others, what is executed from the next run on. Cheap enough to do often."""

    def interception(self, hart: HartState) -> Interception:
        """What `run` has left the hart for, after `Exit.HOOK`."""

    def invalidate(self, address: int, count: int) -> None:
        """Guest-physical memory was written by the host or a device: forget code seen there."""

    @property
    def traps(self) -> Mapping[str, int]:
        """How many traps of each cause were taken since the engine was made."""

    @property
    def translation(self) -> Mapping[str, float]:
        """What translating guest code has cost and given; empty for engines that do not. Sums of several engines make
        sense, key by key."""

    @property
    def problem(self) -> str | None:
        """What keeps the engine from being as fast as it could be, a sentence for the user."""

    def close(self) -> None:
        """End what the engine has begun beside the run. It can go on, but slower."""

    def leave_memory_file(self) -> None:
        """The file behind RAM will no longer hold what the guest writes: do without other mappings of it."""

    def flush_translations(self, hart: HartState) -> None:
        """Forget the hart's remembered translations (a remote fence, or its registers were changed by the host)."""


class Untranslated:
    """What engines that translate nothing have to say of it."""

    @property
    def translation(self) -> Mapping[str, float]:
        """Nothing is translated."""
        return {}

    @property
    def problem(self) -> str | None:
        """Nothing can be missing."""
        return None

    def leave_memory_file(self) -> None:
        """RAM is mapped nowhere else."""

    def close(self) -> None:
        """There is nothing beside the run."""
