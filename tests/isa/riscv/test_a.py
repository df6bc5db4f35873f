"""A: what atomics leave in memory and registers, reservations, and the order of their traps."""

from __future__ import annotations

import pytest

from hypernest.isa.riscv.a import A
from tests.isa.riscv.bench import DEVICE, RAM, Bench, Raised
from tests.isa.riscv.integers import CORNERS, MASK, Formula, execute, pairs, s32, s64, u32

DATA = RAM + 0x4000

AMOS: dict[str, Formula] = {
    "amoswap.d": lambda old, value: value,
    "amoadd.d": lambda old, value: old + value,
    "amoxor.d": lambda old, value: old ^ value,
    "amoand.d": lambda old, value: old & value,
    "amoor.d": lambda old, value: old | value,
    "amomin.d": lambda old, value: min(s64(old), s64(value)),
    "amomax.d": lambda old, value: max(s64(old), s64(value)),
    "amominu.d": min,
    "amomaxu.d": max,
    "amoswap.w": lambda old, value: value,
    "amoadd.w": lambda old, value: old + value,
    "amoxor.w": lambda old, value: old ^ value,
    "amoand.w": lambda old, value: old & value,
    "amoor.w": lambda old, value: old | value,
    "amomin.w": lambda old, value: min(s32(old), s32(value)),
    "amomax.w": lambda old, value: max(s32(old), s32(value)),
    "amominu.w": lambda old, value: min(u32(old), u32(value)),
    "amomaxu.w": lambda old, value: max(u32(old), u32(value)),
}
SIZES = {"w": 4, "d": 8}


def test_every_row_is_tested_here() -> None:
    assert {*AMOS, "lr.w", "lr.d", "sc.w", "sc.d"} == set(A.rows)


@pytest.mark.parametrize("name", AMOS)
def test_amo(name: str) -> None:
    bench, size = Bench(), SIZES[name[-1]]
    for old, value in pairs():
        bench.memory.write_integer(DATA, 8, old)
        bench["x", 1], bench["x", 2] = DATA, value
        execute(bench, name, rd=3, rs1=1, rs2=2, aq=1, rl=1)
        new = AMOS[name](old, value) & (1 << 8 * size) - 1
        assert bench.memory.read_integer(DATA, 8) == (old >> 8 * size << 8 * size) | new, (name, hex(old), hex(value))
        assert bench["x", 3] == (s64(old) if size == 8 else s32(old)) & MASK


def test_amo_whose_result_goes_to_its_operands() -> None:
    for rd in (1, 2):
        bench = Bench()
        bench.memory.write_integer(DATA, 8, 40)
        bench["x", 1], bench["x", 2] = DATA, 2
        bench.step("amoadd.d", rd=rd, rs1=1, rs2=2)
        assert (bench["x", rd], bench.memory.read_integer(DATA, 8)) == (40, 42)


def reserve(bench: Bench, suffix: str, address: int) -> None:
    bench["x", 1] = address
    assert bench.step(f"lr.{suffix}", rd=3, rs1=1) is None


def store(bench: Bench, suffix: str, address: int, value: int = 77) -> int:
    """0 if the store-conditional succeeded."""
    bench["x", 1], bench["x", 2] = address, value
    assert bench.step(f"sc.{suffix}", rd=4, rs1=1, rs2=2) is None
    return bench["x", 4]


@pytest.mark.parametrize("suffix", SIZES)
def test_store_conditional_after_load_reserved(suffix: str) -> None:
    bench, size = Bench(), SIZES[suffix]
    for value in CORNERS:
        bench.memory.write_integer(DATA, 8, value)
        reserve(bench, suffix, DATA)
        assert bench["x", 3] == (s64(value) if size == 8 else s32(value)) & MASK
        assert store(bench, suffix, DATA, MASK - value) == 0
        stored = MASK - value & (1 << 8 * size) - 1
        assert bench.memory.read_integer(DATA, 8) == (value >> 8 * size << 8 * size) | stored


@pytest.mark.parametrize("suffix", SIZES)
def test_a_reservation_is_for_one_address_and_one_store(suffix: str) -> None:
    bench = Bench()
    assert store(bench, suffix, DATA) == 1
    reserve(bench, suffix, DATA)
    assert store(bench, suffix, DATA + 8) == 1
    assert store(bench, suffix, DATA) == 1
    reserve(bench, suffix, DATA)
    assert store(bench, suffix, DATA) == 0
    assert store(bench, suffix, DATA) == 1
    reserve(bench, suffix, DATA)
    bench["reservation_valid"] = 0  # as the run loop does before another hart's turn
    assert store(bench, suffix, DATA, 99) == 1
    assert bench.memory.read_integer(DATA, 4) == 77


@pytest.mark.parametrize("name", A.rows)
def test_misaligned_addresses_trap(name: str) -> None:
    bench = Bench()
    for offset in range(1, SIZES[name[-1]]):
        bench["x", 1] = DATA + offset
        fields = {} if name.startswith("lr") else {"rs2": 2}
        assert bench.step(name, rd=3, rs1=1, **fields) == Raised(4 if name.startswith("lr") else 6, DATA + offset)


@pytest.mark.parametrize("name", A.rows)
@pytest.mark.parametrize("address", [DEVICE, 0x1000, 1 << 60])
def test_only_memory_is_atomic(name: str, address: int) -> None:
    bench = Bench()
    bench["x", 1], bench["x", 3] = address, 5
    fields = {} if name.startswith("lr") else {"rs2": 2}
    assert bench.step(name, rd=3, rs1=1, **fields) == Raised(5 if name.startswith("lr") else 7, address)
    assert bench["x", 3] == 5
    assert not bench.device.accesses
    assert not bench["reservation_valid"]


@pytest.mark.parametrize("name", sorted(set(A.rows) - {"lr.w", "lr.d"}))
def test_what_cannot_be_written_is_a_store_fault_though_it_could_be_read(name: str) -> None:
    bench = Bench(privilege=1)
    bench["pmpcfg"] = 0x1F_1D  # NAPOT without W at DATA, everything else open
    bench["pmpaddr", 0], bench["pmpaddr", 1] = DATA >> 2 | 0x1FF, (1 << 54) - 1
    bench["x", 1] = DATA
    assert bench.step(name, rd=3, rs1=1, rs2=2) == Raised(7, DATA)
    assert bench.step("ld", rd=3, rs1=1) is None
