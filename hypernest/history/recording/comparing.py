"""Comparing a machine with a recording of it, while it runs."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from hypernest.history.recording.format import End, Mark
from hypernest.history.recording.loading import Recording
from hypernest.machine.outcome import StopKind, StopReason

if TYPE_CHECKING:
    from hypernest.machine.machine import Machine
    from hypernest.machine.snapshot import Snapshot

NEVER = 1 << 63


class Comparison:
    """A `Witness` that stops `machine` at the first mark of `recording` at which it is not what it was."""

    def __init__(self, machine: Machine, recording: Recording) -> None:
        self._machine, self._marks = machine, recording.marks
        self._counts = [mark.count for mark in recording.marks]
        self._visited = -1
        self.compared = 0
        """How many digests were the same."""
        self.alike = machine.instructions
        """The last count at which they were."""
        self.base: Snapshot | None = None
        """The machine at the last mark at which memory was the same too."""
        self.different: Mark | End | None = None
        """The first mark at which something is not the same."""

    @property
    def next_visit(self) -> int:
        """See `Witness`."""
        at = bisect_left(self._counts, max(self._machine.instructions, self._visited + 1))
        return self._counts[at] if at < len(self._counts) and self.different is None else NEVER

    def visit(self) -> StopReason | None:
        """See `Witness`."""
        machine = self._machine
        self._visited = machine.instructions
        if machine.scheduler.attended:  # a hook stopped the machine at this very count
            return None
        mark = self._marks[bisect_left(self._counts, machine.instructions)]
        if not self.compare(mark):
            message = f"the machine is not what it was after {mark.count} instructions"
            return StopReason(StopKind.BREAK, message=message)
        if mark.full is not None:
            self.base = machine.snapshot()
        return None

    def compare(self, mark: Mark | End) -> bool:
        """Is the machine, which has executed as many instructions, the same at that mark?"""
        if not is_as(self._machine, mark):
            self.different = mark
            return False
        self.compared += 1
        self.alike = mark.count
        return True

    def end_run(self) -> None:
        """See `Witness`."""

    def leave(self) -> None:
        """See `Witness`: the machine goes back, and what is compared twice is the same twice."""
        self._visited = -1

    def close(self) -> None:
        """See `Witness`."""
        self.base = None


def is_as(machine: Machine, mark: Mark | End) -> bool:
    """Is the machine as it was recorded for that count? Memory is compared where it was hashed."""
    if (machine.instructions, machine.boot, machine.now) != (mark.count, mark.boot, mark.time):
        return False
    if machine.brief_hash() != mark.brief:
        return False
    return mark.full is None or machine.state_hash() == mark.full.hex()
