"""Instructions that are hard to tell apart: by a CSR's number, or from a special case of their encoding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from hypernest.analysis.inquiry import Inquiry
from hypernest.analysis.instances import instances
from hypernest.analysis.isas import load_model
from hypernest.analysis.model import MachineModel
from hypernest.analysis.randomized import random_operands
from hypernest.analysis.results import Answer, Question
from hypernest.isa.csr import Csr
from hypernest.isa.decoder import Decoder
from hypernest.isa.hart import Hart
from hypernest.isa.row import Extension, Format
from hypernest.isa.word import select, word

TOY = Path(__file__).parents[2] / "examples" / "isas" / "toy.py"
CSRS = {
    0: Csr(0, "mode", lambda h: h.mode.zext(64), lambda h, value: h.write("limit", value.trunc(16))),
    3: Csr(3, "three", lambda h: word(3), None),
}


def toy(*rows: tuple[str, str, Callable[[Hart], None]], **variants: dict[int, str]) -> MachineModel:
    """The toy with other rows and these CSRs. A pattern is the low 16 bits of an encoding."""
    extension = Extension("test", Format(fields={"csr": 4}, sizes=frozenset({64}), unit=64))
    for syntax, pattern, semantics in rows:
        extension.add(syntax, f"11111111 {'0' * 40} {pattern}", semantics)
    model = load_model(str(TOY))
    return replace(model, isa=replace(model.isa, rows=extension.rows, csrs=CSRS), variants=variants, kit=None)


def answers(model: MachineModel, question: Question) -> dict[str, Answer]:
    inquiry = Inquiry(model, model.settings[0], 10.0)
    return {each.name: inquiry.ask(each, [question])[question].answer for each in instances(model)}


READ = ("read csr", "000000000000 csr", lambda h: h.write("acc", h.csr_read(h.operand("csr"))))
WRITE = ("write csr", "000000000001 csr", lambda h: h.csr_write(h.operand("csr"), h.acc))


@pytest.mark.parametrize(
    ("named", "sensitive"),
    [
        ({}, {"read"}),
        ({0: "mode", 3: "three"}, {"read mode"}),
        ({3: "three"}, {"read (any other)"}),
    ],
)
def test_a_csr_is_found_by_its_number_whether_it_is_a_variant_or_not(
    named: dict[int, str], sensitive: set[str]
) -> None:
    model = toy(READ, WRITE, csr=named) if named else toy(READ, WRITE)
    found = answers(model, Question.MODE)
    assert {name for name, answer in found.items() if answer is Answer.YES} == sensitive
    found = answers(model, Question.CONTROL_IN_USER)
    assert {name for name, answer in found.items() if answer is Answer.YES} == {
        each.replace("read", "write") for each in sensitive
    }


def test_an_encoding_that_another_row_describes_says_nothing_of_an_instruction() -> None:
    def general(h: Hart) -> None:
        h.write("acc", select((h.mode == 1) & (h.uimm == 3), word(1), word(0)))

    special = ("special", "00000000 00000011", lambda h: h.write("acc", 0))
    assert answers(toy(("general uimm", "00000000 uimm[7:0]", general)), Question.MODE) == {"general": Answer.YES}
    model = toy(("general uimm", "00000000 uimm[7:0]", general), special)
    assert set(answers(model, Question.MODE).values()) == {Answer.NO}
    partly = ("special rd", "00000000 000000 rd[1:0]!=3", lambda h: h.write("acc", 0))
    assert answers(toy(("general uimm", "00000000 uimm[7:0]", general), partly), Question.MODE)["general"] is Answer.YES


@pytest.mark.parametrize("name", ["pdp10", "riscv64"])
def test_random_encodings_are_the_instructions_own(name: str) -> None:
    model = load_model(name)
    decoder = Decoder(model.isa.rows.values())
    for number, instance in enumerate(instances(model)):
        operands = random_operands(instance, Random(number))
        assert operands is not None
        assert decoder.decode(instance.row.encode(**operands)) is instance.row
