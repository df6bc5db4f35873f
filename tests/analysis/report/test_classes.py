"""Classes and cells of verdicts."""

from __future__ import annotations

import pytest

from hypernest.analysis.model import Setting
from hypernest.analysis.report.classes import CLASSES, Class, by_class, cells, class_of, why_not_privileged
from hypernest.analysis.results import Answer, Finding, Question, Verdict
from tests.analysis.report.toy import BROKEN

SETTING = Setting(name="plain", title="", supervisor="S", user="U")
RUNS = "RUNS_IN_USER RUNS_AT_ALL"


def made(yes: str, unknown: str = "") -> Verdict:
    answers = {
        question: Answer.YES
        if question.name in yes.split()
        else Answer.UNKNOWN
        if question.name in unknown.split()
        else Answer.NO
        for question in Question
    }
    return Verdict("i", "i", "i", "", {q: Finding(q, answer, "solver") for q, answer in answers.items()})


@pytest.mark.parametrize(
    ("yes", "unknown", "wanted"),
    [
        (RUNS, "", Class.INNOCUOUS),
        (f"{RUNS} MODE", "", Class.VIOLATION),
        (f"{RUNS} MODE", "LOCATION_IN_USER", Class.VIOLATION),
        (f"{RUNS} CONTROL_IN_SUPERVISOR", "", Class.VIOLATION),
        ("RUNS_AT_ALL CONTROL_IN_SUPERVISOR", "", Class.CONTROLLED),
        ("RUNS_AT_ALL CONTROL_IN_SUPERVISOR TRAPS_IN_SUPERVISOR", "", Class.VIOLATION),
        ("RUNS_AT_ALL", "", Class.PRIVILEGED),
        ("RUNS_AT_ALL", "CONTROL_IN_SUPERVISOR", Class.UNDECIDED),
        (RUNS, "MODE", Class.UNDECIDED),
        (RUNS, "TIMING", Class.INNOCUOUS),
        ("TRAPS_IN_SUPERVISOR", "", Class.TRAPS),
        ("TRAPS_IN_SUPERVISOR", "RUNS_IN_USER", Class.UNDECIDED),
    ],
)
def test_the_class(yes: str, unknown: str, wanted: Class) -> None:
    assert class_of(made(yes, unknown)) is wanted


def test_every_instruction_is_in_one_class() -> None:
    found = by_class(BROKEN.verdicts)
    assert list(found) == list(Class) == list(CLASSES)
    assert sorted(each.name for members in found.values() for each in members) == sorted(
        each.name for each in BROKEN.verdicts
    )


@pytest.mark.parametrize(
    ("yes", "unknown", "wanted"),
    [
        (RUNS, "", ("–", "–", "–", "–", "–", "runs in U")),
        ("RUNS_AT_ALL CONTROL_IN_SUPERVISOR", "", ("S", "–", "–", "–", "–", "")),
        (f"{RUNS} CONTROL_IN_SUPERVISOR CONTROL_IN_USER", "", ("S, U", "–", "–", "yes", "–", "runs in U")),
        (f"{RUNS} LOCATION_IN_USER", "LOCATION_IN_SUPERVISOR", ("–", "S?, U", "–", "yes", "–", "runs in U")),
        (f"{RUNS} MODE TIMING", "", ("–", "–", "yes", "–", "yes", "runs in U")),
        (f"{RUNS} MODE_AND_LOCATION", "", ("–", "–", "with location", "–", "–", "runs in U")),
        (RUNS, "MODE_AND_LOCATION TIMING", ("–", "–", "?", "–", "?", "runs in U")),
    ],
)
def test_the_cells(yes: str, unknown: str, wanted: tuple[str, ...]) -> None:
    assert cells(made(yes, unknown), SETTING).as_tuple() == wanted


@pytest.mark.parametrize(
    ("yes", "unknown", "why"),
    [
        ("RUNS_AT_ALL", "", ""),
        ("RUNS_AT_ALL TRAPS_IN_SUPERVISOR", "", "can trap in S"),
        (f"{RUNS} TRAPS_IN_SUPERVISOR", "", "runs in U, can trap in S"),
        ("TRAPS_IN_SUPERVISOR", "", "never runs in S"),
        ("RUNS_AT_ALL", "RUNS_IN_USER", "runs in U?"),
    ],
)
def test_why_it_is_not_privileged(yes: str, unknown: str, why: str) -> None:
    verdict = made(yes, unknown)
    assert why_not_privileged(verdict, SETTING) == why
    assert (why == "") == (verdict.privileged is Answer.YES)
