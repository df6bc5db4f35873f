"""Questions and answers: what each of the toy's instructions is, and when there is no answer."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest

from examples.isas.toy import MODEL
from hypernest.analysis import concrete, inquiry
from hypernest.analysis.inquiry import QUESTIONS, Inquiry
from hypernest.analysis.instances import Instance, instances
from hypernest.analysis.isas import load_model
from hypernest.analysis.results import Answer, Finding, Question, Verdict
from hypernest.analysis.theorems import theorems
from hypernest.engines.reference import ReferenceHart
from hypernest.isa.row import Row
from hypernest.isa.word import Word
from hypernest.lowering.solver import Reply, Satisfiable

INSTANCES = {each.name: each for each in instances(MODEL)}
SETTING = MODEL.settings[0]


def ask(name: str, questions: Sequence[Question] = tuple(Question)) -> dict[Question, Finding]:
    return Inquiry(MODEL, SETTING, 60.0).ask(INSTANCES[name], questions)


def verdict(name: str, findings: dict[Question, Finding]) -> Verdict:
    return Verdict(name, name, name, "toy", findings)


def yes(findings: dict[Question, Finding]) -> set[str]:
    return {question.name for question, finding in findings.items() if finding.answer is Answer.YES}


COMPLETES = {"RUNS_IN_USER", "RUNS_AT_ALL"}
EXPECTED = {
    "load": COMPLETES,
    "store": COMPLETES,
    "set": COMPLETES,
    "add": COMPLETES,
    "jump": COMPLETES,
    "skip": COMPLETES,
    "call": set[str](),
    "enter": {"RUNS_AT_ALL", "CONTROL_IN_SUPERVISOR"},
    "halt": {"RUNS_AT_ALL", "CONTROL_IN_SUPERVISOR"},
    "where": COMPLETES | {"LOCATION_IN_SUPERVISOR", "LOCATION_IN_USER"},
}


@pytest.mark.parametrize("name", INSTANCES)
def test_the_toy(name: str) -> None:
    findings = ask(name)
    assert yes(findings) == EXPECTED[name]
    for finding in findings.values():
        assert (finding.witness is not None and finding.witness.reproduced) == (finding.answer is Answer.YES)
        assert finding.method in ("identity", "solver")


def test_what_is_settled_is_not_asked_again() -> None:
    assert set(ask("add")) == set(Question) == set(QUESTIONS)
    assert set(ask("where")) == set(Question) - {Question.MODE_AND_LOCATION}


def test_only_what_was_asked_is_answered() -> None:
    assert set(ask("add", [Question.MODE])) == {Question.MODE}


# --- no answer -------------------------------------------------------------------------------------------------------


class Slow:
    """A solver that never answers in time."""

    def __init__(self, functions: frozenset[str]) -> None:
        pass

    def check(self, constraints: Sequence[Word], seconds: float) -> Reply:
        return Reply(Satisfiable.UNKNOWN, lambda word: 0)


def test_what_takes_too_long_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inquiry, "Solver", Slow)
    verdicts = []
    for name in INSTANCES:
        findings = ask(name)
        for finding in findings.values():
            open_one = (Answer.UNKNOWN, "time-out", None)
            assert (finding.answer, finding.method, finding.witness) in (open_one, (Answer.NO, "identity", None))
        verdicts.append(verdict(name, findings))
    assert {each.answer(Question.RUNS_AT_ALL) for each in verdicts} == {Answer.UNKNOWN, Answer.NO}
    assert theorems(verdicts)[0].holds is Answer.UNKNOWN


def test_the_time_limit_is_kept() -> None:
    model = load_model("x86")
    iret: Instance = next(each for each in instances(model) if each.name == "iret")
    asked = Inquiry(model, model.setting("ring-3"), 0.001)
    asked.ask(iret, [Question.TIMING])  # the trees are traced now
    began = time.perf_counter()
    (finding,) = asked.ask(iret, [Question.LOCATION_IN_SUPERVISOR]).values()  # takes seconds
    assert (finding.answer, finding.method, finding.witness) == (Answer.UNKNOWN, "time-out", None)
    assert time.perf_counter() - began < 60


class Idle(ReferenceHart):
    """An engine that leaves all as it is: it does not do what was proved of the description."""

    def execute(self, row: Row | None, code: int) -> None:
        pass


def test_a_witness_that_does_not_reproduce_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concrete, "ReferenceHart", Idle)
    findings = ask("where")
    finding = findings[Question.LOCATION_IN_USER]
    assert (finding.answer, finding.method) == (Answer.UNKNOWN, "unconfirmed")
    assert finding.witness is not None and not finding.witness.reproduced
    found = verdict("where", findings)
    assert found.violates is Answer.UNKNOWN
    assert found.innocuous is Answer.UNKNOWN
    assert ask("enter")[Question.CONTROL_IN_SUPERVISOR].answer is Answer.UNKNOWN
