"""A classification as a page of the documentation. It holds no times, so that it can be made again and compared."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from hypernest.analysis.report import summary
from hypernest.analysis.report.classes import CLASSES, COLUMNS, LEGEND, Class, by_class
from hypernest.analysis.report.definitions_text import DEFINITIONS, PAPER
from hypernest.analysis.report.families import families
from hypernest.analysis.report.summary import SUFFICIENT
from hypernest.analysis.results import Classification, Verdict


def page(classifications: Sequence[Classification]) -> str:
    """The settings of one ISA; there must be one. Ends with a newline."""
    return "\n".join(_page(classifications)) + "\n"


def _page(classifications: Sequence[Classification]) -> Iterator[str]:
    first = classifications[0]
    settings = "" if len(classifications) == 1 else " --setting all"
    yield f"# {text(first.title)}"
    yield ""
    yield f"Made by `hypernest classify {first.isa}{settings} --markdown FILE`; not to be edited by hand."
    yield ""
    if len(classifications) > 1:
        yield "| setting | theorem 1 | theorem 2 | theorem 3 |"
        yield "|---|---|---|---|"
        for each in classifications:
            verdicts = [summary.holds(theorem) for theorem in each.theorems]
            yield _row([f"`{each.setting.name}`: {text(each.setting.title)}", *verdicts])
        yield ""
        yield SUFFICIENT
        yield ""
    for each in classifications:
        yield from _setting(each)
    yield "## Definitions"
    yield ""
    yield f"Sections are those of {PAPER}."
    yield ""
    for definition in DEFINITIONS:
        yield f"* **{definition.term}** ({definition.source}): {definition.text}"
    yield ""
    yield LEGEND


def _setting(classification: Classification) -> Iterator[str]:
    setting = classification.setting
    yield f"## {text(setting.title)}"
    yield ""
    lines = [
        f"Setting `{setting.name}`: written for {text(setting.supervisor)} mode, run in {text(setting.user)} mode.",
        _sentence(setting.summary),
        f"The definition of location is {_sentence(classification.definitions)}" if classification.definitions else "",
        f"Expected: {_sentence(setting.expected)}" if setting.expected else "",
    ]
    yield " ".join(line for line in lines if line)
    yield ""
    yield f"**{text(summary.headline(classification))}**"
    yield ""
    for theorem in classification.theorems:
        why = summary.because(theorem)
        said = f": {text(why)}" if why else ""
        yield f"* Theorem {theorem.number}, {text(theorem.title)}: **{summary.holds(theorem)}**{said}."
        for names in summary.deciding(classification, theorem):
            yield f"  * {text(names)}"
    yield ""
    for built in classification.constructions:
        first = summary.first_divergence(built)
        yield (
            f"* Constructed, {text(built.monitor)} (theorem {built.theorem}): {summary.construction(built)}"
            f"{f' ({text(first)})' if first else ''}."
        )
    if classification.constructions:
        yield ""
    for note in classification.notes:
        yield _sentence(note)
        yield ""
    yield f"{_sentence(summary.counts(classification))} {_sentence(summary.checks(classification))}"
    yield ""
    for each, members in by_class(classification.verdicts).items():
        if members:
            yield from _class(each, members, classification)


def _class(each: Class, members: Sequence[Verdict], classification: Classification) -> Iterator[str]:
    yield f"### {CLASSES[each].title}: {len(members):,}"
    yield ""
    yield _sentence(CLASSES[each].meaning[0].upper() + CLASSES[each].meaning[1:])
    yield ""
    yield _row(["instructions", "extension", *COLUMNS])
    yield "|---" * (2 + len(COLUMNS)) + "|"
    for family in families(members, classification.setting):
        yield _row([text(family.names), text(family.extension), *map(text, family.cells.as_tuple())])
    yield ""


def text(raw: str) -> str:
    """Text with what Markdown and HTML would read in it taken literally, on one line."""
    return re.sub(r"([\\`*_\[\]<>|&#~])", r"\\\1", " ".join(raw.split()))


def _sentence(raw: str) -> str:
    clean = text(raw)
    return clean if not clean or clean.endswith((".", "!", "?")) else f"{clean}."


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
