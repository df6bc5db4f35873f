"""What may look at the running hart at regular counts of instructions: the run loop's side of a profile."""

from __future__ import annotations

from typing import Protocol

from hypernest.engines.hart_state import HartState


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
