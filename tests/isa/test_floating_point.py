"""Floating-point functions against exact rational arithmetic, and against the host's floats."""

from __future__ import annotations

import ctypes
import math
import struct
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import cycle, product

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hypernest.isa.floating_point import DOUBLE, FUNCTIONS, I32, I64, SINGLE, U32, U64, Arithmetic, Format, Integer
from hypernest.isa.trace import Tracer

NV, DZ, OF, UF, NX = 16, 8, 4, 2, 1
RNE, RTZ, RDN, RUP, RMM = range(5)
FORMATS = [SINGLE, DOUBLE]
Answer = tuple[int, int]

# --- the oracle: numbers as fractions ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Value:
    """A decoded number: NaN, infinite or the magnitude."""

    negative: bool
    nan: bool = False
    signalling: bool = False
    infinite: bool = False
    magnitude: Fraction = Fraction(0)

    @property
    def zero(self) -> bool:
        return not self.nan and not self.infinite and self.magnitude == 0

    @property
    def number(self) -> Fraction:
        return -self.magnitude if self.negative else self.magnitude


def power(exponent: int) -> Fraction:
    return Fraction(2) ** exponent


def decode(form: Format, bits: int) -> Value:
    negative, field = bool(bits >> (form.width - 1)), bits >> form.fraction_bits & form.top_exponent
    fraction = bits % (1 << form.fraction_bits)
    if field == form.top_exponent:
        return Value(negative, nan=fraction != 0, signalling=0 < fraction < form.quiet_bit, infinite=fraction == 0)
    significand = fraction + (1 << form.fraction_bits) * (field > 0)
    return Value(negative, magnitude=significand * power(max(field, 1) - form.bias - form.fraction_bits))


def to_integral(exact: Fraction, negative: bool, rm: int) -> int:
    """A magnitude rounded to an integer."""
    whole, rest = divmod(exact, 1)
    if rest == 0:
        return int(whole)
    up = {
        RNE: rest > Fraction(1, 2) or (rest == Fraction(1, 2) and whole % 2 == 1),
        RTZ: False,
        RDN: negative,
        RUP: not negative,
        RMM: rest >= Fraction(1, 2),
    }[rm]
    return int(whole) + up


def floor_log2(exact: Fraction) -> int:
    guess = exact.numerator.bit_length() - exact.denominator.bit_length()
    return guess if power(guess) <= exact else guess - 1


def encode(form: Format, negative: bool, exact: Fraction, rm: int) -> Answer:
    """A magnitude rounded to the format, and the flags."""
    sign = negative << (form.width - 1)
    if exact == 0:
        return sign, 0
    lowest, exponent = 1 - form.bias, floor_log2(exact)
    unit = power(max(exponent, lowest) - form.fraction_bits)
    result = to_integral(exact / unit, negative, rm) * unit
    if result >= power(form.bias + 1):
        to_infinity = rm in (RNE, RMM) or rm == (RDN if negative else RUP)
        return sign | (form.infinity - (not to_infinity)), OF | NX
    unbounded_unit = power(exponent - form.fraction_bits)
    tiny = to_integral(exact / unbounded_unit, negative, rm) * unbounded_unit < power(lowest)
    inexact = result != exact
    if result < power(lowest):
        bits = int(result / power(lowest - form.fraction_bits))
    else:
        exponent = floor_log2(result)
        fraction = int(result / power(exponent - form.fraction_bits)) - (1 << form.fraction_bits)
        bits = (exponent + form.bias) << form.fraction_bits | fraction
    return sign | bits, NX * inexact | UF * (inexact and tiny)


def encode_number(form: Format, exact: Fraction, zero_negative: bool, rm: int) -> Answer:
    return encode(form, exact < 0 if exact else zero_negative, abs(exact), rm)


