"""Tables and explanations as a terminal shows them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.console import Console, RenderableType

from hypernest.analysis.report import explain, table
from hypernest.analysis.report.definitions_text import QUESTIONS
from hypernest.analysis.results import Answer, Finding, Question, Verdict
from tests.analysis.report.toy import BROKEN, HOSTILE, PAIR, SINGLE, VIRTUALIZABLE


def shown(what: RenderableType, width: int = 200) -> str:
    console = Console(width=width, highlight=False)
    with console.capture() as capture:
        console.print(what)
    return capture.get()


def of(name: str) -> Verdict:
    return next(each for each in BROKEN.verdicts if each.name == name)


def test_violations_come_first_and_the_verdict_last() -> None:
    text = shown(table.render(BROKEN))
    titles = ["Sensitive and NOT privileged: 1", "Undecided: 1", "Sensitive and privileged: 10",
              "Privileged, not sensitive: 1", "Innocuous: 3", "Always traps: 1", "Theorem 1, "]  # fmt: skip
    places = [text.index(title) for title in titles]
    assert places == sorted(places)
    assert text.splitlines()[-1].startswith("No virtual machine monitor by theorem 1, because")


def test_the_table_has_all_that_was_found() -> None:
    text = shown(table.render(BROKEN))
    assert "set, clear: key0–4" in text
    assert HOSTILE in text, "and no markup is read in names"
    assert "clock (timing dependent)" in text
    assert "slow: depends on the location in user mode (time-out)" in text
    assert "expected: not virtualizable (Somebody 1999)" in text
    assert "12.5 s" in text
    assert "first in program 3, step 12, readmode r3" in text
    assert "r[3]: 0x1 on the bare machine, 0x0 in the virtual one" in text
    assert "A note on the toy." in text


@pytest.mark.parametrize("width", [40, 80])
def test_a_narrow_terminal_loses_no_instruction(width: int) -> None:
    text = shown(table.render(BROKEN), width)
    squeezed = "".join(text.split())
    for each in ("readmode", "slow", "other", "call", "clock"):
        assert each in squeezed
    assert max(map(len, text.splitlines())) <= width


def test_no_class_is_shown_that_is_empty() -> None:
    text = shown(table.render(VIRTUALIZABLE))
    assert "NOT privileged" not in text
    assert "Undecided" not in text
    assert "Constructed" not in text


def test_another_setting_in_a_line() -> None:
    assert shown(table.summary_line(BROKEN)).rstrip() == (
        "plain: theorem 1 does not hold; theorem 2 does not hold; theorem 3 not decided;"
        " because of readmode; undecided: slow"
    )
    assert shown(table.summary_line(VIRTUALIZABLE)).rstrip() == (
        "plain: theorem 1 holds; theorem 2 holds; theorem 3 holds"
    )


def test_an_explanation_has_definitions_questions_and_states() -> None:
    text = " ".join(shown(explain.render(BROKEN, of("readmode"))).split())
    assert text.startswith("readmode: sensitive and not privileged")
    for question, each in QUESTIONS.items():
        assert each.asked.format(S="kernel", U="user") in text, question
        assert f"{each.definition.term.capitalize()} ({each.definition.source}): {each.definition.text}" in text
    assert "Which definition of location: the paper's: the same program at another place." in text
    assert "differ between kernel mode and user mode? yes, shown by states that the solver found; the reference" in text
    assert "resources in kernel mode? no, proved for all states by the solver (0.25 s)" in text
    assert "resources in user mode? no, proved for all states: the description itself says so" in text
    assert "in kernel mode in user mode, relocated by 0x40 before after before after" in text
    assert "r[3] 0x0 0x1 0x0 0x0" in text
    assert "memory 0x10–0x11 ab 00 ab cd ab 00 ab 00" in text
    assert "the same in all: key[0–2] = 0x7, limit = 0xffffffffffffffff; every other register is 0" in text
    assert "differs: r[3] is 0x1 in the first run, 0x0 in the second" in text
    assert "differs: trap" not in text, "what is alike does not differ"
    assert "16 random state pairs ran on the reference engine: none of them contradicts the verdict" in text


def test_what_is_not_known_is_not_claimed() -> None:
    text = shown(explain.render(BROKEN, of("slow")))
    assert "depend on the location in user mode? unknown, not decided: the solver did not answer in time" in text


def test_a_witness_that_did_not_reproduce_is_said() -> None:
    finding = Finding(Question.MODE, Answer.UNKNOWN, "unconfirmed", 1.0, SINGLE)
    verdict = replace(of("slow"), findings={Question.MODE: finding}, random_failures=(PAIR,))
    text = shown(explain.render(BROKEN, verdict))
    assert "the solver's states did not show it on the reference engine" in text
    assert "the reference engine did not reproduce this" in text
    assert "traps: privileged instruction" in text
    assert "1 against the verdict" in text


def test_variants_by_class() -> None:
    variants = replace(BROKEN, verdicts=tuple(each for each in BROKEN.verdicts if each.row == "set"))
    lines = [line.strip() for line in shown(explain.render_variants(variants)).splitlines()]
    assert lines[lines.index("Sensitive and privileged: 5") + 2] == "set: key0–4"
    assert lines[lines.index("Privileged, not sensitive: 1") + 2] == "set: other"
