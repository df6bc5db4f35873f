"""What a machine is made of: all that stays the same while it runs, and that a fork has in common with its origin."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypernest.machine.boot import BootPlan
from hypernest.machine.custom_devices import DeviceMaker
from hypernest.machine.engines import EngineMaker


@dataclass(frozen=True, slots=True)
class Setup:
    """The arguments of `Machine`, checked, except for its disks and its console.

    `plan` is None where nobody knows any more what booted; then a reset ends the machine. `epoch` is the date at which
    it was switched on, in nanoseconds since 1970.
    """

    memory_size: int
    harts: int
    engine: EngineMaker
    seed: int
    epoch: int
    follow_wall: bool
    reboot: bool
    hosted: bool
    plan: BootPlan | None
    title: str = ""
    devices: tuple[DeviceMaker, ...] = ()
    notes: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """What tools have found out about the files and remember for all machines made of this."""
