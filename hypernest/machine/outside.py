"""What lies outside the machine, for the run loop: input, which strikes at exact guest times, and the wall clock."""

from __future__ import annotations

import time

from hypernest.machine.clock import MachineClock
from hypernest.machine.console import Console
from hypernest.machine.journal import Event, Journal

NEVER = 1 << 63
_EXCHANGE_PERIOD = 2_000_000  # ns between two looks at the console's back end
_LARGEST_LAG = 50_000_000  # ns that guest time may catch up with the wall clock; what is more is forgiven


class Outside:
    """What comes through `console` is noted in `journal`, or comes from there, for the machine's boot number `boot`.

    With `follow_wall` idle time passes as the wall clock does.
    """

    def __init__(self, console: Console, journal: Journal, clock: MachineClock, boot: int, follow_wall: bool) -> None:
        self._console, self._journal, self._clock, self.boot = console, journal, clock, boot
        self._wall_zero: int | None = time.monotonic_ns() if follow_wall else None
        self.next_exchange = 0
        """Guest time of the next look at the back end."""
        self.restart()

    def restart(self) -> None:
        """Guest time was set."""
        self.next_exchange = self._clock.time if self._console.backend is not None else NEVER
        if self._wall_zero is not None:
            self._wall_zero = time.monotonic_ns() - self._clock.time

    # --- input -----------------------------------------------------------------------------------------------------

    def exchange(self) -> None:
        """Pass output to the back end, and input from there, if the machine listens, to the console."""
        self.next_exchange = NEVER  # the back end may have been taken away
        if self._console.backend is not None:
            self.next_exchange = self._clock.time + _EXCHANGE_PERIOD
            self._console.exchange(listen=self._journal.live)

    def look_soon(self) -> None:
        """Time has passed outside: look at the back end before anything else happens."""
        if self._console.backend is not None:
            self.next_exchange = self._clock.time

    @property
    def has_arrivals(self) -> bool:
        """Has new input come, that may strike?"""
        return bool(self._console.arrivals) and not self._journal.sealed

    @property
    def next_event(self) -> int:
        """When the next event that is repeated strikes."""
        event = self._journal.ahead
        return NEVER if event is None or event.boot != self.boot else event.time

    def take_events(self) -> bool:
        """Let everything strike that is due: what has newly arrived, which is noted, then what was noted before.

        True if that was the end of what is repeated.
        """
        journal, console, now = self._journal, self._console, self._clock.time
        arrivals: list[bytes | tuple[int, int]] = []
        if self.has_arrivals:
            arrivals, console.arrivals[:] = console.arrivals[:], []
        struck: list[Event] = []
        for what in arrivals:
            event = Event(self.boot, now, typed=what) if isinstance(what, bytes) else Event(self.boot, now, size=what)
            journal.note(event)
            struck.append(event)
        while (ahead := journal.ahead) is not None and ahead.boot == self.boot and ahead.time <= now:
            journal.position += 1
            struck.append(ahead)
        for event in struck:
            if event.size is not None:
                console.take_size(*event.size)
            if event.typed:
                console.type(event.typed)
        return any(event.ends for event in struck)

    # --- the wall clock --------------------------------------------------------------------------------------------

    @property
    def live(self) -> bool:
        """May anything come that was not noted before?"""
        return self._journal.live

    @property
    def follows_wall(self) -> bool:
        """Does idle time pass as outside? When something is repeated it does not."""
        return self._wall_zero is not None and self._journal.live

    def sleep_until(self, target: int) -> int | None:
        """Sleep until the wall clock has reached guest time `target` or input arrives; what guest time is then.

        None if `target` is never, and no input can come.
        """
        assert self._wall_zero is not None
        start = self._clock.time
        wall = time.monotonic_ns() - self._wall_zero
        if wall - start > _LARGEST_LAG:
            self._wall_zero += wall - start - _LARGEST_LAG
            wall = start + _LARGEST_LAG
        if target >= NEVER:
            if not self.wait(None):
                return None
        elif wall >= target or not self.wait((target - wall) / 1e9):
            return target
        return min(max(start, time.monotonic_ns() - self._wall_zero), target)

    def wait(self, seconds: float | None) -> bool:
        """Sleep that long, or until there may be input. False if there was none and can be none."""
        if self._console.backend is None:
            if seconds is not None:
                time.sleep(seconds)
            return False
        return self._console.backend.wait(seconds)
