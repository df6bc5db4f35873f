"""The host's arithmetic where `host_float` allows it, against the described arithmetic: every bit and flag."""

from __future__ import annotations

import ctypes
import itertools
import math
import random
import struct
from array import array
from collections.abc import Iterator
from functools import cache, partial
from typing import Any

import pytest

from hypernest.engines.interpreter.words import EngineWords
from hypernest.isa.floating_point import FUNCTIONS
from hypernest.isa.layout import Layout
from hypernest.isa.riscv.riscv64 import RISCV64
from hypernest.isa.word import word
from hypernest.lowering.blocks import result_type
from hypernest.lowering.expressions import FunctionText
from hypernest.lowering.functions import FunctionLowering
from hypernest.lowering.host_float import Leave, host_float
from tests.lowering.native import compiled

CASES = 20_000
ARITHMETIC = ("add", "mul", "div", "sqrt", "fma")
FORMATS = ("f32", "f64")
INTEGERS = ("i32", "u32", "i64", "u64")
GUARDED = [
    *(f"{f}_{op}" for f in FORMATS for op in (*ARITHMETIC, "eq", "lt", "le", "min", "max")),
    *(f"{f}_to_{i}" for f in FORMATS for i in INTEGERS),
    *(f"{i}_to_{f}" for f in FORMATS for i in ("i64", "u64")),
    *("f32_to_f64", "f64_to_f32"),
]
NEAREST_ONLY = [f"{f}_{op}" for f in FORMATS for op in ARITHMETIC] + ["f64_to_f32"]

# What is printed of each operation: (the mode operand, inexact_already, nearest). `%already` varies with the case.
FORMS = [
    ("%mode", None, False),
    ("%mode", "%already", False),
    ("%mode", "true", False),
    ("%mode", "%already", True),
    *((mode, already, False) for mode in ("0", "1", "2", "3", "-4") for already in ("%already", "true")),
]
WORDS = 5  # of a case: three operands, the mode, and one of already (bit 0) and accrued (the rest)


def _has_mode(name: str) -> bool:
    return FUNCTIONS[name].arguments[-1] == 3


def _printed(name: str) -> str:
    """`@check(cases, count)`: the number of the first case in which a form differs from the description, or count."""
    pure = FUNCTIONS[name]
    layout = Layout(RISCV64.registers)
    described = FunctionLowering(layout, EngineWords(layout).offsets, RISCV64.rows).pure(pure)
    text = FunctionText()
    text.emit("br label %case")
    text.start("case")
    text.emit("%i = phi i64 [ 0, %entry ], [ %next, %same ]")
    text.emit(f"%in = getelementptr [{WORDS} x i64], ptr %cases, i64 %i")

    def operand(i: int, width: int) -> str:
        place = text.define(f"getelementptr i64, ptr %in, i64 {i}")
        return text.define(f"trunc i64 {text.define(f'load i64, ptr {place}')} to i{width}")

    operands = [
        f"freeze i{w} {operand(i, w) if w < 64 else _wide(text, i)}" for i, w in enumerate(pure.arguments) if w != 3
    ]
    operands = [text.define(each) for each in operands]
    text.emit(f"%mode = freeze i3 {operand(3, 3)}")
    text.emit(f"%already = freeze i1 {operand(4, 1)}")
    text.emit(f"%accrued = freeze i5 {text.define(f'lshr i5 {operand(4, 5)}, 1')}")
    types, width = result_type(pure.results), pure.results[0]
    differs = "false"
    for mode, already, nearest in FORMS if _has_mode(name) else FORMS[:3]:
        for dirty in (False, True):
            arguments = [*operands, mode] if _has_mode(name) else operands
            actual = [*operands, "0" if nearest else mode] if _has_mode(name) else operands
            given = ", ".join(f"i{w} {a}" for w, a in zip(pure.arguments, actual, strict=True))
            call = f"call {types} @pure_{name}({given})"
            # Once with flags to add and a call that takes host types, once without.
            native = partial(_native_call, name) if dirty else call
            accrued = "%accrued" if dirty else "0"
            quick = host_float(
                text, name, arguments, native, already, nearest=nearest, dirty_already=dirty, accrued=accrued
            )
            if quick is None:
                continue
            expected = text.define(call)
            # NX may differ only where it may.
            added = accrued
            if already is not None and (dirty or not _writes_integer(name)):
                added = text.define(f"or i5 {accrued}, {text.define(f'zext i1 {already} to i5')}")
            pairs = []
            for value in (quick, expected):
                result = text.define(f"extractvalue {types} {value}, 0")
                flags = text.define(f"extractvalue {types} {value}, 1")
                pairs.append((result, text.define(f"or i5 {flags}, {added}")))
            (a, x), (b, y) = pairs
            wrong = text.define(f"icmp ne i{width} {a}, {b}")
            wrong = text.define(f"or i1 {wrong}, {text.define(f'icmp ne i5 {x}, {y}')}")
            differs = text.define(f"or i1 {differs}, {wrong}")
    text.emit(f"br i1 {differs}, label %end, label %same")
    text.emit("")
    before = text.label
    text.start("same")
    text.emit("%next = add i64 %i, 1")
    text.emit("%more = icmp ult i64 %next, %count")
    text.emit("br i1 %more, label %case, label %end")
    text.start("end")
    text.emit(f"%at = phi i64 [ %i, %{before} ], [ %count, %same ]")
    text.emit("ret i64 %at")
    body = "\n".join(text.lines)
    return f"{described}\n{_native(name)}\ndefine i64 @check(ptr %cases, i64 %count) {{\nentry:\n{body}\n}}\n"


