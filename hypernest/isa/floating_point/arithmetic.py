"""Addition, multiplication and fused multiply-add.

Each takes operands as bits of a format and a rounding mode (3 bits, 0 to 4) and gives the result and its flags.
Infinities and NaNs leave early; what remains is exact arithmetic on significands, rounded once.
"""

from __future__ import annotations

from hypernest.isa.floating_point.formats import Encoded, Exact, Format
from hypernest.isa.floating_point.rounding import (
    NV,
    RDN,
    Result,
    infinity,
    nan_or,
    raised,
    rounded,
    shift_right_sticky,
)
from hypernest.isa.word import Word, select


def add(form: Format, a_bits: Word, b_bits: Word, rm: Word) -> Result:
    """a + b."""
    a, b = Encoded(form, a_bits), Encoded(form, b_bits)
    if a.is_special | b.is_special:
        opposed = a.is_infinite & b.is_infinite & (a.sign ^ b.sign)
        is_nan = a.is_nan | b.is_nan | opposed
        invalid = a.is_signalling | b.is_signalling | opposed
        return nan_or(form, is_nan, select(a.is_infinite, a_bits, b_bits)), raised(invalid, NV)
    spare = form.width - 1 - form.precision  # bits below, so that what alignment drops is never more than sticky
    return rounded(form, _sum(a.exact().shifted(spare), b.exact().shifted(spare), rm), rm)


def multiply(form: Format, a_bits: Word, b_bits: Word, rm: Word) -> Result:
    """a * b."""
    a, b = Encoded(form, a_bits), Encoded(form, b_bits)
    sign = a.sign ^ b.sign
    if a.is_special | b.is_special:
        undefined = (a.is_infinite & b.is_zero) | (a.is_zero & b.is_infinite)
        is_nan = a.is_nan | b.is_nan | undefined
        invalid = a.is_signalling | b.is_signalling | undefined
        return nan_or(form, is_nan, infinity(form, sign)), raised(invalid, NV)
    return rounded(form, _product(a, b), rm)


def fused_multiply_add(form: Format, a_bits: Word, b_bits: Word, c_bits: Word, rm: Word) -> Result:
    """a * b + c, rounded once. Infinity times zero is invalid even if c is a quiet NaN (unprivileged manual, 21.6)."""
    a, b, c = Encoded(form, a_bits), Encoded(form, b_bits), Encoded(form, c_bits)
    if a.is_special | b.is_special | c.is_special:
        sign = a.sign ^ b.sign
        infinite = a.is_infinite | b.is_infinite
        undefined = (a.is_infinite & b.is_zero) | (a.is_zero & b.is_infinite)
        operand_nan = a.is_nan | b.is_nan | c.is_nan
        opposed = infinite & c.is_infinite & (sign ^ c.sign) & (operand_nan ^ 1)
        invalid = a.is_signalling | b.is_signalling | c.is_signalling | undefined | opposed
        result = select(infinite, infinity(form, sign), c_bits)
        return nan_or(form, operand_nan | undefined | opposed, result), raised(invalid, NV)
    width = 2 * form.width
    product = _product(a, b).normalized(width - 2)
    addend = c.exact().widened(width).normalized(width - 2)
    return rounded(form, _sum(product, addend, rm), rm)


def _product(a: Encoded, b: Encoded) -> Exact:
    """Exactly a * b, the significand twice as wide as the format."""
    x, y = a.exact(), b.exact()
    width = 2 * a.format.width
    return Exact(x.sign ^ y.sign, x.exponent + y.exponent, x.significand.zext(width) * y.significand.zext(width))


def _sum(x: Exact, y: Exact, rm: Word) -> Exact:
    """x + y, the lowest bit sticky.

    The operands have the highest bit of their significands free, and the larger one has no lower exponent.
    """
    x_first = x.exponent.sgt(y.exponent) | ((x.exponent == y.exponent) & (x.significand >= y.significand))
    width = x.significand.width
    sign = select(x_first, x.sign, y.sign)
    exponent = select(x_first, x.exponent, y.exponent)
    large = select(x_first, x.significand, y.significand)
    small = select(x_first, y.significand, x.significand)
    distance = select(x_first, x.exponent - y.exponent, y.exponent - x.exponent)
    small = shift_right_sticky(small, distance.zext(width))
    differ = x.sign ^ y.sign
    total = select(differ, large - small, large + small)
    return Exact(select(differ & (total == 0), rm == RDN, sign), exponent, total)
