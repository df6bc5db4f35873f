"""Whose turn it is: what each hart is doing, when those that wait wake up, and which one comes next.

Harts take turns in the order of their numbers, and only guest time ends a turn. So turns are the same on every engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from hypernest.engines.hart_state import HartState
from hypernest.isa.riscv.interrupts import NANOSECONDS_PER_TICK
from hypernest.isa.riscv.state import Environment
from hypernest.machine.clock import MachineClock
from hypernest.machine.outside import NEVER

QUANTUM = 100_000  # steps of a turn while another hart could run

_ALL_ONES = (1 << 64) - 1


class Activity(IntEnum):
    """What a hart is doing."""

    RUNNABLE = 0
    WAITING = 1  # until an interrupt is pending
    STOPPED = 2  # until it is started


class Turns:
    """The turns of `harts` as `clock` goes on; the first one is that of hart 0."""

    def __init__(self, harts: Sequence[HartState], clock: MachineClock) -> None:
        index = harts[0].layout.index
        self.activities = [Activity.RUNNABLE] * len(harts)
        """Of each hart."""
        self.timers = [NEVER] * len(harts)
        """Of each waiting hart, the guest time at which its own timer wakes it."""
        self.next_timer = NEVER
        """The least of these."""
        self.current = len(harts) - 1
        """The hart whose turn it is, or was last."""
        self.end = 0
        """The guest time at which the turn ends."""
        self.began_at = 0
        """The count of steps since which no other hart than the current one has executed any."""
        self._words = [hart.words for hart in harts]
        self._clock = clock
        self._stimecmp, self._menvcfg, self._offset = index["stimecmp"], index["menvcfg"], index["time_offset"]
        self._reservation = index["reservation_valid"]

    # --- what harts do ---------------------------------------------------------------------------------------------

    def start(self, hart: int) -> None:
        """A stopped hart, whose state has been prepared, runs from now on."""
        self.activities[hart] = Activity.RUNNABLE
        self.cut_short()

    def stop(self, hart: int) -> None:
        """A hart does not run until it is started; nothing wakes it."""
        self.activities[hart] = Activity.STOPPED
        self.find_next_timer()

    def suspend(self, hart: int) -> None:
        """A hart does not run until an interrupt is pending, as after wfi."""
        self.activities[hart] = Activity.WAITING
        self.timers[hart] = self.timer(hart)
        self.find_next_timer()

    def wake(self, hart: int) -> None:
        """An interrupt may have become pending on a hart: let it look, soon."""
        if self.activities[hart] is Activity.WAITING:
            self.activities[hart] = Activity.RUNNABLE
            self.find_next_timer()
        if hart != self.current:
            self.cut_short()

    def is_waiting(self, hart: int) -> bool:
        """Is the hart idle until an interrupt is pending?"""
        return self.activities[hart] is Activity.WAITING

    def is_stopped(self, hart: int) -> bool:
        """Is the hart stopped until someone starts it?"""
        return self.activities[hart] is Activity.STOPPED

    # --- timers ----------------------------------------------------------------------------------------------------

    def timer(self, hart: int) -> int:
        """When the hart's own timer (Sstc) will go off; NEVER if it has gone off or is not in use."""
        words = self._words[hart]
        if not words[self._menvcfg] >> Environment.STCE:
            return NEVER
        ticks = self._clock.time // NANOSECONDS_PER_TICK
        left = words[self._stimecmp] - ((ticks + words[self._offset]) & _ALL_ONES)
        if left <= 0:
            return NEVER
        return min((ticks + left) * NANOSECONDS_PER_TICK, NEVER)

    def find_next_timer(self) -> None:
        """Activities or timers were set."""
        self.next_timer = min(
            (self.timers[hart] for hart, activity in enumerate(self.activities) if activity is Activity.WAITING),
            default=NEVER,
        )

    def wake_by_timer(self) -> None:
        """The time of `next_timer` has come."""
        now = self._clock.time
        for hart, activity in enumerate(self.activities):
            if activity is Activity.WAITING and self.timers[hart] <= now:
                self.activities[hart] = Activity.RUNNABLE
                self.cut_short()
        self.find_next_timer()

    # --- turns -----------------------------------------------------------------------------------------------------

    def cut_short(self) -> None:
        """The turn of the current hart ends when it leaves its run."""
        self.end = 0

    def next(self, steps: int) -> bool:
        """Choose the hart whose turn it is from the count `steps` on; False if all wait."""
        runnable = [hart for hart, activity in enumerate(self.activities) if activity is Activity.RUNNABLE]
        if not runnable:
            return False
        chosen = next((hart for hart in runnable if hart > self.current), runnable[0])
        if chosen != self.current:
            self._words[self.current][self._reservation] = 0
            self.current, self.began_at = chosen, steps
        self.end = self._clock.time + QUANTUM if len(runnable) > 1 else NEVER
        return True
