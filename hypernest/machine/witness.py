"""Who looks on while a machine runs, and touches nothing: to record the run, or to compare it with a recording."""

from __future__ import annotations

from typing import Protocol

from hypernest.machine.outcome import StopReason


class Witness(Protocol):
    """Somebody who looks at a machine at counts of instructions of his own choosing."""

    @property
    def next_visit(self) -> int:
        """The count at which to be called next; if that has been reached, as soon as the machine runs."""

    def visit(self) -> StopReason | None:
        """The machine is at `next_visit`, before anything else happens at that time; a reason ends the run there."""

    def end_run(self) -> None:
        """The machine has stopped, perhaps to go on."""

    def leave(self) -> None:
        """The machine is about to be somewhere else than running leads to. Whoever cannot bear that raises an error."""

    def close(self) -> None:
        """The machine is about to be closed."""
