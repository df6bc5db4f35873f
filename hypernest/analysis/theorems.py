"""The three theorems of Popek and Goldberg (1974): what each asks of an instruction set, and what the verdicts say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hypernest.analysis.results import Answer, TheoremVerdict, Verdict, both


def _names(verdicts: Iterable[Verdict]) -> tuple[str, ...]:
    return tuple(verdict.name for verdict in verdicts)


def theorems(verdicts: Sequence[Verdict]) -> tuple[TheoremVerdict, ...]:
    """What follows from the verdicts on all instructions. The conditions are sufficient, not necessary."""
    subset = both(*(~verdict.violates for verdict in verdicts))
    hybrid = both(*(~verdict.violates_hybrid for verdict in verdicts))
    timeless = both(*(~verdict.timing_dependent for verdict in verdicts))
    violating = [verdict for verdict in verdicts if verdict.violates is not Answer.NO]
    timing = [verdict for verdict in verdicts if verdict.timing_dependent is not Answer.NO]
    hybrid_violating = [verdict for verdict in verdicts if verdict.violates_hybrid is not Answer.NO]
    return (
        TheoremVerdict(
            1,
            "a virtual machine monitor",
            "For any conventional third generation computer, a virtual machine monitor may be constructed if the set of"
            " sensitive instructions for that computer is a subset of the set of privileged instructions.",
            subset,
            _names(violating),
            "every sensitive instruction is privileged"
            if subset is Answer.YES
            else f"{len(violating)} sensitive instructions run without a trap in user mode",
        ),  # fmt: skip
        TheoremVerdict(
            2,
            "a recursive monitor",
            "A conventional third generation computer is recursively virtualizable if it is (a) virtualizable, and (b) a"
            " virtual machine monitor without any timing dependencies can be constructed for it.",
            both(subset, timeless),
            _names(violating) + _names(each for each in timing if each not in violating),
            "it is virtualizable, and no instruction shows time to a program in user mode"
            if both(subset, timeless) is Answer.YES
            else f"{len(timing)} instructions show time in user mode"
            if subset is Answer.YES
            else "it is not virtualizable by theorem 1",
        ),  # fmt: skip
        TheoremVerdict(
            3,
            "a hybrid monitor",
            "A hybrid virtual machine monitor may be constructed for any conventional third generation machine in which"
            " the set of user sensitive instructions are a subset of the set of privileged instructions.",
            hybrid,
            _names(hybrid_violating),
            "every user sensitive instruction is privileged"
            if hybrid is Answer.YES
            else f"{len(hybrid_violating)} user sensitive instructions run without a trap in user mode",
        ),  # fmt: skip
    )
