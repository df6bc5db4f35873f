"""Rounding, the five exception flags, and where every arithmetic result gets its encoding."""

from __future__ import annotations

from hypernest.isa.floating_point.formats import EXPONENT_WIDTH, Exact, Format
from hypernest.isa.word import Word, concat, select, word

# Rounding modes, as in frm: to nearest with ties to even, towards zero, down, up, to nearest with ties away.
RNE, RTZ, RDN, RUP, RMM = range(5)

# Exception flags, as in fflags: invalid, division by zero, overflow, underflow, inexact.
NV, DZ, OF, UF, NX = 16, 8, 4, 2, 1

Result = tuple[Word, Word]  # the encoded result, and the flags it raises


def raised(condition: Word, flags: int) -> Word:
    """These flags if the condition (1 bit) holds."""
    return select(condition, word(flags, 5), 0)


def shift_right_sticky(value: Word, count: Word) -> Word:
    """`value` shifted right; the lowest bit is set as well if a one fell out, so that rounding still sees it."""
    shifted = value >> count
    return shifted | ((shifted << count) != value).zext(value.width)


def away_from_zero(rm: Word, sign: Word, odd: Word, half: Word, rest: Word) -> Word:
    """1 bit: does rounding increase the magnitude?

    `odd` is the last bit that is kept, `half` the first that is not, `rest` whether any after that is set.
    """
    directed = (half | rest) & (sign ^ (rm == RUP))
    return select(rm == RNE, half & (rest | odd), select(rm == RMM, half, (rm != RTZ) & directed))


def _increment(rm: Word, sign: Word, significand: Word, dropped: int) -> tuple[Word, Word]:
    """(increment, inexact), 1 bit each, for rounding a significand to what is above its `dropped` low bits."""
    half = significand.bit(dropped - 1)
    rest = significand.trunc(dropped - 1) != 0
    return away_from_zero(rm, sign, significand.bit(dropped), half, rest), half | rest


def rounded(form: Format, exact: Exact, rm: Word) -> Result:
    """The number of the format that a finite exact number is rounded to. Tininess is detected after rounding.

    The significand has at least 32 bits. The lowest may be sticky if, from the highest one downwards, the significand
    has two bits more than the format's.
    """
    sign, width = exact.sign, exact.significand.width
    dropped = width - form.precision
    zeros = exact.significand.clz()
    normal = exact.significand << zeros
    # The exponent field, if there were no bounds to it.
    field = exact.exponent + (width - 1 + form.bias) - zeros.trunc(EXPONENT_WIDTH)

    below = field.sle(0) | (exact.significand == 0)
    shift = select(below, 1 - field, 0)
    significand = shift_right_sticky(normal, shift.zext(width))
    up, inexact = _increment(rm, sign, significand, dropped)

    # Would it, rounded with unbounded exponent, reach the smallest normal number? Then it is not tiny.
    unbounded_up, _ = _increment(rm, sign, normal, dropped)
    carries = ((normal >> dropped) == (1 << form.precision) - 1) & unbounded_up
    tiny = below & (((field == 0) & carries) ^ 1)

    # The hidden bit, or the carry out of the significand, adds one to the exponent field.
    high = select(below, word(0, EXPONENT_WIDTH), field - 1)
    magnitude = (
        (_resized(high, form.width) << form.fraction_bits)
        + _resized(significand >> dropped, form.width)
        + up.zext(form.width)
    )
    overflow = (below ^ 1) & (field.sge(form.top_exponent) | (magnitude >= form.infinity))
    one = word(1, 1)
    largest = word(form.infinity - 1, form.width) + away_from_zero(rm, sign, one, one, one).zext(form.width)
    magnitude = select(overflow, largest, magnitude)

    flags = raised(inexact, NX) | raised(inexact & tiny, UF) | raised(overflow, OF | NX)
    return concat(sign, magnitude.trunc(form.width - 1)), flags


def _resized(value: Word, width: int) -> Word:
    return value.trunc(width) if value.width > width else value.zext(width)


def nan_or(form: Format, is_nan: Word, otherwise: Word) -> Word:
    """The canonical NaN if the condition holds."""
    return select(is_nan, word(form.canonical_nan, form.width), otherwise)


def infinity(form: Format, sign: Word) -> Word:
    return concat(sign, word(form.infinity, form.width - 1))


def zero(form: Format, sign: Word) -> Word:
    return concat(sign, word(0, form.width - 1))
