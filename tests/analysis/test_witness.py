"""Witnesses hold what they claim: an encoding of the instruction, states of the two kinds, and what differs."""

from __future__ import annotations

from functools import cache

import pytest

from examples.isas.toy import MODEL
from hypernest.analysis.concrete import ConcreteMachine, ConcreteState
from hypernest.analysis.inquiry import Inquiry
from hypernest.analysis.instances import instances
from hypernest.analysis.isas import load_model
from hypernest.analysis.model import MachineModel
from hypernest.analysis.results import Question, Run, State, Witness
from hypernest.analysis.witness import probes


@cache
def witness(name: str, question: Question, isa: str = "", setting: str = "") -> Witness:
    model = load_model(isa) if isa else MODEL
    chosen = model.setting(setting) if setting else model.settings[0]
    instance = next(each for each in instances(model) if each.name == name)
    found = Inquiry(model, chosen, 60.0).ask(instance, [question])[question].witness
    assert found is not None and found.reproduced
    return found


def again(model: MachineModel, name: str, code: int, run: Run) -> State:
    """The state after a run that begins in the one that the witness shows."""
    registers = {
        (each.name, index): run.before.registers.get((each.name, index), 0)
        for each in model.isa.registers
        for index in range(each.count)
    }
    done = ConcreteMachine(model).run(
        model.isa.rows[name], code, ConcreteState(run.mode, registers, dict(run.before.memory))
    )
    assert (done.trap is None) == (run.trap is None)
    return State(
        {place: value for place, value in done.after.registers.items() if value and place in registers},
        {address: byte for address, byte in sorted(done.after.memory.items()) if byte},
    )


@pytest.mark.parametrize(
    ("name", "question"),
    [
        ("where", Question.LOCATION_IN_USER),
        ("enter", Question.CONTROL_IN_SUPERVISOR),
        ("store", Question.RUNS_IN_USER),
        ("load", Question.RUNS_AT_ALL),
    ],
)
def test_what_it_shows_happens_when_it_is_run_again(name: str, question: Question) -> None:
    found = witness(name, question)
    row = MODEL.isa.rows[name]
    assert row.match == found.code & row.mask
    assert row.encode(**found.operands) == found.code
    for run in found.runs:
        shown = again(MODEL, name, found.code, run)
        assert shown.memory == run.after.memory
        names = {each.name for each in MODEL.isa.registers}
        assert shown.registers == {place: value for place, value in run.after.registers.items() if place[0] in names}


def test_of_a_pair_the_places_that_differ_are_named() -> None:
    found = witness("where", Question.LOCATION_IN_USER)
    first, second = found.runs
    assert [each.place for each in found.differences] == ["acc"]
    (difference,) = found.differences
    values = int(difference.first, 0), int(difference.second, 0)
    bases = [run.before.registers.get(("base", 0), 0) for run in found.runs]
    assert values[1] - values[0] == bases[1] - bases[0] != 0
    assert {run.before.registers.get(("mode", 0)) for run in found.runs} == {1}
    relocated = int(second.label.removeprefix("in user mode, relocated by "), 0)
    assert relocated == bases[1] - bases[0] & (1 << 64) - 1
    assert first.label == "in user mode"


def test_of_one_run_what_it_changes_is_named() -> None:
    found = witness("enter", Question.CONTROL_IN_SUPERVISOR)
    (run,) = found.runs
    assert (run.mode, run.trap) == ("supervisor", None)
    assert {each.place for each in found.differences} <= {"mode", "base", "limit"}
    for each in found.differences:
        place = each.place, 0
        assert int(each.first, 0) == run.before.registers.get(place, 0)
        assert int(each.second, 0) == run.after.registers.get(place, 0)
        assert each.first != each.second


def test_pairs_of_modes_differ_in_the_mode() -> None:
    found = witness("jsr", Question.MODE, "pdp10", "paper")
    assert [run.mode for run in found.runs] == ["executive", "user"]
    one, other = (dict(run.before.registers) for run in found.runs)
    assert (one.pop(("user", 0), 0), other.pop(("user", 0))) == (0, 1)
    assert one == other
    assert found.runs[0].before.memory == found.runs[1].before.memory
    assert all(each.place.startswith("memory") for each in found.differences) and found.differences


def test_the_time_of_a_pair_is_told() -> None:
    found = witness("csrrs cycle", Question.TIMING, "riscv64", "s-in-u-counters")
    assert all(" ns" in run.label for run in found.runs)
    assert found.differences


def test_probes_come_by_every_place() -> None:
    places = {"memory": {0, 7, 9}, "x": {3}}
    seen = [(int(each.of("memory").value or 0), int(each.of("x").value or 0)) for each in probes(places)]
    assert {memory for memory, _ in seen} == places["memory"]
    assert {register for _, register in seen} == places["x"]
    assert len(list(probes({}))) == 1
