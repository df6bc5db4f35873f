"""Loads, stores and fetch at every alignment, over page boundaries, on devices and on nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.isa.riscv.bench import DEVICE, DEVICE_SIZE, RAM, RAM_SIZE, SUPERVISOR, Bench, Raised

SIZES = (8, 16, 32, 64)
V, R, W, X, A, D = 1, 2, 4, 8, 64, 128
ROOT = RAM + 0x1_0000
MIDDLE, LAST = ROOT + 0x1000, ROOT + 0x2000
# Virtual pages 0 to 7 and where they are: neighbours are never neighbours, and the order is reversed.
FRAMES = [RAM + 0x3_0000 - page * 0x2000 for page in range(8)]


def paged(flags: dict[int, int] | None = None) -> Bench:
    """Sv39 with the virtual pages 0 to 7 at FRAMES; `flags` replaces permissions of some, 0 unmaps."""
    bench = Bench(SUPERVISOR, satp=8 << 60 | ROOT >> 12)
    bench.memory.write_integer(ROOT, 8, MIDDLE >> 2 | V)
    bench.memory.write_integer(MIDDLE, 8, LAST >> 2 | V)
    for page, frame in enumerate(FRAMES):
        permissions = (flags or {}).get(page, V | R | W | X | A | D)
        bench.memory.write_integer(LAST + page * 8, 8, frame >> 2 | permissions if permissions else 0)
    return bench


def virtual(bench: Bench, address: int, count: int) -> bytes:
    return b"".join(bench.memory.read(FRAMES[at >> 12] + (at & 0xFFF), 1) for at in range(address, address + count))


def fill(bench: Bench) -> None:
    for page, frame in enumerate(FRAMES):
        bench.memory.write(frame, bytes((i * 7 + page * 31 + (i >> 8)) & 0xFF for i in range(0x1000)))


addresses = st.integers(0, 0x7FF0) | st.builds(lambda p, d: p * 0x1000 - d, st.integers(1, 7), st.integers(0, 9))


@given(addresses, st.sampled_from(SIZES))
def test_loads(address: int, bits: int) -> None:
    bench = paged()
    fill(bench)
    expected = int.from_bytes(virtual(bench, address, bits // 8), "little")
    assert bench.raised(f"load {bits}", address) == expected


@given(addresses, st.sampled_from(SIZES), st.integers(0, (1 << 64) - 1))
def test_stores(address: int, bits: int, value: int) -> None:
    bench = paged()
    fill(bench)
    value &= (1 << bits) - 1
    before = bytearray(virtual(bench, 0, 0x8000))
    assert bench.raised(f"store {bits}", address, value) is None
    before[address : address + bits // 8] = value.to_bytes(bits // 8, "little")
    assert virtual(bench, 0, 0x8000) == before


@pytest.mark.parametrize("bits", [16, 32, 64])
@pytest.mark.parametrize("in_first", [1, 2, 3, 4, 7])
def test_page_faults_report_the_first_byte_on_the_faulting_page(bits: int, in_first: int) -> None:
    if in_first >= bits // 8:
        in_first = bits // 8 - 1
    address = 0x3000 - in_first
    assert paged({3: 0}).raised(f"load {bits}", address) == Raised(13, 0x3000)
    assert paged({2: 0}).raised(f"load {bits}", address) == Raised(13, address)
    assert paged({2: 0, 3: 0}).raised(f"load {bits}", address) == Raised(13, address)
    bench = paged({3: V | R | A})
    fill(bench)
    before = virtual(bench, 0, 0x8000)
    assert bench.raised(f"store {bits}", address, 0) == Raised(15, 0x3000)
    assert virtual(bench, 0, 0x8000) == before  # nothing of it was done


@pytest.mark.parametrize("bits", SIZES)
def test_devices(bits: int) -> None:
    bench, size = Bench(), bits // 8
    assert bench.raised(f"load {bits}", DEVICE + 0x40) == 0x40
    assert bench.raised(f"store {bits}", DEVICE + 0x48, 5) is None
    assert bench.device.accesses == [("read", DEVICE + 0x40, size), ("write", DEVICE + 0x48, size)]


@pytest.mark.parametrize("bits", [16, 32, 64])
def test_misaligned_device_accesses_fault(bits: int) -> None:
    bench = Bench()
    assert bench.raised(f"load {bits}", DEVICE + 1) == Raised(5, DEVICE + 1)
    assert bench.raised(f"store {bits}", DEVICE + 1, 0) == Raised(7, DEVICE + 1)
    assert not bench.device.accesses


@pytest.mark.parametrize("address", [0, DEVICE + DEVICE_SIZE, RAM - 8, RAM + RAM_SIZE, 1 << 56, (1 << 64) - 8])
@pytest.mark.parametrize("bits", SIZES)
def test_nothing_there(address: int, bits: int) -> None:
    bench = Bench()
    assert bench.raised(f"load {bits}", address) == Raised(5, address)
    assert bench.raised(f"store {bits}", address, 0) == Raised(7, address)
    assert bench.raised("fetch", address) == Raised(1, address)


def test_crossing_out_of_memory() -> None:
    bench, end = Bench(), RAM + RAM_SIZE
    assert bench.raised("load 64", end - 3) == Raised(5, end)
    assert bench.raised("store 32", end - 3, 0) == Raised(7, end)
    assert bench.raised("load 64", RAM - 3) == Raised(5, RAM - 3)
    assert bench.raised("load 64", (1 << 64) - 3) == Raised(5, (1 << 64) - 3)
    assert bench.memory.read(end - 3, 3) == bytes(3)


def test_protection_covers_the_whole_access() -> None:
    bench = Bench(SUPERVISOR, pmpcfg=0x13)  # NA4, readable and writable: four bytes of RAM
    bench["pmpaddr", 0] = RAM >> 2
    assert bench.raised("load 32", RAM) == 0
    assert bench.raised("load 64", RAM) == Raised(5, RAM)
    assert bench.raised("store 32", RAM + 2, 0) == Raised(7, RAM + 2)
    bench["pmpcfg"], bench["pmpaddr", 0] = 0x0B, (RAM + 0x1002) >> 2  # TOR from 0: ends just behind a page boundary
    assert bench.raised("load 16", RAM + 0xFFF) == Raised(5, RAM + 0x1000)


class TestFetch:
    COMPRESSED, LONG = 0x4501, 0x0010_0513  # c.li a0, 0; li a0, 1

    @pytest.mark.parametrize("address", [0x10, 0x12, 0x2FFE, 0x3000])
    def test_lengths(self, address: int) -> None:
        bench = paged()
        self.put(bench, address, self.LONG)
        assert bench.raised("fetch", address) == self.LONG
        self.put(bench, address, self.LONG & ~3 | 1)
        assert bench.raised("fetch", address) == (self.LONG & 0xFFFF & ~3 | 1)

    def test_faults(self) -> None:
        for flags, cause in [(0, 12), (V | R | A, 12)]:
            bench = paged({3: flags})
            self.put(bench, 0x2FFE, self.LONG)
            assert bench.raised("fetch", 0x2FFE) == Raised(cause, 0x3000)
            assert bench.raised("fetch", 0x3000) == Raised(cause, 0x3000)
            self.put(bench, 0x2FFE, self.COMPRESSED)
            assert bench.raised("fetch", 0x2FFE) == self.COMPRESSED

    def test_end_of_memory(self) -> None:
        bench, end = Bench(), RAM + RAM_SIZE
        bench.memory.write_integer(end - 2, 2, self.LONG & 0xFFFF)
        assert bench.raised("fetch", end - 2) == Raised(1, end)

    def put(self, bench: Bench, address: int, code: int) -> None:
        for half in range(2):
            at = address + half * 2
            bench.memory.write_integer(FRAMES[at >> 12] + (at & 0xFFF), 2, code >> 16 * half & 0xFFFF)
