"""Expressions over the inputs of a state: made once each, simplified while they are made, and evaluated.

Two runs of an instruction from states that differ little come to mostly the same expressions. Since equal expressions
are one `Word`, that they are equal is then known without a solver: `a != a` is 0 when it is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from hypernest.isa.trace import Bits
from hypernest.isa.word import BINARY, COMPARE, UNARY, Word, signed, word

if TYPE_CHECKING:
    from hypernest.isa.hart import Pure

LEAVES = frozenset({"input", "initial", "faults", "maps", "tables", "apply"})
"""Operations that are functions of the state and not of words alone; the first argument is their name."""

_RESIZE = frozenset({"zext", "sext", "trunc"})


class Expressions:
    """Makes expressions: the `Decider` of a whole question, of both its runs."""

    def __init__(self) -> None:
        self._unique: dict[tuple[Any, ...], Word] = {}
        self._known: dict[int, Bits] = {}
        self._excluded: dict[int, frozenset[int]] = {}
        self.pures: dict[str, Pure] = {}  # the functions that `apply` words name

    # --- word.Decider ----------------------------------------------------------------------------------------------

    def decide(self, condition: Word) -> NoReturn:
        raise TypeError(f"an analysis asks whether {condition!r}, which depends on the state")

    def unique(self, op: str, args: tuple[Word | int | str, ...], width: int) -> Word:
        """The word that is `op` of `args`, in its simplest known form."""
        constant = fold(op, args, width)
        if constant is not None:
            return word(constant, width)
        simpler = self._simplify(op, args, width)
        if simpler is not None:
            return simpler
        key = (op, width, *((id(a) if a.value is None else (a.value, a.width)) if isinstance(a, Word) else a
                            for a in args))  # fmt: skip
        found = self._unique.get(key)
        if found is not None:
            return found
        made = Word(None, width, op, args, self)
        bits = self._known_bits(op, args, width)
        if bits.mask == (1 << width) - 1:
            made = word(bits.value, width)
        elif bits.mask:
            self._known[id(made)] = bits
        self._unique[key] = made
        return made

    # --- leaves ------------------------------------------------------------------------------------------------------

    def input(self, name: str, width: int) -> Word:
        """A value that the state may have."""
        return self.unique("input", (name,), width)

    def exclude(self, value: Word, excluded: frozenset[int]) -> list[Word]:
        """That a word is none of these values: what must hold, and is taken for granted in what is made from now on."""
        constraints = [value != each for each in sorted(excluded)]
        self._excluded[id(value)] = frozenset(each & ((1 << value.width) - 1) for each in excluded)
        return constraints

    # --- simplification ----------------------------------------------------------------------------------------------

    def bits(self, value: Word) -> Bits:
        """The bits of a word that are the same in all states."""
        if value.value is not None:
            return Bits((1 << value.width) - 1, value.value)
        return self._known.get(id(value), Bits(0, 0))

    def _simplify(self, op: str, args: tuple[Word | int | str, ...], width: int) -> Word | None:
        if op == "select":
            condition, yes, no = (arg for arg in args if isinstance(arg, Word))
            if condition.value is not None:
                return yes if condition.value else no
            if _same(yes, no):
                return yes
            if width == 1 and yes.value == 1 and no.value == 0:
                return condition
            return None
        if len(args) == 1 and op in _RESIZE:
            return self._resized(op, args[0], width)
        if len(args) != 2 or not isinstance(args[0], Word) or not isinstance(args[1], Word):
            return None
        first, second = args[0], args[1]
        if op in COMPARE:
            if _same(first, second):
                return word(op in ("eq", "ule", "sle"), 1)
            a, b = self.bits(first), self.bits(second)
            if op in ("eq", "ne") and ((a.value ^ b.value) & a.mask & b.mask or self._never(first, second)):
                return word(op == "ne", 1)
            if op in ("ult", "ule"):
                ranges = _range(a, first.width), _range(b, second.width)
                if _before(op, ranges[0][1], ranges[1][0]):
                    return word(1, 1)
                if not _before(op, ranges[0][0], ranges[1][1]):
                    return word(0, 1)
            if first.width == 1 and op in ("eq", "ne") and second.value is not None:
                return first if (second.value == 1) == (op == "eq") else self.unique("xor", (first, word(1, 1)), 1)
            return None
        return self._binary(op, first, second, width)

    def _never(self, first: Word, second: Word) -> bool:
        """Is one of two words excluded from being the other?"""
        return any(by.value is not None and by.value in self._excluded.get(id(value), ())
                   for value, by in ((first, second), (second, first)))  # fmt: skip

    def _resized(self, op: str, value: Word | int | str, width: int) -> Word | None:
        assert isinstance(value, Word)
        if op == "trunc" and value.op in ("zext", "sext"):
            inner = value.args[0]
            assert isinstance(inner, Word)
            if inner.width == width:
                return inner
            return self.unique(value.op if inner.width < width else "trunc", (inner,), width)
        if op in ("zext", "trunc") and value.op == op:
            return self.unique(op, value.args, width)
        return None

    def _binary(self, op: str, first: Word, second: Word, width: int) -> Word | None:
        full = (1 << width) - 1
        if op in ("and", "or", "xor", "add") and first.value is not None and second.value is None:
            first, second = second, first
        by = second.value
        if op in ("and", "or") and _same(first, second):
            return first
        if op in ("xor", "sub") and _same(first, second):
            return word(0, width)
        if by is None:
            return None
        if by == 0 and op in ("or", "xor", "add", "sub", "shl", "lshr", "ashr"):
            return first
        if (by == 0 and op in ("and", "mul")) or (by == full and op == "or"):
            return second
        if by == 1 and op in ("mul", "udiv"):
            return first
        bits = self.bits(first)
        if op == "and" and not ~by & full & ~(bits.mask & ~bits.value):
            return first  # clears only what is clear
        if op == "or" and not by & ~(bits.mask & bits.value):
            return first  # sets only what is set
        inner = first.args[1] if first.op == op and len(first.args) == 2 else None
        if op in ("add", "xor", "and") and isinstance(inner, Word) and inner.value is not None:
            start = first.args[0]
            assert isinstance(start, Word)
            return self.unique(op, (start, word(BINARY[op](inner.value, by, width), width)), width)
        return None

    def _known_bits(self, op: str, args: tuple[Word | int | str, ...], width: int) -> Bits:
        full = (1 << width) - 1
        words = [arg for arg in args if isinstance(arg, Word)]
        if not words or len(words) != len(args):
            return Bits(0, 0)
        (a_mask, a), *others = (self.bits(each) for each in words)
        if op in ("zext", "trunc"):
            high = full & ~((1 << words[0].width) - 1)
            return Bits((a_mask | high) & full, a & full)
        if op == "select":
            (b_mask, b), (c_mask, c) = others
            mask = b_mask & c_mask & ~(b ^ c)
            return Bits(mask, b & mask)
        if len(others) != 1:
            return Bits(0, 0)
        ((b_mask, b),) = others
        by = words[1].value
        if op == "and":
            mask = a_mask & b_mask | a_mask & ~a | b_mask & ~b
            return Bits(mask, a & b & mask)
        if op == "or":
            mask = a_mask & b_mask | a_mask & a | b_mask & b
            return Bits(mask, (a | b) & mask)
        if op == "xor":
            mask = a_mask & b_mask
            return Bits(mask, (a ^ b) & mask)
        if op == "shl" and by is not None and by < width:
            return Bits((a_mask << by | (1 << by) - 1) & full, a << by & full)
        if op == "lshr" and by is not None and by < width:
            return Bits(a_mask >> by | full & ~(full >> by), a >> by)
        return Bits(0, 0)


def _range(bits: Bits, width: int) -> tuple[int, int]:
    """The least and the greatest value that known bits leave."""
    return bits.value, bits.value | ((1 << width) - 1) & ~bits.mask


def _before(op: str, first: int, second: int) -> bool:
    return first < second or (op == "ule" and first == second)


def _same(first: Word, second: Word) -> bool:
    return first is second or (first.value is not None and first.value == second.value)


def fold(op: str, args: tuple[Word | int | str, ...], width: int) -> int | None:
    """The constant that an operation on constants comes to; None if an argument is none."""
    values = [arg.value for arg in args if isinstance(arg, Word)]
    if len(values) != len(args) or not values or None in values:
        return None
    first, known = args[0], [value for value in values if value is not None]
    assert isinstance(first, Word)
    return compute(op, known, first.width, width)


def compute(op: str, values: list[int], from_width: int, width: int) -> int | None:
    """What an operation of `isa/word.py` does to integers of `from_width` bits; None for those of the state.

    Division by zero, which semantic functions guard against, gives what the solver's logic says: all ones, or the
    dividend as remainder.
    """
    full = (1 << width) - 1
    if op in BINARY:
        if op in ("udiv", "sdiv", "urem", "srem") and values[1] == 0:
            negative = op == "sdiv" and values[0] >> (from_width - 1)
            return 1 if negative else full if op in ("udiv", "sdiv") else values[0]
        return BINARY[op](values[0], values[1], from_width) & full
    if op in COMPARE:
        return int(COMPARE[op](values[0], values[1], from_width))
    if op in UNARY:
        return UNARY[op](values[0], from_width) & full
    if op in ("zext", "trunc"):
        return values[0] & full
    if op == "sext":
        return signed(values[0], from_width) & full
    if op == "select":
        return values[1] if values[0] else values[2]
    return None


def walk(roots: Iterable[Word]) -> Iterable[Word]:
    """All words that the roots are made of, arguments first, each once."""
    seen: set[int] = set()
    stack: list[tuple[Word, bool]] = [(root, False) for root in roots]
    while stack:
        each, expanded = stack.pop()
        if expanded:
            yield each
            continue
        if id(each) in seen:
            continue
        seen.add(id(each))
        stack.append((each, True))
        stack.extend((arg, False) for arg in each.args if isinstance(arg, Word) and id(arg) not in seen)


def conjuncts(condition: Word) -> list[Word]:
    """Conditions (of width 1) that all hold if this one does: what it says by `and`, and by `not` of `or`."""
    found: list[Word] = []
    stack = [(condition, True)]
    while stack:
        each, holds = stack.pop()
        words = [arg for arg in each.args if isinstance(arg, Word)]
        if each.op == ("and" if holds else "or"):
            stack += [(arg, holds) for arg in words]
        elif each.op == "xor" and words[1].value is not None:
            stack.append((words[0], holds ^ bool(words[1].value)))
        else:
            found.append(each if holds else ~each)
    return found


def rewritten(make: Expressions, roots: Sequence[Word], replaced: Mapping[int, Word]) -> list[Word]:
    """The roots with some words, named by identity, taken for others, and simplified anew."""
    known = dict(replaced)
    for each in walk(roots):
        if id(each) not in known:
            args = tuple(known[id(arg)] if isinstance(arg, Word) else arg for arg in each.args)
            changed = any(arg is not old for arg, old in zip(args, each.args, strict=True))
            known[id(each)] = make.unique(each.op, args, each.width) if changed else each
    return [known[id(root)] for root in roots]


def evaluate(root: Word, leaf: Callable[[Word, list[int]], int], values: dict[int, int]) -> int:
    """The value of an expression; `leaf` gives that of a leaf from those of its word arguments. `values` remembers."""
    for each in walk([root]):
        if id(each) in values:
            continue
        if each.value is not None:
            values[id(each)] = each.value
            continue
        given = [values[id(arg)] for arg in each.args if isinstance(arg, Word)]
        if each.op in LEAVES:
            values[id(each)] = leaf(each, given) & ((1 << each.width) - 1)
        else:
            first = each.args[0]
            assert isinstance(first, Word)
            found = compute(each.op, given, first.width, each.width)
            if found is None:
                raise TypeError(f"no meaning for {each.op}")
            values[id(each)] = found
    return values[id(root)]
