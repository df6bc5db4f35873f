"""A machine's console while gdb holds it: its user and gdb are both listened to, whether the machine runs or stands."""

from __future__ import annotations

import time
from collections.abc import Callable

from hypernest.machine.backend import ConsoleBackend

_LONGEST_SLEEP = 0.05
_MOST_KEPT = 1 << 16


class Interrupted(Exception):
    """The run is to end, though the machine sleeps."""


class AttentiveBackend:
    """The console back end `inner`, or none, with an eye on gdb while the machine sleeps.

    Its `read` raises `Interrupted` once `interrupted` says so. What arrives while the machine stands still waits.
    """

    def __init__(self, inner: ConsoleBackend | None, interrupted: Callable[[], bool]) -> None:
        self._inner, self._interrupted = inner, interrupted
        self._kept = b""
        self._due = False

    def write(self, data: bytes) -> None:
        """Pass the guest's output on."""
        if self._inner is not None:
            self._inner.write(data)

    def read(self) -> bytes:
        """What has arrived for the guest."""
        if self._due or self._interrupted():
            self._due = False
            raise Interrupted
        kept, self._kept = self._kept, b""
        return kept or (self._inner.read() if self._inner is not None else b"")

    def wait(self, seconds: float | None) -> bool:
        """Sleep until there is input, the run is to end, or `seconds` have gone by; false as for every back end."""
        end = None if seconds is None else time.monotonic() + seconds
        while not self._kept:
            self._due = self._interrupted()
            left = _LONGEST_SLEEP if end is None else min(end - time.monotonic(), _LONGEST_SLEEP)
            if self._due or left <= 0:
                return True
            if self._inner is None and end is not None:
                time.sleep(left)
            elif self._inner is None or (not self._inner.wait(left) and end is None):
                return False
            self.attend()
        return True

    def attend(self) -> None:
        """The machine stands still: take what its user types, who may want to quit."""
        if self._inner is not None and len(self._kept) < _MOST_KEPT and self._inner.wait(0):
            self._kept += self._inner.read()
