"""What may look at the running hart at regular counts of instructions: the run loop's side of a profile."""

from __future__ import annotations

from typing import Protocol

from hypernest.engines.hart_state import HartState
from hypernest.machine.outside import NEVER


class Sampler(Protocol):
    """Samples are taken at exact steps of all harts together, so they are the same on every engine and in every run.

    Sampling changes nothing for the guest. The instructions between two looks belong to the first of them.
    """

    @property
    def period(self) -> int:
        """Steps from one look to the next, at least 1."""

    def look(self, hart: HartState) -> None:
        """`hart` is about to execute the instruction at its pc, or to take an interrupt before it."""

    def account(self, steps: int) -> None:
        """`steps` more instructions were executed since the last look or the last call of this."""


class Sampling:
    """Shows a sampler, if there is one, the running hart when it is time, and tells it of all steps."""

    def __init__(self) -> None:
        self.next_look = NEVER
        """The count of steps before which to `look`."""
        self._sampler: Sampler | None = None
        self._accounted = 0  # steps that the sampler knows of

    def begin(self, sampler: Sampler | None, steps: int) -> None:
        """From the count `steps` on, which is the present, `sampler` is the one; None ends that."""
        self.account(steps)
        self._sampler = sampler
        self.restart(steps)

    def restart(self, steps: int) -> None:
        """The count of steps was set."""
        self._accounted = steps
        self.next_look = NEVER if self._sampler is None else steps

    def account(self, steps: int) -> None:
        """Tell of the steps up to the count `steps`."""
        if self._sampler is not None and steps > self._accounted:
            self._sampler.account(steps - self._accounted)
            self._accounted = steps

    def look(self, hart: HartState, steps: int) -> None:
        """Show the running hart, before step `steps`."""
        assert self._sampler is not None
        self.account(steps)
        self._sampler.look(hart)
        self.next_look = steps + self._sampler.period
