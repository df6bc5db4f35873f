"""Random pairs find what a wrong *no* denies, and nothing where the answers are right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from random import Random

import pytest

from examples.isas.toy import MODEL
from hypernest.analysis.inquiry import Inquiry
from hypernest.analysis.instances import Instance, instances
from hypernest.analysis.isas import load_model
from hypernest.analysis.model import MachineModel
from hypernest.analysis.randomized import RandomStates, random_operands, random_states
from hypernest.analysis.results import Answer, Finding, Question
from hypernest.analysis.states import Variation

PAIRS = 60


def instance(model: MachineModel, name: str) -> Instance:
    return next(each for each in instances(model) if each.name == name)


def denied(*questions: Question) -> dict[Question, Finding]:
    """The answers of somebody who says no."""
    return {question: Finding(question, Answer.NO, "solver") for question in questions}


def failures(model: MachineModel, setting: str, name: str, claims: Mapping[Question, Finding]) -> set[str]:
    """The places that contradict the claims."""
    found = RandomStates(model, model.setting(setting)).tried(instance(model, name), claims, PAIRS)
    assert found.pairs == PAIRS
    assert all(each.reproduced and each.runs for each in found.failures)
    return {difference.place for each in found.failures for difference in each.differences}


@pytest.mark.parametrize(
    ("isa", "setting", "name", "question", "place"),
    [
        ("", "plain", "where", Question.LOCATION_IN_USER, "acc"),
        ("", "plain", "where", Question.LOCATION_IN_SUPERVISOR, "acc"),
        ("", "plain", "enter", Question.CONTROL_IN_SUPERVISOR, "base"),
        ("third-generation", "plain", "lpsw", Question.CONTROL_IN_SUPERVISOR, "location"),
        ("pdp10", "paper", "jrst.1", Question.CONTROL_IN_SUPERVISOR, "user"),
        ("x86", "ring-3", "popf", Question.CONTROL_IN_SUPERVISOR, "eflags"),
        ("x86", "ring-3", "mov.from.cs", Question.MODE, "r["),
        ("x86", "ring-3", "smsw", Question.LOCATION_IN_USER, "r["),
        ("riscv64", "s-in-u-counters", "csrrs cycle", Question.TIMING, "x["),
        ("riscv64", "m-in-s", "csrrw sscratch", Question.CONTROL_IN_USER, "sscratch"),
    ],
)
def test_a_wrong_no_is_contradicted(isa: str, setting: str, name: str, question: Question, place: str) -> None:
    model = load_model(isa) if isa else MODEL
    found = failures(model, setting, name, denied(question))
    assert any(each.startswith(place) for each in found), found


@pytest.mark.parametrize("name", [each.name for each in instances(MODEL)])
def test_what_was_proved_is_not(name: str) -> None:
    found = Inquiry(MODEL, MODEL.settings[0], 60.0).ask(instance(MODEL, name))
    assert failures(MODEL, "plain", name, found) == set()


def test_only_a_no_can_be_contradicted() -> None:
    claims = denied(Question.LOCATION_IN_USER)
    for answer in (Answer.YES, Answer.UNKNOWN):
        other = {question: replace(finding, answer=answer) for question, finding in claims.items()}
        assert failures(MODEL, "plain", "where", other) == set()


def test_the_same_seed_is_the_same_pairs() -> None:
    claims = denied(Question.LOCATION_IN_USER)
    states = RandomStates(MODEL, MODEL.settings[0])
    where = instance(MODEL, "where")
    assert states.tried(where, claims, 5) == states.tried(where, claims, 5)
    assert states.tried(where, claims, 5) != states.tried(where, claims, 5, seed=1)


def test_operands_are_of_the_instance() -> None:
    model, random = load_model("riscv64"), Random(1)
    fixed = instance(model, "csrrw satp")
    other = instance(model, "csrrw (any other)")
    listed = set(model.variants["csr"])
    for _ in range(50):
        chosen, unlisted = random_operands(fixed, random), random_operands(other, random)
        assert chosen is not None and unlisted is not None
        assert chosen["csr"] == 0x180
        assert unlisted["csr"] not in listed


@pytest.mark.parametrize("isa", ["third-generation", "pdp10", "x86", "riscv64"])
def test_states_are_legal_and_differ_as_asked(isa: str) -> None:
    model = load_model(isa)
    setting = model.settings[0]
    first, second = Variation(mode=setting.supervisor), Variation(mode=setting.user, moved=True)
    for seed in range(10):
        found = random_states(model, setting, Random(seed), {}, [first, second])
        assert found is not None
        for state in found:
            for name, bits in setting.fixed.items():
                values = [value for (register, _), value in state.registers.items() if register == name]
                assert {value & bits.mask for value in values} == {bits.value & bits.mask}, name
            for name, bits in model.modes[state.mode].items():
                assert state.registers[name, 0] & bits.mask == bits.value
            for (name, _), value in state.registers.items():
                assert value & ~model.legal.get(name, -1) == 0
                if name in model.rules and model.rules[name](value) is not True:
                    assert int(model.rules[name](value)), (name, hex(value))
        one, other = found
        changeable = set(model.configuration) | model.shifted | {name for bits in model.modes.values() for name in bits}
        differing = {name for (name, at), value in one.registers.items() if other.registers[name, at] != value}
        assert differing <= changeable
        for name in model.shifted:
            assert other.registers[name, 0] - one.registers[name, 0] == other.shift
