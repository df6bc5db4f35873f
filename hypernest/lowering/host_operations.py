"""What the host's floating-point instructions do for the functions of `isa/floating_point`, and when they may.

Where nothing unusual happens, an IEEE result is unique, so the host's is right. Left are the flags; x86 and others
detect them a little differently, and reading them is slow, so they are derived from the numbers, in one of two ways:

* **only inexact**: a test of the result shows that no flag but NX can be raised. It is enough where NX is set
  already, and costs a compare or two (the idea is QEMU's).
* **exactly**: as well, the rounding error is computed, and the result is inexact just if that is not zero.

Why the tests of results suffice. NaNs and overflow: an operand that is a NaN makes a NaN; an infinite one makes an
infinity, a NaN or, as divisor, a zero; rounding to nearest overflows to an infinity. Underflow: RISC-V detects
tininess after rounding, so a result is tiny or not tiny together with its exact value, except where a tiny value is
rounded up to the smallest normal number. Its exponent field is 1: from 2 on, nothing is tiny.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hypernest.lowering.expressions import FunctionText

NEAREST, TOWARDS_ZERO = 0, 1  # rounding modes, as in frm


@dataclass(frozen=True)
class _Format:
    """A host type: bits, bits of the fraction, and the exponent from which errors are exact (`low`)."""

    type: str
    width: int
    fraction: int
    low: int

    @property
    def top(self) -> int:
        """The exponent field of infinities and NaNs."""
        return (1 << (self.width - 1 - self.fraction)) - 1

    @property
    def bias(self) -> int:
        return self.top >> 1


_FORMATS = {"f32": _Format("float", 32, 23, 32), "f64": _Format("double", 64, 52, 64)}


@dataclass(frozen=True)
class Attempt:
    """An operation on the host: its result, and the conditions (i1) under which it may stand for the described one.

    If `only_inexact`, the result is right and no other flag than NX is raised. `exactly` prints (may the result be
    used, is it inexact); it is wider in some cases, where nothing is raised at all. `only_inexact` is `false` where
    nothing ever is inexact: it would gain nothing.
    """

    type: str
    result: str
    only_inexact: str
    exactly: Callable[[], tuple[str, str]]


class _Host:
    """Prints host arithmetic of one format, into a function. Conditions may be the constants `true` and `false`."""

    def __init__(self, text: FunctionText, form: _Format) -> None:
        self.text, self.form = text, form

    def host(self, bits: str) -> str:
        return self.text.define(f"bitcast i{self.form.width} {bits} to {self.form.type}")

    def bits(self, value: str) -> str:
        return self.text.define(f"bitcast {self.form.type} {value} to i{self.form.width}")

    def op(self, name: str, a: str, b: str) -> str:
        return self.text.define(f"{name} {self.form.type} {a}, {b}")

    def negate(self, a: str) -> str:
        return self.text.define(f"fneg {self.form.type} {a}")

    def intrinsic(self, name: str, *operands: str) -> str:
        t = self.form.type
        given = ", ".join(f"{t} {each}" for each in operands)
        return self.text.define(f"call {t} @llvm.{name}.f{self.form.width}({given})")

    def fused(self, a: str, b: str, c: str) -> str:
        return self.intrinsic("fma", a, b, c)

    def compare(self, relation: str, a: str, b: str = "0.0") -> str:
        return self.text.define(f"fcmp {relation} {self.form.type} {a}, {b}")

    def exponent(self, value: str, low: int, high: int) -> str:
        """low <= exponent field < high. Only the upper 32 bits are looked at: their bounds fit instructions."""
        text, bits = self.text, self.bits(value)
        if self.form.width > 32:
            bits = text.define(f"trunc i64 {text.define(f'lshr i64 {bits}, 32')} to i32")
        unit = self.form.fraction - (self.form.width - 32) + 1  # with the sign shifted out
        field = text.define(f"shl i32 {bits}, 1")
        if low:
            field = text.define(f"sub i32 {field}, {low << unit}")
        return text.define(f"icmp ult i32 {field}, {(high - low) << unit}")

    def finite(self, value: str) -> str:
        return self.exponent(value, 0, self.form.top)

    def ordinary(self, value: str) -> str:
        """Finite, and neither tiny nor rounded up from something tiny."""
        return self.exponent(value, 2, self.form.top)

    def both(self, *conditions: str) -> str:
        return self._fold("and", "true", conditions)

    def either(self, *conditions: str) -> str:
        return self._fold("or", "false", conditions)

    def _fold(self, op: str, neutral: str, conditions: tuple[str, ...]) -> str:
        result = neutral
        for each in conditions:
            if neutral in (result, each):
                result = each if result == neutral else result
            else:
                result = self.text.define(f"{op} i1 {result}, {each}")
        return result

    def mode_is(self, mode: str, wanted: int) -> str:
        """Is the rounding mode the wanted one? A constant if the mode is."""
        known = constant_mode(mode)
        if known is None:
            return self.text.define(f"icmp eq i3 {mode}, {wanted}")
        return "true" if known == wanted else "false"

    def two_sum(self, a: str, b: str) -> tuple[str, str]:
        """(sum, its rounding error): Knuth's, exact while nothing overflows."""
        total = self.op("fadd", a, b)
        return total, self.sum_error(total, a, b)

    def sum_error(self, total: str, a: str, b: str) -> str:
        b_part = self.op("fsub", total, a)
        a_part = self.op("fsub", total, b_part)
        return self.op("fadd", self.op("fsub", a, a_part), self.op("fsub", b, b_part))


