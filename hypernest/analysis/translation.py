"""What the verdicts on MAPPED memory take for granted of address translation, put to the solver itself.

There an access either faults or reaches what the map says. Whether the map itself depends on the mode is a question
about the ISA's own walk of the tables, permission by permission (in RISC-V: U, SUM, MXR, MPRV, the accessed and dirty
bits). The walk is followed here through physical memory, table by table, over all states.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypernest.analysis.expressions import LEAVES, Expressions
from hypernest.analysis.model import MachineModel, Memory, Setting
from hypernest.analysis.results import Answer
from hypernest.analysis.states import States, Variation
from hypernest.analysis.symbolic import Executor
from hypernest.analysis.symbolic_state import SymbolicState
from hypernest.analysis.trees import Trees
from hypernest.isa.hart import Access
from hypernest.isa.word import Word, word
from hypernest.lowering.solver import Satisfiable, Solver

_ANSWERS = {Satisfiable.YES: Answer.YES, Satisfiable.NO: Answer.NO, Satisfiable.UNKNOWN: Answer.UNKNOWN}


@dataclass(frozen=True)
class TranslationVerdict:
    """Of one kind of access, over all pairs of states that differ only in mode."""

    access: str
    differs: Answer  # can both succeed and reach different addresses, or leave memory different?
    permits: Answer  # can one fault where the other succeeds?

    def __str__(self) -> str:
        reached = {
            Answer.NO: "reaches the same address in both modes wherever neither faults",
            Answer.YES: "reaches different addresses in the two modes: one of them does not translate",
            Answer.UNKNOWN: "may reach different addresses in the two modes: the solver did not finish",
        }[self.differs]
        faults = {
            Answer.NO: "and faults in both alike",
            Answer.YES: "and may fault in one mode only, which a monitor sees as a memory trap",
            Answer.UNKNOWN: "and whether it faults in both alike is not known",
        }[self.permits]
        return f"to {self.access} {reached}, {faults}"


def translations(model: MachineModel, setting: Setting, seconds: float) -> tuple[TranslationVerdict, ...]:
    """The verdicts on reading, writing and fetching; none where memory is RELOCATED, which the instructions follow
    themselves. `seconds` bound each question to the solver."""
    if model.memory is not Memory.MAPPED:
        return ()
    physical = replace(model, memory=Memory.RELOCATED, shifted=frozenset())
    trees = Trees(model.isa)
    return tuple(_verdict(physical, setting, trees, access, seconds) for access in Access)


def _verdict(model: MachineModel, setting: Setting, trees: Trees, access: Access, seconds: float) -> TranslationVerdict:
    make = Expressions()
    executor = Executor(model, trees, make)
    states = States(model, setting, trees, make, executor.reader)
    address = make.input("address", 64)
    constraints: list[Word] = []
    ends: list[SymbolicState] = []
    results: list[tuple[Word, ...]] = []
    for mode in (setting.supervisor, setting.user):
        start = states.start(Variation(mode=mode), mode)
        end, reached = executor.call(model.isa.translate, (address, word(access, 2)), start.state, start.environment)
        constraints += start.constraints
        ends.append(end)
        results.append(reached or (word(0),))
    solver, place = Solver(LEAVES), make.input("place", 64)
    both = ~ends[0].trap & ~ends[1].trap
    memories = [executor.reader.read(end.memory, place) for end in ends]
    differ = (memories[0] != memories[1]) | (results[0][0] != results[1][0])

    def answer(asked: Word) -> Answer:
        if asked.value == 0:
            return Answer.NO
        return _ANSWERS[
            solver.check([each for each in (asked, *constraints) if each.value is None], seconds).satisfiable
        ]

    return TranslationVerdict(access.name.lower(), answer(both & differ), answer(ends[0].trap ^ ends[1].trap))
