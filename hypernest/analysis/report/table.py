"""A classification on a terminal: what breaks the theorems first, the verdict on them last, where the eye ends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from hypernest.analysis.report import summary
from hypernest.analysis.report.classes import CLASSES, COLUMNS, LEGEND, Class, by_class
from hypernest.analysis.report.families import families, in_short
from hypernest.analysis.results import Answer, Classification, Construction, TheoremVerdict, Verdict

COLOURS = {Answer.YES: "green", Answer.NO: "red", Answer.UNKNOWN: "yellow"}
_CLASS_COLOURS = {Class.VIOLATION: "bold red", Class.UNDECIDED: "bold yellow"}
_WITHOUT_COLUMNS = (Class.INNOCUOUS, Class.TRAPS, Class.PRIVILEGED)  # there is nothing in them
_UNKNOWNS_SHOWN = 20


def render(classification: Classification) -> RenderableType:
    """The whole report of one setting."""
    return Group(*_parts(classification))


def _parts(classification: Classification) -> Iterator[RenderableType]:
    setting = classification.setting
    yield Text(summary.heading(classification), style="bold")
    if setting.summary:
        yield Text(setting.summary)
    yield Text(f"written for {setting.supervisor} mode, run in {setting.user} mode", style="dim")
    for each, members in by_class(classification.verdicts).items():
        if members:
            yield Text()
            yield from _class(each, members, classification)
    yield Text()
    yield Text(LEGEND, style="dim")
    unknowns = summary.unknowns(classification)
    if unknowns:
        yield Text(f"\nNot answered, of {len(unknowns)} instructions:", style="bold yellow")
        for line in unknowns[:_UNKNOWNS_SHOWN]:
            yield Text(f"  {line}")
        if len(unknowns) > _UNKNOWNS_SHOWN:
            yield Text(f"  and {len(unknowns) - _UNKNOWNS_SHOWN} more, see --json")
    yield Text()
    for theorem in classification.theorems:
        yield from _theorem(classification, theorem)
    for built in classification.constructions:
        yield from _construction(built)
    if classification.constructions:
        yield Text()
    for note in classification.notes:
        yield Text(note)
    yield Text(summary.counts(classification))
    yield Text(f"{summary.checks(classification)}; {classification.seconds:.1f} s")
    if classification.definitions:
        yield Text(f"location: {classification.definitions}")
    if setting.expected:
        yield Text(f"expected: {setting.expected}")
    yield Text(summary.headline(classification), style=f"bold {COLOURS[classification.theorems[0].holds]}")


def _class(each: Class, members: Sequence[Verdict], classification: Classification) -> Iterator[RenderableType]:
    text = CLASSES[each]
    title = Text(f"{text.title}: {len(members):,}", style=_CLASS_COLOURS.get(each, "bold"))
    yield title.append(f"  ({text.meaning})", style="not bold dim")
    if each in _WITHOUT_COLUMNS:
        yield _plain(members)
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("instructions", overflow="fold", ratio=1)
    for column in COLUMNS:
        table.add_column(column.replace(" ", "\n", 1), overflow="fold")
    for family in families(members, classification.setting):
        names = Text(family.names, style="red" if each is Class.VIOLATION else "")
        table.add_row(names, *(Text(cell) for cell in family.cells.as_tuple()))
    yield indented(table)


def _plain(members: Sequence[Verdict]) -> RenderableType:
    """Only extensions and names; an innocuous instruction may still show the time."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    extensions: dict[tuple[str, Answer], list[Verdict]] = {}
    for verdict in members:
        extensions.setdefault((verdict.extension, verdict.timing_dependent), []).append(verdict)
    for (extension, timing), found in extensions.items():
        mark = {Answer.YES: " (timing dependent)", Answer.UNKNOWN: " (timing: ?)", Answer.NO: ""}[timing]
        table.add_row(Text(extension), Text("; ".join(in_short(found)) + mark))
    return indented(table)


def indented(what: RenderableType, by: int = 2) -> RenderableType:
    """Away from the left margin."""
    return Padding(what, (0, 0, 0, by), expand=False)


def _theorem(classification: Classification, theorem: TheoremVerdict) -> Iterator[RenderableType]:
    line = Text(f"Theorem {theorem.number}, {theorem.title}: ", style="bold")
    line.append(summary.holds(theorem), style=f"bold {COLOURS[theorem.holds]}")
    why = summary.because(theorem)
    if why:
        line.append(f": {why}", style="not bold")
    yield line
    for names in summary.deciding(classification, theorem):
        yield indented(Text(names, style=COLOURS[theorem.holds]), 4)


def _construction(built: Construction) -> Iterator[RenderableType]:
    line = Text(f"Constructed, {built.monitor} (theorem {built.theorem}): ", style="bold")
    yield line.append(summary.construction(built), style=f"not bold {'red' if built.divergences else 'green'}")
    if built.first is not None:
        yield indented(Text(summary.first_divergence(built)), 4)
        for each in built.first.differences:
            shown = Text(f"{each.place}: {each.first} on the bare machine, {each.second} in the virtual one")
            yield indented(shown, 6)


def summary_line(classification: Classification) -> RenderableType:
    """Another setting in one line: which theorems hold, and the instructions that break the first."""
    line = Text(f"{classification.setting.name}: ", style="bold")
    for theorem in classification.theorems:
        line.append(f"theorem {theorem.number} {summary.holds(theorem)}", style=f"not bold {COLOURS[theorem.holds]}")
        line.append("; " if theorem.number < len(classification.theorems) else "", style="not bold")
    names = summary.deciding(classification, classification.theorems[0])
    if names:
        line.append(f"; because of {'; '.join(names)}", style="not bold")
    return line
