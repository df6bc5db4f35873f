"""A number that was measured, and what is wanted of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured, in a unit, and how much it may be at most; None if nothing is wanted."""

    what: str
    value: float
    unit: str
    at_most: float | None = None

    @property
    def met(self) -> bool:
        """Is it as small as is wanted?"""
        return self.at_most is None or self.value <= self.at_most
