"""Binary interchange formats of IEEE 754, and numbers taken apart: encoded in a format, or exact."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from hypernest.isa.word import Word, select, word

EXPONENT_WIDTH = 32  # of exponents outside the encoding: signed, wide enough that no sum of them wraps
_LOWEST = -(1 << (EXPONENT_WIDTH - 4))  # the exponent of zero: below every other


@dataclass(frozen=True)
class Format:
    """A format with `exponent_bits` of exponent and `fraction_bits` of stored significand."""

    name: str
    exponent_bits: int
    fraction_bits: int

    @property
    def width(self) -> int:
        return 1 + self.exponent_bits + self.fraction_bits

    @property
    def precision(self) -> int:
        """Bits of the significand, the hidden one included."""
        return self.fraction_bits + 1

    @property
    def bias(self) -> int:
        return (1 << (self.exponent_bits - 1)) - 1

    @property
    def top_exponent(self) -> int:
        """The exponent field of infinities and NaNs."""
        return (1 << self.exponent_bits) - 1

    @property
    def infinity(self) -> int:
        return self.top_exponent << self.fraction_bits

    @property
    def quiet_bit(self) -> int:
        return 1 << (self.fraction_bits - 1)

    @property
    def canonical_nan(self) -> int:
        return self.infinity | self.quiet_bit

    @property
    def sign_bit(self) -> int:
        return 1 << (self.width - 1)


F32 = Format("f32", 8, 23)
F64 = Format("f64", 11, 52)


@dataclass(frozen=True)
class Exact:
    """The number (-1)**sign * significand * 2**exponent: sign 1 bit, significand of any width."""

    sign: Word
    exponent: Word
    significand: Word

    def widened(self, width: int) -> Exact:
        """The same number with a significand of `width` bits."""
        return replace(self, significand=self.significand.zext(width))

    def shifted(self, count: int) -> Exact:
        """The same number with its significand `count` bits to the left. The bits that leave must be zero."""
        return replace(self, exponent=self.exponent - count, significand=self.significand << count)

    def normalized(self, top: int) -> Exact:
        """The same number with the highest one of its significand, now at `top` or below, moved to bit `top`.

        Zero gets an exponent lower than any other number's.
        """
        shift = self.significand.clz() - (self.significand.width - 1 - top)
        exponent = select(
            self.significand == 0,
            word(_LOWEST, EXPONENT_WIDTH),
            self.exponent - _exponent(shift),
        )
        return replace(self, exponent=exponent, significand=self.significand << shift)


@dataclass(frozen=True)
class Encoded:
    """A number as its bits in a format. The predicates are words of one bit."""

    format: Format
    bits: Word

    @cached_property
    def sign(self) -> Word:
        return self.bits.bit(self.format.width - 1)

    @cached_property
    def magnitude(self) -> Word:
        """The bits without the sign; they order magnitudes as unsigned numbers do."""
        return self.bits & (self.format.sign_bit - 1)

    @cached_property
    def is_nan(self) -> Word:
        return self.magnitude > self.format.infinity

    @cached_property
    def is_signalling(self) -> Word:
        return self.is_nan & (self.bits.bit(self.format.fraction_bits - 1) ^ 1)

    @cached_property
    def is_infinite(self) -> Word:
        return self.magnitude == self.format.infinity

    @cached_property
    def is_special(self) -> Word:
        """Infinite or NaN."""
        return self.magnitude >= self.format.infinity

    @cached_property
    def is_zero(self) -> Word:
        return self.magnitude == 0

    def exact(self) -> Exact:
        """The value of a finite number; its significand is as wide as the format."""
        form = self.format
        field = self.magnitude >> form.fraction_bits
        subnormal = field == 0
        fraction = self.bits & ((1 << form.fraction_bits) - 1)
        return Exact(
            self.sign,
            # Subnormal numbers have the exponent of field 1, without the hidden bit.
            _exponent(field + subnormal.zext(form.width)) - (form.bias + form.fraction_bits),
            select(subnormal, fraction, fraction | (1 << form.fraction_bits)),
        )


def _exponent(value: Word) -> Word:
    return value.trunc(EXPONENT_WIDTH)