def expected_fma(form: Format, a: Value, b: Value, c: Value, rm: int) -> Answer:
    product_negative = a.negative != b.negative
    undefined = (a.infinite and b.zero) or (a.zero and b.infinite)
    signalling = any(v.signalling for v in (a, b, c))
    if a.nan or b.nan or c.nan or undefined:
        return form.canonical_nan, NV * (signalling or undefined)
    if a.infinite or b.infinite:
        if c.infinite and c.negative != product_negative:
            return form.canonical_nan, NV
        return product_negative << (form.width - 1) | form.infinity, 0
    if c.infinite:
        return c.negative << (form.width - 1) | form.infinity, 0
    zero_negative = c.negative if c.negative == product_negative else rm == RDN
    return encode_number(form, a.number * b.number + c.number, zero_negative, rm)


ONE = Value(False, magnitude=Fraction(1))


def expected_add(form: Format, a: Value, b: Value, rm: int) -> Answer:
    return expected_fma(form, a, ONE, b, rm)


def expected_multiply(form: Format, a: Value, b: Value, rm: int) -> Answer:
    return expected_fma(form, a, b, Value(a.negative != b.negative), rm)


def expected_divide(form: Format, a: Value, b: Value, rm: int) -> Answer:
    sign = (a.negative != b.negative) << (form.width - 1)
    if a.nan or b.nan:
        return form.canonical_nan, NV * (a.signalling or b.signalling)
    if (a.infinite and b.infinite) or (a.zero and b.zero):
        return form.canonical_nan, NV
    if a.infinite:
        return sign | form.infinity, 0
    if b.infinite:
        return sign, 0
    if b.zero:
        return sign | form.infinity, DZ
    return encode(form, bool(sign), a.magnitude / b.magnitude, rm)


def expected_square_root(form: Format, a: Value, rm: int) -> Answer:
    if a.nan or (a.negative and not a.zero):
        return form.canonical_nan, NV * (a.signalling or not a.nan)
    if a.infinite:
        return form.infinity, 0
    if a.zero:
        return a.negative << (form.width - 1), 0
    # Enough digits that what is missing from the root only decides whether it is exact.
    scale = 2 * (form.bias + form.width)
    radicand = a.magnitude * power(2 * scale)
    root = math.isqrt(int(radicand))
    return encode(form, False, (root + Fraction(root * root != radicand, 2)) * power(-scale), rm)


def expected_integer(kind: Integer, a: Value, rm: int) -> Answer:
    highest = (1 << (kind.width - kind.signed)) - 1
    lowest = -1 - highest if kind.signed else 0
    if a.nan:
        return highest, NV
    rounded = 0 if a.infinite else to_integral(a.magnitude, a.negative, rm) * (-1 if a.negative else 1)
    if a.infinite or not lowest <= rounded <= highest:
        return (lowest if a.negative else highest) % (1 << kind.width), NV
    return rounded % (1 << kind.width), NX * (rounded != a.number)


# --- operands -----------------------------------------------------------------------------------------------------


def corners(form: Format) -> list[int]:
    """Zeros, the ends of the subnormal and normal numbers, one and its neighbours, infinities, NaNs; both signs."""
    one = form.bias << form.fraction_bits
    smallest_normal = 1 << form.fraction_bits
    magnitudes = [
        *(0, 1, 2, smallest_normal - 1, smallest_normal, smallest_normal + 1, smallest_normal * 2),
        *(one - 1, one, one + 1, one + (smallest_normal >> 1), one + smallest_normal),
        *(form.infinity - 1, form.infinity - smallest_normal),
        *(form.infinity, form.canonical_nan, form.infinity + 1, form.canonical_nan + 1),
    ]
    magnitudes += [(form.bias + n) << form.fraction_bits for n in (-1, 31, 32, 52, 53, 62, 63, 64)]
    magnitudes += [((form.bias + n) << form.fraction_bits) - 1 for n in (31, 32, 63, 64)]
    return magnitudes + [form.sign_bit | m for m in magnitudes]


