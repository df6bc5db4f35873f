"""What stands at the other end of the guest's console: a terminal, a pipe, a buffer.

The machine hands the guest's output to a `ConsoleBackend` as it appears, asks it for input between two turns, and
waits in it when every hart is idle and the wall clock is followed. It knows nothing about terminals, and the
terminal nothing about devices.
"""

from __future__ import annotations

from typing import Protocol


class ConsoleBackend(Protocol):
    """The other end of the guest's console. None of its methods is called while guest code runs."""

    def write(self, data: bytes) -> None:
        """Take what the guest wrote. Never raises: what goes wrong is raised by the next `read`."""

    def read(self) -> bytes:
        """What has arrived for the guest, or nothing; never waits.

        Called between two turns, every few milliseconds. May raise to end the run (the user quits, the output is
        gone): the machine lets the exception pass and stays between two turns, able to go on.
        """

    def wait(self, seconds: float | None) -> bool:
        """Sleep until there may be input or a change of window size, or `seconds` have gone by (None: no limit).

        False if no input can come any more; then it does not sleep without a limit.
        """
