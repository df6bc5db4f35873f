"""What a run cost: the figures of `--stats` and of the benchmarks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Statistics:
    """Figures since the machine was made, resets included. Everything in it can be written as JSON.

    `seconds` is the wall time spent in `run`, sleeping included; `startup_seconds` what it took to make the machine.
    `instructions` counts trapping ones too. `exits` says why engines returned, `traps` what traps they took, where
    they count them. `peak_memory_bytes` is of the host process, `guest_memory_bytes` the part of it that backs the
    guest's RAM now.
    """

    instructions: int
    seconds: float
    mips: float
    harts: int
    engine: str
    guest_seconds: float
    idle_seconds: float
    startup_seconds: float
    peak_memory_bytes: int
    guest_memory_bytes: int
    traps: Mapping[str, int]
    exits: Mapping[str, int]
    device_accesses: Mapping[str, int]
    sbi_calls: Mapping[str, int]

    def as_dict(self) -> dict[str, Any]:
        """The same as plain dictionaries, for JSON."""
        return asdict(self)


def peak_memory() -> int:
    """The most host memory, in bytes, that this process has occupied."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts of one board, or the sum over the boards that resets have left behind."""

    instructions: int = 0
    time: int = 0
    idle_time: int = 0
    traps: Counter[str] = field(default_factory=Counter)
    exits: Counter[str] = field(default_factory=Counter)
    device_accesses: Counter[str] = field(default_factory=Counter)
    sbi_calls: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: Totals) -> Totals:
        return Totals(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))
