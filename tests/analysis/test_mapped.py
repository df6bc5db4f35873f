"""RISC-V with its translation structures within reach, and instructions that ask for a translation outright."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

from hypernest.analysis.inquiry import Inquiry
from hypernest.analysis.instances import instances
from hypernest.analysis.models.riscv64 import MODEL
from hypernest.analysis.results import Answer, Finding, Question
from hypernest.isa.hart import Access, Hart
from hypernest.isa.riscv.translation import translate

SECONDS = 60.0


def found(
    name: str, setting: str, *questions: Question, semantics: Callable[[Hart], None] | None = None
) -> dict[Question, Finding]:
    model = MODEL
    if semantics is not None:
        rows = dict(MODEL.isa.rows)
        rows[name] = replace(rows[name], semantics=semantics)
        model = replace(model, isa=replace(MODEL.isa, rows=rows))
    instance = next(each for each in instances(model) if each.name == name)
    return Inquiry(model, model.setting(setting), SECONDS).ask(instance, questions)


@pytest.mark.parametrize("name", ["sd", "sb", "amoadd.d", "sc.d", "cbo.zero"])
def test_what_writes_tables_within_reach_changes_the_map(name: str) -> None:
    for question in (Question.CONTROL_IN_SUPERVISOR, Question.CONTROL_IN_USER):
        assert found(name, "s-in-u-tables", question)[question].answer is Answer.YES
        assert found(name, "s-in-u", question)[question].answer is Answer.NO


@pytest.mark.parametrize("name", ["ld", "lb", "lr.d", "fld", "amoadd.d"])
def test_tables_within_reach_show_the_place_and_not_the_mode(name: str) -> None:
    answers = found(name, "s-in-u-tables", Question.MODE, Question.LOCATION_IN_USER)
    assert answers[Question.MODE].answer is Answer.NO
    assert answers[Question.LOCATION_IN_USER].answer is Answer.YES


def _translated(access: Access, h: Hart) -> None:
    h.rd = translate(h, h.rs1, access)


@pytest.mark.parametrize("access", [Access.READ, Access.WRITE])
def test_a_translation_shows_the_place(access: Access) -> None:
    question = Question.LOCATION_IN_USER
    answers = found("add", "s-in-u", question, semantics=partial(_translated, access))
    witness = answers[question].witness
    assert witness is not None
    assert witness.reproduced
    assert answers[question].answer is Answer.YES


def test_what_the_state_decides_about_an_access_decides_about_its_fault() -> None:
    def probe(h: Hart) -> None:
        translate(h, h.rs1, (h.rs2 & 1).trunc(translate.arguments[1]))

    answers = found("add", "s-in-u", *Question, semantics=probe)
    assert answers[Question.RUNS_IN_USER].answer is Answer.YES
    assert answers[Question.MODE].answer is Answer.NO
