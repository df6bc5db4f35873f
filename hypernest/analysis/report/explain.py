"""One instruction explained: the definitions, each question with its answer and proof, witnesses side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from hypernest.analysis.report.classes import CLASSES, by_class, class_of, why_not_privileged
from hypernest.analysis.report.definitions_text import LOCATION, METHODS, MODE, PAPER, QUESTIONS, Definition
from hypernest.analysis.report.families import in_short
from hypernest.analysis.report.states import compare, register_files
from hypernest.analysis.report.summary import heading
from hypernest.analysis.report.table import indented
from hypernest.analysis.results import Answer, Classification, Difference, Finding, Verdict, Witness


def render(classification: Classification, verdict: Verdict) -> RenderableType:
    """All that is known of one instruction."""
    return Group(*_parts(classification, verdict))


def render_variants(classification: Classification) -> RenderableType:
    """The variants of a row by class, without their proofs."""
    lines: list[RenderableType] = [Text(heading(classification), style="bold")]
    for each, members in by_class(classification.verdicts).items():
        if members:
            lines.append(Text(f"\n{CLASSES[each].title}: {len(members)}", style="bold"))
            lines.append(Text(CLASSES[each].meaning, style="dim"))
            lines += [indented(Text(names)) for names in in_short(members)]
    return Group(*lines)


def properties(verdict: Verdict) -> list[tuple[str, Answer]]:
    """The properties that the definitions give names to."""
    return [
        ("privileged", verdict.privileged),
        ("control sensitive", verdict.control_sensitive),
        ("location sensitive", verdict.location_sensitive),
        ("mode sensitive", verdict.mode_sensitive),
        ("innocuous", verdict.innocuous),
        ("user sensitive", verdict.user_sensitive),
        ("timing dependent", verdict.timing_dependent),
    ]


def how(finding: Finding) -> str:
    """How an answer was found."""
    if finding.answer is Answer.YES and finding.witness is not None:
        return "shown by states that the solver found" + (
            "; the reference engine ran them and did the same" if finding.witness.reproduced else ""
        )
    if finding.answer is Answer.YES:
        return f"by {finding.method}"
    return METHODS.get(finding.method, finding.method)


def _parts(classification: Classification, verdict: Verdict) -> Iterator[RenderableType]:
    setting = classification.setting
    text = CLASSES[class_of(verdict)]
    yield Text(f"{verdict.name}: {text.title.lower()}", style="bold")
    yield Text(text.meaning)
    yield Text(f"{verdict.syntax}  (extension {verdict.extension})", style="dim")
    yield Text(f"{heading(classification)}: written for {setting.supervisor} mode, run in {setting.user}", style="dim")
    yield Text()
    for name, answer in properties(verdict):
        why = why_not_privileged(verdict, setting) if name == "privileged" and answer is not Answer.YES else ""
        yield Text(f"  {name:<20} {answer.value}{f'  ({why})' if why else ''}")
    defined: set[str] = set()
    files = register_files([found.witness for found in verdict.findings.values() if found.witness is not None])
    for question, finding in verdict.findings.items():
        definition = QUESTIONS[question].definition
        if definition.term not in defined:
            defined.add(definition.term)
            yield Text()
            yield from _definition(definition, classification)
        yield Text()
        asked = Text(QUESTIONS[question].named(setting.supervisor, setting.user), style="bold")
        asked.append(f" {finding.answer.value}", style="bold")
        yield asked.append(f", {how(finding)} ({finding.seconds:.2f} s)", style="not bold")
        if finding.witness is not None:
            yield indented(witness(finding.witness, files))
    yield Text()
    yield from _random(verdict, files)
    yield Text(f"Definitions: {PAPER}", style="dim")


def _definition(definition: Definition, classification: Classification) -> Iterator[RenderableType]:
    line = Text(definition.term.capitalize(), style="bold italic")
    line.append(f" ({definition.source})", style="not bold italic dim")
    yield line.append(f": {definition.text}", style="not bold italic")
    if definition in (LOCATION, MODE) and classification.definitions:
        yield Text(f"Which definition of location: {classification.definitions}.", style="italic")


def _random(verdict: Verdict, files: frozenset[str]) -> Iterator[RenderableType]:
    if verdict.random_pairs:
        failures = f"{len(verdict.random_failures)} against the verdict" if verdict.random_failures else "none of them"
        said = f"Besides, {verdict.random_pairs} random state pairs ran on the reference engine: {failures}"
        yield Text(f"{said}{'' if verdict.random_failures else ' contradicts the verdict'}.")
    for each in verdict.random_failures:
        yield indented(witness(each, files))


def witness(shown: Witness, files: frozenset[str]) -> RenderableType:
    """An instruction and the states before and after it, side by side."""
    compared = compare(shown, files)
    parts: list[RenderableType] = [Text.assemble((shown.instruction, "bold"), f"  ({shown.code:#x})")]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("")
    for label in compared.runs:
        table.add_column(Text(f"{label}\nbefore"), overflow="fold")
        table.add_column(Text("\nafter"), overflow="fold")
    for line in compared.lines:
        table.add_row(Text(line.place), *_values(line.values))
    table.add_row(Text("the instruction"), *(cell for end in compared.ends for cell in (Text(), Text(end))))
    parts.append(table)
    if compared.left_out:
        parts.append(Text(f"and {compared.left_out} lines more, see --json", style="dim"))
    if compared.same:
        parts.append(Text(f"the same in all: {', '.join(compared.same)}; every other register is 0", style="dim"))
    for each in noted(shown.differences):
        parts.append(Text(difference(each, pair=len(shown.runs) == 2), style="yellow"))
    if not shown.reproduced:
        parts.append(Text("the reference engine did not reproduce this", style="bold red"))
    return Group(*parts)


def noted(differences: Sequence[Difference]) -> list[Difference]:
    """Those that differ: how both runs ended is named even where it is alike."""
    return [each for each in differences if each.first != each.second]


def difference(each: Difference, *, pair: bool) -> str:
    """What differed, in words."""
    if pair:
        return f"differs: {each.place} is {each.first} in the first run, {each.second} in the second"
    return f"changes: {each.place} from {each.first} to {each.second}"


def _values(values: Sequence[str]) -> list[Text]:
    """Each value; where an instruction changed it, conspicuous."""
    return [Text(value, style="bold" if at % 2 and value != values[at - 1] else "") for at, value in enumerate(values)]
