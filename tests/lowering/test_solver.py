"""Each operation means to the solver what it means to a constant."""

from __future__ import annotations

import builtins
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypernest.analysis.expressions import LEAVES, Expressions, compute, conjuncts, evaluate, rewritten
from hypernest.isa.word import BINARY, COMPARE, UNARY, Word, select, word
from hypernest.lowering.solver import KNOWN_OPERATIONS, Satisfiable, Solver, SolverMissing

NUMBERS = st.one_of(st.integers(0, 255), st.sampled_from([0, 1, 2, 7, 8, 127, 128, 254, 255]))


def means(operation: Word, value: int, inputs: dict[str, tuple[Word, int]]) -> None:
    """Where the inputs have these values the operation has that one, and no other."""
    solver = Solver(LEAVES)
    given_values = [each == number for each, number in inputs.values()]
    assert solver.check([*given_values, operation == value], 10).satisfiable is Satisfiable.YES
    assert solver.check([*given_values, operation != value], 10).satisfiable is Satisfiable.NO


@pytest.mark.parametrize("op", sorted(BINARY.keys() | COMPARE.keys()))
@given(a=NUMBERS, b=NUMBERS)
def test_operations_on_two_words(op: str, a: int, b: int) -> None:
    make = Expressions()
    x, y = make.input("x", 8), make.input("y", 8)
    width = 1 if op in COMPARE else 8
    expected = compute(op, [a, b], 8, width)
    assert expected is not None
    means(make.unique(op, (x, y), width), expected, {"x": (x, a), "y": (y, b)})


@pytest.mark.parametrize("width", [8, 64])
@pytest.mark.parametrize("op", sorted(UNARY))
@given(a=st.integers(0, (1 << 64) - 1))
def test_operations_on_one_word(op: str, width: int, a: int) -> None:
    make = Expressions()
    x, a = make.input("x", width), a & (1 << width) - 1
    expected = compute(op, [a], width, width)
    assert expected is not None
    means(make.unique(op, (x,), width), expected, {"x": (x, a)})


@given(a=NUMBERS)
def test_widths(a: int) -> None:
    make = Expressions()
    x = make.input("x", 8)
    signed = a - 256 if a > 127 else a
    means(x.zext(16), a, {"x": (x, a)})
    means(x.sext(16), signed & 0xFFFF, {"x": (x, a)})
    means(x.trunc(3), a & 7, {"x": (x, a)})
    means(select(x.bit(0), x, 9), a if a & 1 else 9, {"x": (x, a)})


def test_every_operation_of_words_is_known() -> None:
    assert BINARY.keys() | COMPARE.keys() | UNARY.keys() | {"zext", "sext", "trunc", "select"} == KNOWN_OPERATIONS


def test_functions_of_the_state_agree_on_equal_arguments_only() -> None:
    make, solver = Expressions(), Solver(LEAVES)
    x, y = make.input("x", 64), make.input("y", 64)
    at_x, at_y = (make.unique("initial", ("memory", each), 8) for each in (x, y))
    assert solver.check([x == y, at_x != at_y], 10).satisfiable is Satisfiable.NO
    reply = solver.check([at_x != at_y], 10)
    assert reply.satisfiable is Satisfiable.YES and reply.value(x) != reply.value(y)


def test_a_question_that_takes_too_long_has_no_answer() -> None:
    make = Expressions()
    x, y, z = (make.input(name, 64) for name in "xyz")
    hard = [x * y * z == 0x9E3779B97F4A7C15, x * x + y * y == z * z + 12345, x > 1000, y > x, z > y, (x ^ y) * z < x]
    assert Solver(LEAVES).check(hard, 0.05).satisfiable is not Satisfiable.NO


def test_time_may_be_as_good_as_unlimited() -> None:
    make = Expressions()
    assert Solver(LEAVES).check([make.input("a", 64) == 3], 1e300).satisfiable is Satisfiable.YES


def test_an_excluded_value_is_known_to_be_none() -> None:
    make = Expressions()
    value = make.input("a", 8)
    (constraint,) = make.exclude(value, frozenset({-1}))
    assert constraint.value is None  # it still has to be said to the solver
    assert (value == 0xFF).value == 0
    assert (value != 0xFF).value == 1
    assert (value == 0xFE).value is None


def test_without_the_solver_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *rest: Any) -> Any:
        if name == "bitwuzla":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(SolverMissing, match=r"pip install 'hypernest\[analysis\]'"):
        Solver(LEAVES)


# --- the simplifications of expressions ------------------------------------------------------------------------------


@st.composite
def expressions(draw: st.DrawFn, make: Expressions, depth: int = 4) -> Word:
    """An expression of 8 bits over x, y and constants that simplifications know."""
    if depth == 0 or draw(st.integers(0, 3)) == 0:
        return draw(st.sampled_from([make.input("x", 8), make.input("y", 8)])) if draw(st.booleans()) else word(
            draw(st.sampled_from([0, 1, 3, 8, 15, 240, 255])), 8
        )  # fmt: skip
    inside = expressions(make, depth - 1)
    a, b = draw(inside), draw(inside)
    if a.value is not None and b.value is not None:
        return a
    match draw(st.integers(0, 3)):
        case 0:
            return make.unique(
                "select", (make.unique(draw(st.sampled_from(sorted(COMPARE))), (a, b), 1), a, draw(inside)), 8
            )
        case 1:
            return a.zext(16).trunc(8) if draw(st.booleans()) else a.trunc(3).zext(8)
        case _:
            return make.unique(draw(st.sampled_from(sorted(BINARY))), (a, b), 8)


class Plain(Expressions):
    """Expressions that are left as they are written."""

    def unique(self, op: str, args: tuple[Word | int | str, ...], width: int) -> Word:
        if op == "input" or all(isinstance(arg, Word) and arg.value is not None for arg in args):
            return super().unique(op, args, width)
        return Word(None, width, op, args, self)


@given(data=st.data(), x=NUMBERS, y=NUMBERS)
def test_simplified_expressions_have_the_same_value(data: st.DataObject, x: int, y: int) -> None:
    plain, simplified = Plain(), Expressions()
    written = data.draw(expressions(plain))
    (simple,) = rewritten(simplified, [written], {id(plain.input(name, 8)): simplified.input(name, 8) for name in "xy"})

    def leaf(each: Word, _: list[int]) -> int:
        return x if each.args[0] == "x" else y

    assert evaluate(simple, leaf, {}) == evaluate(written, leaf, {})


def test_equal_expressions_are_one() -> None:
    make = Expressions()
    x, y = make.input("x", 8), make.input("y", 8)
    assert x + y is make.input("x", 8) + make.input("y", 8)
    assert (x + y != x + y).value == 0
    assert ((x & 0xF8) | 3).bits(3, 0).value is None and ((x & 0xF8) | 3).bits(2, 0).value == 3
    assert (x.zext(64) <= 255).value == 1 and (x.zext(64) < 256).value == 1 and (x.zext(64) <= 254).value is None


def test_what_a_condition_says_in_parts() -> None:
    make = Expressions()
    a, b, c, d = (make.input(name, 1) for name in "abcd")
    assert set(map(id, conjuncts((a & ~(b | c)) & ~~d))) == {id(a), id(~b), id(~c), id(d)}
    assert [part.value for part in conjuncts(word(1, 1))] == [1]
    assert conjuncts(a | b)[0] is (a | b)
