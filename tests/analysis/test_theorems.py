"""What follows from verdicts: each theorem's condition, the instructions that decide it, and what is not known."""

from __future__ import annotations

import pytest

from hypernest.analysis.results import Answer, Verdict, both, either
from hypernest.analysis.theorems import THEOREMS, theorems
from tests.analysis.report.toy import RUNS, verdict

YES, NO, UNKNOWN = Answer.YES, Answer.NO, Answer.UNKNOWN

ADD = verdict("add", RUNS)
SET = verdict("set", "RUNS_AT_ALL CONTROL_IN_SUPERVISOR")  # sensitive and privileged
CALL = verdict("call", "TRAPS_IN_SUPERVISOR")
LEAVE = verdict("leave", f"{RUNS} CONTROL_IN_SUPERVISOR")  # JRST 1
WHERE = verdict("where", f"{RUNS} LOCATION_IN_USER LOCATION_IN_SUPERVISOR")
MODE = verdict("mode", f"{RUNS} MODE")
CLOCK = verdict("clock", f"{RUNS} TIMING")
SOMETIMES = verdict("sometimes", "RUNS_AT_ALL TRAPS_IN_SUPERVISOR CONTROL_IN_SUPERVISOR")  # traps in both, at times
SLOW = verdict("slow", RUNS, "CONTROL_IN_USER")
SLOW_CLOCK = verdict("slow clock", RUNS, "TIMING")
PERHAPS = verdict("perhaps", "RUNS_AT_ALL CONTROL_IN_SUPERVISOR", "RUNS_IN_USER")


@pytest.mark.parametrize(
    ("verdicts", "holds", "because"),
    [
        ([], (YES, YES, YES), ((), (), ())),
        ([ADD, SET, CALL], (YES, YES, YES), ((), (), ())),
        ([ADD, LEAVE], (NO, NO, YES), (("leave",), ("leave",), ())),
        ([ADD, MODE], (NO, NO, YES), (("mode",), ("mode",), ())),
        ([WHERE, ADD, LEAVE], (NO, NO, NO), (("where", "leave"), ("where", "leave"), ("where",))),
        ([ADD, CLOCK], (YES, NO, YES), ((), ("clock",), ())),
        ([CLOCK, LEAVE], (NO, NO, YES), (("leave",), ("leave", "clock"), ())),
        ([SOMETIMES], (NO, NO, YES), (("sometimes",), ("sometimes",), ())),
        ([ADD, SLOW], (UNKNOWN, UNKNOWN, UNKNOWN), (("slow",), ("slow",), ("slow",))),
        ([SLOW, LEAVE], (NO, NO, UNKNOWN), (("leave", "slow"), ("leave", "slow"), ("slow",))),
        ([ADD, SLOW_CLOCK], (YES, UNKNOWN, YES), ((), ("slow clock",), ())),
        ([SLOW, CLOCK], (UNKNOWN, NO, UNKNOWN), (("slow",), ("slow", "clock"), ("slow",))),
        ([PERHAPS], (UNKNOWN, UNKNOWN, YES), (("perhaps",), ("perhaps",), ())),
    ],
    ids=lambda value: " ".join(each.name for each in value) if isinstance(value, list) else "",
)
def test_conditions(verdicts: list[Verdict], holds: tuple[Answer, ...], because: tuple[tuple[str, ...], ...]) -> None:
    found = theorems(verdicts)
    assert tuple(each.holds for each in found) == holds
    assert tuple(each.because for each in found) == because


@pytest.mark.parametrize(
    ("verdicts", "why"),
    [
        ([SET], "every sensitive instruction is privileged"),
        ([LEAVE], "1 instruction is sensitive and not privileged"),
        ([LEAVE, WHERE], "2 instructions are sensitive and not privileged"),
        ([SLOW], "perhaps 1 instruction is sensitive and not privileged"),
    ],
)
def test_why(verdicts: list[Verdict], why: str) -> None:
    assert theorems(verdicts)[0].explanation == why


def test_time_is_the_second_condition_of_theorem_2() -> None:
    assert theorems([CLOCK])[1].explanation == "1 instruction shows time in user mode"
    assert "first condition" in theorems([CLOCK, LEAVE])[1].explanation


def test_they_are_quoted_and_numbered() -> None:
    assert [each.number for each in theorems([ADD])] == [each.number for each in THEOREMS] == [1, 2, 3]
    assert all(found.statement == theorem.statement for found, theorem in zip(theorems([ADD]), THEOREMS, strict=True))


def test_a_yes_or_a_no_that_decides_outweighs_what_is_unknown() -> None:
    assert (both(YES, UNKNOWN), both(NO, UNKNOWN), both(YES, YES), both()) == (UNKNOWN, NO, YES, YES)
    assert (either(YES, UNKNOWN), either(NO, UNKNOWN), either(NO, NO), either()) == (YES, UNKNOWN, NO, NO)
    assert (~YES, ~NO, ~UNKNOWN) == (NO, YES, UNKNOWN)


@pytest.mark.parametrize(
    ("found", "privileged", "sensitive"),
    [
        (ADD, NO, NO),
        (SET, YES, YES),
        (CALL, NO, NO),
        (SOMETIMES, NO, YES),
        (SLOW, NO, UNKNOWN),
        (PERHAPS, UNKNOWN, YES),
    ],
    ids=lambda value: value.name if isinstance(value, Verdict) else "",
)
def test_properties_of_a_verdict(found: Verdict, privileged: Answer, sensitive: Answer) -> None:
    assert (found.privileged, found.sensitive) == (privileged, sensitive)
    assert found.innocuous is ~sensitive
    assert found.violates is both(sensitive, ~privileged)


def test_what_never_runs_is_not_privileged_and_not_against_a_theorem() -> None:
    assert CALL.never_runs is YES
    assert ADD.never_runs is NO
    assert SOMETIMES.never_runs is NO
