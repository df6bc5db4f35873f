"""IEEE 754 arithmetic as the RISC-V manual asks for it, on words: exact in every rounding mode and flag.

One description serves every format. `SINGLE` and `DOUBLE` hold it for binary32 and binary64, as pure functions
named `f64_add` and the like, so that engines can recognize them and put the host's arithmetic before them.

Operands and results are bits of the format; a rounding mode has 3 bits and must be 0 to 4 (RNE, RTZ, RDN, RUP, RMM);
flags have 5 bits, as in fflags. NaNs that are made are canonical.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from hypernest.isa.floating_point import arithmetic, comparison, conversion, division
from hypernest.isa.floating_point.conversion import I32, I64, U32, U64, Integer
from hypernest.isa.floating_point.formats import F32, F64, Format
from hypernest.isa.hart import Pure

__all__ = [
    "DOUBLE",
    "F32",
    "F32_TO_F64",
    "F64",
    "F64_TO_F32",
    "FUNCTIONS",
    "I32",
    "I64",
    "SINGLE",
    "U32",
    "U64",
    "Arithmetic",
    "Format",
    "Integer",
]

_FLAGS, _MODE = 5, 3


@dataclass(frozen=True)
class Arithmetic:
    """The pure functions of one format. All return (result, flags), except `classify`, which raises no flags."""

    format: Format
    add: Pure  # (a, b, rm); a - b is a + -b
    multiply: Pure  # (a, b, rm)
    divide: Pure  # (a, b, rm)
    square_root: Pure  # (a, rm)
    fused_multiply_add: Pure  # (a, b, c, rm): a * b + c
    equal: Pure  # (a, b): 1 bit, and so on
    less: Pure
    less_or_equal: Pure
    minimum: Pure  # (a, b)
    maximum: Pure
    classify: Pure  # (a): 10 bits
    to_integer: dict[Integer, Pure]  # (a, rm): as wide as the integer
    from_integer: dict[Integer, Pure]  # (integer, rm), for 64-bit integers: shorter ones are extended first

    @property
    def functions(self) -> tuple[Pure, ...]:
        """All of them."""
        own = (each for each in vars(self).values() if isinstance(each, Pure))
        return (*own, *self.to_integer.values(), *self.from_integer.values())


def _define(name: str, function: Callable[..., Any], arguments: tuple[int, ...], result: int) -> Pure:
    return Pure(function, arguments, (result, _FLAGS), name)


def _arithmetic(form: Format) -> Arithmetic:
    name, width = form.name, form.width

    def define(suffix: str, function: Callable[..., Any], *arguments: int, result: int = width) -> Pure:
        return _define(f"{name}_{suffix}", partial(function, form), arguments, result)

    def to_integer(kind: Integer) -> Pure:
        function = partial(conversion.to_integer, form, kind)
        return _define(f"{name}_to_{kind.name}", function, (width, _MODE), kind.width)

    def from_integer(kind: Integer) -> Pure:
        function = partial(conversion.from_integer, form, kind)
        return _define(f"{kind.name}_to_{name}", function, (kind.width, _MODE), width)

    return Arithmetic(
        form,
        add=define("add", arithmetic.add, width, width, _MODE),
        multiply=define("mul", arithmetic.multiply, width, width, _MODE),
        divide=define("div", division.divide, width, width, _MODE),
        square_root=define("sqrt", division.square_root, width, _MODE),
        fused_multiply_add=define("fma", arithmetic.fused_multiply_add, width, width, width, _MODE),
        equal=define("eq", comparison.equal, width, width, result=1),
        less=define("lt", comparison.less, width, width, result=1),
        less_or_equal=define("le", comparison.less_or_equal, width, width, result=1),
        minimum=define("min", comparison.minimum, width, width),
        maximum=define("max", comparison.maximum, width, width),
        classify=Pure(partial(comparison.classify, form), (width,), (10,), f"{name}_classify"),
        to_integer={kind: to_integer(kind) for kind in (I32, U32, I64, U64)},
        from_integer={kind: from_integer(kind) for kind in (I64, U64)},
    )


SINGLE, DOUBLE = _arithmetic(F32), _arithmetic(F64)
F32_TO_F64 = _define("f32_to_f64", partial(conversion.widen, F32, F64), (F32.width,), F64.width)
F64_TO_F32 = _define("f64_to_f32", partial(conversion.narrow, F64, F32), (F64.width, _MODE), F32.width)

# Every pure function by its name.
FUNCTIONS = {each.name: each for each in (*SINGLE.functions, *DOUBLE.functions, F32_TO_F64, F64_TO_F32)}
