"""Each theorem's monitor, built from the verdicts on an instruction set and tried out on random programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hypernest.analysis.construction.homomorphism import STEPS, Trial
from hypernest.analysis.construction.monitor import (
    HybridMonitor,
    Skeleton,
    VirtualMachineMonitor,
    interpreter_routines,
)
from hypernest.analysis.model import MachineModel, Setting
from hypernest.analysis.results import Answer, Construction, Divergence, Verdict
from hypernest.analysis.theorems import theorems
from hypernest.isa.decoder import Decoder


@dataclass(frozen=True)
class Monitor:
    """A monitor to be built: its name, the theorem that speaks of it, and its levels from the outermost."""

    name: str
    theorem: int
    levels: tuple[type[VirtualMachineMonitor], ...]


MONITORS = (
    Monitor("virtual machine monitor", 1, (VirtualMachineMonitor,)),
    Monitor("the same, inside itself", 2, (VirtualMachineMonitor, VirtualMachineMonitor)),
    Monitor("hybrid monitor", 3, (HybridMonitor,)),
)


def skeleton(model: MachineModel, setting: Setting) -> Skeleton:
    """The dispatcher's table, the interpreter routines and the allocator, derived. ValueError if there is no kit."""
    if model.kit is None:
        raise ValueError(f"{model.isa.name} does not say how its virtual machines are embedded")
    return Skeleton(model, setting, model.kit, interpreter_routines(model), Decoder(model.isa.rows.values()))


def deciding_rows(verdicts: Sequence[Verdict]) -> frozenset[str]:
    """The rows that theorems are about: those that always trap in user mode, and those that are sensitive."""
    return frozenset(
        each.row for each in verdicts if each.always_traps_in_user is Answer.YES or each.sensitive is not Answer.NO
    )


def construct(
    model: MachineModel, setting: Setting, verdicts: Sequence[Verdict], programs: int, seed: int = 0,
    steps: int = STEPS,
) -> tuple[Construction, ...]:  # fmt: skip
    """Build the monitors and compare each with the bare machine on random programs `seed` to `seed + programs - 1`.

    The monitors of theorems 1 and 3 are built whether or not their conditions hold, since one that cannot work must be
    seen to diverge; the recursive one only if theorem 2's does. None are built if the model has no kit.
    """
    if model.kit is None:
        return ()
    derived, deciding = skeleton(model, setting), deciding_rows(verdicts)
    recursive = theorems(verdicts)[1].holds is Answer.YES
    constructions = []
    for monitor in MONITORS:
        if monitor.theorem == 2 and not recursive:
            continue
        trial = Trial(derived, monitor.levels, deciding)
        instructions, divergences = 0, 0
        first: Divergence | None = None
        for number in range(seed, seed + programs):
            done, divergence = trial.run(number, steps)
            instructions += done
            divergences += divergence is not None
            first = first or divergence
        constructions.append(
            Construction(
                monitor.name, monitor.theorem, programs, instructions, trial.interpreted, divergences, first
            )
        )  # fmt: skip
    return tuple(constructions)
