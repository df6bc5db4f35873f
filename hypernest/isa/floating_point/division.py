"""Division and square root: digit by digit, with the remainder as the sticky bit."""

from __future__ import annotations

from hypernest.isa.floating_point.formats import Encoded, Exact, Format
from hypernest.isa.floating_point.rounding import DZ, NV, Result, infinity, nan_or, raised, rounded, zero
from hypernest.isa.word import Word, repeat, select, word

_WIDTH = 64  # of the words both work in: the widest that divides in one instruction


def divide(form: Format, a_bits: Word, b_bits: Word, rm: Word) -> Result:
    """a / b."""
    a, b = Encoded(form, a_bits), Encoded(form, b_bits)
    sign = a.sign ^ b.sign
    if a.is_special | b.is_special | a.is_zero | b.is_zero:
        undefined = (a.is_infinite & b.is_infinite) | (a.is_zero & b.is_zero)
        is_nan = a.is_nan | b.is_nan | undefined
        invalid = a.is_signalling | b.is_signalling | undefined
        by_zero = b.is_zero & (a.is_special ^ 1) & (a.is_zero ^ 1)
        result = select(a.is_infinite | b.is_zero, infinity(form, sign), zero(form, sign))
        return nan_or(form, is_nan, result), raised(invalid, NV) | raised(by_zero, DZ)

    top = form.precision - 1
    dividend = a.exact().widened(_WIDTH).normalized(top)
    divisor = b.exact().widened(_WIDTH).normalized(top)
    # Long division: the quotient is below 2, so its integer digit is one bit; the others have as many bits as fit
    # beside a remainder. Two bits more than the precision, as the first may be zero, and one to round.
    digit_bits = _WIDTH - form.precision
    digits = -(-(form.precision + 2) // digit_bits)

    def next_digit(quotient: Word, remainder: Word, divisor: Word) -> tuple[Word, ...]:
        remainder = remainder << digit_bits
        digit = remainder.udiv(divisor)
        return (quotient << digit_bits) | digit, remainder - digit * divisor, divisor

    whole = dividend.significand >= divisor.significand
    remainder = dividend.significand - select(whole, divisor.significand, 0)
    quotient, remainder, _ = repeat(digits, next_digit, whole.zext(_WIDTH), remainder, divisor.significand)
    exponent = dividend.exponent - divisor.exponent - digits * digit_bits
    return rounded(form, Exact(sign, exponent, _sticky(quotient, remainder)), rm)


def square_root(form: Format, a_bits: Word, rm: Word) -> Result:
    """The square root of a; of -0 it is -0."""
    a = Encoded(form, a_bits)
    if a.is_special | a.is_zero | a.sign:
        negative = a.sign & (a.is_zero ^ 1) & (a.is_nan ^ 1)
        return nan_or(form, a.is_nan | negative, a_bits), raised(a.is_signalling | negative, NV)

    # Aligned to the left with an even exponent, two bits of the radicand give one of the root, as on paper.
    radicand = a.exact().widened(_WIDTH).normalized(_WIDTH - 2)
    odd = radicand.exponent.trunc(1)
    significand = radicand.significand << odd.zext(_WIDTH)
    exponent = (radicand.exponent - odd.zext(radicand.exponent.width)).sar(1)

    def next_bit(root: Word, remainder: Word, radicand: Word) -> tuple[Word, ...]:
        remainder = (remainder << 2) | (radicand >> (_WIDTH - 2))
        trial = (root << 2) | 1
        fits = trial <= remainder
        remainder = remainder - select(fits, trial, 0)
        return (root << 1) | fits.zext(_WIDTH), remainder, radicand << 2

    bits = form.precision + 2
    zero_word = word(0, _WIDTH)
    root, remainder, _ = repeat(bits, next_bit, zero_word, zero_word, significand)
    return rounded(form, Exact(a.sign, exponent + (_WIDTH // 2 - bits), _sticky(root, remainder)), rm)


def _sticky(value: Word, remainder: Word) -> Word:
    return value | (remainder != 0).zext(value.width)