def constant_mode(mode: str) -> int | None:
    """The rounding mode that an LLVM value of type i3 is, if it is a constant."""
    return int(mode) % 8 if mode.lstrip("-").isdigit() else None


# (where to print, operands without the mode, the mode); None if the host cannot.
_Operation = Callable[[_Host, list[str], str], Attempt | None]


def _nearest(function: Callable[[_Host, list[str]], tuple[str, str, Callable[[], tuple[str, str]]]]) -> _Operation:
    """An operation that the host does in round-to-nearest only; `function` gives (result, only inexact, exactly)."""

    def operation(host: _Host, operands: list[str], mode: str) -> Attempt | None:
        if constant_mode(mode) not in (None, NEAREST):
            return None
        nearest = host.mode_is(mode, NEAREST)
        result, only_inexact, exactly = function(host, operands)

        def in_mode() -> tuple[str, str]:
            ok, inexact = exactly()
            return host.both(nearest, ok), inexact

        return Attempt(host.form.type, result, host.both(only_inexact, nearest), in_mode)

    return operation


_Guarded = tuple[str, str, Callable[[], tuple[str, str]]]


def _add(host: _Host, operands: list[str]) -> _Guarded:
    """Sums are multiples of the smallest subnormal number, so tiny ones are exact: a finite sum does not underflow.

    The error is not zero just if the sum is inexact, even where the two-sum overflows on its way. If the sum is exact,
    its parts are a and b. If not, either nothing overflows, and it is the error; or a part is infinite, and so it is
    infinite or a NaN.
    """
    a, b = (host.host(bits) for bits in operands)
    total = host.op("fadd", a, b)
    finite = host.finite(total)
    return total, finite, lambda: (finite, host.compare("une", host.sum_error(total, a, b)))


def _multiply(host: _Host, operands: list[str]) -> _Guarded:
    """The error is one fused multiply-add, exact while its last bit is not below the smallest subnormal number.

    A product is exactly zero if an operand is and the other is finite; else it would be a NaN.
    """
    a, b = (host.host(bits) for bits in operands)
    product = host.op("fmul", a, b)

    def exactly() -> tuple[str, str]:
        ok = host.either(host.exponent(product, host.form.low, host.form.top), _zero_product(host, a, b, product))
        return ok, host.compare("une", host.fused(a, b, host.negate(product)))

    return product, host.ordinary(product), exactly


def _zero_product(host: _Host, a: str, b: str, product: str) -> str:
    return host.both(host.either(host.compare("oeq", a), host.compare("oeq", b)), host.compare("oeq", product))


def _divide(host: _Host, operands: list[str]) -> _Guarded:
    """A quotient that is neither zero nor infinite comes from operands that are neither. The error is a remainder."""
    a, b = (host.host(bits) for bits in operands)
    quotient = host.op("fdiv", a, b)

    def exactly() -> tuple[str, str]:
        low, top = host.form.low, host.form.top
        ordinary = host.both(host.exponent(quotient, low, top), host.exponent(a, low, top), host.exponent(b, 1, top))
        zero = host.both(host.compare("oeq", a), host.compare("oeq", quotient), host.finite(b))
        return host.either(ordinary, zero), host.compare("une", host.fused(host.negate(quotient), b, a))

    return quotient, host.ordinary(quotient), exactly


def _square_root(host: _Host, operands: list[str]) -> _Guarded:
    """Roots of negative numbers are NaNs; those of infinity and of zeros are themselves; others are in mid-range."""
    a = host.host(operands[0])
    root = host.intrinsic("sqrt", a)

    def exactly() -> tuple[str, str]:
        positive = host.compare("ogt", a)
        ok = host.either(host.both(positive, host.exponent(a, host.form.low, host.form.top)), host.compare("oeq", a))
        return ok, host.compare("une", host.fused(host.negate(root), root, a))

    return root, host.compare("ord", root, root), exactly


