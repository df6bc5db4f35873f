"""A whole machine: the board, what boots on it, and the loop that runs it."""

from hypernest.machine.machine import Machine
from hypernest.machine.outcome import StopKind, StopReason
from hypernest.machine.powered import MachineClosed
from hypernest.machine.running import TextNotSeen
from hypernest.machine.statistics import Statistics

__all__ = ["Machine", "MachineClosed", "Statistics", "StopKind", "StopReason", "TextNotSeen"]
