"""The tracer: trees have the paths of the function, and a function that breaks the rules is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypernest.isa.hart import Access, Hart, Trap, routine
from hypernest.isa.layout import Layout
from hypernest.isa.riscv.riscv64 import RISCV64
from hypernest.isa.trace import Bits, Block, Branch, Returned, TraceError, Tracer, Trapped
from hypernest.isa.word import BINARY, COMPARE, WidthError, Word, select, word

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


def test_only_a_negation_answers_what_it_negates() -> None:
    def differ(h: Hart) -> None:
        one, other = h.rs1.bit(0), h.rs2.bit(0)
        if one ^ other:
            h.rd = word(1) if one else word(2)
        else:
            h.rd = word(3) if one else word(4)

    assert traced(differ).paths() == 4


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


# --- writes of what is held ------------------------------------------------------------------------------------------


def writes(block: Block) -> list[tuple[str, int | Word, Word]]:
    return [effect.arguments for effect in block.effects if effect.kind == "write"]


def test_a_write_of_what_is_held_is_none() -> None:
    assert not writes(traced(lambda h: h.write("mepc", h.mepc)))
    assert not writes(traced(lambda h: h.write("x", h.read("x", 5), 5)))
    assert len(writes(traced(lambda h: h.write("x", h.read("x", 5), 6)))) == 1
    assert len(writes(traced(lambda h: h.write("mepc", h.mtvec)))) == 1
    assert not writes(Tracer(REGISTERS, {"rd": 5, "rs1": 5}).semantics(lambda h: h.write("x", h.rs1, h.operand("rd"))))


def test_the_last_of_two_writes_happens() -> None:
    def back_again(h: Hart) -> None:
        before = h.mepc
        h.write("mepc", 1)
        h.write("mepc", before)

    for name, _, value in writes(traced(back_again)):
        assert name == "mepc" and value.op == "result"


def test_writes_at_indices_that_may_be_the_same_keep_their_order() -> None:
    def again(h: Hart) -> None:
        one, other = h.operand("rs1"), h.operand("rs2")
        h.write("x", 1, one)
        h.write("x", 2, other)
        h.write("x", 3, one)

    def restored(h: Hart) -> None:
        before = h.rs1
        h.write("x", 2, h.operand("rs2"))
        h.write("x", before, h.operand("rs1"))

    assert [value.value for _, _, value in writes(traced(again))] == [2, 3]
    assert [value.op for _, _, value in writes(traced(restored))] == ["const", "result"]


def test_a_read_sees_no_write_that_another_may_have_overwritten() -> None:
    def read_back(h: Hart) -> None:
        h.write("x", 1, h.operand("rs1"))
        h.write("x", 2, h.operand("rs2"))
        h.rd = h.rs1

    with pytest.raises(TraceError, match="may be the same"):
        traced(read_back)


def test_after_a_call_a_register_may_hold_something_else() -> None:
    def restore(h: Hart) -> None:
        before = h.mepc
        _touch(h)
        h.write("mepc", before)

    assert len(writes(traced(restore))) == 1


# --- assumed bits ----------------------------------------------------------------------------------------------------

FS = 3 << 13
DIRTY = Bits(FS, FS)
STATUS, FLAGS = ("mstatus", 0), ("fflags", 0)


def assuming(function: object, **bits: Bits) -> tuple[Block, set[tuple[str, int]]]:
    """The tree, and the registers whose assumption was used."""
    tracer = Tracer(REGISTERS, {}, {(name, 0): each for name, each in bits.items()})
    return tracer.semantics(function), tracer.relied_on  # type: ignore[arg-type]


def asks(condition: object, bits: Bits = DIRTY) -> bool | None:
    """The answer to a question of mstatus if it is known."""

    def ask(h: Hart) -> None:
        if condition(h.mstatus):  # type: ignore[operator]
            h.rd = word(1)

    block, relied_on = assuming(ask, mstatus=bits)
    assert relied_on == {STATUS}
    return None if isinstance(block.end, Branch) else "write" in kinds(block)


def test_known_bits_answer_questions() -> None:
    assert asks(lambda status: (status & FS) == FS) is True
    assert asks(lambda status: (status & FS) == 0) is False
    assert asks(lambda status: (status & FS) != 0) is True
    assert asks(lambda status: (status & (FS | 8)) == 0) is False
    assert asks(lambda status: status == 0) is False
    assert asks(lambda status: (status | 8) != 0, Bits(1, 0)) is True
    assert asks(lambda status: (status & (FS | 8)) == FS) is None
    assert asks(lambda status: (status & 8) == 0) is None
    assert asks(lambda status: status == FS) is None
    assert asks(lambda status: (status & FS) == FS, Bits(1 << 13, 1 << 13)) is None
    assert asks(lambda status: (status & FS) == 0, Bits(FS, 0)) is True


def test_a_register_that_is_wholly_known_is_a_constant() -> None:
    block, relied_on = assuming(lambda h: h.write("x", h.frm.zext(64) + 1, 1), frm=Bits(7, 2))
    assert writes(block)[0][2].value == 3 and relied_on == {("frm", 0)}


def test_bits_that_are_set_already_are_not_set() -> None:
    def make_dirty(h: Hart) -> None:
        h.write("mstatus", h.mstatus | FS)

    assert not writes(assuming(make_dirty, mstatus=DIRTY)[0])
    assert writes(assuming(make_dirty, mstatus=Bits(FS, 1 << 13))[0])
    assert writes(assuming(make_dirty)[0])
    assert not writes(assuming(lambda h: h.write("fflags", word(1, 5) | h.fflags), fflags=Bits(1, 1))[0])
    assert writes(assuming(lambda h: h.write("fflags", word(3, 5) | h.fflags), fflags=Bits(1, 1))[0])


def test_only_what_was_read_is_relied_on() -> None:
    assert assuming(lambda h: h.write("mstatus", 0), mstatus=DIRTY)[1] == set()
    assert assuming(lambda h: h.write("x", h.mepc, 1), mstatus=DIRTY, fflags=Bits(1, 1))[1] == set()

    def on_one_path(h: Hart) -> None:
        if h.mepc == 0:
            h.write("x", h.fflags.zext(64), 1)

    assert assuming(on_one_path, mstatus=DIRTY, fflags=Bits(1, 1))[1] == {FLAGS}


def test_what_was_written_is_not_what_was_assumed() -> None:
    def first(h: Hart) -> None:
        h.write("fflags", h.read("x", 2).trunc(5))
        h.write("x", (h.fflags & 1).zext(64), 1)

    block, relied_on = assuming(first, fflags=Bits(1, 1))
    assert relied_on == set() and all(value.value is None for _, _, value in writes(block))


def evaluate(value: Word, registers: dict[str, int], reads: dict[Word, str]) -> int:
    """What an expression is, given what the registers hold."""
    if value.value is not None:
        return value.value
    if value in reads:
        return registers[reads[value]]
    arguments = [evaluate(arg, registers, reads) for arg in value.args if isinstance(arg, Word)]
    if value.op == "zext":
        return arguments[0]
    first, second = arguments
    if value.op in COMPARE:
        return int(COMPARE[value.op](first, second, 64))
    return BINARY[value.op](first, second, 64) & (1 << 64) - 1


BYTES = st.integers(0, 255)
OPERATIONS: dict[str, Callable[[Word, Word], Word]] = {
    "and": lambda a, b: a & b,
    "or": lambda a, b: a | b,
    "xor": lambda a, b: a ^ b,
    "add": lambda a, b: a + b,
    "eq": lambda a, b: (a == b).zext(64),
    "ne": lambda a, b: (a != b).zext(64),
}


@given(
    st.tuples(BYTES, BYTES),
    st.tuples(BYTES, BYTES),
    st.lists(st.tuples(st.sampled_from(sorted(OPERATIONS)), st.integers(0, 9), st.integers(0, 9)), max_size=8),
    st.lists(BYTES, min_size=2, max_size=2),
)
def test_what_is_simplified_is_equal(
    masks: tuple[int, int], held: tuple[int, int], steps: list[tuple[str, int, int]], constants: list[int]
) -> None:
    """Expressions of two registers of which some bits are assumed, computed from what they hold in truth."""
    names = ("mepc", "sepc")
    assumed = {(name, 0): Bits(mask, value & mask) for name, mask, value in zip(names, masks, held, strict=True)}
    tracer = Tracer(REGISTERS, {}, assumed)
    made: list[tuple[Word, int]] = []

    def compute(h: Hart) -> None:
        made.extend((h.read(name), value) for name, value in zip(names, held, strict=True))
        made.extend((word(value), value) for value in constants)
        for name, a, b in steps:
            (x, p), (y, q) = made[a % len(made)], made[b % len(made)]
            constant = OPERATIONS[name](word(p), word(q)).value
            assert constant is not None
            made.append((OPERATIONS[name](x, y), constant))

    block = tracer.semantics(compute)
    reads = {e.results[0]: e.arguments[0] for e in block.effects if e.kind == "read"}
    for expression, value in made:
        assert evaluate(expression, dict(zip(names, held, strict=True)), reads) == value
        known = tracer.bits(expression)
        assert value & known.mask == known.value
