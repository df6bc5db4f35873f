"""What the tests of integer instructions share: corner values, and the two readings of 64 and 32 bits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from hypernest.isa.riscv.riscv64 import RISCV64
from tests.isa.riscv.bench import CODE, Bench

MASK = (1 << 64) - 1
CORNERS = (
    0,
    1,
    2,
    31,
    32,
    63,
    64,
    0x7F,
    0x80,
    0x8000,
    0x7FFF_FFFF,
    0x8000_0000,
    0xFFFF_FFFF,
    0x1_0000_0000,
    0x0102_0304_0506_0708,
    0x8000_00FF_0000_7F00,
    0x7FFF_FFFF_FFFF_FFFF,
    0x8000_0000_0000_0000,
    0xFFFF_FFFF_8000_0000,
    MASK - 1,
    MASK,
)
IMMEDIATES = (0, 1, 5, -1, 2047, -2048)

Formula = Callable[[int, int], int]


def s64(value: int) -> int:
    value &= MASK
    return value - (value >> 63 << 64)


def s32(value: int) -> int:
    value &= 0xFFFF_FFFF
    return value - (value >> 31 << 32)


def u32(value: int) -> int:
    return value & 0xFFFF_FFFF


def pairs() -> Iterator[tuple[int, int]]:
    return ((a, b) for a in CORNERS for b in CORNERS)


def execute(bench: Bench, name: str, **fields: int) -> None:
    """Run the instruction without fetching it: many times faster than `bench.step`."""
    row = RISCV64.rows[name]
    bench.hart.execute(row, row.encode(**fields))


def check_register(bench: Bench, name: str, formula: Formula, a: int, b: int) -> None:
    """`name x3, x1, x2` gives what the formula says."""
    bench["x", 1], bench["x", 2] = a, b
    execute(bench, name, rd=3, rs1=1, rs2=2)
    assert bench["x", 3] == formula(a, b) & MASK, (name, hex(a), hex(b))


def check_destinations(name: str, formula: Formula) -> None:
    """rd may be rs1, rs2 or both; x0 stays 0; the next instruction follows."""
    a, b, bench = 0x8765_4321_0FED_CBA9, 0xFFFF_FFFF_0000_1234, Bench()
    for rd, rs1, rs2 in [(1, 1, 2), (2, 1, 2), (0, 1, 2), (1, 1, 1), (31, 2, 1)]:
        bench["x", 1], bench["x", 2] = a, b
        assert bench.step(name, rd=rd, rs1=rs1, rs2=rs2) is None
        expected = formula(b if rs1 == 2 else a, b if rs2 == 2 else a) & MASK
        assert int(bench.hart.read("x", rd)) == (expected if rd else 0), (name, rd, rs1, rs2)
        assert bench["pc"] == CODE + 4


def check_immediate(bench: Bench, name: str, formula: Formula, a: int, **immediate: int) -> None:
    """`name x3, x1, immediate` gives what the formula says."""
    (b,) = immediate.values()
    bench["x", 1] = a
    execute(bench, name, rd=3, rs1=1, **immediate)
    assert bench["x", 3] == formula(a, b) & MASK, (name, hex(a), b)


def check_unary(bench: Bench, name: str, formula: Callable[[int], int], a: int) -> None:
    """`name x3, x1` gives what the formula says."""
    bench["x", 1] = a
    execute(bench, name, rd=3, rs1=1)
    assert bench["x", 3] == formula(a) & MASK, (name, hex(a))


def names(*tables: Mapping[str, object]) -> set[str]:
    return {name for table in tables for name in table}