@cache
def operands(form: Format) -> st.SearchStrategy[int]:
    """Corners; any bits; fractions with few ones or zeros, at exponents where they interact."""
    near = st.integers(form.bias - 2 * form.precision, form.bias + 2 * form.precision)
    ends = st.sampled_from([0, 1, 2, 3, form.top_exponent - 1, form.top_exponent - 2])
    halves = st.integers(form.bias // 2 - 3, form.bias // 2 + 3)
    low = st.integers(0, form.fraction_bits)
    fractions = st.one_of(
        st.integers(0, (1 << form.fraction_bits) - 1),
        st.tuples(low, low).map(lambda t: ((1 << t[0]) | (1 << t[1])) % (1 << form.fraction_bits)),
        st.tuples(low, low).map(lambda t: ((1 << t[0]) - (1 << t[1])) % (1 << form.fraction_bits)),
    )
    made = st.tuples(st.booleans(), near | ends | halves, fractions).map(
        lambda t: t[0] << (form.width - 1) | t[1] << form.fraction_bits | t[2]
    )
    return st.sampled_from(corners(form)) | made | st.integers(0, (1 << form.width) - 1)


FORMAT = pytest.mark.parametrize("p", FORMATS, ids=lambda p: p.format.name)
MODES = st.integers(0, 4)
DATA = st.data()


def run(function: object, *arguments: int) -> Answer:
    result, flags = function(*arguments)  # type: ignore[operator]
    return int(result), int(flags)


# --- values and flags ---------------------------------------------------------------------------------------------


@FORMAT
@pytest.mark.parametrize("rm", range(5))
def test_corners_of_two_operands(p: Arithmetic, rm: int) -> None:
    form = p.format
    values = [(bits, decode(form, bits)) for bits in [*corners(form)[rm % 3 :: 3], 0, form.sign_bit]]
    for a_bits, a in values:
        for b_bits, b in values:
            where = f"{a_bits:#x} {b_bits:#x}"
            assert run(p.add, a_bits, b_bits, rm) == expected_add(form, a, b, rm), where
            assert run(p.multiply, a_bits, b_bits, rm) == expected_multiply(form, a, b, rm), where
            assert run(p.divide, a_bits, b_bits, rm) == expected_divide(form, a, b, rm), where


@FORMAT
def test_kinds_of_three_operands(p: Arithmetic) -> None:
    """Every meeting of zeros, numbers, infinities and NaNs."""
    form = p.format
    magnitudes = [0, 1, form.bias << form.fraction_bits, form.infinity - 1, form.infinity]
    magnitudes += [form.infinity + 1, form.canonical_nan]
    values = [(bits, decode(form, bits)) for m in magnitudes for bits in (m, m | form.sign_bit)]
    for rm, ((a_bits, a), (b_bits, b), (c_bits, c)) in zip(cycle(range(5)), product(values, repeat=3)):
        expected = expected_fma(form, a, b, c, rm)
        assert run(p.fused_multiply_add, a_bits, b_bits, c_bits, rm) == expected, f"{a} * {b} + {c}"


@FORMAT
@pytest.mark.parametrize("rm", range(5))
def test_corners_of_one_operand(p: Arithmetic, rm: int) -> None:
    form = p.format
    for bits in corners(form):
        a = decode(form, bits)
        assert run(p.square_root, bits, rm) == expected_square_root(form, a, rm), hex(bits)
        for kind, function in p.to_integer.items():
            assert run(function, bits, rm) == expected_integer(kind, a, rm), (hex(bits), kind)


@FORMAT
@settings(max_examples=80)
@given(data=DATA, rm=MODES)
def test_add(p: Arithmetic, data: st.DataObject, rm: int) -> None:
    a, b = data.draw(operands(p.format)), data.draw(operands(p.format))
    assert run(p.add, a, b, rm) == expected_add(p.format, decode(p.format, a), decode(p.format, b), rm)


@FORMAT
@settings(max_examples=80)
@given(data=DATA, rm=MODES)
def test_multiply(p: Arithmetic, data: st.DataObject, rm: int) -> None:
    a, b = data.draw(operands(p.format)), data.draw(operands(p.format))
    assert run(p.multiply, a, b, rm) == expected_multiply(p.format, decode(p.format, a), decode(p.format, b), rm)


@FORMAT
@settings(max_examples=80)
@given(data=DATA, rm=MODES)
def test_divide(p: Arithmetic, data: st.DataObject, rm: int) -> None:
    a, b = data.draw(operands(p.format)), data.draw(operands(p.format))
    assert run(p.divide, a, b, rm) == expected_divide(p.format, decode(p.format, a), decode(p.format, b), rm)


@FORMAT
@settings(max_examples=80)
@given(data=DATA, rm=MODES)
def test_square_root(p: Arithmetic, data: st.DataObject, rm: int) -> None:
    a = data.draw(operands(p.format))
    assert run(p.square_root, a, rm) == expected_square_root(p.format, decode(p.format, a), rm)


@FORMAT
@settings(max_examples=200)
@given(data=DATA, rm=MODES)
def test_fused_multiply_add(p: Arithmetic, data: st.DataObject, rm: int) -> None:
    form = p.format
    a, b = data.draw(operands(form)), data.draw(operands(form))
    # Half of the addends nearly cancel the product, or sit where it is rounded.
    multiplied, _ = encode_number(form, decode(form, a).number * decode(form, b).number, False, RNE)
    shift = data.draw(st.sampled_from([0, 0, 1, 2, form.precision - 1, form.precision, form.precision + 1, 70]))
    near = (multiplied ^ form.sign_bit) + data.draw(st.integers(-3, 3)) - (shift << form.fraction_bits)
    c = data.draw(st.one_of(st.just(near % (1 << form.width)), operands(form)))
    expected = expected_fma(form, decode(form, a), decode(form, b), decode(form, c), rm)
    assert run(p.fused_multiply_add, a, b, c, rm) == expected


@FORMAT
@pytest.mark.parametrize("kind", [I32, U32, I64, U64], ids=lambda kind: kind.name)
@settings(max_examples=80)
@given(data=DATA, rm=MODES)
def test_to_integer(p: Arithmetic, kind: Integer, data: st.DataObject, rm: int) -> None:
    a = data.draw(operands(p.format))
    assert run(p.to_integer[kind], a, rm) == expected_integer(kind, decode(p.format, a), rm)


@FORMAT
@pytest.mark.parametrize("kind", [I64, U64], ids=lambda kind: kind.name)
@settings(max_examples=80)
@given(value=st.integers(0, (1 << 64) - 1) | st.integers(0, 64).map(lambda n: (1 << n) - 1), rm=MODES, down=MODES)
@example(value=1 << 63, rm=0, down=0)
@example(value=0, rm=2, down=0)
def test_from_integer(p: Arithmetic, kind: Integer, value: int, rm: int, down: int) -> None:
    value = (value - down) % (1 << 64)
    number = value - (1 << 64) if kind.signed and value >> 63 else value
    assert run(p.from_integer[kind], value, rm) == encode_number(p.format, Fraction(number), False, rm)


@settings(max_examples=80)
@given(data=DATA, rm=MODES)
def test_conversion_between_formats(data: st.DataObject, rm: int) -> None:
    single, double = SINGLE.format, DOUBLE.format
    for function, source, target, modes in [
        (FUNCTIONS["f32_to_f64"], single, double, ()),
        (FUNCTIONS["f64_to_f32"], double, single, (rm,)),
    ]:
        # Numbers of both formats: those of the other are where rounding to it is exact or nearly so.
        bits = data.draw(operands(source))
        if source is double and data.draw(st.booleans()):
            half = data.draw(operands(single))
            widened, _ = run(FUNCTIONS["f32_to_f64"], half)
            bits = (widened + data.draw(st.sampled_from([0, 1, -1, 1 << 28, (1 << 28) - 1]))) % (1 << 64)
        a = decode(source, bits)
        if a.nan:
            expected = target.canonical_nan, NV * a.signalling
        elif a.infinite:
            expected = a.negative << (target.width - 1) | target.infinity, 0
        else:
            expected = encode(target, a.negative, a.magnitude, rm)
        assert run(function, bits, *modes) == expected


@FORMAT
@settings(max_examples=80)
@given(data=DATA)
def test_comparison(p: Arithmetic, data: st.DataObject) -> None:
    form = p.format
    a_bits = data.draw(operands(form))
    b_bits = data.draw(st.one_of(st.just(a_bits), st.just(a_bits ^ form.sign_bit), operands(form)))
    a, b = decode(form, a_bits), decode(form, b_bits)
    unordered, signalling = a.nan or b.nan, a.signalling or b.signalling
    huge = power(form.bias + 2)
    x, y = (-huge * v.infinite if v.negative else v.magnitude + huge * v.infinite for v in (a, b))
    x, y = (x if a.infinite else a.number), (y if b.infinite else b.number)
    assert run(p.equal, a_bits, b_bits) == (not unordered and x == y, NV * signalling)
    assert run(p.less, a_bits, b_bits) == (not unordered and x < y, NV * unordered)
    assert run(p.less_or_equal, a_bits, b_bits) == (not unordered and x <= y, NV * unordered)

    if a.nan and b.nan:
        low = high = form.canonical_nan
    elif unordered:
        low = high = a_bits if b.nan else b_bits
    else:
        keyed = [((x, not a.negative), a_bits), ((y, not b.negative), b_bits)]
        low, high = min(keyed)[1], max(keyed)[1]
    assert run(p.minimum, a_bits, b_bits) == (low, NV * signalling)
    assert run(p.maximum, a_bits, b_bits) == (high, NV * signalling)


@FORMAT
def test_classify(p: Arithmetic) -> None:
    form = p.format
    smallest_normal = 1 << form.fraction_bits
    classes = [
        (0, [form.infinity | form.sign_bit]),
        (1, [smallest_normal | form.sign_bit, (form.infinity - 1) | form.sign_bit]),
        (2, [1 | form.sign_bit, (smallest_normal - 1) | form.sign_bit]),
        (3, [form.sign_bit]),
        (4, [0]),
        (5, [1, smallest_normal - 1]),
        (6, [smallest_normal, form.infinity - 1]),
        (7, [form.infinity]),
        (8, [form.infinity + 1, (form.infinity + 1) | form.sign_bit, form.canonical_nan - 1]),
        (9, [form.canonical_nan, form.canonical_nan | form.sign_bit]),
    ]
    for number, members in classes:
        for bits in members:
            assert int(p.classify(bits)) == 1 << number, hex(bits)


# --- the host -----------------------------------------------------------------------------------------------------


def host_bits(form: Format, value: float) -> int:
    """The host's rounding to the format, to nearest."""
    if form.width == 64:
        return int.from_bytes(struct.pack("<d", value), "little")
    return int.from_bytes(bytes(ctypes.c_float(value)), "little")


def host_float(form: Format, bits: int) -> float:
    code = "<d" if form.width == 64 else "<f"
    return float(struct.unpack(code, bits.to_bytes(form.width // 8, "little"))[0])


@FORMAT
@settings(max_examples=80)
@given(data=DATA)
def test_host_arithmetic(p: Arithmetic, data: st.DataObject) -> None:
    """Single precision is computed in double: for one such operation rounding twice gives what rounding once does."""
    form = p.format
    finite = operands(form).filter(lambda bits: bits & ~form.sign_bit < form.infinity)
    a_bits, b_bits = data.draw(finite), data.draw(finite)
    a, b = host_float(form, a_bits), host_float(form, b_bits)
    assert run(p.add, a_bits, b_bits, RNE)[0] == host_bits(form, a + b)
    assert run(p.multiply, a_bits, b_bits, RNE)[0] == host_bits(form, a * b)
    if b:
        assert run(p.divide, a_bits, b_bits, RNE)[0] == host_bits(form, a / b)
    if a >= 0:
        assert run(p.square_root, a_bits, RNE)[0] == host_bits(form, math.sqrt(a))


# --- as expressions -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FUNCTIONS)
def test_traces_to_few_paths(name: str) -> None:
    tree, parameters = Tracer({}).pure(FUNCTIONS[name])
    assert tree.paths() <= 2
    assert [p.width for p in parameters] == list(FUNCTIONS[name].arguments)