def _fused(host: _Host, operands: list[str]) -> _Guarded:
    """r = a * b + c is exact just if r - (p + c) equals the errors of p = a * b and of p + c.

    With p's exponent bounded below, p's error is exact, and so every term is a multiple of the smallest subnormal
    number: a tiny result is exact. If a difference or the sum of the errors cannot be represented, it differs from the
    other side, which can, or spans more bits than r has; then r is inexact.
    """
    a, b, c = (host.host(bits) for bits in operands)
    result = host.fused(a, b, c)

    def exactly() -> tuple[str, str]:
        form = host.form
        product = host.op("fmul", a, b)
        in_range = host.exponent(product, form.low, form.top - 3)
        ok = host.both(host.either(in_range, _zero_product(host, a, b, product)), host.exponent(c, 0, form.top - 3))
        product_error = host.fused(a, b, host.negate(product))
        total, sum_error = host.two_sum(product, c)
        errors, rest = host.two_sum(sum_error, product_error)
        difference, lost = host.two_sum(result, host.negate(total))
        return ok, host.either(
            host.compare("une", rest), host.compare("une", lost), host.compare("une", difference, errors)
        )

    return result, host.ordinary(result), exactly


def _compare(relation: str) -> _Operation:
    """Without NaNs, comparisons raise nothing."""

    def operation(host: _Host, operands: list[str], mode: str) -> Attempt:
        a, b = (host.host(bits) for bits in operands)
        ordered = host.compare("ord", a, b)
        return Attempt("i1", host.compare(relation, a, b), "false", lambda: (ordered, "false"))

    return operation


def _choose(relation: str, merge: str) -> _Operation:
    """Minimum or maximum. Equal numbers have the same bits, except zeros: `merge` (or, and) takes the right sign."""

    def operation(host: _Host, operands: list[str], mode: str) -> Attempt:
        a, b = (host.host(bits) for bits in operands)
        t, w = host.form.type, host.form.width
        ordered = host.compare("ord", a, b)
        merged = host.host(host.text.define(f"{merge} i{w} {operands[0]}, {operands[1]}"))
        chosen = host.text.define(f"select i1 {host.compare(relation, a, b)}, {t} {a}, {t} {b}")
        result = host.text.define(f"select i1 {host.compare('oeq', a, b)}, {t} {merged}, {t} {chosen}")
        return Attempt(t, result, "false", lambda: (ordered, "false"))

    return operation


def _widen(host: _Host, operands: list[str], mode: str) -> Attempt:
    """Every single is a double."""
    a = host.host(operands[0])
    ordered = host.compare("ord", a, a)
    return Attempt("double", host.text.define(f"fpext float {a} to double"), "false", lambda: (ordered, "false"))


def _narrow(host: _Host, operands: list[str], mode: str) -> Attempt | None:
    """From double to single. What does not change raises nothing, in every mode: infinities, subnormal numbers."""
    if constant_mode(mode) not in (None, NEAREST):
        return None
    single = _Host(host.text, _FORMATS["f32"])
    nearest = host.mode_is(mode, NEAREST)
    a = host.host(operands[0])
    result = host.text.define(f"fptrunc double {a} to float")
    only_inexact = host.both(single.ordinary(result), nearest)

    def exactly() -> tuple[str, str]:
        back = host.text.define(f"fpext float {result} to double")
        return host.either(only_inexact, host.compare("oeq", back, a)), host.compare("une", back, a)

    return Attempt("float", result, only_inexact, exactly)


def _from_integer(signed: bool) -> _Operation:
    """Integers of 64 bits are nowhere near the ends of the range. Those that a significand holds are exact.

    The others are exact if converting back gives the same, which is defined unless they were rounded up to a power of
    two that does not fit: from half an ulp below it on.
    """
    letter, relation = ("s", "slt") if signed else ("u", "ult")

    def operation(host: _Host, operands: list[str], mode: str) -> Attempt:
        text, form, value = host.text, host.form, operands[0]
        result = text.define(f"{letter}itofp i64 {value} to {form.type}")
        nearest = host.mode_is(mode, NEAREST)

        def exactly() -> tuple[str, str]:
            exact = 1 << (form.fraction + 1)
            moved = text.define(f"add i64 {value}, {exact}") if signed else value
            small = text.define(f"icmp ule i64 {moved}, {2 * exact if signed else exact}")
            bits = 63 if signed else 64
            returns = text.define(f"icmp {relation} i64 {value}, {(1 << bits) - (1 << (bits - form.fraction - 2))}")
            safe = text.define(f"select i1 {returns}, {form.type} {result}, {form.type} 0.0")
            back = text.define(f"fpto{letter}i {form.type} {safe} to i64")
            inexact = text.define(f"icmp ne i64 {back}, {value}")
            return host.either(small, host.both(returns, nearest)), inexact

        return Attempt(form.type, result, nearest, exactly)

    return operation


