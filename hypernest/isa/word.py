"""Machine words: the one kind of value that semantic functions compute with.

A `Word` has a fixed width and wraps like hardware. It is either a constant, and then arithmetic simply runs
(that is the reference engine), or an expression over named inputs, and then arithmetic records what to do (from
that come LLVM IR and, later, solver terms). Semantic functions cannot tell the difference: an `if` on an
expression asks the tracer that made it which way to go (see `trace.py`).

Two words meet only at equal widths; a Python int adopts the width of the word it meets. Comparison operators are
unsigned; signed ones are methods.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Decider(Protocol):
    """What answers `if` on an expression, and gives equal expressions one identity."""

    def decide(self, condition: Word) -> bool: ...

    def unique(self, op: str, args: tuple[Word | int | str, ...], width: int) -> Word: ...


def signed(value: int, width: int) -> int:
    """The two's-complement reading of the low `width` bits of `value`."""
    value &= (1 << width) - 1
    return value - (1 << width) if value >> (width - 1) else value


def _shift_right_arithmetic(a: int, b: int, width: int) -> int:
    return signed(a, width) >> min(b, width)


def _divide(a: int, b: int) -> int:
    """Signed division that rounds towards zero."""
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def _signed_divide(a: int, b: int, width: int) -> int:
    return _divide(signed(a, width), signed(b, width))


def _signed_remainder(a: int, b: int, width: int) -> int:
    a, b = signed(a, width), signed(b, width)
    return a - b * _divide(a, b)


def _count_trailing_zeros(a: int, width: int) -> int:
    return (a & -a).bit_length() - 1 if a else width


