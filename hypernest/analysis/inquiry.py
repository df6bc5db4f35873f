"""Putting the definitions to the solver, one instruction at a time, and its answers to the reference engine.

Every question is "is there a state, or a pair of states, such that ...". *No* is a proof: over all states, by the
solver, or because both results are the same expression. *Yes* comes with states, and stands only once the reference
engine, run on them, has shown what the solver said. What takes too long is *unknown*.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from hypernest.analysis import definitions
from hypernest.analysis.definitions import Outcome, Probes
from hypernest.analysis.expressions import LEAVES, Expressions, conjuncts, rewritten, walk
from hypernest.analysis.instances import Instance, Operands
from hypernest.analysis.model import MachineModel, Memory, Setting
from hypernest.analysis.results import Answer, Finding, Question, Witness
from hypernest.analysis.states import MEMORY, Start, States, Variation
from hypernest.analysis.symbolic import Executor
from hypernest.analysis.trees import Trees
from hypernest.analysis.witness import Witnesses
from hypernest.isa.word import Word
from hypernest.lowering.solver import Reply, Satisfiable, Solver

Condition = Callable[[Sequence[Outcome], Probes], Word]


@dataclass(frozen=True)
class Role:
    """One run of a question: in the supervisor's mode or the user's, and how its state differs from the first."""

    supervisor: bool = False
    moved: bool = False
    later: bool = False
    unrelated: bool = False


_S, _U = Role(supervisor=True), Role()

QUESTIONS: Mapping[Question, tuple[tuple[Role, ...], Condition]] = {
    Question.RUNS_IN_USER: ((_U, _S), lambda runs, _: definitions.runs_in_user_mode(runs[0])),
    Question.TRAPS_IN_SUPERVISOR: (
        (_S, Role(supervisor=True, unrelated=True)),
        lambda runs, _: definitions.traps_in_supervisor_mode(*runs),
    ),
    Question.RUNS_AT_ALL: ((_S,), lambda runs, _: runs[0].completed),
    Question.CONTROL_IN_SUPERVISOR: ((_S,), lambda runs, at: definitions.control_sensitive(runs[0], at)),
    Question.CONTROL_IN_USER: ((_U,), lambda runs, at: definitions.control_sensitive(runs[0], at)),
    Question.LOCATION_IN_SUPERVISOR: (
        (_S, Role(supervisor=True, moved=True)),
        lambda runs, at: definitions.behaviour_sensitive(runs[0], runs[1], at),
    ),
    Question.LOCATION_IN_USER: (
        (_U, Role(moved=True)),
        lambda runs, at: definitions.behaviour_sensitive(runs[0], runs[1], at),
    ),
    Question.MODE: ((_S, _U), lambda runs, at: definitions.behaviour_sensitive(runs[0], runs[1], at)),
    Question.MODE_AND_LOCATION: (
        (_S, Role(moved=True)),
        lambda runs, at: definitions.behaviour_sensitive(runs[0], runs[1], at),
    ),
    Question.TIMING: (
        (_U, Role(later=True)),
        lambda runs, at: definitions.behaviour_sensitive(runs[0], runs[1], at),
    ),
}
"""The runs that each question compares, and the definition it puts to them."""


def variation(setting: Setting, role: Role) -> Variation:
    """The states of a role under a setting."""
    return Variation(mode=setting.supervisor if role.supervisor else setting.user, moved=role.moved,
                     later=role.later, unrelated=role.unrelated)  # fmt: skip


class Inquiry:
    """Asks the questions of one model under one setting."""

    def __init__(self, model: MachineModel, setting: Setting, time_limit: float) -> None:
        """`time_limit`: seconds for each question to the solver."""
        self._model, self._setting, self._time_limit = model, setting, time_limit
        self._trees = Trees(model.isa)

    def ask(self, instance: Instance, questions: Sequence[Question] = tuple(Question)) -> dict[Question, Finding]:
        """The answers for one instruction. What one answer decides about another is not asked again."""
        findings: dict[Question, Finding] = {}
        asked = _Asked(self._model, self._setting, self._trees, instance, self._time_limit)
        for question in questions:
            if question is Question.MODE_AND_LOCATION and _settled(findings):
                continue
            finding = asked.find(question)
            if finding.method == "unconfirmed":  # uninterpreted functions promised too much: follow them
                finding = _Asked(self._model, self._setting, self._trees, instance, self._time_limit, True).find(
                    question
                )
            findings[question] = finding
        return findings


def _reads_memory(condition: Word) -> bool:
    return any(each.op == "initial" and each.args[0] == MEMORY for each in walk([condition]))


def _narrowed(equal: Word) -> list[Word]:
    """Conditions from which zext(y) == zext(x) - zext(s) follows, where that is what is asked: x >= s and y == x - s.

    The solver decides them some twenty times as fast, since they are no wider than the addresses are.
    """
    first, second = equal.args
    if isinstance(first, Word) and isinstance(second, Word) and (first.op, second.op) == ("zext", "sub"):
        parts = [first.args[0], *(arg.args[0] for arg in second.args if isinstance(arg, Word) and arg.op == "zext")]
        words = [part for part in parts if isinstance(part, Word) and part.width == parts[0].width]  # type: ignore[union-attr]
        if len(words) == 3:
            y, x, s = words
            return [x >= s, x - s == y]
    return [equal]


def _settled(findings: Mapping[Question, Finding]) -> bool:
    """Does it depend on mode or location alone already?"""
    parts = (Question.MODE, Question.LOCATION_IN_SUPERVISOR, Question.LOCATION_IN_USER)
    return any(part in findings and findings[part].answer is Answer.YES for part in parts)


class _Asked:
    """One instruction under questioning: its runs as expressions, and a solver that knows them."""

    def __init__(
        self, model: MachineModel, setting: Setting, trees: Trees, instance: Instance, time_limit: float,
        inline: bool = False,
    ) -> None:  # fmt: skip
        self._model, self._setting, self._instance, self._time_limit = model, setting, instance, time_limit
        self._expressions = Expressions()
        self._executor = Executor(model, trees, self._expressions, inline)
        self._states = States(model, setting, trees, self._expressions, self._executor.reader)
        self._operands = Operands.of(instance, self._expressions)
        self._solver: Solver | None = None
        self._runs: dict[Role, tuple[Start, Outcome]] = {}
        self._accesses: dict[Role, list[Word]] = {}
        self._probes = Probes({
            name: self._expressions.input(f"place in {name}", 64)
            for name in (MEMORY, *(each.name for each in trees.registers.values() if each.count > 1))
        })  # fmt: skip
        self._probe_limits = [
            self._probes.of(each.name) < each.count for each in trees.registers.values() if each.count > 1
        ]

    def _run(self, role: Role) -> tuple[Start, Outcome]:
        if role not in self._runs:
            name = "moved" if role.moved else "supervisor" if role.supervisor else "user"
            start = self._states.start(variation(self._setting, role), name)
            after = self._executor.execute(
                self._instance.row.name, self._operands.words, start.state, start.environment
            )
            self._accesses[role] = self._executor.accesses
            self._executor.accesses = []
            outcome = Outcome(self._model, start.state, after, start.environment.shift, self._executor.reader)
            self._runs[role] = start, outcome
        return self._runs[role]

    def find(self, question: Question) -> Finding:
        began = time.perf_counter()
        roles, condition = QUESTIONS[question]
        runs = [self._run(role) for role in roles]
        asked = condition([outcome for _, outcome in runs], self._probes)

        def finding(answer: Answer, method: str, witness: Witness | None = None) -> Finding:
            return Finding(question, answer, method, time.perf_counter() - began, witness)

        constraints = [asked, *self._operands.constraints, *(each for start, _ in runs for each in start.constraints)]
        if any(each.value == 0 for each in constraints):
            return finding(Answer.NO, "identity")
        constraints += self._probe_limits
        constraints = self._aligned(roles, [each for each in constraints if each.value is None])
        if any(each.value == 0 for each in constraints):
            return finding(Answer.NO, "solver")
        constraints = [each for each in constraints if each.value is None]
        witnesses = Witnesses(self._model, self._expressions, self._executor.reader, self._instance, self._operands)
        starts = [start for start, _ in runs]
        realizable = witnesses.realizable(constraints, starts)
        reply = self._check([*constraints, *realizable])
        if realizable and reply.satisfiable is not Satisfiable.YES:
            reply = self._check(constraints)  # maybe only the witness was asked too much of
        if reply.satisfiable is Satisfiable.NO:
            return finding(Answer.NO, "solver")
        if reply.satisfiable is Satisfiable.UNKNOWN:
            return finding(Answer.UNKNOWN, "time-out")
        witness = witnesses.build(question, condition, constraints, starts, reply)
        if not witness.reproduced:
            return finding(Answer.UNKNOWN, "unconfirmed", witness)
        return finding(Answer.YES, "solver", witness)

    def _aligned(self, roles: Sequence[Role], constraints: list[Word]) -> list[Word]:
        """The constraints, with the places that a moved run accesses taken for those of the first where they are proved
        to be the same: that relocation works is arithmetic, and the solver sees it best without memory around it."""
        if self._model.memory is not Memory.RELOCATED or len(roles) != 2 or not roles[1].moved:
            return constraints
        first, second = (list(self._accesses[role]) for role in roles)
        premises = [*(self._runs[role][1].completed for role in roles), *constraints[1:]]  # all that behaviour presumes
        if len(first) != len(second):
            return constraints
        for at in range(len(first)):
            if first[at] is second[at] or second[at].value is not None:
                continue
            if self._follows(premises, first[at] == second[at]):
                groups = (constraints, premises, first, second)
                everything = iter(rewritten(
                    self._expressions, [each for group in groups for each in group], {id(second[at]): first[at]}
                ))  # fmt: skip
                constraints, premises, first, second = ([next(everything) for _ in group] for group in groups)
        return constraints

    def _follows(self, premises: Sequence[Word], conclusion: Word) -> bool:
        """Is it proved? What the premises say of memory is left out at first, since addresses seldom depend on it."""
        simple = [part for each in premises for part in conjuncts(each) if not _reads_memory(part)]
        parts = _narrowed(conclusion)
        return any(
            all(self._check([*given, ~part]).satisfiable is Satisfiable.NO for part in parts)
            for given in (simple, premises)
        )

    def _check(self, constraints: Sequence[Word]) -> Reply:
        if self._solver is None:
            self._solver = Solver(LEAVES)
        return self._solver.check(constraints, self._time_limit)