# The host's rounding to an integral number; ties away from zero (RMM) are not among it.
_ROUNDINGS = {0: "roundeven", 1: "trunc", 2: "floor", 3: "ceil"}


def _to_integer(width: int, signed: bool) -> _Operation:
    """Conversion to an integer, defined if the rounded number fits; it is inexact if rounding changed the number.

    The bound on the exponent leaves the lowest signed number to the description, and so are unsigned conversions of
    what has the sign bit. A mode that is known only when executing must be the one of C's casts.
    """
    letter = "s" if signed else "u"

    def operation(host: _Host, operands: list[str], mode: str) -> Attempt | None:
        text, form = host.text, host.form
        rounding = constant_mode(mode)
        rounding = TOWARDS_ZERO if rounding is None else rounding
        if rounding not in _ROUNDINGS:
            return None
        a = host.host(operands[0])
        rounded = host.intrinsic(_ROUNDINGS[rounding], a)
        source = a if rounding == TOWARDS_ZERO else rounded  # the conversion itself truncates
        whole = text.define(f"fpto{letter}i {form.type} {source} to i{width}")
        ok = host.both(host.mode_is(mode, rounding), host.exponent(source, 0, form.bias + width - signed))
        if not signed:
            ok = host.both(ok, text.define(f"icmp sgt i{form.width} {host.bits(source)}, -1"))
        return Attempt(f"i{width}", whole, ok, lambda: (ok, host.compare("une", rounded, a)))

    return operation


_OPERATIONS: dict[str, _Operation] = {
    "add": _nearest(_add),
    "mul": _nearest(_multiply),
    "div": _nearest(_divide),
    "sqrt": _nearest(_square_root),
    "fma": _nearest(_fused),
    "eq": _compare("oeq"),
    "lt": _compare("olt"),
    "le": _compare("ole"),
    "min": _choose("olt", "or"),
    "max": _choose("ogt", "and"),
}
_TO_INTEGER = {f"to_{letter}{width}": _to_integer(width, letter == "i") for letter in ("i", "u") for width in (32, 64)}
_CONVERSIONS: dict[str, tuple[str, _Operation]] = {
    "f32_to_f64": ("f32", _widen),
    "f64_to_f32": ("f64", _narrow),
    **{f"{letter}64_to_{form}": (form, _from_integer(letter == "i")) for letter in ("i", "u") for form in _FORMATS},
}


def writes_integer(name: str) -> bool:
    """Does what the pure function `name` computes go to an x register, so that only its flags may set FS to Dirty?"""
    return name.partition("_")[2] in ("eq", "lt", "le", *_TO_INTEGER)


def host_operands(text: FunctionText, name: str, arguments: list[str]) -> list[str]:
    """Print the operands as the host has them; with their types, and the mode if there is one."""
    source = name.partition("_")[0]
    if source not in _FORMATS:
        return [f"i64 {arguments[0]}", f"i3 {arguments[1]}"]
    host, count = _Host(text, _FORMATS[source]), len(arguments) - has_mode(name)
    numbers = [f"{host.form.type} {host.host(bits)}" for bits in arguments[:count]]
    return numbers + [f"i3 {mode}" for mode in arguments[count:]]


def has_mode(name: str) -> bool:
    """Is the last argument of the pure function `name` a rounding mode?"""
    return name != "f32_to_f64" and name.partition("_")[2] not in ("eq", "lt", "le", "min", "max")


def attempt(text: FunctionText, name: str, arguments: list[str]) -> Attempt | None:
    """The pure function `name` on the host; None if it never can."""
    source, _, what = name.partition("_")
    if name in _CONVERSIONS:
        source, operation = _CONVERSIONS[name]
    elif source in _FORMATS and (what in _OPERATIONS or what in _TO_INTEGER):
        operation = _OPERATIONS[what] if what in _OPERATIONS else _TO_INTEGER[what]
    else:
        return None
    operands, mode = (arguments[:-1], arguments[-1]) if has_mode(name) else (arguments, str(NEAREST))
    return operation(_Host(text, _FORMATS[source]), operands, mode)
