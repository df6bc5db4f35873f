"""Are there states to ask about? Of none, everything can be proved.

A setting that fixes bits at what a rule forbids, or an invariant that holds only without relocation, would leave every
question with the answer no, and theorem 1 with all instructions in order.
"""

from __future__ import annotations

from hypernest.analysis.checking import BadDescription
from hypernest.analysis.expressions import LEAVES, Expressions
from hypernest.analysis.model import MachineModel, Setting
from hypernest.analysis.states import States, Variation
from hypernest.analysis.symbolic import Executor
from hypernest.analysis.trees import Trees
from hypernest.lowering.solver import Satisfiable, Solver


def check_states(model: MachineModel, setting: Setting, seconds: float) -> None:
    """Raises BadDescription if there is no legal pair of states of some kind that the definitions speak of."""
    supervisor, user = setting.supervisor, setting.user
    pairs = {
        f"no state in mode {supervisor} is legal": (Variation(mode=supervisor),),
        f"no state in mode {user} is legal": (Variation(mode=user),),
        f"no two legal states differ only in being in mode {supervisor} or {user}": (
            Variation(mode=supervisor),
            Variation(mode=user),
        ),
        f"no legal state in mode {supervisor} is legal elsewhere too": (
            Variation(mode=supervisor),
            Variation(mode=supervisor, moved=True),
        ),
        f"no legal state in mode {user} is legal elsewhere too": (
            Variation(mode=user),
            Variation(mode=user, moved=True),
        ),
    }
    for fault, variations in pairs.items():
        if _empty(model, setting, variations, seconds):
            raise BadDescription(
                f"{model.isa.name}: setting {setting.name}: {fault}, so that nothing can be asked:"
                " what modes, fixed, legal, rules and invariant say contradicts itself"
            )


def _empty(model: MachineModel, setting: Setting, variations: tuple[Variation, ...], seconds: float) -> bool:
    make, trees = Expressions(), Trees(model.isa)
    states = States(model, setting, trees, make, Executor(model, trees, make).reader)
    starts = [states.start(each, f"{number}") for number, each in enumerate(variations)]
    constraints = [constraint for start in starts for constraint in start.constraints]
    shift = starts[-1].environment.shift
    if variations[-1].moved and model.relocates:
        constraints.append(shift != 0)
    if any(each.value == 0 for each in constraints):
        return True
    asked = [each for each in constraints if each.value is None]
    return bool(asked) and Solver(LEAVES).check(asked, seconds).satisfiable is Satisfiable.NO
