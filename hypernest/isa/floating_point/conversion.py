"""Conversions between formats, and between numbers and integers."""

from __future__ import annotations

from dataclasses import dataclass

from hypernest.isa.floating_point.formats import EXPONENT_WIDTH, Encoded, Exact, Format
from hypernest.isa.floating_point.rounding import (
    NV,
    NX,
    RNE,
    Result,
    away_from_zero,
    infinity,
    nan_or,
    raised,
    rounded,
    shift_right_sticky,
)
from hypernest.isa.word import Word, select, word


@dataclass(frozen=True)
class Integer:
    """An integer type that numbers are converted to and from."""

    name: str
    width: int
    signed: bool


I32, U32 = Integer("i32", 32, True), Integer("u32", 32, False)
I64, U64 = Integer("i64", 64, True), Integer("u64", 64, False)


def to_integer(form: Format, kind: Integer, bits: Word, rm: Word) -> Result:
    """The integer, as wide as its type. Out of range is invalid and saturates; NaN counts as the largest."""
    a = Encoded(form, bits)
    exact = a.exact()
    # Fixed point with 64 bits before the point and 64 after it; what is too far left for that is out of range anyway.
    too_large = exact.exponent.sgt(64 - form.precision)
    aligned = exact.widened(128).shifted(64)
    left, right = exact.exponent, -exact.exponent
    fixed = select(
        exact.exponent.sgt(0),
        aligned.significand << left.zext(128),
        shift_right_sticky(aligned.significand, right.zext(128)),
    )
    whole, half, rest = fixed.bits(127, 64), fixed.bit(63), fixed.trunc(63) != 0
    magnitude = whole + away_from_zero(rm, a.sign, whole.bit(0), half, rest).zext(64)

    highest = (1 << (kind.width - kind.signed)) - 1
    lowest = 1 << (kind.width - 1) if kind.signed else 0  # its magnitude
    negative = a.sign & (a.is_nan ^ 1)
    limit = select(negative, word(lowest, 64), highest)
    invalid = a.is_special | too_large | (magnitude > limit)
    magnitude = select(invalid, limit, magnitude)
    inexact = (half | rest) & (invalid ^ 1)
    value = select(negative, -magnitude, magnitude).trunc(kind.width)
    return value, raised(invalid, NV) | raised(inexact, NX)


def from_integer(form: Format, kind: Integer, value: Word, rm: Word) -> Result:
    """The number nearest to an integer in the sense of `rm`."""
    negative = value.bit(kind.width - 1) if kind.signed else word(0, 1)
    magnitude = select(negative, -value, value)
    return rounded(form, Exact(negative, word(0, EXPONENT_WIDTH), magnitude), rm)


def widen(form: Format, target: Format, bits: Word) -> Result:
    """The same number in a format that holds all numbers of this one."""
    return narrow(form, target, bits, word(RNE, 3))


def narrow(form: Format, target: Format, bits: Word, rm: Word) -> Result:
    """The number of another format that is nearest in the sense of `rm`. NaNs become canonical."""
    a = Encoded(form, bits)
    if a.is_special:
        return nan_or(target, a.is_nan, infinity(target, a.sign)), raised(a.is_signalling, NV)
    return rounded(target, a.exact().widened(64), rm)
