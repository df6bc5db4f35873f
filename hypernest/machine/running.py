"""A machine that runs: for a number of instructions, up to a place, until it has said something."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from hypernest.errors import BadConfiguration, HypernestError
from hypernest.machine.configuration import whole_number
from hypernest.machine.outcome import LIMIT_REACHED, StopKind, StopReason
from hypernest.machine.powered import PoweredMachine
from hypernest.machine.sampler import Sampler
from hypernest.machine.signals import deferred_signals
from hypernest.machine.witness import Witness

if TYPE_CHECKING:
    from hypernest.machine.machine import Machine


_LAST_OUTPUT = 200
_AMOUNT = "number of instructions"


class TextNotSeen(HypernestError):
    """The guest did not print what `run_until` waited for; its output is still there to be read."""


class RunningMachine(PoweredMachine):
    """The verbs that let time pass."""

    def run(
        self, instructions: int | None = None, until: int | str | Callable[[Machine], bool] | None = None
    ) -> StopReason:
        """Run until the guest stops, or for that many instructions of all harts together, or until something is so.

        `until` is an address or a symbol, before which to stop when a hart comes there, or a function that is called
        with the machine after every instruction and says whether to stop (slow: some 20,000 instructions a second).
        A machine that has stopped for good gives the same reason again.
        """
        if until is None:
            return self._run(instructions) or LIMIT_REACHED
        if isinstance(until, int | str):
            with self.hooks.execute(until, lambda event: event.stop()):
                return self._run(instructions) or LIMIT_REACHED
        last = None if instructions is None else self.instructions + whole_number(instructions, _AMOUNT)
        while last is None or self.instructions < last:
            before = self.instructions
            reason = self.step()
            if until(self._whole):
                return StopReason(StopKind.BREAK, message="what was waited for is so")
            if reason.kind is not StopKind.LIMIT or self.instructions == before:
                return reason
        return LIMIT_REACHED

    def step(self, count: int = 1) -> StopReason:
        """Execute `count` instructions: of the hart whose turn it is, or of several whose turns they are."""
        return self.run(count)

    def run_until(self, text: str, limit: int | None = None) -> str:
        """Run until the console has printed `text`; returns the unread output up to and including it.

        Stops right after the instruction that printed its last character. Raises `TextNotSeen` when the machine stops
        before, or after `limit` instructions.
        """
        if not text:
            return ""
        self.console.watch(text, lambda: self._board.scheduler.pause())
        try:
            reason = None if self.console.found else self._run(limit)
        finally:
            output = self.console.unwatch()
        if output is None:
            last = self.console.last(_LAST_OUTPUT)
            raise TextNotSeen(f"the guest did not print {text!r}: {reason}; the end of its output is {last!r}")
        return output

    def _run(self, instructions: int | None) -> StopReason | None:
        """None if the run was paused."""
        if instructions is not None and (instructions := whole_number(instructions, _AMOUNT)) < 0:
            raise BadConfiguration(f"{instructions} instructions cannot be run: give a number that is not negative")
        last = None if instructions is None else self.instructions + instructions
        begin = time.perf_counter()
        if self._timeline is not None:
            self._timeline.begin_run()
        try:
            while self._reason is None:
                if self._witness is not None and self._witness.next_visit <= self.instructions:
                    halted = self._witness.visit()
                    if halted is not None:
                        return halted
                board = self._open_board()
                with deferred_signals(lambda: board.clock.running is not None, board.scheduler.pause) as signals:  # noqa: B023
                    try:
                        reason = board.scheduler.run(self._steps_to(last))
                    finally:
                        board.scheduler.account()
                if reason is None and signals and not self.console.found:
                    continue  # whoever handled them wants to go on
                if reason is LIMIT_REACHED and self.instructions != last:
                    if self._timeline is not None and self._timeline.next_visit == self.instructions:
                        self._timeline.visit()
                    continue
                if reason is None or reason.kind in (StopKind.LIMIT, StopKind.BREAK):
                    return reason
                if reason.kind is StopKind.RESET and self._setup.reboot and self._setup.plan is not None:
                    self._reset()
                else:
                    self._reason = reason
            return self._reason
        finally:
            self._seconds += time.perf_counter() - begin
            if self._timeline is not None:
                self._timeline.end_run()
            if self._witness is not None:
                self._witness.end_run()

    def _steps_to(self, last: int | None) -> int | None:
        """How many steps to run at once: up to the count `last`, or the next one at which somebody wants to look."""
        visits = [each.next_visit for each in (self._timeline, self._witness) if each is not None]
        ends = [each for each in (last, *visits) if each is not None]
        return max(min(ends) - self.instructions, 0) if ends else None

    def _reset(self) -> None:
        """Switch off and on again: memory cleared, everything loaded anew. The clock starts at 0 again."""
        self._past = self._totals()
        self._board.close()
        gc.collect()  # the engine is full of cycles
        self._boot += 1
        try:
            self._switch_on()
        except BaseException:
            self._witness = None  # there is nothing left to look at
            self.close()
            raise

    def sample_with(self, sampler: Sampler | None) -> None:
        """From here on show `sampler` the running hart every `sampler.period` instructions; None ends that."""
        self._open_board().scheduler.sample_with(sampler)
        self._sampler = sampler

    def watch_course(self, witness: Witness | None) -> None:
        """Let `witness`, and no other, look on from now on."""
        self._witness = witness
