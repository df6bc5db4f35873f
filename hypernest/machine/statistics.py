"""What a run cost: the figures of `--stats` and of the benchmarks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class Statistics:
    """Figures since the machine was made, resets included. Everything in it can be written as JSON.

    `seconds` is the wall time spent in `run`, sleeping included; `startup_seconds` what it took to make the machine.
    `instructions` counts trapping ones too. `exits` says why engines returned, `traps` what traps they took, where
    they count them. `peak_memory_bytes` is of the host process, `guest_memory_bytes` the part of it that backs the
    guest's RAM now. `translation` is empty for engines that do not translate; else it has regions compiled, loaded
    from disk, installed, refused and evicted, what compiling cost (of the worker's time) and gave, why regions were
    left, and the share of instructions in regions, estimated from samples.
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
    translation: Mapping[str, float]

    def as_dict(self) -> dict[str, Any]:
        """The same as plain dictionaries, for JSON."""
        return asdict(self)


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
    translation: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: Totals) -> Totals:
        return Totals(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))
