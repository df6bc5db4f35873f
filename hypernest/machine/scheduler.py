"""The run loop: which hart runs next, for how many steps, and what happens in between.

Nothing here depends on the engine or on the host's speed: harts take turns in the order of their numbers, turns end
at exact step counts, and time passes by steps and by skipped idleness. The loop is entered for every timer tick and
every device access that moves an interrupt, so it works on the words of the hart states directly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from hypernest.engines.engine import Engine, Exit
from hypernest.engines.hart_state import HartState
from hypernest.engines.watched import Interception, Kind
from hypernest.errors import HypernestError
from hypernest.machine.clock import MachineClock
from hypernest.machine.console import Console
from hypernest.machine.journal import Journal
from hypernest.machine.outcome import LIMIT_REACHED, RECORDING_ENDED, StopReason, stuck
from hypernest.machine.outside import NEVER, Outside
from hypernest.machine.sampler import Sampler, Sampling
from hypernest.machine.state import BadState, SchedulerState
from hypernest.machine.turns import Activity, Turns

END_OF_TIME = 1 << 62  # ns, 146 years: what would happen later does not, so that times never come near NEVER

_CHECK_PERIOD = 1 << 20  # steps from one look whether the guest gets on to the next, which also lets signals through
_NOTHING_CAN_COME = "every hart waits for an interrupt that cannot come"


class Timed(Protocol):
    """What happens as time passes; see `hypernest.devices.device.Device`."""

    def update(self) -> None: ...

    def next_deadline(self) -> int | None: ...


class RunsAlready(HypernestError):
    """Somebody whom the running machine has called wants to run it."""


class Scheduler:
    """Runs `harts` on `engine` until something ends the run.

    `answer(number)` is called when a hosted hart has trapped to M-mode. `timed` are the devices with deadlines. What
    comes from outside is noted in `journal`, or comes from there, for the machine's boot number `boot`.
    With `follow_wall` idle time passes as the wall clock does instead of being skipped.
    """

    def __init__(
        self,
        engine: Engine,
        harts: Sequence[HartState],
        clock: MachineClock,
        console: Console,
        journal: Journal,
        boot: int,
        follow_wall: bool = False,
    ) -> None:
        index = harts[0].layout.index
        self.steps = 0
        """Instructions executed by all harts, trapping ones included."""
        self.idle_time = 0
        """Nanoseconds of guest time in which no hart ran."""
        self.exits = [0] * len(Exit)
        self.turns = Turns(harts, clock)
        """What the harts are doing, and whose turn it is."""
        self.reason: StopReason | None = None
        """Why the machine stopped for good, if it did."""
        self.answer: Callable[[int], None] | None = None
        self.timed: Sequence[Timed] = ()
        self.on_interception: Callable[[int, Interception], None] | None = None
        """Called with a hart's number when the engine has left it before something that is watched."""
        # What was shown of the next instruction of a hart, that one's pc and what the hart has retired.
        self._passes: dict[int, tuple[Kind, int, int]] = {}
        self._soon: list[Callable[[], None]] = []
        self._runs = False
        self.in_other_hands = True
        """Is it somebody outside who acts now, and not the guest, its devices or its monitor?"""
        self._halted: StopReason | None = None
        self._engine, self._clock, self._console, self._harts = engine, clock, console, harts
        self._outside = Outside(console, journal, clock, boot, follow_wall)
        console.on_arrival = self.interrupt
        self._words = [hart.words for hart in harts]
        self._clock_end, self._remaining, self._stop = index["clock_end"], index["remaining"], index["stop"]
        self._lines, self._monitor_call = index["lines"], index["monitor_call"]
        self._retired, self._pc = index["retired"], index["pc"]
        self._next_check = _CHECK_PERIOD  # the step before which to look whether the guest gets on
        self._retired_at_check = 0
        self._device_deadline = 0
        self._attended = -1  # the guest time at which events have had their chance
        self._paused = False
        self._awaited: int | None = None
        self._sampling = Sampling()

    @property
    def boot(self) -> int:
        """How often the machine had been reset before."""
        return self._outside.boot

    @boot.setter
    def boot(self, value: int) -> None:
        self._outside.boot = value

    @property
    def attended(self) -> bool:
        """Has something other than the instruction before it happened at the present time already?"""
        return self._attended == self._clock.time

    def settle(self) -> None:
        """Do what the next run would do before its next instruction, input apart; doing it twice is doing it once."""
        if self.reason is not None:
            return
        now = self._clock.time
        if now >= self._device_deadline:
            self._update_devices()
        turns = self.turns
        if now >= turns.next_timer:
            turns.wake_by_timer()
        if (turns.activities[turns.current] or now >= turns.end) and not turns.next(self.steps):
            return
        if self.steps >= self._next_check:
            self._check(turns.current)

    def await_turn(self, hart: int | None) -> None:
        """From now on leave `run` before a step of that hart, as for `pause`; None: no more."""
        self._awaited = hart

    # --- what devices and monitors do to the schedule --------------------------------------------------------------

    def finish(self, reason: StopReason) -> None:
        """Stop the machine for good, after the current instruction. The first reason stays."""
        if self.reason is None:
            self.reason = reason
        self.interrupt()

    def pause(self) -> None:
        """Leave `run` after the current instruction; the machine can go on."""
        self._paused = True
        self.interrupt()

    def halt(self, reason: StopReason) -> None:
        """Like `pause`, but `run` gives that reason."""
        self._halted = reason
        self.pause()

    def call_soon(self, function: Callable[[], None]) -> None:
        """Call it after the current instruction, before the next."""
        self._soon.append(function)
        self.interrupt()

    def interrupt(self) -> None:
        """Have the running hart leave its run after the current instruction, so that the loop looks at everything."""
        if self._clock.running is not None:
            self._clock.running.words[self._stop] = 1

    def drive(self, hart: int, mask: int, level: bool) -> None:
        """A device drives the interrupt line `mask` (a bit of mip) of a hart."""
        words = self._words[hart]
        lines = words[self._lines]
        driven = lines | mask if level else lines & ~mask
        if driven != lines:
            words[self._lines] = driven
            self.notice(hart)

    def notice(self, hart: int) -> None:
        """An interrupt may have become pending on a hart: let it look, soon."""
        self.turns.wake(hart)
        self.interrupt()

    def reconsider_deadlines(self) -> None:
        """A device with deadlines was accessed: ask all of them again."""
        self._device_deadline = 0
        self.interrupt()

    # --- state -----------------------------------------------------------------------------------------------------

    def capture(self) -> SchedulerState:
        """What of the machine's state is here."""
        return SchedulerState(
            steps=self.steps,
            time=self._clock.time,
            idle_time=self.idle_time,
            current=self.turns.current,
            turn_end=self.turns.end,
            activities=[int(activity) for activity in self.turns.activities],
            timers=list(self.turns.timers),
            next_check=self._next_check,
            retired_at_check=self._retired_at_check,
            turn_start=self.turns.began_at,
            attended=self._attended == self._clock.time,
        )

    def check(self, state: SchedulerState) -> None:
        """Raises `BadState` if that cannot be."""
        harts = len(self._harts)
        fits = len(state.activities) == len(state.timers) == harts and state.current < harts
        counts = state.turn_start <= state.steps <= state.next_check < NEVER
        times = state.idle_time <= state.time < END_OF_TIME
        if not (fits and counts and times and max(state.activities) <= max(Activity)):
            raise BadState("the state of the run loop is damaged, or that of a machine with other harts")

    def restore(self, state: SchedulerState) -> None:
        """The way back from `capture`, for a state that has passed `check`."""
        self.steps, self._clock.time, self.idle_time = state.steps, state.time, state.idle_time
        turns = self.turns
        turns.current, turns.end, turns.began_at = state.current, state.turn_end, state.turn_start
        turns.activities[:] = map(Activity, state.activities)
        turns.timers[:] = state.timers
        turns.find_next_timer()
        self._next_check, self._retired_at_check = state.next_check, state.retired_at_check
        self.reason = None
        self._passes.clear()
        self._attended = state.time if state.attended else -1
        self._device_deadline = 0  # devices are asked anew
        self._sampling.restart(self.steps)
        self._outside.restart()

    def require_rest(self) -> None:
        """Raises `RunsAlready` when called from within `run`."""
        if self._runs:
            raise RunsAlready("the machine runs, so it cannot be closed now: stop it first, then close it")

    # --- the loop --------------------------------------------------------------------------------------------------

    def run(self, steps: int | None = None) -> StopReason | None:
        """Run until the machine stops, `steps` steps were done, or `halt` or `pause` was called; None for the last.

        Raises `RunsAlready` when called from within.
        """
        if self._runs:
            raise RunsAlready("the machine runs already: what a hook calls may do everything else")
        self._runs, self.in_other_hands = True, False
        try:
            return self._loop(steps)
        finally:
            self._runs, self.in_other_hands = False, True

    def _loop(self, steps: int | None) -> StopReason | None:
        clock, exits, run = self._clock, self.exits, self._engine.run
        last = NEVER if steps is None else self.steps + steps
        self._paused, self._halted = False, None
        outside, turns, sampling = self._outside, self.turns, self._sampling
        next_event = outside.next_event
        while self.reason is None and not self._paused:
            if self._soon:
                self._call_now()
                continue
            if self.steps >= last:
                self._console.flush()
                return LIMIT_REACHED  # before anything else that happens at this time
            now = clock.time
            if now >= outside.next_exchange:
                outside.exchange()
            if outside.has_arrivals and now == self._attended:
                next_event = now + 1  # too late for this time: when it is repeated, events are the first thing in it
            elif outside.has_arrivals or now >= next_event:
                if outside.take_events():
                    self.halt(RECORDING_ENDED)
                next_event = outside.next_event
            self._attended = now
            if now >= self._device_deadline:
                self._update_devices()
                if self._soon:
                    continue
            if now >= turns.next_timer:
                turns.wake_by_timer()
            if self._paused:
                break
            current = turns.current
            if turns.activities[current] or now >= turns.end:
                if not turns.next(self.steps):
                    self._idle(next_event)
                    continue
                current = turns.current
            if self.steps >= sampling.next_look:
                sampling.look(self._harts[current], self.steps)
            if self.steps >= self._next_check:
                self._check(current)
                continue
            if current == self._awaited:
                break
            budget = min(
                turns.end - now,
                self._device_deadline - now,
                turns.next_timer - now,
                turns.timer(current) - now,
                outside.next_exchange - now,
                next_event - now,
                last - self.steps,
                sampling.next_look - self.steps,
                self._next_check - self.steps,
            )
            words = self._words[current]
            words[self._clock_end] = now + budget
            words[self._remaining] = budget
            words[self._stop] = 0
            clock.running = self._harts[current]
            try:
                why = run(clock.running, budget, self._passing(current) if self._passes else Kind.NONE)
            finally:
                done = budget - words[self._remaining]
                clock.running = None
                clock.time = now + done
                self.steps += done
                if done and self._passes:
                    self._passes.pop(current, None)
            exits[why] += 1
            if why is Exit.HOOK:
                self._intercept(current)
            elif why is Exit.WAIT:
                turns.suspend(current)
            elif why is Exit.MONITOR:
                self._call_monitor(current)
        self._call_now()
        outside.exchange()
        return self.reason or self._halted

    # --- hooks -----------------------------------------------------------------------------------------------------

    def _call_now(self) -> None:
        while self._soon:
            self.in_other_hands = True
            self._soon.pop(0)()
            self.in_other_hands = False

    def show_again(self) -> None:
        """Whatever was shown of the next instructions will be shown again."""
        self._passes.clear()

    def _passing(self, hart: int) -> Kind:
        """What of its next instruction was already shown to the host, if it is still the same."""
        words = self._words[hart]
        kinds, pc, retired = self._passes.get(hart, (Kind.NONE, 0, 0))
        if (words[self._pc], words[self._retired]) == (pc, retired):
            return kinds
        self._passes.pop(hart, None)
        return Kind.NONE

    def _intercept(self, hart: int) -> None:
        assert self.on_interception is not None, "something is watched, so somebody wants to know"
        what, words = self._engine.interception(self._harts[hart]), self._words[hart]
        self._passes[hart] = self._passing(hart) | what.kind, words[self._pc], words[self._retired]
        self.in_other_hands = True
        self.on_interception(hart, what)
        self.in_other_hands = False

    # --- sampling --------------------------------------------------------------------------------------------------

    def sample_with(self, sampler: Sampler | None) -> None:
        """From the next step on, show `sampler` the running hart every `sampler.period` steps; None ends that."""
        self._sampling.begin(sampler, self.steps)

    def account(self) -> None:
        """Tell the sampler of the steps done so far."""
        self._sampling.account(self.steps)

    # --- what ends a run, and devices ------------------------------------------------------------------------------

    def _check(self, current: int) -> None:
        """If no instruction was completed since the last check, all of them trapped: the guest is lost."""
        retired = sum(words[self._retired] for words in self._words)
        if retired == self._retired_at_check:
            pc = self._harts[current]["pc"]
            lost = f"every instruction of hart {current} traps, at pc {pc:#x}"
            self.reason = stuck(f"{lost}: the guest jumped into nothing")
        self._retired_at_check = retired
        self._next_check = self.steps + _CHECK_PERIOD

    def _call_monitor(self, hart: int) -> None:
        self._words[hart][self._monitor_call] = 0
        assert self.answer is not None, "a hosted hart needs a monitor"
        self.answer(hart)

    def _update_devices(self) -> None:
        # Driving a line may come back here through `notice`, but only after the deadline is set.
        self._device_deadline = NEVER
        for device in self.timed:
            device.update()
        deadlines = (device.next_deadline() for device in self.timed)
        nearest = min((deadline for deadline in deadlines if deadline is not None), default=NEVER)
        self._device_deadline = max(nearest, self._clock.time + 1)

    # --- idleness --------------------------------------------------------------------------------------------------

    def _idle(self, next_event: int) -> None:
        """All harts wait: let time pass until something can happen. Repeating what was takes no time outside."""
        outside, clock = self._outside, self._clock
        outside.exchange()
        if self._paused:
            return
        if outside.has_arrivals:  # it strikes when this time, in which other things have happened, is over
            clock.time += 1
            self.idle_time += 1
            return
        target = min(self._device_deadline, self.turns.next_timer, next_event)
        target = target if target < END_OF_TIME else NEVER
        start = clock.time
        if outside.follows_wall:
            reached = outside.sleep_until(target)
            if reached is None:
                self.reason = stuck(_NOTHING_CAN_COME)
            else:
                clock.time = reached
        elif target < NEVER:
            clock.time = target
        elif not outside.live:
            self._paused = True  # the end of what can be repeated
        elif not outside.wait(None):
            self.reason = stuck(_NOTHING_CAN_COME)
        self.idle_time += clock.time - start
        outside.look_soon()
