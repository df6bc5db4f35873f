"""What came from outside, and when: with it a run can be repeated to the bit.

A machine's course follows from what it was made of and from these events alone, each of which strikes at an exact guest
time, before anything else happens at that time. While events lie ahead the machine *repeats*: it takes them from here
and nothing from outside. Behind the last one it is live, and new events are noted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Event:
    """Input for the console, or a new size of its window, at `time` ns after the machine was switched on.

    `boot` counts how often it had been reset before that. One that `ends` is no input: a recording goes no further.
    """

    boot: int
    time: int
    typed: bytes = b""
    size: tuple[int, int] | None = None
    ends: bool = False


@dataclass(slots=True)
class Journal:
    """All events in the order in which they struck; those from `position` on lie ahead.

    With `sealed` the machine goes on repeating, without new input, when the last one has struck.
    """

    events: list[Event] = field(default_factory=list)
    position: int = 0
    sealed: bool = False
    on_note: Callable[[], None] = lambda: None
    """Called before an event is noted: what lay ahead of it is no longer so."""

    @property
    def live(self) -> bool:
        """Does the machine listen to what comes from outside?"""
        return not self.sealed and self.position == len(self.events)

    @property
    def ahead(self) -> Event | None:
        """The next event that will be repeated."""
        return self.events[self.position] if self.position < len(self.events) else None

    def note(self, event: Event) -> None:
        """This strikes now; what lay ahead will not happen."""
        self.on_note()
        del self.events[self.position :]
        self.events.append(event)
        self.position += 1

    def forget_after(self, position: int) -> None:
        """The machine is where it was when the first `position` events had struck, and goes another way from there."""
        del self.events[position:]
        self.position = position

    def begin_anew(self) -> None:
        """The machine is somewhere else: its past is no longer here."""
        self.forget_after(0)