def _native_types(name: str) -> tuple[list[str], str]:
    """The types of the operands and of the result as the host has them."""
    floats = {"f32": "float", "f64": "double"}
    pure, (source, _, what) = FUNCTIONS[name], name.partition("_")
    arguments = ["i3" if w == 3 else floats.get(source, f"i{w}") for w in pure.arguments]
    number = floats.get(what[3:] if what.startswith("to_") else source, f"i{pure.results[0]}")
    return arguments, "i1" if pure.results[0] == 1 else number


def _native_call(name: str, operands: list[str]) -> str:
    return f"call {{{_native_types(name)[1]}, i5}} @native_{name}({', '.join(operands)})"


def _native(name: str) -> str:
    """The described function again, but taking and returning what the host has."""
    pure, text = FUNCTIONS[name], FunctionText()
    types, result = _native_types(name)
    given = ", ".join(
        f"i{w} {text.define(f'bitcast {t} %a{i} to i{w}')}"
        for i, (t, w) in enumerate(zip(types, pure.arguments, strict=True))
    )
    bits = result_type(pure.results)
    called = text.define(f"call {bits} @pure_{name}({given})")
    value = text.define(f"bitcast i{pure.results[0]} {text.define(f'extractvalue {bits} {called}, 0')} to {result}")
    whole = text.define(f"insertvalue {{{result}, i5}} undef, {result} {value}, 0")
    flags = text.define(f"extractvalue {bits} {called}, 1")
    whole = text.define(f"insertvalue {{{result}, i5}} {whole}, i5 {flags}, 1")
    text.emit(f"ret {{{result}, i5}} {whole}")
    parameters = ", ".join(f"{t} %a{i}" for i, t in enumerate(types))
    body = "\n".join(text.lines)
    return f"define internal {{{result}, i5}} @native_{name}({parameters}) {{\nentry:\n{body}\n}}\n"


def _wide(text: FunctionText, i: int) -> str:
    return text.define(f"load i64, ptr {text.define(f'getelementptr i64, ptr %in, i64 {i}')}")


def _writes_integer(name: str) -> bool:
    return name.endswith(("_eq", "_lt", "_le", *(f"_to_{i}" for i in INTEGERS)))


@cache
def _engine(name: str) -> tuple[Any, Any]:
    engine = compiled(_printed(name))
    prototype = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_void_p, ctypes.c_uint64)
    return engine, prototype(engine.get_function_address("check"))


