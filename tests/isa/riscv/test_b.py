"""Zba, Zbb and Zbs against formulas on Python's integers and on strings of bits."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypernest.isa.riscv.b import ZBA, ZBB, ZBS
from tests.isa.riscv.bench import Bench
from tests.isa.riscv.integers import (
    CORNERS,
    MASK,
    Formula,
    check_destinations,
    check_immediate,
    check_register,
    check_unary,
    names,
    pairs,
    s32,
    s64,
    u32,
)


def rotated_right(value: int, amount: int, width: int) -> int:
    bits = f"{value & (1 << width) - 1:0{width}b}"
    amount %= width
    return int(bits[width - amount :] + bits[: width - amount], 2)


def leading(value: int, width: int) -> int:
    bits = f"{value & (1 << width) - 1:0{width}b}"
    return len(bits) - len(bits.lstrip("0"))


def trailing(value: int, width: int) -> int:
    bits = f"{value & (1 << width) - 1:0{width}b}"
    return len(bits) - len(bits.rstrip("0"))


UNARY: dict[str, Callable[[int], int]] = {
    "clz": lambda a: leading(a, 64),
    "ctz": lambda a: trailing(a, 64),
    "cpop": lambda a: f"{a:b}".count("1"),
    "clzw": lambda a: leading(a, 32),
    "ctzw": lambda a: trailing(a, 32),
    "cpopw": lambda a: f"{u32(a):b}".count("1"),
    "sext.b": lambda a: int.from_bytes(a.to_bytes(8, "little")[:1], "little", signed=True),
    "sext.h": lambda a: int.from_bytes(a.to_bytes(8, "little")[:2], "little", signed=True),
    "zext.h": lambda a: a & 0xFFFF,
    "orc.b": lambda a: int.from_bytes(bytes(0xFF if byte else 0 for byte in a.to_bytes(8, "big")), "big"),
    "rev8": lambda a: int.from_bytes(a.to_bytes(8, "little"), "big"),
}
BINARY: dict[str, Formula] = {
    "add.uw": lambda a, b: u32(a) + b,
    "sh1add": lambda a, b: 2 * a + b,
    "sh2add": lambda a, b: 4 * a + b,
    "sh3add": lambda a, b: 8 * a + b,
    "sh1add.uw": lambda a, b: 2 * u32(a) + b,
    "sh2add.uw": lambda a, b: 4 * u32(a) + b,
    "sh3add.uw": lambda a, b: 8 * u32(a) + b,
    "andn": lambda a, b: a & (MASK - b),
    "orn": lambda a, b: a | (MASK - b),
    "xnor": lambda a, b: MASK - (a ^ b),
    "min": lambda a, b: min(s64(a), s64(b)),
    "minu": min,
    "max": lambda a, b: max(s64(a), s64(b)),
    "maxu": max,
    "ror": lambda a, b: rotated_right(a, b, 64),
    "rol": lambda a, b: rotated_right(a, -b, 64),
    "rorw": lambda a, b: s32(rotated_right(a, b, 32)),
    "rolw": lambda a, b: s32(rotated_right(a, -b, 32)),
    "bclr": lambda a, b: a & ~(1 << b % 64),
    "bext": lambda a, b: a >> b % 64 & 1,
    "binv": lambda a, b: a ^ 1 << b % 64,
    "bset": lambda a, b: a | 1 << b % 64,
}
AMOUNT: dict[str, Formula] = {
    "slli.uw": lambda a, n: u32(a) << n,
    "rori": lambda a, n: rotated_right(a, n, 64),
    "bclri": lambda a, n: a & ~(1 << n),
    "bexti": lambda a, n: a >> n & 1,
    "binvi": lambda a, n: a ^ 1 << n,
    "bseti": lambda a, n: a | 1 << n,
}
AMOUNT_WORD: dict[str, Formula] = {"roriw": lambda a, n: s32(rotated_right(a, n, 32))}


def test_every_row_is_tested_here() -> None:
    assert names(UNARY, BINARY, AMOUNT, AMOUNT_WORD) == names(ZBA.rows, ZBB.rows, ZBS.rows)


@pytest.mark.parametrize("name", UNARY)
def test_unary(name: str) -> None:
    bench = Bench()
    for a in (*CORNERS, *(1 << n for n in range(64)), *((1 << n) - 1 for n in range(64))):
        check_unary(bench, name, UNARY[name], a)


@pytest.mark.parametrize("name", BINARY)
def test_destinations(name: str) -> None:
    check_destinations(name, BINARY[name])


@pytest.mark.parametrize("name", BINARY)
def test_binary(name: str) -> None:
    bench = Bench()
    for a, b in pairs():
        check_register(bench, name, BINARY[name], a, b)


@pytest.mark.parametrize("name", [*AMOUNT, *AMOUNT_WORD])
def test_every_amount(name: str) -> None:
    bench = Bench()
    for a in CORNERS:
        for amount in range(64 if name in AMOUNT else 32):
            check_immediate(bench, name, (AMOUNT | AMOUNT_WORD)[name], a, uimm=amount)


@given(st.sampled_from(sorted(UNARY)), st.integers(0, MASK))
def test_unary_on_anything(name: str, a: int) -> None:
    check_unary(Bench(), name, UNARY[name], a)


@given(st.sampled_from(sorted(BINARY)), st.integers(0, MASK), st.integers(0, MASK))
def test_binary_on_anything(name: str, a: int, b: int) -> None:
    check_register(Bench(), name, BINARY[name], a, b)
