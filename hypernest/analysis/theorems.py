"""The three theorems of Popek and Goldberg (1974): what each asks of an instruction set, and what the verdicts say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hypernest.analysis.results import Answer, TheoremVerdict, Verdict, both


@dataclass(frozen=True)
class Theorem:
    """What a theorem promises, in the paper's words."""

    number: int
    title: str
    statement: str


THEOREMS = (
    Theorem(
        1,
        "a virtual machine monitor",
        "For any conventional third generation computer, a virtual machine monitor may be constructed if the set of"
        " sensitive instructions for that computer is a subset of the set of privileged instructions.",
    ),
    Theorem(
        2,
        "a recursive monitor",
        "A conventional third generation computer is recursively virtualizable if it is (a) virtualizable, and (b) a"
        " virtual machine monitor without any timing dependencies can be constructed for it.",
    ),
    Theorem(
        3,
        "a hybrid monitor",
        "A hybrid virtual machine monitor may be constructed for any conventional third generation machine in which the"
        " set of user sensitive instructions are a subset of the set of privileged instructions.",
    ),
)


def theorems(verdicts: Sequence[Verdict]) -> tuple[TheoremVerdict, ...]:
    """What follows from the verdicts on all instructions. The conditions are sufficient, not necessary."""
    subset = both(*(~verdict.violates for verdict in verdicts))
    timeless = both(*(~verdict.timing_dependent for verdict in verdicts))
    hybrid = both(*(~verdict.violates_hybrid for verdict in verdicts))
    violating = _Deciding.of((each, each.violates) for each in verdicts)
    timing = _Deciding.of((each, each.timing_dependent) for each in verdicts)
    hybrid_violating = _Deciding.of((each, each.violates_hybrid) for each in verdicts)
    recursive = both(subset, timeless)
    answers = (
        (
            subset,
            violating.names,
            _why(subset, "every sensitive instruction is privileged", violating, "sensitive and not"),
        ),
        (
            recursive,
            violating.names + tuple(name for name in timing.names if name not in violating.names),
            "it is virtualizable, and no instruction shows time to a program in user mode"
            if recursive is Answer.YES
            else _count(timing, "shows", "show") + " time in user mode"
            if subset is Answer.YES
            else "its first condition, that of theorem 1, is not known to hold"
            if subset is Answer.UNKNOWN
            else "its first condition, that of theorem 1, does not hold",
        ),
        (
            hybrid,
            hybrid_violating.names,
            _why(hybrid, "every user sensitive instruction is privileged", hybrid_violating, "user sensitive and not"),
        ),
    )
    return tuple(
        TheoremVerdict(each.number, each.title, each.statement, holds, because, why)
        for each, (holds, because, why) in zip(THEOREMS, answers, strict=True)
    )


@dataclass(frozen=True)
class _Deciding:
    """Instructions that stand against a theorem, and those of which it is not known."""

    against: tuple[str, ...]
    open: tuple[str, ...]

    @classmethod
    def of(cls, answers: Iterable[tuple[Verdict, Answer]]) -> _Deciding:
        found = [(verdict.name, answer) for verdict, answer in answers]
        return cls(*(tuple(name for name, each in found if each is wanted) for wanted in (Answer.YES, Answer.UNKNOWN)))

    @property
    def names(self) -> tuple[str, ...]:
        return self.against + self.open


def _why(holds: Answer, if_so: str, deciding: _Deciding, what: str) -> str:
    if holds is Answer.YES:
        return if_so
    known = "" if holds is Answer.NO else "perhaps "
    return f"{known}{_count(deciding, 'is', 'are')} {what} privileged"


def _count(deciding: _Deciding, one: str, several: str) -> str:
    names = deciding.against or deciding.open
    return f"1 instruction {one}" if len(names) == 1 else f"{len(names)} instructions {several}"
