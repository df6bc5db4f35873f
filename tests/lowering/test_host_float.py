"""The host's arithmetic where `host_float` allows it, against the described arithmetic: every bit and flag."""

from __future__ import annotations

import ctypes
import random
import struct
from functools import cache
from typing import Any

import pytest

from hypernest.engines.interpreter.words import EngineWords
from hypernest.isa.floating_point import FUNCTIONS
from hypernest.isa.layout import Layout
from hypernest.isa.riscv.riscv64 import RISCV64
from hypernest.lowering.blocks import result_type
from hypernest.lowering.expressions import FunctionText
from hypernest.lowering.functions import FunctionLowering
from hypernest.lowering.host_float import host_float
from tests.lowering.native import compiled

CASES = 30_000
GUARDED = [
    *(f"{form}_{op}" for form in ("f32", "f64") for op in ("add", "mul", "div", "sqrt", "fma", "eq", "lt", "le")),
    *("f32_to_f64", "i64_to_f64", "f64_to_i32", "f64_to_i64"),
]


def _printed(name: str) -> str:
    """`@check(arguments, quick, described)`: both results as (64-bit value, flags)."""
    pure = FUNCTIONS[name]
    layout = Layout(RISCV64.registers)
    described = FunctionLowering(layout, EngineWords(layout).offsets, RISCV64.rows).pure(pure)
    text = FunctionText()
    arguments = []
    for i, width in enumerate(pure.arguments):
        place = text.define(f"getelementptr i64, ptr %in, i64 {i}")
        wide = text.define(f"load i64, ptr {place}")
        arguments.append(wide if width == 64 else text.define(f"trunc i64 {wide} to i{width}"))
    types = result_type(pure.results)
    given = ", ".join(f"i{w} {a}" for w, a in zip(pure.arguments, arguments, strict=True))
    call = f"call {types} @pure_{name}({given})"
    quick = host_float(text, name, arguments, call)
    assert quick is not None
    for result, place in ((quick, "%quick"), (text.define(call), "%described")):
        for i, width in enumerate(pure.results):
            value = text.define(f"extractvalue {types} {result}, {i}")
            wide = value if width == 64 else text.define(f"zext i{width} {value} to i64")
            text.emit(f"store i64 {wide}, ptr {text.define(f'getelementptr i64, ptr {place}, i64 {i}')}")
    body = "\n".join(text.lines)
    return f"{described}\ndefine void @check(ptr %in, ptr %quick, ptr %described) {{\nentry:\n{body}\n  ret void\n}}\n"


@cache
def _engine(name: str) -> tuple[Any, Any]:
    engine = compiled(_printed(name))
    prototype = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
    return engine, prototype(engine.get_function_address("check"))


def _operand(source: random.Random, width: int, near: int) -> int:
    """Numbers of every kind; often close to `near`, so that differences cancel and products are exact."""
    form, fraction, bias = ("f", 23, 127) if width == 32 else ("d", 52, 1023)
    kind = source.randrange(8)
    sign = source.getrandbits(1) << (width - 1)
    top = 2 * bias + 1
    match kind:
        case 0:
            return source.getrandbits(width)
        case 1:
            return sign | source.choice([0, 1, top << fraction, (top << fraction) | 1, ((top - 1) << fraction) - 1])
        case 2:
            small = float(source.randrange(-1000, 1000)) * 2.0 ** source.randrange(-6, 6)
            return int.from_bytes(struct.pack("<" + form, small), "little")
        case 3:
            return (near + source.randrange(-3, 4)) % (1 << width)
        case 4:
            return sign | source.choice([1, 2, bias // 2, top - 1, top - 2, top - 3]) << fraction
        case 5:  # few significant bits: exact results
            return sign | source.randrange(bias - 30, bias + 30) << fraction | source.getrandbits(6) << (fraction - 6)
        case _:
            return sign | source.randrange(bias - 60, bias + 60) << fraction | source.getrandbits(fraction)


@pytest.mark.parametrize("name", GUARDED)
def test_the_host_gives_the_described_result_and_flags(name: str) -> None:
    _, check = _engine(name)
    pure, source = FUNCTIONS[name], random.Random(name)
    arguments = (ctypes.c_uint64 * 4)()
    quick, described = (ctypes.c_uint64 * 2)(), (ctypes.c_uint64 * 2)()
    near = 0
    for _ in range(CASES):
        for i, width in enumerate(pure.arguments):
            if width == 3:
                arguments[i] = source.choice([0, 0, 0, 1, 2, 3, 4])
            elif name.startswith("i64"):
                arguments[i] = source.choice([source.getrandbits(64), source.getrandbits(54), -source.getrandbits(53)])
            else:
                near = arguments[i] = _operand(source, width, near)
        check(arguments, quick, described)
        assert list(quick) == list(described), [hex(a) for a in arguments]


def test_what_the_host_never_does_is_left_alone() -> None:
    assert host_float(FunctionText(), "f64_classify", ["%a"], "call") is None
