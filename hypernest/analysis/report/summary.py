"""What follows from a classification, in sentences that all reports share."""

from __future__ import annotations

from collections.abc import Sequence

from hypernest.analysis.report.classes import CLASSES, by_class
from hypernest.analysis.report.families import in_short
from hypernest.analysis.results import Answer, Classification, Construction, Finding, TheoremVerdict, Verdict

SUFFICIENT = (
    "The conditions are sufficient, not necessary: where one fails, a monitor that interprets or translates more than"
    " the paper's is still possible."
)

_HOLDS = {Answer.YES: "holds", Answer.NO: "does not hold", Answer.UNKNOWN: "not decided"}


def heading(classification: Classification) -> str:
    """The ISA and the setting in one line."""
    return f"{classification.title}: {classification.setting.title}"


def headline(classification: Classification) -> str:
    """The verdict in one sentence or two."""
    monitor, recursive, hybrid = classification.theorems
    sensitive = sum(verdict.sensitive is Answer.YES for verdict in classification.verdicts)
    if monitor.holds is Answer.YES:
        if recursive.holds is Answer.YES:
            inside = " It can also run inside itself (theorem 2)."
        elif recursive.holds is Answer.NO:
            timing = sum(verdict.timing_dependent is Answer.YES for verdict in classification.verdicts)
            shows = f"{_count(timing, 'instruction')} {'shows' if timing == 1 else 'show'} the time"
            inside = f" That it can run inside itself does not follow: {shows} (theorem 2)."
        else:
            inside = " Whether it can run inside itself is not decided (theorem 2)."
        every = {0: "no instruction is sensitive", 1: "the only sensitive instruction is privileged"}.get(
            sensitive, f"all {sensitive} sensitive instructions are privileged"
        )
        return f"A virtual machine monitor can be built: {every} (theorem 1).{inside}"
    if monitor.holds is Answer.UNKNOWN:
        missing = f"{_count(len(monitor.because), 'instruction')} could not be classified in the time given"
        return f"Whether a virtual machine monitor can be built is not decided: {missing}."
    violating = [verdict for verdict in classification.verdicts if verdict.violates is Answer.YES]
    are = "is" if len(violating) == 1 else "are"
    why = f"{_count(len(violating), 'sensitive instruction')} {are} not privileged"
    if hybrid.holds is Answer.YES:
        return f"No virtual machine monitor by theorem 1, because {why}; but a hybrid monitor can be built (theorem 3)."
    if hybrid.holds is Answer.NO:
        return f"No virtual machine monitor by theorem 1 and no hybrid one by theorem 3, because {why}."
    return f"No virtual machine monitor by theorem 1, because {why}; whether a hybrid one can be built is not decided."


def holds(theorem: TheoremVerdict) -> str:
    """Whether a theorem's condition holds, in words."""
    return _HOLDS[theorem.holds]


def deciding(classification: Classification, theorem: TheoremVerdict) -> list[str]:
    """The instructions that decide a theorem, in short; those of which it is not known are marked."""
    named = [verdict for verdict in classification.verdicts if verdict.name in set(theorem.because)]
    certain: list[Verdict] = []
    open_ones: list[Verdict] = []
    for verdict in named:
        (certain if _decides(theorem, verdict) else open_ones).append(verdict)
    return [*in_short(certain), *(f"undecided: {names}" for names in in_short(open_ones))]


def _decides(theorem: TheoremVerdict, verdict: Verdict) -> bool:
    conditions = {
        1: (verdict.violates,),
        2: (verdict.violates, verdict.timing_dependent),
        3: (verdict.violates_hybrid,),
    }
    return Answer.YES in conditions.get(theorem.number, ())


def because(theorem: TheoremVerdict) -> str:
    """Why a theorem's condition holds or not; empty if that is not known."""
    return "" if theorem.holds is Answer.UNKNOWN else theorem.explanation


def construction(built: Construction) -> str:
    """How a monitor that was built fared against the bare machine."""
    share = f"{built.interpreted / built.instructions:.1%}" if built.instructions else "none"
    ran = (
        f"{_count(built.programs, 'random program')}, {_count(built.instructions, 'instruction')},"
        f" {share} of them interpreted by the monitor"
    )
    if not built.divergences:
        return f"{ran}: always the same as the bare machine"
    return f"{ran}: {_count(built.divergences, 'program')} went otherwise than on the bare machine"


def first_divergence(built: Construction) -> str:
    """Where a virtual machine first differed, empty if it never did."""
    if built.first is None:
        return ""
    at = built.first
    return f"first in program {at.program}, step {at.step}, {at.instruction}"


def counts(classification: Classification) -> str:
    """How many instructions there are in each class."""
    found = by_class(classification.verdicts)
    parts = [f"{len(members):,} {CLASSES[each].title.lower()}" for each, members in found.items() if members]
    return f"{_count(len(classification.verdicts), 'instruction')}: {', '.join(parts)}"


def checks(classification: Classification) -> str:
    """What was run on the reference engine."""
    witnesses = [found.witness for found in findings(classification.verdicts) if found.witness is not None]
    reproduced = sum(witness.reproduced for witness in witnesses)
    pairs = sum(verdict.random_pairs for verdict in classification.verdicts)
    failures = sum(len(verdict.random_failures) for verdict in classification.verdicts)
    said = f"{reproduced:,} of {_count(len(witnesses), 'witness', 'witnesses')} reproduced by the reference engine"
    if pairs:
        said += f"; {_count(pairs, 'random state pair')} besides, {failures or 'none'} against a verdict"
    return said


def findings(verdicts: Sequence[Verdict]) -> list[Finding]:
    """All answers."""
    return [found for verdict in verdicts for found in verdict.findings.values()]


def unknowns(classification: Classification) -> list[str]:
    """Instructions with a question that was not answered, and how often each way."""
    return [
        f"{verdict.name}: {', '.join(f'{found.question.value} ({found.method})' for found in open_ones)}"
        for verdict in classification.verdicts
        if (open_ones := [found for found in verdict.findings.values() if found.answer is Answer.UNKNOWN])
    ]


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"
