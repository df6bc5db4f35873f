"""Classifications made by hand: an instruction of every class, variants, a pair as witness, names that are markup."""

from __future__ import annotations

from hypernest.analysis.model import Setting
from hypernest.analysis.results import (
    Answer,
    Classification,
    Construction,
    Difference,
    Divergence,
    Finding,
    Question,
    Run,
    State,
    Verdict,
    Witness,
)

HOSTILE = "<script>alert('&|*')</script>"
EVERY = (1 << 64) - 1

PAIR = Witness(
    "readmode r3",
    0xC0102073,
    {"rd": 3, "imm": -8},
    (
        Run(
            "in kernel mode",
            "kernel",
            State({("mode", 0): 1, ("limit", 0): EVERY, ("key", 0): 7, ("key", 1): 7, ("key", 2): 7}, {0x10: 0xAB}),
            State(
                {("mode", 0): 1, ("r", 3): 1, ("limit", 0): EVERY, ("key", 0): 7, ("key", 1): 7, ("key", 2): 7},
                {0x10: 0xAB, 0x11: 0xCD},
            ),
            None,
        ),
        Run(
            "in user mode, relocated by 0x40",
            "user",
            State({("limit", 0): EVERY, ("key", 0): 7, ("key", 1): 7, ("key", 2): 7}, {0x10: 0xAB}),
            State({("limit", 0): EVERY, ("key", 0): 7, ("key", 1): 7, ("key", 2): 7}, {0x10: 0xAB}),
            None,
        ),
    ),
    (Difference("r[3]", "0x1", "0x0"), Difference("trap", "none", "none")),
    True,
)
SINGLE = Witness(
    "take",
    0x1,
    {},
    (Run("in kernel mode", "kernel", State({}, {}), State({}, {}), "privileged instruction"),),
    (),
    False,
)

SETTING = Setting(
    name="plain",
    title="kernel software run in user mode",
    summary="nothing is set",
    supervisor="kernel",
    user="user",
    expected="not virtualizable (Somebody 1999)",
)


def verdict(name: str, yes: str, unknown: str = "", *, row: str = "", extension: str = "base") -> Verdict:
    """A verdict with these questions (their names, apart from each other by spaces) answered with yes or unknown."""
    findings = {}
    for question in Question:
        answer, method, witness = Answer.NO, "solver", None
        if question is Question.CONTROL_IN_USER:
            method = "identity"
        if question.name in yes.split():
            answer, witness = Answer.YES, PAIR
        elif question.name in unknown.split():
            answer, method = Answer.UNKNOWN, "time-out"
        findings[question] = Finding(question, answer, method, 0.25, witness)
    return Verdict(name, row or name, f"{row or name} operands", extension, findings, 16)


RUNS = "RUNS_IN_USER RUNS_AT_ALL"


BROKEN = Classification(
    "toy",
    "The toy machine",
    SETTING,
    (
        verdict("add", RUNS),
        verdict("clock", f"{RUNS} TIMING"),
        verdict("readmode", f"{RUNS} MODE"),
        *(verdict(f"set key{number}", "RUNS_AT_ALL CONTROL_IN_SUPERVISOR", row="set") for number in range(5)),
        *(verdict(f"clear key{number}", "RUNS_AT_ALL CONTROL_IN_SUPERVISOR", row="clear") for number in range(5)),
        verdict("set other", "RUNS_AT_ALL", row="set"),
        verdict("call", "TRAPS_IN_SUPERVISOR", extension="system"),
        verdict("slow", RUNS, "LOCATION_IN_USER"),
        verdict(HOSTILE, RUNS, extension=HOSTILE),
    ),
    (
        Construction(
            "virtual machine monitor",
            1,
            200,
            4000,
            400,
            7,
            Divergence(3, 12, "readmode r3", (Difference("r[3]", "0x1", "0x0"),)),
        ),
        Construction("hybrid monitor", 3, 200, 4000, 3000, 0),
    ),
    12.5,
    "the paper's: the same program at another place",
    ("A note on the toy.",),
)
"""`readmode` depends on the mode: theorem 3 alone would hold, if `slow` were known."""

VIRTUALIZABLE = Classification(
    "toy",
    "The toy machine",
    SETTING,
    (verdict("add", RUNS), verdict("set", "RUNS_AT_ALL CONTROL_IN_SUPERVISOR")),
)
"""The same machine without what breaks the theorems, and without constructions."""