# --- operands -------------------------------------------------------------------------------------------------------


def _encode(width: int, value: float) -> int:
    try:
        return int.from_bytes(struct.pack("<d" if width == 64 else "<f", value), "little")
    except OverflowError:
        return 0x7F800000


def _decode(width: int, bits: int) -> float:
    value: float = struct.unpack("<d" if width == 64 else "<f", bits.to_bytes(width // 8, "little"))[0]
    return value


def _boundaries(width: int) -> list[int]:
    """Numbers at which something changes, and their neighbours, with both signs."""
    fraction, bias = (23, 127) if width == 32 else (52, 1023)
    infinity = (2 * bias + 1) << fraction
    at = [0, 1 << fraction, 2 << fraction, bias << fraction, infinity - (1 << fraction), infinity]
    at += [infinity + (1 << (fraction - 1)), 64 << fraction, 1 << (fraction - 1)]
    at += [(bias + n) << fraction for n in (31, 32, 63, 64)]
    near = {max(each + step, 0) for each in at for step in (-2, -1, 0, 1, 2)}
    return sorted(near | {each | 1 << (width - 1) for each in near})


def _operand(source: random.Random, width: int, near: int) -> int:
    """Numbers of every kind; often close to `near`, so that differences cancel and products are exact."""
    fraction, bias = (23, 127) if width == 32 else (52, 1023)
    kind = source.randrange(8)
    sign = source.getrandbits(1) << (width - 1)
    top = 2 * bias + 1
    match kind:
        case 0:
            return source.getrandbits(width)
        case 1:
            return source.choice(_BOUNDARIES[width])
        case 2:
            return _encode(width, float(source.randrange(-1000, 1000)) * 2.0 ** source.randrange(-6, 6))
        case 3:
            return (near + source.randrange(-3, 4)) % (1 << width)
        case 4:
            return sign | source.choice([1, 2, bias // 2, top - 1, top - 2, top - 3]) << fraction
        case 5:  # few significant bits: exact results
            return sign | source.randrange(bias - 30, bias + 30) << fraction | source.getrandbits(6) << (fraction - 6)
        case _:
            return sign | source.randrange(bias - 60, bias + 60) << fraction | source.getrandbits(fraction)


_BOUNDARIES = {width: _boundaries(width) for width in (32, 64)}


def _aimed(source: random.Random, name: str, width: int) -> list[int]:
    """Operands of which the exact result is very close to a boundary, so that it is rounded to it or over it."""
    fraction = 23 if width == 32 else 52
    target = _decode(width, source.choice(_BOUNDARIES[width]))
    a = _decode(width, source.choice([_operand(source, width, 0), source.getrandbits(width)]))
    b = _decode(width, _operand(source, width, 0))
    try:
        match name[4:]:
            case "mul":
                values = [a, target / a]
            case "div":
                values = [target * b, b]
            case "add":
                values = [a, target - a]
            case "fma" if source.getrandbits(1):
                b = target / a
                values = [a, b, target - a * b]
            case "fma":
                small = math.ldexp(target, -source.randrange(fraction))
                values = [a, small / a, target - small]
            case _:
                values = [target]
    except (ZeroDivisionError, OverflowError):
        return [source.choice(_BOUNDARIES[width]) for _ in range(3)]
    last = (_encode(width, values[-1]) + source.randrange(-2, 3)) % (1 << width)
    return [*(_encode(width, value) for value in values[:-1]), last]


def _integer(source: random.Random) -> int:
    """64-bit integers; many of them where the significand or the range ends."""
    if source.getrandbits(1):
        end = source.choice([0, 1 << 24, 1 << 53, 1 << 63, 1 << 64])
        step = source.choice([0, 1 << 9, 1 << 10, 1 << 11, 1 << 38, 1 << 39, 1 << 40])
        return (source.choice([1, -1]) * (end - step) + source.randrange(-2, 3)) % (1 << 64)
    return source.choice([1, -1]) * source.getrandbits(source.randrange(1, 65)) % (1 << 64)


def _to_narrow(source: random.Random) -> int:
    """Doubles near the singles at which something changes, and half way between."""
    single = _encode(64, _decode(32, source.choice(_BOUNDARIES[32])))
    return (single + source.choice([0, 1 << 28, 1 << 27, -(1 << 28)]) + source.randrange(-2, 3)) % (1 << 64)


def _near_integer(source: random.Random, width: int) -> int:
    """Numbers near the ends of integer types, and half way between integers."""
    end = source.choice([0, 1, 2, 3, 1 << 31, 1 << 32, 1 << 63, 1 << 64]) * source.choice([1, -1])
    value = float(end + source.randrange(-2, 3)) + source.choice([0, 0.5, 0.25, -0.5])
    return (_encode(width, value) + source.randrange(-1, 2)) % (1 << width)


# A sum whose two-sum overflows: the largest number and -1.5 units in its last place, a tie.
_OVERFLOWING = {32: [0x7F7FFFFF, 0xF3C00000], 64: [0x7FEFFFFFFFFFFFFF, 0xFCA8000000000000]}


def _cases(name: str) -> Iterator[list[int]]:
    """The operands, without the mode, of everything that is tried."""
    source, near = random.Random(name), 0
    widths = [w for w in FUNCTIONS[name].arguments if w != 3]
    if name.endswith("add"):
        yield from (_OVERFLOWING[widths[0]], _OVERFLOWING[widths[0]][::-1])
    if name[0] == "f":
        few = _BOUNDARIES[widths[0]][:: 1 if len(widths) < 3 else 12]
        yield from (list(each) for each in itertools.product(few, repeat=len(widths)))
    for number in range(CASES):
        if name[0] != "f":
            yield [_integer(source)]
        elif name == "f64_to_f32" and number % 2:
            yield [_to_narrow(source)]
        elif "_to_" in name and number % 2:
            yield [_near_integer(source, widths[0])]
        elif number % 3 == 0:
            yield _aimed(source, name, widths[0])
        else:
            operands = []
            for width in widths:
                near = _operand(source, width, near)
                operands.append(near)
            yield operands


@pytest.mark.parametrize("name", GUARDED)
def test_the_host_gives_the_described_result_and_flags(name: str) -> None:
    _, check = _engine(name)
    source = random.Random(name)
    cases = array("Q")
    for operands in _cases(name):
        padding = [0] * (3 - len(operands))
        mode = source.choice([0, 0, 0, 0, 1, 1, 2, 3, 4])
        cases.extend([*operands, *padding, mode, source.getrandbits(5)])
    count = len(cases) // WORDS
    at = check(cases.buffer_info()[0], count)
    assert at == count, [hex(word) for word in cases[at * WORDS : (at + 1) * WORDS]]


# --- what is printed ------------------------------------------------------------------------------------------------


def _text(name: str, mode: str, already: str | None = None, nearest: bool = False, dirty: bool = False) -> str | None:
    text = FunctionText()
    pure = FUNCTIONS[name]
    arguments = [mode if width == 3 else f"%a{i}" for i, width in enumerate(pure.arguments)]
    value = host_float(text, name, arguments, "call slow", already, nearest=nearest, dirty_already=dirty)
    return None if value is None else "\n".join(text.lines)


def test_what_the_host_never_does_is_left_alone() -> None:
    assert host_float(FunctionText(), "f64_classify", ["%a"], "call") is None


@pytest.mark.parametrize("name", NEAREST_ONLY)
def test_other_modes_than_nearest_are_left_alone(name: str) -> None:
    assert all(_text(name, mode) is None for mode in ("1", "2", "3", "-4"))


@pytest.mark.parametrize("name", [*NEAREST_ONLY, "i64_to_f64", "u64_to_f32"])
def test_a_known_mode_is_not_compared(name: str) -> None:
    assert "icmp eq i3 %mode" in str(_text(name, "%mode"))
    assert "i3 %mode" not in str(_text(name, "0"))
    assert "i3 %mode" not in str(_text(name, "%mode", nearest=True))


@pytest.mark.parametrize("name", NEAREST_ONLY)
def test_known_inexact_computes_no_error(name: str) -> None:
    assert "zext i1" not in str(_text(name, "0", "true"))
    assert "zext i1" in str(_text(name, "0", "%already"))


def test_a_conversion_to_an_integer_keeps_its_flag_unless_fs_is_dirty() -> None:
    assert "zext i1" in str(_text("f64_to_i32", "1", "true"))
    assert "zext i1" not in str(_text("f64_to_i32", "1", "true", dirty=True))


# --- leaving instead of a call ---------------------------------------------------------------------------------------

LEFT = 1 << 63
NAN, INFINITY, LARGEST, TINY = 0x7FF8 << 48, 0x7FF0 << 48, 0x7FEF_FFFF_FFFF_FFFF, 1
ONE, THIRD = 0x3FF0 << 48, 0x3FD5_5555_5555_5555


def _leaving(name: str) -> str:
    """`@run(a, b, already)`: the flags where the host did it, with the result in `%to`; LEFT where it left."""
    text = FunctionText()
    arguments = ["0" if width == 3 else f"%{'abc'[i]}" for i, width in enumerate(FUNCTIONS[name].arguments)]
    value = host_float(text, name, arguments, Leave("elsewhere"), "%already", dirty_already=True, accrued="%accrued")
    assert value is not None
    types, width = result_type(FUNCTIONS[name].results), FUNCTIONS[name].results[0]
    result, flags = (text.define(f"extractvalue {types} {value}, {i}") for i in (0, 1))
    text.emit(f"store i64 {text.define(f'zext i{width} {result} to i64') if width < 64 else result}, ptr %to")
    text.emit(f"ret i64 {text.define(f'zext i5 {flags} to i64')}")
    text.start("elsewhere")
    text.emit(f"ret i64 {LEFT}")
    body = "\n".join(text.lines)
    parameters = "i64 %a, i64 %b, i1 %already, i5 %accrued, ptr %to"
    return f"define i64 @run({parameters}) {{\nentry:\n{body}\n}}\n"


@cache
def _run(name: str) -> tuple[Any, Any]:
    engine = compiled(_leaving(name))
    prototype = ctypes.CFUNCTYPE(
        ctypes.c_uint64, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_bool, ctypes.c_uint8, ctypes.c_void_p
    )
    return engine, prototype(engine.get_function_address("run"))


@pytest.mark.parametrize("already", [False, True])
@pytest.mark.parametrize(
    ("name", "a", "b", "leaves"),
    [
        ("f64_add", ONE, ONE, False),
        ("f64_add", ONE, THIRD, False),
        ("f64_div", ONE, THIRD, False),
        ("f64_mul", THIRD, THIRD, False),
        ("f64_to_i64", THIRD, 0, False),
        ("f64_eq", ONE, THIRD, False),
        ("f64_add", NAN, ONE, True),
        ("f64_add", INFINITY, INFINITY | 1 << 63, True),
        ("f64_mul", LARGEST, LARGEST, True),
        ("f64_mul", TINY, THIRD, True),
        ("f64_div", ONE, 0, True),
        ("f64_to_i64", LARGEST, 0, True),
        ("f64_to_i64", NAN, 0, True),
    ],
)
def test_what_the_host_does_not_do_is_left(name: str, a: int, b: int, leaves: bool, already: bool) -> None:
    function = FUNCTIONS[name]
    operands = [
        word(0 if width == 3 else each, width) for each, width in zip((a, b, 0), function.arguments, strict=False)
    ]
    result, flags = function.function(*operands)
    to = ctypes.c_uint64(0xDEAD)
    found = _run(name)[1](a, b, already, 16, ctypes.addressof(to))
    if leaves:
        assert found == LEFT and to.value == 0xDEAD
    else:
        assert to.value == result.value
        assert found | already == flags.value | already | 16  # with the accrued one


def test_nothing_is_called_where_it_leaves() -> None:
    text = _leaving("f64_add")
    assert "@pure_" not in text and text.count("label %elsewhere") == 1
