"""The JSON form: what is in it, and that it is all there after reading it again."""

from __future__ import annotations

import json
from typing import Any

from hypernest.analysis.report.json import SCHEMA, as_dict, as_json
from hypernest.analysis.results import Question, State
from tests.analysis.report.toy import BROKEN, HOSTILE, PAIR, VIRTUALIZABLE


def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(as_json([BROKEN, VIRTUALIZABLE]))
    return found


def state(before: dict[str, Any], changes: dict[str, Any] | None = None) -> State:
    """A state as the module's docstring says that it is read."""
    registers: dict[tuple[str, int], int] = {}
    memory: dict[int, int] = {}
    for each in (before, changes or {"registers": {}, "memory": {}}):
        for name, values in each["registers"].items():
            registers |= {(name, int(number)): int(value, 16) for number, value in values.items()}
        memory |= {int(address, 16): int(byte, 16) for address, byte in each["memory"].items()}
    return State({at: value for at, value in registers.items() if value}, {a: b for a, b in memory.items() if b})


def test_it_reads_back_as_it_was_written() -> None:
    assert document() == as_dict([BROKEN, VIRTUALIZABLE])
    assert as_json([BROKEN]).isascii(), "any terminal can show it"


def test_the_frame() -> None:
    found = document()
    assert (found["schema"], found["isa"], found["title"], found["complete"]) == (
        SCHEMA,
        "toy",
        "The toy machine",
        True,
    )
    broken, virtualizable = found["settings"]
    assert (broken["name"], broken["supervisor"], broken["user"]) == ("plain", "kernel", "user")
    assert [each["holds"] for each in broken["theorems"]] == ["no", "no", "unknown"]
    assert [each["holds"] for each in virtualizable["theorems"]] == ["yes", "yes", "yes"]
    assert broken["theorems"][0]["because"] == ["readmode", "slow"]
    assert broken["counts"]["sensitive and not privileged"] == 1
    assert sum(broken["counts"].values()) == len(BROKEN.verdicts)
    assert broken["constructions"][0]["first"]["instruction"] == "readmode r3"
    assert broken["constructions"][1]["first"] is None
    assert broken["notes"] == ["A note on the toy."]


def test_every_instruction_and_every_answer_is_there() -> None:
    instructions = document()["settings"][0]["instructions"]
    assert [each["name"] for each in instructions] == [each.name for each in BROKEN.verdicts]
    for each, verdict in zip(instructions, BROKEN.verdicts, strict=True):
        assert each["properties"]["privileged"] == verdict.privileged.value
        assert each["properties"]["control_sensitive"] == verdict.control_sensitive.value
        for question in Question:
            found = each["findings"][question.name.lower()]
            assert (found["answer"], found["method"]) == (
                verdict.findings[question].answer.value,
                verdict.findings[question].method,
            )
    by_name = {each["name"]: each for each in instructions}
    assert (by_name["set key3"]["row"], by_name["set key3"]["variant"]) == ("set", "key3")
    assert by_name["readmode"]["class"] == "sensitive and not privileged"
    assert by_name[HOSTILE]["syntax"] == f"{HOSTILE} operands"


def test_a_witness_keeps_its_states_whole() -> None:
    readmode = next(each for each in document()["settings"][0]["instructions"] if each["name"] == "readmode")
    witness = readmode["findings"]["mode"]["witness"]
    assert (witness["code"], witness["operands"]) == ("0xc0102073", {"rd": "0x3", "imm": "-0x8"})
    assert witness["reproduced"] is True
    assert witness["differences"][0] == {"place": "r[3]", "first": "0x1", "second": "0x0"}
    assert witness["runs"][0]["before"]["registers"]["limit"] == {"0": "0xffffffffffffffff"}
    for run, original in zip(witness["runs"], PAIR.runs, strict=True):
        assert (run["label"], run["mode"], run["trap"]) == (original.label, original.mode, original.trap)
        assert state(run["before"]) == original.before
        assert state(run["before"], run["changes"]) == original.after


def test_from_some_instructions_nothing_follows() -> None:
    found = as_dict([VIRTUALIZABLE], complete=False)
    assert found["complete"] is False
    (setting,) = found["settings"]
    assert (setting["headline"], setting["theorems"]) == (None, [])
    assert len(setting["instructions"]) == 2
