"""A classification as JSON, for programs.

One object: `schema` (the version of this form, an integer that changes when a program that reads it would break),
`isa`, `title`, `complete` (false if only some instructions were asked about: then nothing follows by the theorems, and
`headline` and `theorems` are empty), and `settings`, a list of one object a setting:

* `name`, `title`, `summary`, `supervisor`, `user`, `expected`: the question;
* `headline`: the verdict in a sentence; `definitions`: which definition of location is used; `notes`; `seconds`;
* `theorems`: `number`, `title`, `statement`, `holds` (yes, no, unknown), `because` (names of instructions) and
  `explanation`;
* `counts`: the number of instructions by class;
* `instructions`: `name`, `row`, `variant`, `syntax`, `extension`, `class`, `properties` (yes, no, unknown by name),
  `findings` (by question, see below), `random_pairs`, `random_failures` (witnesses);
* `constructions`: `monitor`, `theorem`, `programs`, `instructions`, `interpreted`, `divergences`, `first` (or null).

A finding has `question` (in words), `answer`, `method`, `seconds`, `witness` (or null). A witness has `instruction`,
`code`, `operands`, `runs`, `differences` and `reproduced`. A run has `label`, `mode`, `trap` (or null), `before`, the
state that the instruction began in, and `changes`, what was different after it. States have `registers` by name and
number in the file (0 if it is a single register), and `memory`, bytes by address. What is not in `before` is zero.
Addresses, and what registers, bytes, operands and instructions hold, are strings in hexadecimal, "0x2a", since not
every reader of JSON has integers of 64 bits.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from hypernest.analysis.report.classes import by_class, class_of
from hypernest.analysis.report.explain import properties
from hypernest.analysis.report.families import variant
from hypernest.analysis.report.summary import headline
from hypernest.analysis.results import (
    Classification,
    Construction,
    Difference,
    Finding,
    Question,
    Run,
    TheoremVerdict,
    Verdict,
    Witness,
)

SCHEMA = 1
K = TypeVar("K")


def as_json(classifications: Sequence[Classification], *, complete: bool = True) -> str:
    """The settings of one ISA as a JSON object, with a newline at its end. There must be a setting.

    `complete` is whether they are about all instructions: nothing follows from some of them.
    """
    return json.dumps(as_dict(classifications, complete=complete)) + "\n"


def as_dict(classifications: Sequence[Classification], *, complete: bool = True) -> dict[str, Any]:
    """The same as a dictionary."""
    first = classifications[0]
    return {
        "schema": SCHEMA,
        "isa": first.isa,
        "title": first.title,
        "complete": complete,
        "settings": [_setting(each, complete) for each in classifications],
    }


def _setting(classification: Classification, complete: bool) -> dict[str, Any]:
    setting = classification.setting
    return {
        "name": setting.name,
        "title": setting.title,
        "summary": setting.summary,
        "supervisor": setting.supervisor,
        "user": setting.user,
        "expected": setting.expected,
        "headline": headline(classification) if complete else None,
        "definitions": classification.definitions,
        "notes": list(classification.notes),
        "seconds": round(classification.seconds, 3),
        "theorems": [_theorem(each) for each in classification.theorems] if complete else [],
        "counts": {each.value: len(members) for each, members in by_class(classification.verdicts).items()},
        "constructions": [_construction(each) for each in classification.constructions],
        "instructions": [_verdict(each) for each in classification.verdicts],
    }


def _theorem(theorem: TheoremVerdict) -> dict[str, Any]:
    return {
        "number": theorem.number,
        "title": theorem.title,
        "statement": theorem.statement,
        "holds": theorem.holds.value,
        "because": list(theorem.because),
        "explanation": theorem.explanation,
    }


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "name": verdict.name,
        "row": verdict.row,
        "variant": variant(verdict),
        "syntax": verdict.syntax,
        "extension": verdict.extension,
        "class": class_of(verdict).value,
        "properties": {name.replace(" ", "_"): answer.value for name, answer in properties(verdict)},
        "findings": {_key(question): _finding(found) for question, found in verdict.findings.items()},
        "random_pairs": verdict.random_pairs,
        "random_failures": [_witness(each) for each in verdict.random_failures],
    }


def _key(question: Question) -> str:
    return question.name.lower()


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "question": finding.question.value,
        "answer": finding.answer.value,
        "method": finding.method,
        "seconds": round(finding.seconds, 3),
        "witness": None if finding.witness is None else _witness(finding.witness),
    }


def _witness(witness: Witness) -> dict[str, Any]:
    return {
        "instruction": witness.instruction,
        "code": hex(witness.code),
        "operands": _hexadecimal(witness.operands),
        "runs": [_run(each) for each in witness.runs],
        "differences": [_difference(each) for each in witness.differences],
        "reproduced": witness.reproduced,
    }


def _run(run: Run) -> dict[str, Any]:
    before, after = run.before, run.after
    return {
        "label": run.label,
        "mode": run.mode,
        "trap": run.trap,
        "before": _state(before.registers, before.memory),
        "changes": _state(_changes(before.registers, after.registers), _changes(before.memory, after.memory)),
    }


def _changes(before: Mapping[K, int], after: Mapping[K, int]) -> dict[K, int]:
    return {at: after.get(at, 0) for at in (*before, *after) if before.get(at, 0) != after.get(at, 0)}


def _state(registers: Mapping[tuple[str, int], int], memory: Mapping[int, int]) -> dict[str, Any]:
    files: dict[str, dict[str, str]] = {}
    for (name, number), value in sorted(registers.items()):
        files.setdefault(name, {})[str(number)] = hex(value)
    return {"registers": files, "memory": {hex(address): hex(byte) for address, byte in sorted(memory.items())}}


def _difference(difference: Difference) -> dict[str, str]:
    return {"place": difference.place, "first": difference.first, "second": difference.second}


def _construction(built: Construction) -> dict[str, Any]:
    first = built.first
    return {
        "monitor": built.monitor,
        "theorem": built.theorem,
        "programs": built.programs,
        "instructions": built.instructions,
        "interpreted": built.interpreted,
        "divergences": built.divergences,
        "first": None
        if first is None
        else {
            "program": first.program,
            "step": first.step,
            "instruction": first.instruction,
            "differences": [_difference(each) for each in first.differences],
        },
    }


def _hexadecimal(values: Mapping[str, int]) -> dict[str, str]:
    return {name: hex(value) for name, value in values.items()}
