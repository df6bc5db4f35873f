"""The machines of examples/isas: each with the one mistake that it is there for, and nothing else wrong."""

from __future__ import annotations

from dataclasses import replace

from examples.isas import rv_pdp10, rv_x86, toy
from hypernest.analysis.classification import classify
from hypernest.analysis.construction import construct
from hypernest.analysis.model import MachineModel
from hypernest.analysis.results import Answer, Verdict
from hypernest.isa.hart import Hart

YES, NO = Answer.YES, Answer.NO


def verdicts(model: MachineModel, *instructions: str) -> dict[str, Verdict]:
    return {each.name: each for each in classify(model, instructions=instructions, programs=0).verdicts}


def mended() -> MachineModel:
    """The toy with its mistake removed."""
    row = toy.MODEL.isa.rows["where"]

    def where(h: Hart) -> None:
        toy.check_supervisor(h)
        row.semantics(h)

    rows = {**toy.MODEL.isa.rows, "where": replace(row, semantics=where)}
    return replace(toy.MODEL, isa=replace(toy.MODEL.isa, rows=rows))


def test_the_toy() -> None:
    found = classify(toy.MODEL, programs=40)
    assert [each.name for each in found.verdicts if each.privileged is YES] == ["enter", "halt"]
    assert [each.name for each in found.verdicts if each.never_runs is YES] == ["call"]
    assert [each.name for each in found.verdicts if each.sensitive is YES] == ["enter", "halt", "where"]
    assert [(each.holds, each.because) for each in found.theorems] == [(NO, ("where",))] * 3
    assert [(each.theorem, each.divergences > 0) for each in found.constructions] == [(1, True), (3, True)]
    assert all("where" in each.first.instruction for each in found.constructions if each.first is not None)


def test_the_toy_mended() -> None:
    found = classify(mended(), programs=40)
    assert [each.holds for each in found.theorems] == [YES] * 3
    assert [(each.theorem, each.divergences) for each in found.constructions] == [(1, 0), (2, 0), (3, 0)]
    assert all(each.interpreted > 20 for each in found.constructions)
    assert all(each.instructions - each.interpreted > 100 for each in found.constructions)


def test_its_programs_have_every_instruction() -> None:
    """Else that nothing diverges says nothing."""
    model = mended()
    found = classify(model, programs=0).verdicts
    seen: set[str] = set()
    for name in model.isa.rows:
        row = model.isa.rows[name]

        def noted(h: Hart, semantics: object = row.semantics, name: str = name) -> None:
            seen.add(name)
            assert callable(semantics)
            semantics(h)

        model = replace(model, isa=replace(model.isa, rows={**model.isa.rows, name: replace(row, semantics=noted)}))
    construct(model, model.settings[0], found, 40)
    assert seen == set(model.isa.rows)


def test_risc_v_with_the_mistake_of_x86() -> None:
    found = verdicts(rv_x86.MODEL, "csrrs sstatus", "csrrs sepc", "sret")
    assert found["csrrs sstatus"].violates is YES
    assert found["csrrs sstatus"].violates_hybrid is YES
    assert {name: each.privileged for name, each in found.items() if name != "csrrs sstatus"} == {
        "csrrs sepc": YES,
        "sret": YES,
    }


def test_risc_v_with_the_mistake_of_the_pdp_10() -> None:
    found = verdicts(rv_pdp10.MODEL, "csrrs sstatus", "sret")
    assert (found["sret"].violates, found["sret"].mode_sensitive) == (YES, YES)
    assert found["sret"].violates_hybrid is NO
    assert found["csrrs sstatus"].privileged is YES