# What each operation does to constants: (operands, width of the operands) -> integer, wrapped afterwards.
# Divisions by zero are the caller's mistake: guard them with `if`, or give `select` a divisor that is not zero.
BINARY: dict[str, Callable[[int, int, int], int]] = {
    "add": lambda a, b, w: a + b,
    "sub": lambda a, b, w: a - b,
    "mul": lambda a, b, w: a * b,
    "and": lambda a, b, w: a & b,
    "or": lambda a, b, w: a | b,
    "xor": lambda a, b, w: a ^ b,
    "shl": lambda a, b, w: a << b if b < w else 0,
    "lshr": lambda a, b, w: a >> b,
    "ashr": _shift_right_arithmetic,
    "udiv": lambda a, b, w: a // b,
    "urem": lambda a, b, w: a % b,
    "sdiv": _signed_divide,
    "srem": _signed_remainder,
}
COMPARE: dict[str, Callable[[int, int, int], bool]] = {
    "eq": lambda a, b, w: a == b,
    "ne": lambda a, b, w: a != b,
    "ult": lambda a, b, w: a < b,
    "ule": lambda a, b, w: a <= b,
    "slt": lambda a, b, w: signed(a, w) < signed(b, w),
    "sle": lambda a, b, w: signed(a, w) <= signed(b, w),
}
UNARY: dict[str, Callable[[int, int], int]] = {
    "clz": lambda a, w: w - a.bit_length(),
    "ctz": _count_trailing_zeros,
    "popcount": lambda a, w: a.bit_count(),
    "bswap": lambda a, w: int.from_bytes(a.to_bytes(w // 8, "little"), "big"),
}


class WidthError(TypeError):
    """Two words of different widths met, or a value does not fit: a mistake in a semantic function."""


class Word:
    """`width` bits. `value` is the constant, or None for an expression `op(*args)` that `decider` recorded."""

    __slots__ = ("args", "decider", "op", "value", "width")

    def __init__(
        self,
        value: int | None,
        width: int,
        op: str = "const",
        args: tuple[Word | int | str, ...] = (),
        decider: Decider | None = None,
    ) -> None:
        self.value = value
        self.width = width
        self.op = op
        self.args = args
        self.decider = decider

    # --- arithmetic -------------------------------------------------------------------------------------------

    def _other(self, other: Word | int) -> Word:
        if not isinstance(other, Word):
            return Word(other & ((1 << self.width) - 1), self.width)
        if other.width != self.width:
            raise WidthError(f"a word of {self.width} bits meets one of {other.width}")
        return other

    # Constants take the short way in these: they are all that the reference engine ever sees.

    def _binary(self, op: str, other: Word | int) -> Word:
        value, width = self.value, self.width
        mask = (1 << width) - 1
        if value is not None:
            if isinstance(other, int):
                return Word(BINARY[op](value, other & mask, width) & mask, width)
            if other.value is not None and other.width == width:
                return Word(BINARY[op](value, other.value, width) & mask, width)
        other = self._other(other)
        return _decider(self, other).unique(op, (self, other), width)

    def _compare(self, op: str, other: Word | int) -> Word:
        value, width = self.value, self.width
        if value is not None:
            if isinstance(other, int):
                return _ONE if COMPARE[op](value, other & ((1 << width) - 1), width) else _ZERO
            if other.value is not None and other.width == width:
                return _ONE if COMPARE[op](value, other.value, width) else _ZERO
        other = self._other(other)
        return _decider(self, other).unique(op, (self, other), 1)

    def _unary(self, op: str) -> Word:
        if self.value is not None:
            return Word(UNARY[op](self.value, self.width), self.width)
        return _decider(self).unique(op, (self,), self.width)

    def __add__(self, other: Word | int) -> Word:
        return self._binary("add", other)

    def __sub__(self, other: Word | int) -> Word:
        return self._binary("sub", other)

    def __mul__(self, other: Word | int) -> Word:
        return self._binary("mul", other)

    def __and__(self, other: Word | int) -> Word:
        return self._binary("and", other)

    def __or__(self, other: Word | int) -> Word:
        return self._binary("or", other)

    def __xor__(self, other: Word | int) -> Word:
        return self._binary("xor", other)

    def __lshift__(self, other: Word | int) -> Word:
        """Zero if shifted by the width or more."""
        return self._binary("shl", other)

    def __rshift__(self, other: Word | int) -> Word:
        """Logical; zero if shifted by the width or more."""
        return self._binary("lshr", other)

    def sar(self, other: Word | int) -> Word:
        """Arithmetic shift right; the sign everywhere if shifted by the width or more."""
        return self._binary("ashr", other)

    def udiv(self, other: Word | int) -> Word:
        return self._binary("udiv", other)

    def urem(self, other: Word | int) -> Word:
        return self._binary("urem", other)

    def sdiv(self, other: Word | int) -> Word:
        """Signed, rounding towards zero. Most negative by minus one must be kept out by the caller."""
        return self._binary("sdiv", other)

    def srem(self, other: Word | int) -> Word:
        return self._binary("srem", other)

    def __invert__(self) -> Word:
        return self._binary("xor", -1)

    def __neg__(self) -> Word:
        return word(0, self.width) - self

    __radd__, __rmul__, __rand__, __ror__, __rxor__ = __add__, __mul__, __and__, __or__, __xor__

    def __rsub__(self, other: int) -> Word:
        return word(other, self.width) - self

    # --- comparison: unsigned operators, signed methods ------------------------------------------------------

    def __eq__(self, other: Word | int) -> Word:  # type: ignore[override]
        return self._compare("eq", other)

    def __ne__(self, other: Word | int) -> Word:  # type: ignore[override]
        return self._compare("ne", other)

    def __lt__(self, other: Word | int) -> Word:
        return self._compare("ult", other)

    def __le__(self, other: Word | int) -> Word:
        return self._compare("ule", other)

    def __gt__(self, other: Word | int) -> Word:
        return self._other(other)._compare("ult", self)

    def __ge__(self, other: Word | int) -> Word:
        return self._other(other)._compare("ule", self)

    def slt(self, other: Word | int) -> Word:
        return self._compare("slt", other)

    def sle(self, other: Word | int) -> Word:
        return self._compare("sle", other)

    def sgt(self, other: Word | int) -> Word:
        return self._other(other)._compare("slt", self)

    def sge(self, other: Word | int) -> Word:
        return self._other(other)._compare("sle", self)

    def __hash__(self) -> int:
        return id(self)

    def __bool__(self) -> bool:
        """Is it not zero? An expression asks its tracer, which explores both answers."""
        if self.value is not None:
            return self.value != 0
        condition = self if self.width == 1 else self._compare("ne", 0)
        return _decider(self).decide(condition)

    # --- bits ---------------------------------------------------------------------------------------------------

    def zext(self, width: int) -> Word:
        """Zero-extended to `width` bits (at least the present width)."""
        return self._resize("zext", width)

    def sext(self, width: int) -> Word:
        """Sign-extended to `width` bits (at least the present width)."""
        return self._resize("sext", width)

    def trunc(self, width: int) -> Word:
        """The low `width` bits (at most the present width)."""
        if self.value is not None and width < self.width:
            return Word(self.value & ((1 << width) - 1), width)
        return self._resize("trunc", width)

    def _resize(self, op: str, width: int) -> Word:
        if width == self.width:
            return self
        if (width < self.width) != (op == "trunc"):
            raise WidthError(f"{op} makes no {width} bits of {self.width}")
        if self.value is not None:
            value = signed(self.value, self.width) if op == "sext" else self.value
            return Word(value & ((1 << width) - 1), width)
        return _decider(self).unique(op, (self,), width)

    def bit(self, index: int) -> Word:
        """Bit `index` as a word of width 1."""
        if self.value is not None and 0 <= index < self.width:
            return _ONE if self.value >> index & 1 else _ZERO
        return self.bits(index, index)

    def bits(self, high: int, low: int) -> Word:
        """Bits `high` down to `low`, both included, as the manual writes [high:low]."""
        if self.value is not None and 0 <= low <= high < self.width:
            return Word(self.value >> low & ((2 << high - low) - 1), high - low + 1)
        shifted = self if low == 0 else self >> low
        return shifted.trunc(high - low + 1)

    def insert(self, low: int, field: Word) -> Word:
        """This word with the bits from `low` upwards replaced by `field`."""
        mask = ((1 << field.width) - 1) << low
        return (self & ~mask) | (field.zext(self.width) << low)

    def clz(self) -> Word:
        """Leading zeros, as a word of the same width; the width itself for zero."""
        return self._unary("clz")

    def ctz(self) -> Word:
        """Trailing zeros, as a word of the same width; the width itself for zero."""
        return self._unary("ctz")

    def popcount(self) -> Word:
        return self._unary("popcount")

    def byte_swap(self) -> Word:
        return self._unary("bswap")

    def __int__(self) -> int:
        if self.value is None:
            raise TypeError("an expression has no value yet: compute with words, not ints, in semantic functions")
        return self.value

    __index__ = __int__

    def __repr__(self) -> str:
        if self.value is not None:
            return f"{self.value:#x}:{self.width}"
        return f"{self.op}({', '.join(map(repr, self.args))}):{self.width}"


_ZERO, _ONE = Word(0, 1), Word(1, 1)


def _decider(*words: Word) -> Decider:
    for candidate in words:
        if candidate.decider is not None:
            return candidate.decider
    raise TypeError("no word here is an expression")


def word(value: Word | int, width: int = 64) -> Word:
    """A word from an int (wrapped to `width`), or the word itself, whose width must be `width`."""
    if isinstance(value, Word):
        if value.width != width:
            raise WidthError(f"a word of {value.width} bits is where {width} belong")
        return value
    return Word(value & ((1 << width) - 1), width)


def select(condition: Word | bool, yes: Word, no: Word | int) -> Word:
    """`yes` if `condition` else `no`, without branching: both are computed. Use it for data, `if` for traps."""
    no = yes._other(no)
    if not isinstance(condition, Word) or condition.value is not None:
        return yes if condition else no
    if condition.width != 1:
        raise WidthError(f"the condition of a select has {condition.width} bits, not 1")
    return _decider(condition).unique("select", (condition, yes, no), yes.width)


def concat(*parts: Word) -> Word:
    """The parts side by side, the most significant first, as the manual writes {a, b}."""
    width = sum([part.width for part in parts])
    value = 0
    for part in parts:
        if part.value is None:
            break
        value = value << part.width | part.value
    else:
        return Word(value, width)
    result, low = word(0, width), width
    for part in parts:
        low -= part.width
        result = result | (part.zext(width) << low)
    return result


def repeat(count: int, body: Callable[..., tuple[Word, ...]], *initial: Word) -> tuple[Word, ...]:
    """`state = body(*state)`, `count` times. `body` must be straight-line (use `select`).

    On constants it is a loop; as an expression it stays one loop of native code instead of `count` copies.
    """
    if all(part.value is not None for part in initial):
        state = initial
        for _ in range(count):
            state = body(*state)
        return state
    decider = _decider(*initial)
    return decider.repeat(count, body, initial)  # type: ignore[attr-defined,no-any-return]
