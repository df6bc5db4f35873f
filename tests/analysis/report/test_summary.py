"""The sentences that follow from verdicts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hypernest.analysis.report import summary
from hypernest.analysis.results import Classification, Verdict
from tests.analysis.report.toy import BROKEN, RUNS, SETTING, VIRTUALIZABLE, verdict


def of(*verdicts: Verdict) -> Classification:
    return Classification("toy", "The toy machine", SETTING, verdicts)


SET = verdict("set", "RUNS_AT_ALL CONTROL_IN_SUPERVISOR")


@pytest.mark.parametrize(
    ("classification", "said"),
    [
        (
            VIRTUALIZABLE,
            "A virtual machine monitor can be built: the only sensitive instruction is privileged (theorem 1)."
            " It can also run inside itself (theorem 2).",
        ),
        (
            of(verdict("add", RUNS)),
            "A virtual machine monitor can be built: no instruction is sensitive (theorem 1)."
            " It can also run inside itself (theorem 2).",
        ),
        (
            of(SET, verdict("put", "RUNS_AT_ALL CONTROL_IN_SUPERVISOR"), verdict("clock", f"{RUNS} TIMING")),
            "A virtual machine monitor can be built: all 2 sensitive instructions are privileged (theorem 1)."
            " That it can run inside itself does not follow: 1 instruction shows the time (theorem 2).",
        ),
        (
            of(SET, verdict("clock", RUNS, "TIMING")),
            "A virtual machine monitor can be built: the only sensitive instruction is privileged (theorem 1)."
            " Whether it can run inside itself is not decided (theorem 2).",
        ),
        (
            of(verdict("leave", f"{RUNS} CONTROL_IN_SUPERVISOR")),
            "No virtual machine monitor by theorem 1, because 1 sensitive instruction is not privileged;"
            " but a hybrid monitor can be built (theorem 3).",
        ),
        (
            of(verdict("leave", f"{RUNS} CONTROL_IN_USER"), verdict("slow", RUNS, "MODE")),
            "No virtual machine monitor by theorem 1 and no hybrid one by theorem 3, because 1 sensitive instruction is"
            " not privileged.",
        ),
        (
            BROKEN,
            "No virtual machine monitor by theorem 1, because 1 sensitive instruction is not privileged;"
            " whether a hybrid one can be built is not decided.",
        ),
        (
            of(verdict("slow", RUNS, "MODE")),
            "Whether a virtual machine monitor can be built is not decided: 1 instruction could not be classified in"
            " the time given.",
        ),
    ],
)
def test_the_verdict_in_a_sentence(classification: Classification, said: str) -> None:
    assert summary.headline(classification) == said


def test_what_decides_a_theorem_is_told_from_what_is_open() -> None:
    first, second, third = BROKEN.theorems
    assert summary.deciding(BROKEN, first) == ["readmode", "undecided: slow"]
    assert summary.deciding(BROKEN, second) == ["clock, readmode", "undecided: slow"]
    assert summary.deciding(BROKEN, third) == ["undecided: slow"]
    assert (summary.holds(first), summary.holds(third)) == ("does not hold", "not decided")
    assert summary.because(third) == "", "nothing is said about what is not decided"


def test_counts_are_by_class() -> None:
    assert summary.counts(BROKEN) == (
        "17 instructions: 1 sensitive and not privileged, 1 undecided, 10 sensitive and privileged,"
        " 1 privileged, not sensitive, 3 innocuous, 1 always traps"
    )


def test_what_was_not_answered_is_named_with_the_reason() -> None:
    assert summary.unknowns(BROKEN) == ["slow: depends on the location in user mode (time-out)"]
    assert summary.unknowns(VIRTUALIZABLE) == []


def test_what_was_checked() -> None:
    assert summary.checks(VIRTUALIZABLE) == (
        "4 of 4 witnesses reproduced by the reference engine; 32 random state pairs besides, none against a verdict"
    )


def test_monitors() -> None:
    broken, hybrid = BROKEN.constructions
    assert summary.construction(broken) == (
        "200 random programs, 4,000 instructions, 10.0% of them interpreted by the monitor:"
        " 7 programs went otherwise than on the bare machine"
    )
    assert summary.first_divergence(broken) == "first in program 3, step 12, readmode r3"
    assert summary.construction(hybrid).endswith(": always the same as the bare machine")
    assert summary.first_divergence(hybrid) == ""
    assert "none of them interpreted" in summary.construction(replace(hybrid, instructions=0, interpreted=0))
