"""What is said of instructions: of real ones, and of small ones made to have the paths in question."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from hypernest.engines.translator.meaning import Meaning, Meanings, on_host
from hypernest.isa.floating_point import FUNCTIONS
from hypernest.isa.hart import Hart, Trap
from hypernest.isa.riscv.riscv64 import RISCV64
from hypernest.isa.row import Extension
from hypernest.isa.word import Word, word
from tests.engines.translator.pages import page_of, x

FLOATING = {("mstatus", 0), ("frm", 0), ("fflags", 0)}
NOTHING = {
    "reads": set(),
    "writes": set(),
    "may_write": set(),
    "quick": True,
    "may_leave": False,
    "stores": False,
    "steps": set(),
    "assumes": set(),
    "branches": (),
    "jumps": False,
    "falls_through": True,
    "computed": False,
    "calls": False,
}


def meaning_of(text: str) -> Meaning:
    instruction = page_of(text).at(0)
    assert instruction is not None
    return instruction.meaning


def result(*places: tuple[str, int]) -> dict[str, Any]:
    return {"writes": {*places}, "may_write": {*places}}


A0 = result(("x", 10))
RA = result(("x", 1))
FA0 = result(("f", 10))
CASES: dict[str, dict[str, Any]] = {
    "fence": {},
    "add a0, a1, a2": {"reads": x("a1 a2"), **A0},
    "add x0, a1, a2": {"reads": x("a1 a2")},
    "add a0, x0, a2": {"reads": x("a2"), **A0},
    "div a0, a1, a2": {"reads": x("a1 a2"), **A0},
    "auipc a0, 0": {"reads": {("pc", 0)}, **A0},
    "addi a0, a0, -4": {"reads": x("a0"), **A0, "steps": x("a0")},
    "addi a0, a1, -4": {"reads": x("a1"), **A0},
    "addiw a0, a0, 4": {"reads": x("a0"), **A0},
    "add a0, a0, a0": {"reads": x("a0"), **A0},
    "xori a0, a0, 4": {"reads": x("a0"), **A0},
    "ld a0, 8(a1)": {"reads": x("a1"), **A0, "may_leave": True},
    "sd a0, 8(a1)": {"reads": x("a0 a1"), "may_leave": True, "stores": True},
    "amoadd.d a0, a1, (a2)": {"reads": x("a1 a2"), **A0, "may_leave": True, "stores": True},
    "beq a0, a1, 16": {"reads": x("a0 a1"), "branches": (16,)},
    "j 0": {"branches": (0,), "falls_through": False},
    "jal ra, -8": {**RA, "branches": (-8,), "falls_through": False, "calls": True},
    "ret": {"reads": x("ra"), "jumps": True, "falls_through": False},
    "jr t0": {"reads": x("t0"), "jumps": True, "falls_through": False},
    "jr a5": {"reads": x("a5"), "jumps": True, "falls_through": False, "computed": True},
    "jalr ra, 0(a5)": {"reads": x("a5"), **RA, "jumps": True, "falls_through": False, "calls": True},
    "jalr ra, 0(ra)": {"reads": x("ra"), **RA, "jumps": True, "falls_through": False, "calls": True},
    "fld fa0, 0(a1)": {"reads": x("a1") | {("mstatus", 0)}, **FA0, "may_leave": True, "assumes": {("mstatus", 0)}},
    "fmv.d.x fa0, a1": {"reads": x("a1") | {("mstatus", 0)}, **FA0, "assumes": {("mstatus", 0)}},
    "fadd.d fa0, fa1, fa2": {
        "reads": {("f", 11), ("f", 12)} | FLOATING,
        **FA0,
        "may_leave": True,
        "assumes": FLOATING,
    },
    "fadd.d fa0, fa1, fa2, rtz": {
        "reads": {("f", 11), ("f", 12)} | FLOATING,
        **result(("f", 10), ("fflags", 0), ("mstatus", 0)),
        "may_leave": True,
        "assumes": FLOATING,
    },
}


@pytest.mark.parametrize("text", CASES)
def test_what_instructions_do(text: str) -> None:
    expected = NOTHING | CASES[text]
    found = meaning_of(text)
    assert {name: getattr(found, name) for name in expected} == expected


@pytest.mark.parametrize("text", ["ecall", "ebreak", "mret", "wfi", "sfence.vma", "csrrs a0, 1, x0", "cbo.zero (a0)"])
def test_what_ends_a_region(text: str) -> None:
    assert not meaning_of(text).quick and meaning_of(text).may_leave


def test_the_host_does_arithmetic_in_the_usual_mode() -> None:
    operands = word(0), word(0)
    assert on_host(FUNCTIONS["f64_add"], (*operands, word(0, 3)))
    assert not on_host(FUNCTIONS["f64_add"], (*operands, word(1, 3)))
    assert on_host(FUNCTIONS["f64_eq"], operands)


# --- instructions that are none --------------------------------------------------------------------------------------


def made_up(semantics: Callable[[Hart], None], *, system: bool = False) -> Meaning:
    extension = Extension("test")
    row = extension.row("odd rd, rs1, rs2", "0000000 rs2 rs1 000 rd 0001011", system=system)
    row(semantics)
    isa = replace(RISCV64, rows=extension.rows)
    return Meanings(isa)(extension["odd"], {"rd": 10, "rs1": 11, "rs2": 12})


def test_a_path_may_write_more_than_the_other() -> None:
    def semantics(h: Hart) -> None:
        if h.rs1 == 0:
            h.write("x", 1, 13)
        else:
            h.write("x", 2, 14)
        h.rd = h.rs2

    found = made_up(semantics)
    assert found.writes == x("a0") and found.may_write == x("a0 a3 a4")


def one_path(other: Callable[[Hart], object]) -> Callable[[Hart], None]:
    def semantics(h: Hart) -> None:
        if h.rs1 == 0:
            other(h)
        h.rd = h.rs2

    return semantics


def trap(h: Hart) -> None:
    raise Trap(2)


LEAVING: dict[str, Callable[[Hart], object]] = {
    "traps": trap,
    "waits": lambda h: h.wait(),
    "reads a CSR": lambda h: h.csr_read(word(1, 12)),
    "looks at the clock": lambda h: h.clock(),
}


@pytest.mark.parametrize("name", LEAVING)
def test_a_path_that_leaves_says_nothing_of_what_is_written(name: str) -> None:
    found = made_up(one_path(LEAVING[name]))
    assert found.writes == x("a0")
    assert found.quick and found.may_leave and found.falls_through


@pytest.mark.parametrize("name", LEAVING)
def test_what_leaves_on_every_path_is_not_quick(name: str) -> None:
    def semantics(h: Hart) -> None:
        if h.rs1 == 0:
            LEAVING[name](h)
        else:
            trap(h)

    assert not made_up(semantics).quick


def test_a_system_instruction_is_never_quick() -> None:
    assert made_up(lambda h: None).quick
    assert not made_up(lambda h: None, system=True).quick


def test_a_call_jumps_and_keeps_where_to_return() -> None:
    def keep(h: Hart) -> None:
        h.rd = h.next_pc

    def jump(h: Hart) -> None:
        h.rd = h.next_pc
        h.jump(h.rs1)

    assert made_up(jump).calls and not made_up(keep).calls


def test_a_step_is_a_constant_added_to_the_same_register() -> None:
    def step(h: Hart, amount: Word | int) -> None:
        h.write("x", h.rs1 + amount, 11)

    assert made_up(lambda h: step(h, 3)).steps == x("a1")
    assert not made_up(lambda h: step(h, h.rs2)).steps
    assert not made_up(lambda h: h.write("x", (h.rs1 << 1) + 3, 11)).steps


def test_only_assumptions_that_were_used() -> None:
    def flags(h: Hart) -> None:
        h.rd = h.read("fflags").zext(64)

    assert made_up(flags).assumes == {("fflags", 0)}
    assert not made_up(lambda h: h.write("fflags", 0)).assumes
