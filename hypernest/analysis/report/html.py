"""A classification as one page for a browser that needs nothing else, written for somebody who has not read the paper.

Names and texts may come from a user's file: everything that is not written here goes through `_text`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape

from hypernest.analysis.report import summary
from hypernest.analysis.report.classes import CLASSES, COLUMNS, LEGEND, Class, by_class
from hypernest.analysis.report.definitions_text import DEFINITIONS, LOCATION_DEFINITIONS, PAPER, QUESTIONS
from hypernest.analysis.report.explain import difference, how, noted, properties
from hypernest.analysis.report.families import Family, families
from hypernest.analysis.report.html_style import STYLE
from hypernest.analysis.report.states import compare, register_files
from hypernest.analysis.results import Answer, Classification, TheoremVerdict, Verdict, Witness

_OPEN = (Class.VIOLATION, Class.UNDECIDED)

_INTRODUCTION = (
    "A virtual machine monitor shares one computer out to several operating systems, each of which believes that it"
    " has a computer of its own. It does so by running them in the processor's unprivileged mode, the way that"
    " ordinary programs run. Most of their instructions then run directly on the processor, at full speed. Those that"
    " would take control of the machine must not: they have to trap, which is to say that the processor stops the"
    " program and calls the monitor, which then does what the instruction would have done to that virtual machine"
    " alone.",
    "Whether that works depends on the processor's instruction set, and on nothing else. Gerald Popek and Robert"
    " Goldberg said in 1974 exactly what it depends on. An instruction is privileged if it always traps in the"
    " unprivileged mode, and never in the privileged one. It is sensitive if it can change who has control over the"
    " machine (its mode, its memory map), or if its result gives away where in real memory, or in which mode, the"
    " program really is. It is innocuous if it is not sensitive. If every sensitive instruction is privileged, a"
    " monitor can be built.",
    "A sensitive instruction that is not privileged breaks this: the operating system in a virtual machine executes"
    " it, nothing traps, and it gets the wrong result or a control that it must not have, without the monitor ever"
    " knowing.",
)  # fmt: skip
_HOW = (
    "Every statement on this page was derived from a description of the processor that can be executed. What an"
    " instruction never does was proved for all states of the machine by a solver; what it can do is shown by a"
    " concrete state, or a pair of states, that was then run on a reference implementation. Open an instruction to see"
    " them."
)


def page(classifications: Sequence[Classification], others: Sequence[Classification] = ()) -> str:
    """A page on the settings of one ISA: `classifications` (there must be one) in full, `others` in a line each."""
    return "\n".join(_page(classifications, others)) + "\n"


def _page(classifications: Sequence[Classification], others: Sequence[Classification]) -> Iterator[str]:
    first = classifications[0]
    yield "<!DOCTYPE html>"
    yield '<html lang="en">'
    yield "<head>"
    yield '<meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{_text(first.title)}: can it be virtualized?</title>"
    yield f"<style>{STYLE}</style>"
    yield "</head>"
    yield "<body>"
    yield f"<h1>{_text(first.title)}: can it be virtualized?</h1>"
    yield '<p class="faint">Made by <code>hypernest classify</code>.</p>'
    for each in classifications:
        yield from _verdict_box(each)
    yield "<h2>What this is about</h2>"
    for paragraph in (*_INTRODUCTION, _HOW):
        yield f"<p>{paragraph}</p>"
    if len(classifications) + len(others) > 1:
        yield from _settings(classifications, others)
    for number, each in enumerate(classifications):
        yield from _Section(each, f"s{number}").parts()
    yield from _definitions()
    yield "</body>"
    yield "</html>"


def _verdict_box(classification: Classification) -> Iterator[str]:
    answer = classification.theorems[0].holds.value
    yield f'<div class="verdict {answer}"><p>{_text(summary.headline(classification))}</p>'
    yield f'<p class="faint">{_text(classification.setting.title)}</p></div>'


def _settings(classifications: Sequence[Classification], others: Sequence[Classification]) -> Iterator[str]:
    yield "<h2>Settings</h2>"
    yield "<p>The same instructions under different control bits, and for other pairs of modes.</p>"
    yield '<div class="scroll"><table>'
    yield "<tr><th>setting</th><th>monitor</th><th>recursive</th><th>hybrid</th><th>because of</th></tr>"
    links = [f"s{number}" for number in range(len(classifications))] + [""] * len(others)
    for each, link in zip((*classifications, *others), links, strict=True):
        title = _text(each.setting.title)
        holds = "".join(
            f'<td class="{theorem.holds.value}">{_text(summary.holds(theorem))}</td>' for theorem in each.theorems
        )
        names = _text("; ".join(summary.deciding(each, each.theorems[0])))
        linked = f'<a href="#{link}">{title}</a>' if link else title
        yield f'<tr><td>{linked}</td>{holds}<td class="names">{names}</td></tr>'
    yield "</table></div>"


class _Section:
    """The part of the page on one setting."""

    def __init__(self, classification: Classification, link: str) -> None:
        self._classification, self._setting, self._link = classification, classification.setting, link
        self._files = register_files(
            found.witness for found in summary.findings(classification.verdicts) if found.witness is not None
        )

    def parts(self) -> Iterator[str]:
        """The lines of it."""
        setting, classification = self._setting, self._classification
        yield f'<h2 id="{self._link}">{_text(setting.title)}</h2>'
        said = f"Software that was written for {setting.supervisor} mode is run in {setting.user} mode"
        yield f"<p>{_text(f'{said}: {setting.summary}' if setting.summary else said)}.</p>"
        if classification.definitions:
            yield f"<p>Which definition of location the verdicts use: {_text(classification.definitions)}.</p>"
        yield "<h3>The theorems</h3>"
        yield f"<p>{_text(summary.SUFFICIENT)}</p>"
        for theorem in classification.theorems:
            yield from self._theorem(theorem)
        if setting.expected:
            yield f"<p><b>What the literature says:</b> {_text(setting.expected)}</p>"
        if classification.constructions:
            yield from self._constructions()
        for note in classification.notes:
            yield f"<p>{_text(note)}</p>"
        yield "<h3>The instructions</h3>"
        yield f"<p>{_text(summary.counts(classification))}. {_text(summary.checks(classification))}.</p>"
        yield f'<p class="faint">{_text(LEGEND)}</p>'
        for each, members in by_class(classification.verdicts).items():
            if members:
                yield from self._class(each, members)

    def _theorem(self, theorem: TheoremVerdict) -> Iterator[str]:
        why = summary.because(theorem)
        yield f'<p><b>Theorem {theorem.number}, {_text(theorem.title)}: <span class="{theorem.holds.value}">'
        yield f"{_text(summary.holds(theorem))}</span></b>{f': {_text(why)}' if why else ''}.</p>"
        names = summary.deciding(self._classification, theorem)
        if names:
            yield '<ul class="names">'
            yield from (f"<li>{_text(each)}</li>" for each in names)
            yield "</ul>"
        yield f'<p class="faint">{_text(theorem.statement)}</p>'

    def _constructions(self) -> Iterator[str]:
        yield "<h3>Monitors that were built and run</h3>"
        yield (
            "<p>The monitors of the paper's proofs, made from the description, and run on random programs side by side"
            " with the bare machine.</p>"
        )
        yield '<div class="scroll"><table>'
        yield "<tr><th>monitor</th><th>theorem</th><th>result</th></tr>"
        for built in self._classification.constructions:
            lines = [summary.construction(built)]
            if built.first is not None:
                lines.append(summary.first_divergence(built))
                lines += [
                    f"{each.place}: {each.first} on the bare machine, {each.second} in the virtual one"
                    for each in built.first.differences
                ]
            answer = Answer.NO if built.divergences else Answer.YES
            yield f"<tr><td>{_text(built.monitor)}</td><td>{built.theorem}</td>"
            yield f'<td class="{answer.value}">{"<br>".join(map(_text, lines))}</td></tr>'
        yield "</table></div>"

    def _class(self, each: Class, members: Sequence[Verdict]) -> Iterator[str]:
        name = {Class.VIOLATION: "violation", Class.UNDECIDED: "undecided"}.get(each, "class")
        yield f'<details class="{name}"{" open" if each in _OPEN else ""}>'
        yield f"<summary>{_text(CLASSES[each].title)}: {len(members):,}</summary>"
        meaning = CLASSES[each].meaning
        yield f"<p>{_text(meaning[0].upper() + meaning[1:])}.</p>"
        yield '<div class="scroll"><table>'
        yield _cells("th", ["instructions", "extension", *COLUMNS])
        found = families(members, self._setting)
        for family in found:
            names = f'<td class="names">{_text(family.names)}</td>'
            rest = "".join(f"<td>{_text(cell)}</td>" for cell in (family.extension, *family.cells.as_tuple()))
            yield f"<tr>{names}{rest}</tr>"
        yield "</table></div>"
        for family in found:
            yield from self._family(family)
        yield "</details>"

    def _family(self, family: Family) -> Iterator[str]:
        folded = len(family.verdicts) > 1
        if folded:
            yield f'<details><summary class="names">{_text(family.names)}</summary>'
        for verdict in family.verdicts:
            yield f"<details><summary><code>{_text(verdict.name)}</code></summary>"
            yield from self._instruction(verdict)
            yield "</details>"
        if folded:
            yield "</details>"

    def _instruction(self, verdict: Verdict) -> Iterator[str]:
        yield f"<p><code>{_text(verdict.syntax)}</code> (extension {_text(verdict.extension)})</p>"
        said = ", ".join(f"{name}: {answer.value}" for name, answer in properties(verdict))
        yield f"<p>{_text(said)}</p>"
        for question, finding in verdict.findings.items():
            asked = QUESTIONS[question].named(self._setting.supervisor, self._setting.user)
            yield f'<p class="question"><b>{_text(asked)} {finding.answer.value}</b>, {_text(how(finding))}.</p>'
            if finding.witness is not None:
                yield from self._witness(finding.witness)
        for failure in verdict.random_failures:
            yield '<p class="no">A random state pair against the verdict:</p>'
            yield from self._witness(failure)

    def _witness(self, witness: Witness) -> Iterator[str]:
        compared = compare(witness, self._files)
        yield f"<p><code>{_text(witness.instruction)}</code> ({witness.code:#x})</p>"
        yield '<div class="scroll"><table class="states">'
        labels = "".join(f'<th colspan="2">{_text(label)}</th>' for label in compared.runs)
        yield f'<tr><th rowspan="2"></th>{labels}</tr>'
        yield f"<tr>{'<th>before</th><th>after</th>' * len(compared.runs)}</tr>"
        for line in compared.lines:
            yield f'<tr><td class="place">{_text(line.place)}</td>{_values(line.values)}</tr>'
        ends = "".join(f'<td colspan="2">{_text(end)}</td>' for end in compared.ends)
        yield f"<tr><td>the instruction</td>{ends}</tr>"
        yield "</table></div>"
        if compared.left_out:
            yield f'<p class="faint">and {compared.left_out} lines more</p>'
        if compared.same:
            same = f"The same in all: {', '.join(compared.same)}; every other register is 0."
            yield f'<p class="faint names">{_text(same)}</p>'
        for each in noted(witness.differences):
            yield f"<p>{_text(difference(each, pair=len(witness.runs) == 2))}</p>"
        if not witness.reproduced:
            yield '<p class="no">The reference engine did not reproduce this.</p>'


def _definitions() -> Iterator[str]:
    yield "<h2>The definitions</h2>"
    yield f"<p>Sections are those of {_text(PAPER)}.</p>"
    yield "<dl>"
    for definition in DEFINITIONS:
        yield f'<dt>{_text(definition.term)} <span class="faint">({_text(definition.source)})</span></dt>'
        yield f"<dd>{_text(definition.text)}</dd>"
    yield "</dl>"
    yield "<h3>What location means</h3>"
    for text in LOCATION_DEFINITIONS.values():
        yield f"<p>{_text(text)}</p>"


def _values(values: Sequence[str]) -> str:
    """Each value; where an instruction changed it, marked."""
    return "".join(
        f'<td class="value{" changed" if at % 2 and value != values[at - 1] else ""}">{_text(value)}</td>'
        for at, value in enumerate(values)
    )


def _cells(tag: str, texts: Iterable[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{_text(each)}</{tag}>' for each in texts)}</tr>"


def _text(raw: str) -> str:
    """Text that a browser shows as it is; characters that no page may have are replaced."""
    return escape(
        "".join(each if each.isprintable() or each in "\n\t" else "\N{REPLACEMENT CHARACTER}" for each in raw)
    )
