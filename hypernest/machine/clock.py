"""The machine's clock: nanoseconds of guest time, exact even in the middle of a hart's turn."""

from __future__ import annotations

from hypernest.engines.hart_state import HartState
from hypernest.isa.layout import Layout


class MachineClock:
    """Counts one nanosecond for each instruction of any hart, plus the idle time that was skipped.

    `time` is the clock between two turns. While a hart runs (`running`), the clock is what its registers say, so a
    device that is accessed reads the time of that very instruction.
    """

    __slots__ = ("_end", "_remaining", "running", "time")

    def __init__(self, layout: Layout) -> None:
        self.time = 0
        self.running: HartState | None = None
        self._end, self._remaining = layout.index["clock_end"], layout.index["remaining"]

    def now(self) -> int:
        """Nanoseconds of guest time since the machine was switched on; never decreases."""
        if self.running is None:
            return self.time
        words = self.running.words
        now: int = words[self._end] - words[self._remaining]
        return now
