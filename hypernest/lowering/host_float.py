"""Floating point on the host's own instructions, where they provably give the same bits and flags.

Each function here guards one operation of `isa/floating_point`: when the operands are ordinary and the mode is the
host's (round to nearest, ties to even), the host's instruction gives the IEEE result, which is unique; what is left is
the inexact flag. It follows from the rounding error, which is computed exactly:

* sum: Knuth's two-sum, exact while nothing overflows;
* product, quotient, square root: one fused multiply-add, exact while the error's last bit is not below the
  smallest subnormal number, which a lower bound on the result's exponent ensures;
* fused multiply-add: product and sum together, see `_fused`.

Everything else (other modes, NaNs, infinities, results near the ends of the range) takes the described path.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hypernest.lowering.expressions import FunctionText

INEXACT = 1  # the flag NX in the five bits that the description returns


@dataclass(frozen=True)
class _Format:
    """A host type: bits, bits of the fraction, and the biased exponents between which errors are exact."""

    type: str
    width: int
    fraction: int
    low: int

    @property
    def top(self) -> int:
        """The exponent of infinities."""
        return (1 << (self.width - 1 - self.fraction)) - 1


_FORMATS = {"f32": _Format("float", 32, 23, 32), "f64": _Format("double", 64, 52, 64)}


class _Host:
    """Prints host arithmetic of one format."""

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

    def fused(self, a: str, b: str, c: str) -> str:
        t = self.form.type
        name = f"@llvm.fma.f{self.form.width}"
        return self.text.define(f"call {t} {name}({t} {a}, {t} {b}, {t} {c})")

    def compare(self, relation: str, a: str, b: str = "0.0") -> str:
        return self.text.define(f"fcmp {relation} {self.form.type} {a}, {b}")

    def exponent(self, bits: str) -> str:
        """The biased exponent, as wide as the format."""
        w, f = self.form.width, self.form
        shifted = self.text.define(f"lshr i{w} {bits}, {f.fraction}")
        return self.text.define(f"and i{w} {shifted}, {f.top}")

    def within(self, exponent: str, low: int, high: int) -> str:
        """low <= exponent < high"""
        w = self.form.width
        moved = self.text.define(f"sub i{w} {exponent}, {low}") if low else exponent
        return self.text.define(f"icmp ult i{w} {moved}, {high - low}")

    def both(self, *conditions: str) -> str:
        result = conditions[0]
        for each in conditions[1:]:
            result = self.text.define(f"and i1 {result}, {each}")
        return result

    def either(self, *conditions: str) -> str:
        result = conditions[0]
        for each in conditions[1:]:
            result = self.text.define(f"or i1 {result}, {each}")
        return result

    def two_sum(self, a: str, b: str) -> tuple[str, str]:
        """(sum, its rounding error)"""
        total = self.op("fadd", a, b)
        b_part = self.op("fsub", total, a)
        a_part = self.op("fsub", total, b_part)
        return total, self.op("fadd", self.op("fsub", a, a_part), self.op("fsub", b, b_part))


# Each returns (may the host do it, the result's bits, is it inexact); the mode is checked by the caller.
_Guard = Callable[[_Host, list[str]], tuple[str, str, str]]


def _add(host: _Host, operands: list[str]) -> tuple[str, str, str]:
    """Exponents below the two topmost keep every intermediate finite; tiny sums are exact."""
    ok = host.both(*(host.within(host.exponent(bits), 0, host.form.top - 2) for bits in operands))
    total, error = host.two_sum(*(host.host(bits) for bits in operands))
    return ok, host.bits(total), host.compare("une", error)


def _multiply(host: _Host, operands: list[str]) -> tuple[str, str, str]:
    a, b = (host.host(bits) for bits in operands)
    product = host.op("fmul", a, b)
    bits = host.bits(product)
    zero = host.both(host.either(host.compare("oeq", a), host.compare("oeq", b)), host.compare("oeq", product))
    ok = host.either(host.within(host.exponent(bits), host.form.low, host.form.top), zero)
    return ok, bits, host.compare("une", host.fused(a, b, host.negate(product)))


def _divide(host: _Host, operands: list[str]) -> tuple[str, str, str]:
    a, b = (host.host(bits) for bits in operands)
    quotient = host.op("fdiv", a, b)
    bits, low, top = host.bits(quotient), host.form.low, host.form.top
    ok = host.both(
        host.within(host.exponent(bits), low, top),
        host.within(host.exponent(operands[0]), low, top),
        host.within(host.exponent(operands[1]), 1, top),
    )
    return ok, bits, host.compare("une", host.fused(host.negate(quotient), b, a))


def _square_root(host: _Host, operands: list[str]) -> tuple[str, str, str]:
    form = host.form
    a = host.host(operands[0])
    root = host.text.define(f"call {form.type} @llvm.sqrt.f{form.width}({form.type} {a})")
    positive = host.text.define(f"icmp sgt i{form.width} {operands[0]}, -1")
    ok = host.both(positive, host.within(host.exponent(operands[0]), form.low, form.top))
    return ok, host.bits(root), host.compare("une", host.fused(host.negate(root), root, a))


def _fused(host: _Host, operands: list[str]) -> tuple[str, str, str]:
    """r = a * b + c is exact just if r - (p + c) equals the errors of p = a * b and of p + c.

    With p's exponent bounded below, p's error is exact, and so every term is a multiple of the smallest subnormal
    number: a tiny result is exact. If a difference or the sum of the errors cannot be represented, it differs from the
    other side, which can, or spans more bits than r has; then r is inexact.
    """
    form = host.form
    a, b, c = (host.host(bits) for bits in operands)
    product = host.op("fmul", a, b)
    zero = host.both(host.either(host.compare("oeq", a), host.compare("oeq", b)), host.compare("oeq", product))
    in_range = host.within(host.exponent(host.bits(product)), form.low, form.top - 3)
    ok = host.both(host.either(in_range, zero), host.within(host.exponent(operands[2]), 0, form.top - 3))
    result = host.fused(a, b, c)
    product_error = host.fused(a, b, host.negate(product))
    total, sum_error = host.two_sum(product, c)
    errors, rest = host.two_sum(sum_error, product_error)
    difference, lost = host.two_sum(result, host.negate(total))
    inexact = host.either(host.compare("une", rest), host.compare("une", lost), host.compare("une", difference, errors))
    return ok, host.bits(result), inexact


_ARITHMETIC: dict[str, _Guard] = {
    "add": _add,
    "mul": _multiply,
    "div": _divide,
    "sqrt": _square_root,
    "fma": _fused,
}
_RELATIONS = {"eq": "oeq", "lt": "olt", "le": "ole"}


def host_float(text: FunctionText, name: str, arguments: list[str], slow: str) -> str | None:
    """The value {result, flags} of the pure function `name`, by the host where it can; None if it never can.

    `slow` is the call that computes it as described; `arguments` are its operands.
    """
    source, _, what = name.partition("_")
    if source in _FORMATS and what in _ARITHMETIC:
        *operands, mode = arguments
        host = _Host(text, _FORMATS[source])
        ok, bits, inexact = _ARITHMETIC[what](host, operands)
        ok = host.both(ok, text.define(f"icmp eq i3 {mode}, 0"))
        return _choose(text, ok, f"i{host.form.width}", bits, text.define(f"zext i1 {inexact} to i5"), slow)
    if source in _FORMATS and what in _RELATIONS:
        host = _Host(text, _FORMATS[source])
        a, b = (host.host(bits) for bits in arguments)
        return _choose(text, host.compare("ord", a, b), "i1", host.compare(_RELATIONS[what], a, b), "0", slow)
    if name == "f32_to_f64":
        host = _Host(text, _FORMATS["f32"])
        a = host.host(arguments[0])
        wide = text.define(f"fpext float {a} to double")
        return _choose(text, host.compare("ord", a, a), "i64", text.define(f"bitcast double {wide} to i64"), "0", slow)
    if name == "i64_to_f64":
        made = text.define(f"sitofp i64 {arguments[0]} to double")
        # Integers of at most 53 bits are exact in every mode.
        moved = text.define(f"add i64 {arguments[0]}, {1 << 53}")
        ok = text.define(f"icmp ule i64 {moved}, {1 << 54}")
        return _choose(text, ok, "i64", text.define(f"bitcast double {made} to i64"), "0", slow)
    if name in ("f64_to_i32", "f64_to_i64"):
        return _truncate(text, int(name[-2:]), arguments, slow)
    return None


def _truncate(text: FunctionText, width: int, arguments: list[str], slow: str) -> str:
    """Conversion to a signed integer towards zero, as C casts: inexact if converting back gives something else."""
    host = _Host(text, _FORMATS["f64"])
    bits, mode = arguments
    a = host.host(bits)
    # Magnitudes below 2**(width - 1) fit; bounding the exponent also keeps the host's conversion defined.
    fits = host.within(host.exponent(bits), 0, 1023 + width - 1)
    ok = host.both(fits, text.define(f"icmp eq i3 {mode}, 1"))
    safe = text.define(f"select i1 {fits}, double {a}, double 0.0")
    whole = text.define(f"fptosi double {safe} to i{width}")
    back = text.define(f"sitofp i{width} {whole} to double")
    inexact = text.define(f"zext i1 {host.compare('une', back, a)} to i5")
    return _choose(text, ok, f"i{width}", whole, inexact, slow)


def _choose(text: FunctionText, ok: str, type_: str, result: str, flags: str, slow: str) -> str:
    """{result, flags} of the host if `ok`, else of the described function."""
    described, joined, before = text.fresh("described"), text.fresh("joined"), text.label
    quick = text.define(f"insertvalue {{{type_}, i5}} undef, {type_} {result}, 0")
    quick = text.define(f"insertvalue {{{type_}, i5}} {quick}, i5 {flags}, 1")
    text.emit(f"br i1 {ok}, label %{joined}, label %{described}, !prof !0")
    text.start(described)
    slowly = text.define(slow)
    text.emit(f"br label %{joined}")
    text.start(joined)
    return text.define(f"phi {{{type_}, i5}} [ {quick}, %{before} ], [ {slowly}, %{described} ]")
