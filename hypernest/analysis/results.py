"""What the classifier finds: plain data, which reports print and programs read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from hypernest.analysis.model import Setting


class Answer(Enum):
    """Of a question put to the solver."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"

    def __invert__(self) -> Answer:
        return {Answer.YES: Answer.NO, Answer.NO: Answer.YES, Answer.UNKNOWN: Answer.UNKNOWN}[self]


def both(*answers: Answer) -> Answer:
    """Yes if all are, no if one is not."""
    return Answer.NO if Answer.NO in answers else Answer.UNKNOWN if Answer.UNKNOWN in answers else Answer.YES


def either(*answers: Answer) -> Answer:
    """Yes if one is, no if none is."""
    return ~both(*(~answer for answer in answers))


CONTRADICTED = "contradicted"  # a method: random states on the reference engine said otherwise than a proof


class Question(Enum):
    """What is asked of an instruction; each is "is there a state, or a pair, such that ...". The value is its key."""

    RUNS_IN_USER = "runs in user mode"
    TRAPS_IN_SUPERVISOR = "traps in supervisor mode"
    RUNS_AT_ALL = "runs in supervisor mode"
    CONTROL_IN_SUPERVISOR = "changes mode or resources in supervisor mode"
    CONTROL_IN_USER = "changes mode or resources in user mode"
    LOCATION_IN_SUPERVISOR = "depends on the location in supervisor mode"
    LOCATION_IN_USER = "depends on the location in user mode"
    MODE = "depends on the mode"
    MODE_AND_LOCATION = "depends on mode and location together"
    TIMING = "shows the passing of time in user mode"


@dataclass(frozen=True)
class State:
    """A concrete state: what is not listed is zero."""

    registers: Mapping[tuple[str, int], int]  # (name, number) -> value
    memory: Mapping[int, int]  # address -> byte; physical, or virtual where memory is MAPPED


@dataclass(frozen=True)
class Run:
    """One execution of an instruction on the reference engine."""

    label: str  # what distinguishes this run, such as "in user mode" or "relocated by 0x40"
    mode: str
    before: State
    after: State
    trap: str | None  # the name of the trap it ended in


@dataclass(frozen=True)
class Difference:
    """A place in which the property shows: before and after, or in the first run and the second."""

    place: str
    first: str
    second: str


@dataclass(frozen=True)
class Witness:
    """States that answer a question with yes, as they ran on the reference engine."""

    instruction: str  # in assembly
    code: int
    operands: Mapping[str, int]
    runs: tuple[Run, ...]  # one, or the two of a pair
    differences: tuple[Difference, ...]
    reproduced: bool  # did the reference engine do what the solver said?


@dataclass(frozen=True)
class Finding:
    """The answer to one question."""

    question: Question
    answer: Answer
    method: str  # "identity" (both results are the same expression), "solver", "unconfirmed", "time-out", CONTRADICTED
    seconds: float = 0.0
    witness: Witness | None = None


@dataclass(frozen=True)
class Verdict:
    """What an instruction is. The properties follow from the findings by the definitions of section 3."""

    name: str  # the row's, or the row's and the variant's: "csrrw sstatus"
    row: str
    syntax: str
    extension: str
    findings: Mapping[Question, Finding]
    random_pairs: int = 0  # state pairs on which the reference engine was run besides
    random_failures: tuple[Witness, ...] = ()

    def answer(self, question: Question) -> Answer:
        """The answer to a question; no if it was not asked because another answer decides it."""
        return self.findings[question].answer if question in self.findings else Answer.NO

    @property
    def always_traps_in_user(self) -> Answer:
        return ~self.answer(Question.RUNS_IN_USER)

    @property
    def never_runs(self) -> Answer:
        """It traps in both modes: the monitor always gets control, and nothing is to be asked."""
        return both(self.always_traps_in_user, ~self.answer(Question.RUNS_AT_ALL))

    @property
    def privileged(self) -> Answer:
        """Traps in user mode and not in supervisor mode, for every pair of states (section 3)."""
        return both(
            self.always_traps_in_user,
            ~self.answer(Question.TRAPS_IN_SUPERVISOR),
            self.answer(Question.RUNS_AT_ALL),
        )

    @property
    def control_sensitive(self) -> Answer:
        return either(self.answer(Question.CONTROL_IN_SUPERVISOR), self.answer(Question.CONTROL_IN_USER))

    @property
    def location_sensitive(self) -> Answer:
        return either(self.answer(Question.LOCATION_IN_SUPERVISOR), self.answer(Question.LOCATION_IN_USER))

    @property
    def mode_sensitive(self) -> Answer:
        return either(self.answer(Question.MODE), self.answer(Question.MODE_AND_LOCATION))

    @property
    def behaviour_sensitive(self) -> Answer:
        return either(self.location_sensitive, self.mode_sensitive)

    @property
    def sensitive(self) -> Answer:
        return either(self.control_sensitive, self.behaviour_sensitive)

    @property
    def innocuous(self) -> Answer:
        return ~self.sensitive

    @property
    def user_sensitive(self) -> Answer:
        """Control or location sensitive in user mode (section 5, before theorem 3)."""
        return either(self.answer(Question.CONTROL_IN_USER), self.answer(Question.LOCATION_IN_USER))

    @property
    def supervisor_sensitive(self) -> Answer:
        return either(self.answer(Question.CONTROL_IN_SUPERVISOR), self.answer(Question.LOCATION_IN_SUPERVISOR))

    @property
    def timing_dependent(self) -> Answer:
        """It shows time in user mode without a trap (condition (b) of theorem 2)."""
        return self.answer(Question.TIMING)

    @property
    def violates(self) -> Answer:
        """Sensitive, and not privileged: what theorem 1 must not find."""
        return both(self.sensitive, ~self.privileged)

    @property
    def violates_hybrid(self) -> Answer:
        """User sensitive, and not privileged: what theorem 3 must not find."""
        return both(self.user_sensitive, ~self.privileged)


@dataclass(frozen=True)
class Divergence:
    """Where a virtual machine and the bare machine first differed."""

    program: int  # the number of the random program, which is also its seed
    step: int
    instruction: str
    differences: tuple[Difference, ...]  # on the bare machine, in the virtual one


@dataclass(frozen=True)
class Construction:
    """A monitor that was built from the description and run against the bare machine."""

    monitor: str  # "virtual machine monitor", "the same, inside itself", "hybrid monitor"
    theorem: int
    programs: int
    instructions: int
    interpreted: int  # of them by the monitor
    divergences: int
    first: Divergence | None = None


@dataclass(frozen=True)
class TheoremVerdict:
    """Whether the condition of a theorem holds, and the instructions that decide it."""

    number: int
    title: str
    statement: str
    holds: Answer
    because: tuple[str, ...] = ()  # names of instructions
    explanation: str = ""


@dataclass(frozen=True)
class Classification:
    """All that was found of one ISA under one setting."""

    isa: str
    title: str
    setting: Setting
    verdicts: tuple[Verdict, ...]
    constructions: tuple[Construction, ...] = ()
    seconds: float = 0.0
    definitions: str = ""  # which definition of location the verdicts use
    notes: tuple[str, ...] = field(default=())

    @property
    def theorems(self) -> tuple[TheoremVerdict, ...]:
        from hypernest.analysis.theorems import theorems

        return theorems(self.verdicts)
