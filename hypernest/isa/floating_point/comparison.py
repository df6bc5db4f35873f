"""Comparison, minimum and maximum, classification."""

from __future__ import annotations

from hypernest.isa.floating_point.formats import Encoded, Format
from hypernest.isa.floating_point.rounding import NV, Result, nan_or, raised
from hypernest.isa.word import Word, concat, select


def equal(form: Format, a_bits: Word, b_bits: Word) -> Result:
    """a == b (1 bit). Only signalling NaNs are invalid."""
    a, b = Encoded(form, a_bits), Encoded(form, b_bits)
    ordered = (a.is_nan | b.is_nan) ^ 1
    same = (a_bits == b_bits) | (a.is_zero & b.is_zero)
    return ordered & same, raised(a.is_signalling | b.is_signalling, NV)


def less(form: Format, a_bits: Word, b_bits: Word) -> Result:
    """a < b (1 bit). Every NaN is invalid."""
    a, b = Encoded(form, a_bits), Encoded(form, b_bits)
    unordered = a.is_nan | b.is_nan
    both_zero = a.is_zero & b.is_zero
    return _before(a, b) & ((unordered | both_zero) ^ 1), raised(unordered, NV)


def less_or_equal(form: Format, a_bits: Word, b_bits: Word) -> Result:
    """a <= b (1 bit). Every NaN is invalid."""
    a, b = Encoded(form, a_bits), Encoded(form, b_bits)
    unordered = a.is_nan | b.is_nan
    both_zero = a.is_zero & b.is_zero
    return ((_before(b, a) ^ 1) | both_zero) & (unordered ^ 1), raised(unordered, NV)


def minimum(form: Format, a_bits: Word, b_bits: Word) -> Result:
    """The lesser number; -0 is less than +0, and a NaN is ignored unless both are."""
    return _choose(form, a_bits, b_bits, _before(Encoded(form, a_bits), Encoded(form, b_bits)))


def maximum(form: Format, a_bits: Word, b_bits: Word) -> Result:
    """The greater number, likewise."""
    return _choose(form, a_bits, b_bits, _before(Encoded(form, b_bits), Encoded(form, a_bits)))


def classify(form: Format, bits: Word) -> Word:
    """One of ten bits, as fclass numbers them."""
    a = Encoded(form, bits)
    positive = a.sign ^ 1
    normal = a.magnitude >= 1 << form.fraction_bits
    normal, subnormal = normal & (a.is_special ^ 1), (normal | a.is_zero) ^ 1
    return concat(
        a.is_nan & (a.is_signalling ^ 1),
        a.is_signalling,
        positive & a.is_infinite,
        positive & normal,
        positive & subnormal,
        positive & a.is_zero,
        a.sign & a.is_zero,
        a.sign & subnormal,
        a.sign & normal,
        a.sign & a.is_infinite,
    )


def _before(a: Encoded, b: Encoded) -> Word:
    """Does a come before b when encodings are ordered as numbers, with -0 before +0?"""
    return (a.bits ^ _all_below(a)).slt(b.bits ^ _all_below(b))


def _all_below(a: Encoded) -> Word:
    """Ones below the sign bit if it is set: negative numbers are ordered the other way round."""
    return a.sign.sext(a.format.width) & (a.format.sign_bit - 1)


def _choose(form: Format, a_bits: Word, b_bits: Word, a_first: Word) -> Result:
    a, b = Encoded(form, a_bits), Encoded(form, b_bits)
    result = select((a_first & (a.is_nan ^ 1)) | b.is_nan, a_bits, b_bits)
    return nan_or(form, a.is_nan & b.is_nan, result), raised(a.is_signalling | b.is_signalling, NV)
