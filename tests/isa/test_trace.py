"""The tracer: trees have the paths of the function, and a function that breaks the rules is refused."""

from __future__ import annotations

import pytest

from hypernest.isa.hart import Access, Hart, Trap, routine
from hypernest.isa.layout import Layout
from hypernest.isa.riscv.riscv64 import RISCV64
from hypernest.isa.trace import Block, Branch, Returned, TraceError, Tracer, Trapped
from hypernest.isa.word import WidthError, Word, select, word

REGISTERS = Layout(RISCV64.registers).registers
MOST_PATHS = 60


def traced(function: object) -> Block:
    return Tracer(REGISTERS).semantics(function)  # type: ignore[arg-type]


def kinds(block: Block) -> list[str]:
    return [effect.kind for effect in block.effects]


def test_an_if_is_a_branch_and_each_side_ends() -> None:
    def divide(h: Hart) -> None:
        if h.rs2 == 0:
            h.rd = word(-1)
        else:
            h.rd = h.rs1.udiv(h.rs2)

    block = traced(divide)
    assert isinstance(block.end, Branch)
    assert kinds(block) == ["read"]  # rs2; rs1 only where it is needed
    assert kinds(block.end.yes) == ["write"]
    assert kinds(block.end.no) == ["read", "write"]


def test_a_question_is_asked_once_a_path() -> None:
    def twice(h: Hart) -> None:
        zero = h.rs1 == 0
        if zero:
            h.rd = word(1)
        if zero ^ 1:
            h.rd = word(2)
        if zero:
            h.rd = word(3)

    assert traced(twice).paths() == 2


def test_select_does_not_branch() -> None:
    block = traced(lambda h: h.write("x", select(h.rs1 == 0, h.rs2, 7), 1))
    assert isinstance(block.end, Returned)


def test_a_trap_is_an_end_without_writes() -> None:
    def guarded(h: Hart) -> None:
        if h.priv == 0:
            raise Trap(2, h.pc)
        h.rd = word(1)

    block = traced(guarded)
    assert isinstance(block.end, Branch)
    assert isinstance(block.end.yes.end, Trapped)
    assert "write" not in kinds(block.end.yes)


def test_known_operands_become_constants() -> None:
    def shift(h: Hart) -> None:
        if h.uimm == 0:
            raise Trap(2)
        h.rd = h.rs1 << h.uimm

    assert isinstance(Tracer(REGISTERS, {"uimm": 3, "rs1": 1, "rd": 2}).semantics(shift).end, Returned)


@routine()
def _touch(h: Hart) -> None:
    h.write("mepc", 0)


def test_rules() -> None:
    def trap_after_write(h: Hart) -> None:
        h.rd = word(1)
        _touch(h)
        raise Trap(2)

    def load_after_write(h: Hart) -> None:
        h.rd = word(1)
        h.load(h.rs1, 64)

    def locate_after_write(h: Hart) -> None:
        h.rd = word(1)
        h.locate(h.rs1, Access.WRITE)

    def read_after_write(h: Hart) -> None:
        h.rd = word(1)
        h.write("mepc", h.rs1)

    def unknown_register(h: Hart) -> None:
        h.read("no_such_register")

    state = [0]

    def fickle(h: Hart) -> None:
        state[0] += 1
        if h.rs1 == state[0]:
            h.rd = word(1)

    for broken in (trap_after_write, load_after_write, locate_after_write, read_after_write, unknown_register, fickle):
        with pytest.raises(TraceError):
            traced(broken)


def test_widths_must_fit() -> None:
    with pytest.raises(WidthError):
        traced(lambda h: h.write("x", h.rs1 + word(1, 32), 1))


def test_an_expression_is_no_number() -> None:
    with pytest.raises(TypeError):
        traced(lambda h: h.write("x", int(h.rs1), 1))


@pytest.mark.parametrize("name", RISCV64.rows)
def test_every_row_has_few_paths(name: str) -> None:
    assert traced(RISCV64.rows[name].semantics).paths() <= MOST_PATHS


@pytest.mark.parametrize(
    "called",
    [RISCV64.translate, RISCV64.fetch, RISCV64.take_trap, RISCV64.take_interrupt, RISCV64.page_uniform,
     *RISCV64.load.values(), *RISCV64.store.values()],
    ids=lambda called: called.name,
)  # fmt: skip
def test_every_routine_has_few_paths(called: object) -> None:
    block, parameters = Tracer(REGISTERS).routine(called)  # type: ignore[arg-type]
    assert block.paths() <= MOST_PATHS
    assert all(isinstance(parameter, Word) for parameter in parameters)
