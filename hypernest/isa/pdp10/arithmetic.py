"""Moves, arithmetic, Boolean functions, and the tests that count and compare with zero: none is sensitive."""

from __future__ import annotations

from collections.abc import Callable

from hypernest.isa.hart import Hart, bit
from hypernest.isa.pdp10.addressing import (
    FORMAT,
    accumulator,
    effective_address,
    encoding,
    jump_if,
    set_accumulator,
    skip_if,
)
from hypernest.isa.pdp10.state import CARRY_0, CARRY_1, OVERFLOW
from hypernest.isa.row import Extension, Semantics
from hypernest.isa.word import Word, select, word

Sum = tuple[Word, Word]  # the result, and the flags that it sets

MOVES = Extension("full-word moves", FORMAT)
ARITHMETIC = Extension("arithmetic", FORMAT)
TESTS = Extension("arithmetic tests", FORMAT)


def added(a: Word, b: Word, carry: int = 0) -> Sum:
    """a + b + carry in 36 bits. Flags are only ever set: the program clears them."""
    whole = a.zext(37) + b.zext(37) + carry
    low = a.trunc(35).zext(36) + b.trunc(35).zext(36) + carry
    carry_0, carry_1 = bit(whole.bit(36), 18), bit(low.bit(35), 18)
    return whole.trunc(36), carry_0 * CARRY_0 | carry_1 * CARRY_1 | (carry_0 ^ carry_1) * OVERFLOW


def _without_flags(operation: Callable[[Word, Word], Word]) -> Callable[[Word, Word], Sum]:
    return lambda a, b: (operation(a, b), word(0, 18))


def _set_flags(h: Hart, flags: Word) -> None:
    h.write("flags", h.flags | flags)


# --- moves -----------------------------------------------------------------------------------------------------------


@MOVES.row("move ac, @y(x)", encoding(0o200))
def move(h: Hart) -> None:
    set_accumulator(h, h.load(effective_address(h), 36))


@MOVES.row("movei ac, @y(x)", encoding(0o201))
def movei(h: Hart) -> None:
    set_accumulator(h, effective_address(h).trunc(36))


@MOVES.row("movem ac, @y(x)", encoding(0o202))
def movem(h: Hart) -> None:
    h.store(effective_address(h), accumulator(h))


@MOVES.row("movsi ac, @y(x)", encoding(0o205))
def movsi(h: Hart) -> None:
    """Move swapped immediate: E in the left half."""
    set_accumulator(h, effective_address(h).trunc(36) << 18)


# --- AC and a word: results to AC, with an immediate word, to memory, to both ----------------------------------------


def _basic(operation: Callable[[Word, Word], Sum]) -> Semantics:
    def execute(h: Hart) -> None:
        result, flags = operation(accumulator(h), h.load(effective_address(h), 36))
        set_accumulator(h, result)
        _set_flags(h, flags)

    return execute


def _immediate(operation: Callable[[Word, Word], Sum]) -> Semantics:
    def execute(h: Hart) -> None:
        result, flags = operation(accumulator(h), effective_address(h).trunc(36))
        set_accumulator(h, result)
        _set_flags(h, flags)

    return execute


def _memory(operation: Callable[[Word, Word], Sum], both: bool) -> Semantics:
    def execute(h: Hart) -> None:
        address = effective_address(h)
        result, flags = operation(accumulator(h), h.load(address, 36))
        h.store(address, result)
        if both:
            set_accumulator(h, result)
        _set_flags(h, flags)

    return execute


OPERATIONS: list[tuple[str, int, Callable[[Word, Word], Sum]]] = [
    ("add", 0o270, added),
    ("sub", 0o274, lambda a, b: added(a, ~b, 1)),
    ("and", 0o404, _without_flags(lambda a, b: a & b)),
    ("xor", 0o430, _without_flags(lambda a, b: a ^ b)),
    ("ior", 0o434, _without_flags(lambda a, b: a | b)),
]
for name, code, operation in OPERATIONS:
    ARITHMETIC.add(f"{name} ac, @y(x)", encoding(code), _basic(operation))
    ARITHMETIC.add(f"{name}i ac, @y(x)", encoding(code + 1), _immediate(operation))
    ARITHMETIC.add(f"{name}m ac, @y(x)", encoding(code + 2), _memory(operation, both=False))
    ARITHMETIC.add(f"{name}b ac, @y(x)", encoding(code + 3), _memory(operation, both=True))


# --- tests -----------------------------------------------------------------------------------------------------------

CONDITIONS: list[tuple[str, Callable[[Word], Word]]] = [
    ("", lambda value: word(0, 1)),
    ("l", lambda value: value.slt(0)),
    ("e", lambda value: value == 0),
    ("le", lambda value: value.sle(0)),
    ("a", lambda value: word(1, 1)),
    ("ge", lambda value: value.sge(0)),
    ("n", lambda value: value != 0),
    ("g", lambda value: value.sgt(0)),
]
MINUS_ONE = (1 << 36) - 1


def _count_accumulator(amount: int, condition: Callable[[Word], Word]) -> Semantics:
    """AOJ, SOJ: add to AC, jump to E if the sum is as the condition says."""

    def execute(h: Hart) -> None:
        target = effective_address(h)
        result, flags = added(accumulator(h), word(amount, 36))
        set_accumulator(h, result)
        _set_flags(h, flags)
        jump_if(h, condition(result), target)

    return execute


def _count_memory(amount: int, condition: Callable[[Word], Word]) -> Semantics:
    """AOS, SOS: add to the word at E, which goes to AC too unless that is 0; skip."""

    def execute(h: Hart) -> None:
        address = effective_address(h)
        result, flags = added(h.load(address, 36), word(amount, 36))
        kept = accumulator(h)
        h.store(address, result)
        set_accumulator(h, select(h.operand("ac") == 0, kept, result))
        _set_flags(h, flags)
        skip_if(h, condition(result))

    return execute


def _jump(condition: Callable[[Word], Word]) -> Semantics:
    def execute(h: Hart) -> None:
        jump_if(h, condition(accumulator(h)), effective_address(h))

    return execute


def _skip(condition: Callable[[Word], Word]) -> Semantics:
    """The word at E goes to AC, unless that is 0."""

    def execute(h: Hart) -> None:
        value = h.load(effective_address(h), 36)
        set_accumulator(h, select(h.operand("ac") == 0, accumulator(h), value))
        skip_if(h, condition(value))

    return execute


for number, (suffix, condition) in enumerate(CONDITIONS):
    TESTS.add(f"jump{suffix} ac, @y(x)", encoding(0o320 + number), _jump(condition))
    TESTS.add(f"skip{suffix} ac, @y(x)", encoding(0o330 + number), _skip(condition))
    TESTS.add(f"aos{suffix} ac, @y(x)", encoding(0o350 + number), _count_memory(1, condition))
    TESTS.add(f"soj{suffix} ac, @y(x)", encoding(0o360 + number), _count_accumulator(MINUS_ONE, condition))
