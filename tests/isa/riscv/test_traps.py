"""Trap entry, interrupts and returns, rule by rule, and interrupt selection against the manual's words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypernest.isa.riscv.riscv64 import RISCV64
from hypernest.isa.riscv.state import Interrupt
from hypernest.isa.riscv.traps import INTERRUPT
from tests.isa.riscv.bench import CODE, MACHINE, MACHINE_HANDLER, SUPERVISOR, SUPERVISOR_HANDLER, USER, Bench, Raised

SIE, MIE, SPIE, MPIE, SPP, MPP, MPRV, TSR = 1 << 1, 1 << 3, 1 << 5, 1 << 7, 1 << 8, 11, 1 << 17, 1 << 22
SSI, MSI, STI, MTI, SEI, MEI = (1 << number for number in (1, 3, 5, 7, 9, 11))
STCE = 1 << 63
CAUSES = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 15]


@pytest.mark.parametrize("cause", CAUSES)
@pytest.mark.parametrize("privilege", [USER, SUPERVISOR, MACHINE])
@pytest.mark.parametrize("delegated", [False, True])
@pytest.mark.parametrize("enabled", [False, True])
def test_exception_entry(cause: int, privilege: int, delegated: bool, enabled: bool) -> None:
    medeleg = 1 << cause if delegated else 0xB3FF ^ 1 << cause
    bench = Bench(privilege, medeleg=medeleg, mstatus=(SIE | MIE if enabled else SPIE | MPIE), pc=0x1234_5678)
    before = bench.state.snapshot()
    RISCV64.take_trap(bench.hart, cause, 0xDEAD_BEEF)
    status = bench["mstatus"]
    if delegated and privilege != MACHINE:
        assert (bench["priv"], bench["pc"]) == (SUPERVISOR, SUPERVISOR_HANDLER)
        assert (bench["scause"], bench["sepc"], bench["stval"]) == (cause, 0x1234_5678, 0xDEAD_BEEF)
        assert status & (SIE | SPIE | SPP) == (SPIE if enabled else 0) | (SPP if privilege == SUPERVISOR else 0)
        assert status & (MIE | MPIE) == (MIE if enabled else MPIE)
        untouched = ("mcause", "mepc", "mtval")
    else:
        assert (bench["priv"], bench["pc"]) == (MACHINE, MACHINE_HANDLER)
        assert (bench["mcause"], bench["mepc"], bench["mtval"]) == (cause, 0x1234_5678, 0xDEAD_BEEF)
        assert status & (MIE | MPIE | 3 << MPP) == (MPIE if enabled else 0) | privilege << MPP
        assert status & (SIE | SPIE) == (SIE if enabled else SPIE)
        untouched = ("scause", "sepc", "stval")
    other = Bench()
    other.state.restore(before)
    assert all(bench[name] == other[name] for name in (*untouched, "medeleg", "satp", "monitor_call"))


def test_exceptions_ignore_vectored_mode() -> None:
    bench = Bench(USER, medeleg=1 << 8, mtvec=MACHINE_HANDLER | 1, stvec=SUPERVISOR_HANDLER | 1)
    RISCV64.take_trap(bench.hart, 8, 0)
    assert bench["pc"] == SUPERVISOR_HANDLER
    RISCV64.take_trap(bench.hart, 9, 0)
    assert bench["pc"] == MACHINE_HANDLER


def test_cause_63_is_looked_up_and_not_beyond() -> None:
    bench = Bench(USER, medeleg=1 << 63)
    RISCV64.take_trap(bench.hart, 63, 0)
    assert bench["priv"] == SUPERVISOR


@pytest.mark.parametrize("hosted", [0, 1])
def test_monitor_is_called_for_machine_traps_of_hosted_harts_only(hosted: int) -> None:
    bench = Bench(SUPERVISOR, hosted=hosted, medeleg=1 << 12)
    RISCV64.take_trap(bench.hart, 12, 0)
    assert bench["monitor_call"] == 0
    RISCV64.take_trap(bench.hart, 9, 0)
    assert (bench["monitor_call"], bench["mcause"], bench["priv"], bench["pc"]) == (hosted, 9, MACHINE, MACHINE_HANDLER)
    bench = Bench(SUPERVISOR, hosted=hosted, lines=MTI, mie=MTI)
    assert RISCV64.take_interrupt(bench.hart)
    assert (bench["monitor_call"], bench["mcause"]) == (hosted, INTERRUPT | 7)


# --- interrupts ------------------------------------------------------------------------------------------------------


def expected_interrupt(bench: Bench) -> tuple[int, int] | None:
    """(mode, code) by the words of sections 3.1.6.1, 3.1.9 and 12.1.3."""
    pending, mie, mideleg, status = bench.csr(0x344), bench["mie"], bench["mideleg"], bench["mstatus"]
    privilege = bench["priv"]
    for mode, enabled in (
        (MACHINE, privilege < MACHINE or status & MIE),
        (SUPERVISOR, privilege < SUPERVISOR or (privilege == SUPERVISOR and status & SIE)),
    ):
        if not enabled:
            continue
        for code in (11, 3, 7, 9, 1, 5):
            goes_to = SUPERVISOR if mideleg >> code & 1 else MACHINE
            if goes_to == mode and pending >> code & mie >> code & 1:
                return mode, code
    return None


interrupt_sets = st.sets(st.sampled_from(list(Interrupt))).map(lambda numbers: sum(1 << number for number in numbers))


@given(
    st.sampled_from([USER, SUPERVISOR, MACHINE]),
    *[interrupt_sets] * 4,
    st.sampled_from([0, SIE, MIE, SIE | MIE]),
    st.booleans(),
    st.sampled_from([0, STCE]),
    st.integers(0, 2),
)
def test_interrupts(
    privilege: int, mip: int, lines: int, mie: int, mideleg: int, mstatus: int, vectored: bool, stce: int, ticks: int
) -> None:
    bench = Bench(privilege, mip=mip & (SSI | STI | SEI), lines=lines & ~(SSI | STI), mie=mie, mstatus=mstatus)
    bench["mideleg"], bench["menvcfg"], bench["stimecmp"] = mideleg & (SSI | STI | SEI), stce, 1
    bench["mtvec"], bench["stvec"] = MACHINE_HANDLER | vectored, SUPERVISOR_HANDLER | vectored
    bench.clock = ticks * 100
    expected = expected_interrupt(bench)
    before = bench.state.snapshot()
    pending = bench.csr(0x344)
    assert bool(RISCV64.interrupt_pending(bench.hart)) == bool(pending & mie)
    assert bool(RISCV64.take_interrupt(bench.hart)) == (expected is not None)
    if expected is None:
        assert bench.state.snapshot() == before
        return
    mode, code = expected
    base = MACHINE_HANDLER if mode == MACHINE else SUPERVISOR_HANDLER
    assert (bench["priv"], bench["pc"]) == (mode, base + 4 * code * vectored)
    prefix = "m" if mode == MACHINE else "s"
    assert bench[f"{prefix}cause"] == INTERRUPT | code
    assert (bench[f"{prefix}epc"], bench[f"{prefix}tval"]) == (CODE, 0)
    if mode == MACHINE:
        previous = MPIE if mstatus & MIE else 0
        assert bench["mstatus"] == mstatus & ~MIE | previous | privilege << MPP
    else:
        previous = SPIE if mstatus & SIE else 0
        assert bench["mstatus"] == mstatus & ~SIE | previous | (SPP if privilege == SUPERVISOR else 0)
    assert bench.csr(0x344) == pending


PRIORITY = [MEI, MSI, MTI, SEI, SSI, STI]


@pytest.mark.parametrize("first", range(5))
@pytest.mark.parametrize("second", range(6))
@pytest.mark.parametrize("delegated", [0, SSI | STI | SEI])
def test_priority_of_two(first: int, second: int, delegated: int) -> None:
    """Of two interrupts the first in the list is taken; delegated ones come after all that are not."""
    if second <= first:
        first, second = second, first + 1
    pair = PRIORITY[first] | PRIORITY[second]
    bench = Bench(USER, mip=pair & (SSI | STI | SEI), lines=pair & ~(SSI | STI | SEI), mie=pair, mideleg=delegated)
    assert RISCV64.take_interrupt(bench.hart)
    in_supervisor = PRIORITY[first] & delegated
    assert bench["priv"] == (SUPERVISOR if in_supervisor else MACHINE)
    assert 1 << (bench["scause" if in_supervisor else "mcause"] & 63) == PRIORITY[first]


def test_supervisor_timer_follows_stimecmp_only_with_stce() -> None:
    bench = Bench(mip=STI, stimecmp=10)
    bench.clock = 999
    assert bench.csr(0x344) == STI  # software's bit
    bench["menvcfg"] = STCE
    assert bench.csr(0x344) == 0
    bench.clock = 1000
    assert bench.csr(0x344) == STI
    bench["time_offset"] = (1 << 64) - 1
    assert bench.csr(0x344) == 0


def test_wfi_wakes_whatever_is_masked() -> None:
    bench = Bench(MACHINE, lines=MEI, mie=MEI)
    assert RISCV64.interrupt_pending(bench.hart)
    assert not RISCV64.take_interrupt(bench.hart)


# --- returns ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("previous", [USER, SUPERVISOR, MACHINE])
@pytest.mark.parametrize("enabled", [0, MPIE])
def test_mret(previous: int, enabled: int) -> None:
    bench = Bench(MACHINE, mstatus=previous << MPP | enabled | MPRV | SIE, mepc=0x8000_4002)
    assert bench.step("mret") is None
    assert (bench["priv"], bench["pc"]) == (previous, 0x8000_4002)
    kept = MPRV if previous == MACHINE else 0
    assert bench["mstatus"] == MPIE | SIE | kept | (MIE if enabled else 0)


@pytest.mark.parametrize("privilege", [SUPERVISOR, MACHINE])
@pytest.mark.parametrize("previous", [USER, SUPERVISOR])
@pytest.mark.parametrize("enabled", [0, SPIE])
def test_sret(privilege: int, previous: int, enabled: int) -> None:
    bench = Bench(privilege, mstatus=(SPP if previous else 0) | enabled | MPRV | MIE, sepc=0x8000_4002)
    assert bench.step("sret") is None
    assert (bench["priv"], bench["pc"]) == (previous, 0x8000_4002)
    assert bench["mstatus"] == SPIE | MIE | (SIE if enabled else 0)


@pytest.mark.parametrize(
    ("name", "privilege", "mstatus"),
    [("mret", USER, 0), ("mret", SUPERVISOR, 0), ("sret", USER, 0), ("sret", SUPERVISOR, TSR)],
)
def test_returns_that_are_illegal(name: str, privilege: int, mstatus: int) -> None:
    code = RISCV64.rows[name].encode()
    assert Bench(privilege, mstatus=mstatus).step(name) == Raised(2, code)


def test_machine_mode_may_sret_whatever_tsr_says() -> None:
    assert Bench(MACHINE, mstatus=TSR).step("sret") is None
