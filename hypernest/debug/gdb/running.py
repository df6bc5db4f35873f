"""How a machine runs for gdb: in slices between which gdb is listened to, by single steps of a hart, and backwards.

Nothing here changes the machine's course. The run loop decides whose turn it is; the history is what is gone back in.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

from hypernest.debug.gdb.attention import AttentiveBackend, Interrupted
from hypernest.debug.gdb.points import Points
from hypernest.debug.gdb.target import Cause, Go, Point, Poll, Stop
from hypernest.history.timeline import NoHistory, Timeline
from hypernest.machine.outcome import StopKind, StopReason

if TYPE_CHECKING:
    from hypernest.machine.machine import Machine

_FIRST_SLICE, _LARGEST_SLICE = 20_000, 1 << 32  # instructions between two looks at gdb's socket
_SLICE_SECONDS = 0.02
_LARGE_SLICE = 5_000_000
_WAITING_STEPS, _WAITING_SECONDS = 10_000_000, 1.0  # how long a step of a hart that waits may take
_MOST_STOPS = 16  # hooks of different kinds before one instruction
_MOST_TURNS = 64
_GOING_ON = (StopKind.LIMIT, StopKind.BREAK)


class Runner:
    """Runs `machine`, stopped by `points`. `check` is called several times a second and may raise to end all."""

    def __init__(self, machine: Machine, points: Points, check: Callable[[], None]) -> None:
        self.reason: StopReason | None = None
        """Why the machine has stopped for good, if it has."""
        self._machine, self._points, self._check = machine, points, check
        self._poll: Poll = lambda: False
        _known_past(machine)
        self._backend = AttentiveBackend(machine.console.backend, lambda: self._poll())

    @property
    def current(self) -> int:
        """The hart that executed last, or would next."""
        return self._machine.scheduler.turns.current if self._machine.instructions else 0

    def attend(self) -> None:
        """The machine stands still: see what its user types."""
        self._check()
        self._backend.attend()

    def resume(self, go: Go, hart: int, poll: Poll, within: range) -> Stop:
        """See `Target`."""
        ways: dict[Go, Callable[[int], Stop]] = {
            Go.STEP: partial(self._step_range, within=within),
            Go.CONTINUE: self._continue,
            Go.STEP_BACK: self._step_back,
            Go.CONTINUE_BACK: self._continue_back,
        }
        with self.listening(poll):
            try:
                return ways[go](hart)
            except Interrupted:
                return Stop(Cause.INTERRUPTED, self.current)

    def go_to(self, count: int) -> None:
        """There, or as far as the machine comes before gdb interrupts it. No break- or watchpoint counts."""
        machine = self._machine
        machine.goto(min(count, machine.history.end))
        with machine.hooks.suspended(), suppress(Interrupted):
            while (left := count - machine.instructions) > 0 and not self._poll():
                if machine.run(min(left, _LARGE_SLICE)).kind not in _GOING_ON:
                    break

    @contextmanager
    def listening(self, poll: Poll) -> Iterator[None]:
        """A `with` block in which the machine runs: gdb can interrupt it even while it sleeps."""
        console = self._machine.console

        def ask() -> bool:
            self._check()
            return poll()

        self._poll, self.reason = ask, None
        self._points.hits.clear()
        before, console.backend = console.backend, self._backend
        try:
            yield
        finally:
            console.backend = before
            self._poll = lambda: False
            self._machine.scheduler.await_turn(None)
            console.exchange(listen=False)  # what the guest has written is to be seen when gdb prompts

    def _continue(self, hart: int) -> Stop:
        size = _FIRST_SLICE
        while not self._poll():
            begin = time.monotonic()
            stop = self._stop(self._machine.run(size))
            if stop is not None:
                return stop
            fitting = int(size * _SLICE_SECONDS / max(time.monotonic() - begin, 1e-6))
            size = min(max(fitting, _FIRST_SLICE), 4 * size, _LARGEST_SLICE)
        return Stop(Cause.INTERRUPTED, self.current)

    def _step_range(self, hart: int, within: range) -> Stop:
        """Step, and go on while the hart is at one of these addresses and nothing else happens."""
        each, scheduler = self._machine.harts[hart], self._machine.scheduler
        breakpoints = self._points.breakpoints
        stop = self._step(hart)
        while stop.cause is Cause.STEPPED and each.pc in within and not scheduler.turns.is_waiting(hart):
            if each.pc in breakpoints:
                return Stop(Cause.BREAKPOINT, hart, Point.SOFTWARE, each.pc)
            if self._poll():
                return Stop(Cause.INTERRUPTED, hart)
            stop = self._step(hart)
        return stop

    def _step(self, hart: int) -> Stop:
        """Other harts run until it is this one's turn, then it executes one instruction.

        One that waits or is stopped may never execute any: then the others run for a while, and it has not moved.
        """
        machine, poll = self._machine, self._poll
        idle = machine.scheduler.turns.is_waiting(hart) or machine.scheduler.turns.is_stopped(hart)
        deadline = time.monotonic() + _WAITING_SECONDS if idle else float("inf")
        if idle:
            self._poll = lambda: poll() or time.monotonic() >= deadline
        last = machine.instructions + _WAITING_STEPS if idle else None
        try:
            while not self._poll():
                machine.scheduler.await_turn(hart)
                begin = machine.instructions
                stop = self._stop(machine.run(_FIRST_SLICE))
                if stop is not None:
                    return stop
                if machine.instructions < begin + _FIRST_SLICE:
                    machine.scheduler.await_turn(None)
                    return self._finish_step(hart)
                if last is not None and machine.instructions >= last:
                    return Stop(Cause.STEPPED, hart)
        except Interrupted:
            pass
        return Stop(Cause.STEPPED if time.monotonic() >= deadline else Cause.INTERRUPTED, hart)

    def _finish_step(self, hart: int) -> Stop:
        """Execute the next instruction. A breakpoint on it does not count, an access that is watched does."""
        before = self._machine.instructions
        for _ in range(_MOST_STOPS):
            reason = self._machine.run(1)
            if reason.kind not in _GOING_ON:
                return self._end(reason)
            if self._machine.instructions != before:
                break
            watched = [hit for hit in self._points.hits if hit.is_watched]
            if watched:
                return watched[0].stop()
            self._points.hits.clear()
        return Stop(Cause.STEPPED, hart)

    def _stop(self, reason: StopReason) -> Stop | None:
        """What ended a run forward, if anything did.

        Nothing of what is watched has happened yet: gdb takes that for granted on RISC-V, and does the step itself.
        """
        if self._points.hits:
            return self._points.hits[0].stop()
        if reason.kind is StopKind.BREAK:
            return Stop(Cause.HALTED, self.current, message=f"hypernest: {reason}")
        return None if reason.kind is StopKind.LIMIT else self._end(reason)

    def _end(self, reason: StopReason) -> Stop:
        self.reason = reason
        return Stop(Cause.HISTORY_END, self.current, message=f"hypernest: {reason}")

    # --- backwards ---------------------------------------------------------------------------------------------------

    def _step_back(self, hart: int) -> Stop:
        """Undo the last instruction of the hart, with all that the others have done since.

        If it has executed none for long, undo the last one of whichever hart.
        """
        machine = self._machine
        here, beginning = machine.instructions, machine.history.beginning
        for _ in range(_MOST_TURNS):
            scheduler = machine.scheduler
            start = max(machine.instructions - scheduler.steps + scheduler.turns.began_at, beginning)
            if scheduler.turns.current == hart or start == machine.instructions:
                break
            machine.goto(start)
        if machine.scheduler.turns.current != hart:
            machine.goto(here)
        reason = machine.reverse_step()
        return Stop(Cause.STEPPED if reason.kind is StopKind.LIMIT else Cause.HISTORY_BEGIN, hart)

    def _continue_back(self, hart: int) -> Stop:
        """To the last instruction with a break- or watchpoint: before it, or, as forwards, to where a step does it."""
        hits = self._points.go_back()
        if not hits:
            return Stop(Cause.HISTORY_BEGIN, self.current)
        hit = next((each for each in hits if each.is_watched), hits[0])
        if hit.is_watched:
            self._machine.goto(self._machine.instructions + 1)
        return hit.stop()


def _known_past(machine: Machine) -> Timeline:
    """The past of the machine, which is kept from here on if it was not before."""
    try:
        return machine.history
    except NoHistory:
        return machine.keep_history()
