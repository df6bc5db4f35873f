"""M against formulas on Python's integers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypernest.isa.riscv.m import M
from tests.isa.riscv.bench import Bench
from tests.isa.riscv.integers import MASK, Formula, check_destinations, check_register, pairs, s32, s64, u32


def quotient(a: int, b: int) -> int:
    """Towards zero. The overflow needs no case: its quotient wraps to the dividend."""
    if b == 0:
        return -1
    magnitude = abs(a) // abs(b)
    return magnitude if (a < 0) == (b < 0) else -magnitude


def remainder(a: int, b: int) -> int:
    return a if b == 0 else a - b * quotient(a, b)


FORMULAS: dict[str, Formula] = {
    "mul": lambda a, b: a * b,
    "mulh": lambda a, b: s64(a) * s64(b) >> 64,
    "mulhsu": lambda a, b: s64(a) * b >> 64,
    "mulhu": lambda a, b: a * b >> 64,
    "div": lambda a, b: quotient(s64(a), s64(b)),
    "divu": lambda a, b: a // b if b else MASK,
    "rem": lambda a, b: remainder(s64(a), s64(b)),
    "remu": lambda a, b: a % b if b else a,
    "mulw": lambda a, b: s32(a * b),
    "divw": lambda a, b: s32(quotient(s32(a), s32(b))),
    "divuw": lambda a, b: s32(u32(a) // u32(b)) if u32(b) else MASK,
    "remw": lambda a, b: s32(remainder(s32(a), s32(b))),
    "remuw": lambda a, b: s32(u32(a) % u32(b)) if u32(b) else s32(a),
}


def test_every_row_is_tested_here() -> None:
    assert set(FORMULAS) == set(M.rows)


@pytest.mark.parametrize("name", FORMULAS)
def test_destinations(name: str) -> None:
    check_destinations(name, FORMULAS[name])


@pytest.mark.parametrize("name", FORMULAS)
def test_corners(name: str) -> None:
    bench = Bench()
    for a, b in pairs():
        check_register(bench, name, FORMULAS[name], a, b)


@given(st.sampled_from(sorted(FORMULAS)), st.integers(0, MASK), st.integers(0, MASK) | st.integers(0, 100))
def test_anything(name: str, a: int, b: int) -> None:
    check_register(Bench(), name, FORMULAS[name], a, b)


@pytest.mark.parametrize(
    ("name", "a", "b", "result"),
    [
        # Table 12 of the manual: division by zero and overflow.
        ("div", 42, 0, MASK),
        ("divu", 42, 0, MASK),
        ("rem", 42, 0, 42),
        ("remu", 42, 0, 42),
        ("div", 1 << 63, MASK, 1 << 63),
        ("rem", 1 << 63, MASK, 0),
        ("divw", 0x8000_0000, 0xFFFF_FFFF, 0xFFFF_FFFF_8000_0000),
        ("remw", 0x8000_0000, 0xFFFF_FFFF, 0),
        ("divuw", 0x8000_0000, 1 << 32, MASK),
        ("remuw", 0x8000_0000, 1 << 32, 0xFFFF_FFFF_8000_0000),
    ],
)
def test_division_that_has_no_quotient(name: str, a: int, b: int, result: int) -> None:
    check_register(Bench(), name, lambda _a, _b: result, a, b)
