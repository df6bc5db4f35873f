"""Descriptions that do otherwise when they run than what was traced of them: told, never believed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count

import pytest

from examples.isas.toy import MODEL
from hypernest.analysis.checking import BadDescription, faults
from hypernest.analysis.classification import classify
from hypernest.analysis.model import MachineModel
from hypernest.analysis.results import CONTRADICTED, Answer
from hypernest.isa.hart import Hart, Register, Trap, pure
from hypernest.isa.row import Extension, Format
from hypernest.isa.word import Word, word


def toy(semantics: Callable[[Hart], None]) -> MachineModel:
    """The toy with one instruction, and a file of registers."""
    extension = Extension("test", Format(fields={}, sizes=frozenset({64}), unit=64))
    extension.add("odd", "0" * 64, semantics)
    registers = (*MODEL.isa.registers, Register("r", 64, 4))
    return replace(MODEL, isa=replace(MODEL.isa, rows=extension.rows, registers=registers), kit=None)


def index(h: Hart) -> None:
    h.write("acc", h.read("r", h.acc))


def divide(h: Hart) -> None:
    h.write("acc", h.acc.udiv(h.acc & 1))


@pytest.mark.parametrize(
    ("semantics", "sentence"),
    [
        (index, "it raises IndexError: r has 4 registers, no number"),
        (divide, "it raises ZeroDivisionError: integer division or modulo by zero"),
    ],
)
def test_the_row_is_named_that_the_reference_engine_cannot_run(
    semantics: Callable[[Hart], None], sentence: str
) -> None:
    with pytest.raises(BadDescription) as caught:
        classify(toy(semantics), programs=0)
    assert str(caught.value).startswith(f"toy: row odd: run on the reference engine, {sentence}")
    assert "(test_concrete.py, line " in str(caught.value)


def test_proofs_of_what_does_otherwise_when_it_runs_are_withdrawn() -> None:
    numbers: Iterator[int] = count()
    (verdict,) = classify(toy(lambda h: h.write("acc", word(next(numbers)))), programs=0).verdicts
    assert verdict.random_failures
    assert verdict.innocuous is Answer.UNKNOWN
    answers = {finding.answer: finding.method for finding in verdict.findings.values()}
    assert answers == {Answer.YES: "solver", Answer.UNKNOWN: CONTRADICTED}


def test_a_function_of_words_alone_does_not_trap() -> None:
    @pure(arguments=(64,), results=(64,))
    def refuses(value: Word) -> Word:
        if value == 0:
            raise Trap(2)
        return value

    (fault,) = faults(toy(lambda h: h.write("acc", refuses(h.acc))))
    assert fault == (
        "row odd: in refuses, it raises a Trap, which a function of words alone cannot: make it a @routine"
    )
