"""The classes that a table of instructions has, and the properties that its columns show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from hypernest.analysis.model import Setting
from hypernest.analysis.results import Answer, Question, Verdict

NONE, UNDECIDED = "–", "?"


class Class(Enum):
    """What a verdict comes to, in the order of importance. The value is the key in JSON."""

    VIOLATION = "sensitive and not privileged"
    UNDECIDED = "undecided"
    CONTROLLED = "sensitive and privileged"
    PRIVILEGED = "privileged"
    INNOCUOUS = "innocuous"
    TRAPS = "always traps"


@dataclass(frozen=True)
class ClassText:
    """A class for readers."""

    title: str
    meaning: str


CLASSES: Mapping[Class, ClassText] = {
    Class.VIOLATION: ClassText(
        "Sensitive and NOT privileged",
        "touches what a monitor must control, or shows what it must hide, without a sure trap: this breaks theorem 1",
    ),
    Class.UNDECIDED: ClassText(
        "Undecided", "no proof and no counterexample in the time given, so nothing is claimed of them"
    ),
    Class.CONTROLLED: ClassText(
        "Sensitive and privileged", "traps in user mode, so a monitor gets control and does it for the virtual machine"
    ),
    Class.PRIVILEGED: ClassText("Privileged, not sensitive", "traps in user mode although nothing would call for it"),
    Class.INNOCUOUS: ClassText(
        "Innocuous", "runs directly on the processor with the same result in a virtual machine as on the bare machine"
    ),
    Class.TRAPS: ClassText("Always traps", "traps in both modes: whoever holds the machine always gets control"),
}


def class_of(verdict: Verdict) -> Class:
    """The class of a verdict. Undecided if an answer is missing that decides between classes."""
    if verdict.violates is Answer.YES:
        return Class.VIOLATION
    if verdict.never_runs is Answer.YES:
        return Class.TRAPS
    if Answer.UNKNOWN in (verdict.never_runs, verdict.privileged, verdict.sensitive):
        return Class.UNDECIDED
    if verdict.privileged is Answer.YES:
        return Class.CONTROLLED if verdict.sensitive is Answer.YES else Class.PRIVILEGED
    return Class.INNOCUOUS


def by_class(verdicts: Sequence[Verdict]) -> dict[Class, list[Verdict]]:
    """The verdicts of each class, in the order of classes; every class is there."""
    found: dict[Class, list[Verdict]] = {each: [] for each in Class}
    for verdict in verdicts:
        found[class_of(verdict)].append(verdict)
    return found


@dataclass(frozen=True)
class Cells:
    """The columns of a table: in which modes a property shows, or whether it does."""

    control: str
    location: str
    mode: str
    user_sensitive: str
    timing: str
    not_privileged: str  # why

    def as_tuple(self) -> tuple[str, ...]:
        """In the order of `COLUMNS`."""
        return self.control, self.location, self.mode, self.user_sensitive, self.timing, self.not_privileged


COLUMNS = ("control", "location", "mode", "user-sensitive", "timing", "why not privileged")

LEGEND = (
    "control, location: the modes in which the instruction is control or location sensitive. mode: whether its result"
    " differs between modes. user-sensitive: what theorem 3 asks for. timing: whether it shows the passing of time in"
    f" user mode. {NONE} is a proof that it is not so, {UNDECIDED} that it is not known."
)


def cells(verdict: Verdict, setting: Setting) -> Cells:
    """What the table says of one instruction."""
    answer = verdict.answer
    mode = _yes(answer(Question.MODE))
    if mode == NONE and answer(Question.MODE_AND_LOCATION) is not Answer.NO:
        mode = "with location" if answer(Question.MODE_AND_LOCATION) is Answer.YES else UNDECIDED
    return Cells(
        _modes(answer(Question.CONTROL_IN_SUPERVISOR), answer(Question.CONTROL_IN_USER), setting),
        _modes(answer(Question.LOCATION_IN_SUPERVISOR), answer(Question.LOCATION_IN_USER), setting),
        mode,
        _yes(verdict.user_sensitive),
        _yes(verdict.timing_dependent),
        why_not_privileged(verdict, setting),
    )


def why_not_privileged(verdict: Verdict, setting: Setting) -> str:
    """What the instruction does that a privileged one does not, empty for a privileged one."""
    reasons = [
        (verdict.answer(Question.RUNS_IN_USER), f"runs in {setting.user}"),
        (verdict.answer(Question.TRAPS_IN_SUPERVISOR), f"can trap in {setting.supervisor}"),
        (~verdict.answer(Question.RUNS_AT_ALL), f"never runs in {setting.supervisor}"),
    ]
    said = [
        text + (UNDECIDED if answer is Answer.UNKNOWN else "") for answer, text in reasons if answer is not Answer.NO
    ]
    if len(said) > 1 and verdict.answer(Question.RUNS_AT_ALL) is Answer.NO:
        said = [text for text in said if not text.startswith("can trap")]
    return ", ".join(said)


def _yes(answer: Answer) -> str:
    return {Answer.YES: "yes", Answer.NO: NONE, Answer.UNKNOWN: UNDECIDED}[answer]


def _modes(supervisor: Answer, user: Answer, setting: Setting) -> str:
    said = [
        mode + (UNDECIDED if answer is Answer.UNKNOWN else "")
        for answer, mode in ((supervisor, setting.supervisor), (user, setting.user))
        if answer is not Answer.NO
    ]
    return ", ".join(said) or NONE
