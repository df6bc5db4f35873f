"""All instructions of an ISA: which are asked about, in how many processes, and who is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from examples.isas.toy import MODEL
from hypernest.analysis.classification import DEFINITIONS, Limits, classify
from hypernest.analysis.instances import instances
from hypernest.analysis.isas import load_model
from hypernest.analysis.model import Memory
from hypernest.analysis.results import Answer, Classification, Question

TOY = str(Path(__file__).parents[2] / "examples" / "isas" / "toy.py")
NAMES = [each.name for each in instances(MODEL)]
LIMITS = Limits(time_limit=60.0)


def answers(found: Classification) -> Mapping[tuple[str, Question], tuple[Answer, str]]:
    return {
        (verdict.name, question): (finding.answer, finding.method)
        for verdict in found.verdicts
        for question, finding in verdict.findings.items()
    }


def test_two_processes_find_what_one_finds() -> None:
    one = classify(MODEL, limits=LIMITS, programs=0, jobs=1)
    two = classify(load_model(TOY), source=TOY, limits=LIMITS, programs=0, jobs=2)
    assert [each.name for each in one.verdicts] == [each.name for each in two.verdicts] == NAMES
    assert answers(one) == answers(two)
    pairs = [[(each.random_pairs, each.random_failures) for each in found.verdicts] for found in (one, two)]
    assert pairs[0] == pairs[1] == [(LIMITS.random_pairs, ())] * len(NAMES)


def test_progress_is_told() -> None:
    told: list[tuple[int, int, str]] = []
    classify(MODEL, programs=0, jobs=1, progress=lambda *each: told.append(each))
    done, every, names = zip(*told, strict=True)
    assert list(done) == sorted(done) and done[-1] == len(NAMES)
    assert set(every) == {len(NAMES)}
    assert set(names) <= set(NAMES)


def test_no_setting_of_the_name() -> None:
    with pytest.raises(KeyError, match="plane"):
        classify(MODEL, "plane")


def test_the_first_setting_is_meant_by_default() -> None:
    second = replace(MODEL.settings[0], name="second")
    model = replace(MODEL, settings=(*MODEL.settings, second))
    assert classify(model, instructions=["set"]).setting is MODEL.settings[0]
    assert classify(model, "second", instructions=["set"]).setting is second


def test_only_some_instructions() -> None:
    found = classify(MODEL, instructions=["where", "set", "nothing"])
    assert [each.name for each in found.verdicts] == ["set", "where"]
    assert (found.constructions, found.notes) == ((), ())  # which are about all
    model = load_model("riscv64")
    few = Limits(random_pairs=0, variant_pairs=1)
    (one,) = classify(model, instructions=["csrrw satp"], limits=few, jobs=1).verdicts
    assert (one.name, one.row, one.random_pairs) == ("csrrw satp", "csrrw", 1)
    none = classify(model, instructions=["add"], limits=few, jobs=1).verdicts[0]
    assert none.random_pairs == 0


def test_a_row_is_all_its_variants() -> None:
    model = replace(MODEL, variants={"uimm": {0: "zero", 7: "seven"}})
    found = classify(model, instructions=["where"], jobs=1)
    assert [each.name for each in found.verdicts] == ["where zero", "where seven", "where (any other)"]
    assert {each.row for each in found.verdicts} == {"where"}
    for verdict, operands in zip(found.verdicts, ({0}, {7}, set(range(1 << 16)) - {0, 7}), strict=True):
        witness = verdict.findings[Question.LOCATION_IN_USER].witness
        assert witness is not None and witness.operands["uimm"] in operands


def test_monitors_are_built_when_all_is_known() -> None:
    found = classify(MODEL, programs=5, jobs=1)
    assert {each.theorem for each in found.constructions} == {1, 3}
    assert {each.programs for each in found.constructions} == {5}
    assert classify(MODEL, programs=0, jobs=1).constructions == ()


def test_it_says_which_definition_it_used() -> None:
    assert classify(MODEL, instructions=["set"]).definitions == DEFINITIONS[Memory.RELOCATED]
    mapped = classify(load_model("riscv64"), instructions=["add"])
    assert mapped.definitions == DEFINITIONS[Memory.MAPPED]


def test_it_answers_as_the_theorems_do() -> None:
    found = classify(MODEL, programs=0, jobs=1)
    assert [each.holds for each in found.theorems] == [Answer.NO] * 3
    assert found.theorems[0].because == ("where",)
    assert found.isa == "toy" and found.title == MODEL.title and found.seconds > 0
