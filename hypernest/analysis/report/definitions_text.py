"""The definitions in words, once, each with its place in the paper: every report quotes them from here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hypernest.analysis.model import Memory
from hypernest.analysis.results import Question

PAPER = (
    "G. J. Popek and R. P. Goldberg, Formal Requirements for Virtualizable Third Generation Architectures,"
    " Communications of the ACM 17(7), July 1974"
)


@dataclass(frozen=True)
class Definition:
    """A term of the paper in words."""

    term: str
    source: str  # where the paper has it
    text: str


STATE = Definition(
    "state",
    "section 2",
    "A state is memory E, the mode M, the program counter P and the relocation-bounds register R, which says which part"
    " of memory the program has. A trap saves M, P and R, and puts those of the supervisor's handler in their place.",
)
PRIVILEGED = Definition(
    "privileged",
    "section 3",
    "For every pair of states that differ only in the mode, and in which the instruction does not memory-trap: it traps"
    " in user mode, and it does not trap in supervisor mode. To do nothing in user mode is not to trap.",
)
CONTROL = Definition(
    "control sensitive",
    "section 3",
    "In some state it completes without a trap and has changed the mode, or which resources the program has (R). Other"
    " registers that control the processor are counted among the resources.",
)
LOCATION = Definition(
    "location sensitive",
    "section 3, behavior sensitive",
    "There are two states that are the same program at different places of real memory, in the same mode, and the"
    " instruction completes in both with different results.",
)
MODE = Definition(
    "mode sensitive",
    "section 3, behavior sensitive",
    "There are two states that differ in the mode (and perhaps in the place), and the instruction completes in both"
    " with different results.",
)
INNOCUOUS = Definition("innocuous", "section 3", "Neither control sensitive nor behavior sensitive.")
USER_SENSITIVE = Definition(
    "user sensitive", "at theorem 3", "Control sensitive or location sensitive in a state of user mode."
)
TIMING = Definition(
    "timing dependent",
    "at theorem 2",
    "There are two states of user mode that differ only in how much time has passed, and the instruction completes in"
    " both with different results.",
)
RUNS = Definition(
    "instructions that trap in both modes",
    "section 3",
    "An instruction that traps in supervisor mode too is not privileged. One that never completes in either mode always"
    " gives control to the monitor, and nothing is left to be sensitive.",
)

DEFINITIONS = (STATE, PRIVILEGED, CONTROL, LOCATION, MODE, INNOCUOUS, USER_SENSITIVE, TIMING, RUNS)
"""All of them, in the order in which a reader needs them."""

LOCATION_DEFINITIONS: Mapping[Memory, str] = {
    Memory.RELOCATED: (
        "The paper's own definition of location: all of memory, the relocation register and every register that holds a"
        " real address are shifted by the same amount."
    ),
    Memory.MAPPED: (
        "An extension of the paper's definition of location to paging, where no register relocates: the location is"
        " the address map. Two states show the program the same memory through different maps; accesses that fault in"
        " one of them are left out as memory traps. What the structures that make the map hold differs between the"
        " states, so reading them shows the location, and writing them changes the map."
    ),
}
"""Which definition of location verdicts use."""


@dataclass(frozen=True)
class QuestionText:
    """A question on an instruction, with S and U for the names of the two modes, and the definition it serves."""

    asked: str
    definition: Definition

    def named(self, supervisor: str, user: str) -> str:
        """The question with the modes' names in it."""
        return self.asked.format(S=supervisor, U=user)


QUESTIONS: Mapping[Question, QuestionText] = {
    Question.RUNS_IN_USER: QuestionText("Can it complete in {U} mode?", PRIVILEGED),
    Question.TRAPS_IN_SUPERVISOR: QuestionText("Can it trap in {S} mode?", PRIVILEGED),
    Question.RUNS_AT_ALL: QuestionText("Can it complete in {S} mode?", RUNS),
    Question.CONTROL_IN_SUPERVISOR: QuestionText("Can it change the mode or resources in {S} mode?", CONTROL),
    Question.CONTROL_IN_USER: QuestionText("Can it change the mode or resources in {U} mode?", CONTROL),
    Question.LOCATION_IN_SUPERVISOR: QuestionText("Can its result depend on the location in {S} mode?", LOCATION),
    Question.LOCATION_IN_USER: QuestionText("Can its result depend on the location in {U} mode?", LOCATION),
    Question.MODE: QuestionText("Can its result differ between {S} mode and {U} mode?", MODE),
    Question.MODE_AND_LOCATION: QuestionText(
        "Can its result differ between {S} mode at one location and {U} mode at another?", MODE
    ),
    Question.TIMING: QuestionText("Can its result in {U} mode depend on the time?", TIMING),
}

METHODS: Mapping[str, str] = {
    "identity": "proved for all states: the description itself says so, before any solver",
    "solver": "proved for all states by the solver",
    "time-out": "not decided: the solver did not answer in time",
    "contradicted": "not decided: random states on the reference engine contradict what was proved of the description",
    "unconfirmed": "not decided: the solver's states did not show it on the reference engine",
}
"""How an answer *no*, or none, was reached. *Yes* is shown by states."""
