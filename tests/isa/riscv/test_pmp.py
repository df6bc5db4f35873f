"""Physical memory protection against a check that goes byte by byte."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypernest.isa.hart import Access
from hypernest.isa.riscv.pmp import pmp_check, pmp_page_uniform
from tests.isa.riscv.bench import MACHINE, SUPERVISOR, USER, Bench

SPACE = 0x4000  # addresses that the entries below are about
R, W, X, L = 1, 2, 4, 0x80
OFF, TOR, NA4, NAPOT = 0, 8, 16, 24


@dataclass(frozen=True)
class Entry:
    configuration: int
    address: int


@cache
def napot_size(address: int) -> int:
    """Eight bytes, doubled for each one that pmpaddr ends in."""
    size = 8
    while address & 1:
        size, address = size * 2, address >> 1
    return size


def covers(entries: list[Entry], index: int, address: int) -> bool:
    """Section 3.7.1, tables 18 and 19, read literally."""
    entry, mode = entries[index], entries[index].configuration & 0x18
    if mode == TOR:
        return (entries[index - 1].address if index else 0) * 4 <= address < entry.address * 4
    if mode == NA4:
        return address >> 2 == entry.address
    if mode == NAPOT:
        size = napot_size(entry.address)
        return entry.address * 4 // size == address // size
    return False


def allowed(entries: list[Entry], address: int, size: int, access: Access, privilege: int) -> bool:
    for index, entry in enumerate(entries):
        matched = [covers(entries, index, address + i) for i in range(size)]
        if any(matched):
            needed = {Access.READ: R, Access.WRITE: W, Access.EXECUTE: X}[access]
            free = privilege == MACHINE and not entry.configuration & L
            return all(matched) and (free or bool(entry.configuration & needed))
    return bool(privilege == MACHINE)


permissions = st.sampled_from([0, R, R | W, X, R | X, R | W | X])
modes = st.sampled_from([OFF, TOR, NA4, NAPOT])
addresses = st.integers(0, SPACE // 4) | st.sampled_from([0, 0x3FF, 0x400, 0x1FF, 0x5FF, 0x800, (1 << 54) - 1])
entry_lists = st.lists(
    st.builds(lambda p, m, locked, a: Entry(p | m | locked, a), permissions, modes, st.sampled_from([0, L]), addresses),
    min_size=16,
    max_size=16,
)
# Most guests leave the upper half unused, which the description takes a shorter way for.
half_lists = entry_lists.map(lambda entries: [*entries[:8], *[Entry(0, 0)] * 8])


def program(bench: Bench, entries: list[Entry]) -> None:
    for index, entry in enumerate(entries):
        bench["pmpaddr", index] = entry.address
    for half in range(2):
        value = sum(entry.configuration << 8 * i for i, entry in enumerate(entries[half * 8 : half * 8 + 8]))
        bench["pmpcfg", half] = value


@settings(max_examples=300)
@given(
    entry_lists | half_lists,
    st.integers(0, SPACE - 64),
    st.sampled_from([1, 2, 4, 8, 64]),
    st.sampled_from(list(Access)),
    st.sampled_from([USER, SUPERVISOR, MACHINE]),
)
def test_check_agrees_byte_by_byte(
    entries: list[Entry], address: int, size: int, access: Access, privilege: int
) -> None:
    bench = Bench()
    program(bench, entries)
    found = bool(pmp_check(bench.hart, address, size, int(access), int(privilege)))
    assert found == allowed(entries, address, size, access, privilege)


@given(entry_lists | half_lists, st.integers(0, SPACE + 0x1000))
def test_uniform_pages_have_no_boundary(entries: list[Entry], address: int) -> None:
    bench = Bench()
    program(bench, entries)
    page = address & ~0xFFF
    granules = range(page, page + 4096, 4)
    active = [i for i in range(16) if entries[i].configuration & NAPOT]
    counts = [sum(covers(entries, i, at) for at in granules) for i in active]
    first_is_open = entries[0] == Entry(NAPOT | R | W | X, (1 << 54) - 1)  # the others are never looked at
    uniform = first_is_open or all(count in (0, len(granules)) for count in counts)
    assert bool(pmp_page_uniform(bench.hart, address)) == uniform


@pytest.mark.parametrize(("privilege", "expected"), [(USER, False), (SUPERVISOR, False), (MACHINE, True)])
def test_without_entries_only_machine_mode_passes(privilege: int, expected: bool) -> None:
    bench = Bench(pmpcfg=0, pmpaddr=0)
    assert bool(pmp_check(bench.hart, 0x8000_0000, 8, int(Access.READ), int(privilege))) == expected


def test_partial_match_fails_even_for_machine_mode() -> None:
    bench = Bench(pmpcfg=NA4 | R | W | X, pmpaddr=0x8000_0000 >> 2)
    assert not pmp_check(bench.hart, 0x8000_0000, 8, int(Access.READ), int(MACHINE))
    assert pmp_check(bench.hart, 0x8000_0000, 4, int(Access.READ), int(SUPERVISOR))


@pytest.mark.parametrize(("bottom", "top"), [(0, 0), (0x2000_0001, 0x2000_0001), (0x2000_0002, 0x2000_0001)])
def test_empty_range_matches_nothing(bottom: int, top: int) -> None:
    bench = Bench()
    program(bench, [Entry(0, bottom), Entry(TOR | L, top), Entry(NAPOT | R, (1 << 54) - 1), *[Entry(0, 0)] * 13])
    assert pmp_check(bench.hart, 0x8000_0000, 8, int(Access.READ), int(SUPERVISOR))
    assert pmp_check(bench.hart, 0x8000_0000, 64, int(Access.READ), int(MACHINE))


def test_first_range_begins_at_zero() -> None:
    bench = Bench(pmpcfg=TOR | R, pmpaddr=0)
    assert not pmp_check(bench.hart, 0, 8, int(Access.READ), int(SUPERVISOR))
    bench["pmpaddr"] = 2
    assert pmp_check(bench.hart, 0, 8, int(Access.READ), int(SUPERVISOR))
    assert not pmp_check(bench.hart, 8, 1, int(Access.READ), int(SUPERVISOR))


def test_aligned_access_over_two_regions_faults() -> None:
    """Every byte may be read, but no one entry matches them all."""
    bench = Bench(SUPERVISOR)
    program(bench, [Entry(NA4 | R, 0x2000_0000), Entry(NA4 | R, 0x2000_0001), *[Entry(0, 0)] * 14])
    assert bench.raised("load 32", 0x8000_0000) == 0
    raised = bench.raised("load 64", 0x8000_0000)
    assert getattr(raised, "cause", None) == 5


class TestWrites:
    PMPCFG0, PMPADDR0 = 0x3A0, 0x3B0

    def test_write_without_read_is_not_kept(self) -> None:
        bench = Bench()
        bench.set_csr(self.PMPCFG0, W | X | NAPOT)
        assert bench.csr(self.PMPCFG0) & W == 0

    def test_reserved_bits_read_zero(self) -> None:
        bench = Bench()
        bench.set_csr(self.PMPCFG0, 0x6060_6060_6060_6060)
        assert bench.csr(self.PMPCFG0) == 0
        bench.set_csr(self.PMPADDR0, (1 << 64) - 1)
        assert bench.csr(self.PMPADDR0) == (1 << 54) - 1

    def test_locked_entries_stay(self) -> None:
        bench = Bench(pmpcfg=0, pmpaddr=0)
        bench.set_csr(self.PMPADDR0 + 1, 0x123)
        bench.set_csr(self.PMPCFG0, (L | NA4 | R) << 8)
        bench.set_csr(self.PMPCFG0, 0x0707_0707_0707_0707)
        assert bench.csr(self.PMPCFG0) == 0x0707_0707_0707_9107
        bench.set_csr(self.PMPADDR0 + 1, 0x456)
        assert bench.csr(self.PMPADDR0 + 1) == 0x123
        bench.set_csr(self.PMPADDR0, 0x456)
        assert bench.csr(self.PMPADDR0) == 0x456

    def test_locked_top_of_range_locks_the_address_before(self) -> None:
        bench = Bench(pmpcfg=0, pmpaddr=0)
        bench.set_csr(0x3B7, 7)
        bench.set_csr(0x3A2, L | TOR | R)  # entry 8: begins at pmpaddr7, in the other register
        bench.set_csr(0x3B7, 9)
        assert bench.csr(0x3B7) == 7
        bench.set_csr(0x3B6, 9)
        assert bench.csr(0x3B6) == 9

    def test_writes_forget_translations(self) -> None:
        bench = Bench()
        bench.set_csr(self.PMPCFG0, 0)
        bench.set_csr(self.PMPADDR0, 0)
        assert bench.hart.flushes == 2
