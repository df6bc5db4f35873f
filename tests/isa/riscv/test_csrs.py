"""CSRs: which exist, what writes keep (WARL), views, counters, and who may access them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypernest.isa.riscv.csrs import CSRS
from tests.isa.riscv.bench import MACHINE, SUPERVISOR, USER, Bench, Raised

MSTATUS, MISA, MEDELEG, MIDELEG, MIE, MTVEC, MCOUNTEREN, MENVCFG = *range(0x300, 0x307), 0x30A
MCOUNTINHIBIT, MEPC, MIP, MCYCLE, MINSTRET = 0x320, 0x341, 0x344, 0xB00, 0xB02
SSTATUS, SIE, STVEC, SCOUNTEREN, SENVCFG = 0x100, 0x104, 0x105, 0x106, 0x10A
SEPC, SIP, STIMECMP, SATP = 0x141, 0x144, 0x14D, 0x180
CYCLE, TIME, INSTRET = 0xC00, 0xC01, 0xC02
SSI, STI, SEI, MSI, MTI, MEI = 1 << 1, 1 << 5, 1 << 9, 1 << 3, 1 << 7, 1 << 11
MPP, FS, MPRV, SUM, MXR, TVM = 11, 13, 1 << 17, 1 << 18, 1 << 19, 1 << 20
ALL = (1 << 64) - 1
STCE = 1 << 63

values = st.integers(0, ALL) | st.sampled_from([0, ALL]) | st.integers(0, 63).map(lambda bit: 1 << bit)
# Those whose value moves with the clock.
MOVING = {MCYCLE, MINSTRET, CYCLE, TIME, INSTRET}


def test_the_list() -> None:
    """What OpenSBI 1.6 and Linux 6.12 touch without expecting a trap."""
    names = {csr.name for csr in CSRS.values()}
    machine = "mvendorid marchid mimpid mhartid mconfigptr mstatus misa medeleg mideleg mie mtvec mcounteren menvcfg"
    machine += " mcountinhibit mscratch mepc mcause mtval mip mcycle minstret pmpcfg0 pmpcfg2 pmpaddr0 pmpaddr15"
    supervisor = "sstatus sie stvec scounteren senvcfg sscratch sepc scause stval sip stimecmp satp"
    user = "fflags frm fcsr cycle time instret hpmcounter3 hpmcounter31"
    assert names >= set(f"{machine} {supervisor} {user}".split())
    assert names >= {f"{prefix}{i}" for i in range(3, 32) for prefix in ("mhpmcounter", "mhpmevent", "hpmcounter")}
    assert not names & {"pmpcfg1", "pmpcfg3", "pmpcfg4", "pmpaddr16", "mseccfg", "mstateen0", "hstatus", "vstart"}
    assert all(number == csr.number for number, csr in CSRS.items())


def test_read_only_numbers_have_no_write() -> None:
    assert all(csr.write is None for number, csr in CSRS.items() if number >> 10 == 3)


@given(st.sampled_from(sorted(CSRS.keys() - MOVING)), values, values)
def test_what_was_read_can_be_written_back(number: int, first: int, second: int) -> None:
    """A legal value stays; and the same write gives the same value whatever was there, unless fields keep theirs."""
    bench = Bench(mideleg=SSI | STI | SEI)
    for value in (first, second):
        bench.set_csr(number, value)
        legal = bench.csr(number)
        bench.set_csr(number, legal)
        assert bench.csr(number) == legal


KEPT = {
    MSTATUS: 0x7E79AA,
    MEDELEG: 0xB3FF,
    MIDELEG: 0x222,
    MIE: 0xAAA,
    MIP: 0x222,
    MTVEC: ALL ^ 2,
    MCOUNTEREN: 0xFFFF_FFFF,
    MCOUNTINHIBIT: 5,
    MENVCFG: 0xA000_0000_0000_00F1,
    MEPC: ALL ^ 1,
    SSTATUS: 0xC6122,
    SIE: 0x222,
    SIP: 2,
    STVEC: ALL ^ 2,
    SCOUNTEREN: 0xFFFF_FFFF,
    SENVCFG: 0xF1,
    SEPC: ALL ^ 1,
    0x340: ALL,
    0x342: ALL,
    0x343: ALL,
    0x140: ALL,
    0x142: ALL,
    0x143: ALL,
    STIMECMP: ALL,
    0x001: 31,
    0x002: 7,
    0x003: 255,
}


@pytest.mark.parametrize("number", KEPT)
def test_bits_that_writes_keep(number: int) -> None:
    bench = Bench(mideleg=0x222, stimecmp=ALL)
    bench.set_csr(number, 0)
    constant = bench.csr(number)
    bench.set_csr(number, ALL)
    summary = 1 << 63 if number in (MSTATUS, SSTATUS) else 0  # SD: FS is dirty now
    assert bench.csr(number) == constant | KEPT[number] | summary


@given(st.sampled_from(sorted(KEPT.keys() - {MSTATUS, MENVCFG, SENVCFG})), values)
def test_other_bits_are_ignored(number: int, value: int) -> None:
    bench = Bench(mideleg=0x222)
    bench.set_csr(number, 0)
    constant = bench.csr(number)
    bench.set_csr(number, value)
    summary = 1 << 63 if number == SSTATUS and value >> FS & 3 == 3 else 0
    assert bench.csr(number) == constant | value & KEPT[number] | summary


# --- status ----------------------------------------------------------------------------------------------------------


def test_mpp_two_is_not_taken() -> None:
    for before in (USER, SUPERVISOR, MACHINE):
        bench = Bench(mstatus=before << MPP)
        bench.set_csr(MSTATUS, 2 << MPP | MPRV)
        assert bench.csr(MSTATUS) & (3 << MPP | MPRV) == before << MPP | MPRV


@pytest.mark.parametrize("fs", range(4))
def test_sd_summarises_fs(fs: int) -> None:
    bench = Bench()
    bench.set_csr(SSTATUS, fs << FS)
    assert bench.csr(SSTATUS) == 2 << 32 | fs << FS | (fs == 3) << 63
    assert bench.csr(MSTATUS) == 2 << 34 | bench.csr(SSTATUS)


def test_sstatus_is_a_view() -> None:
    bench = Bench()
    bench.set_csr(MSTATUS, ALL)
    bench.set_csr(SSTATUS, 0)
    assert bench["mstatus"] == KEPT[MSTATUS] & ~KEPT[SSTATUS]


@pytest.mark.parametrize("number", [MSTATUS, SSTATUS])
def test_only_a_change_of_mxr_forgets_translations(number: int) -> None:
    bench = Bench()
    bench.set_csr(number, SUM)
    assert bench.hart.flushes == 0
    bench.set_csr(number, MXR)
    assert bench.hart.flushes == 1
    bench.set_csr(number, MXR | SUM)
    assert bench.hart.flushes == 1
    bench.set_csr(number, 0)
    assert bench.hart.flushes == 2


@pytest.mark.parametrize(("number", "value", "flags", "mode"), [(1, 0x35, 0x15, 2), (2, 12, 9, 4), (3, 0x1EA, 10, 7)])
def test_floating_point_state(number: int, value: int, flags: int, mode: int) -> None:
    bench = Bench(mstatus=1 << FS, fflags=9, frm=2)
    bench.set_csr(number, value)
    assert (bench["fflags"], bench["frm"]) == (flags, mode)
    assert bench["mstatus"] == 3 << FS
    assert bench.csr(3) == mode << 5 | flags


# --- interrupts ------------------------------------------------------------------------------------------------------


def test_supervisor_views_show_what_is_delegated() -> None:
    bench = Bench(mideleg=SSI | SEI, mip=SSI | STI, lines=SEI | MTI, mie=0xAAA)
    assert bench.csr(SIP) == SSI | SEI
    assert bench.csr(SIE) == SSI | SEI
    bench.set_csr(SIE, 0)
    assert bench["mie"] == 0xAAA & ~(SSI | SEI)
    bench.set_csr(SIP, 0)
    assert bench["mip"] == STI
    bench["mideleg"] = 0
    bench.set_csr(SIP, ALL)
    assert bench["mip"] == STI


def test_stip_is_read_only_while_stimecmp_drives_it() -> None:
    bench = Bench(menvcfg=STCE, stimecmp=ALL)
    bench.set_csr(MIP, ALL)
    assert bench.csr(MIP) == SSI | SEI


def test_external_interrupt_of_a_device_is_not_written_back() -> None:
    """csrrs and csrrc on mip change the software-writable SEIP only, although they read both ORed."""
    bench = Bench(lines=SEI)
    bench.step("csrrsi", rd=5, csr=MIP, uimm=2)
    assert bench["x", 5] == SEI
    assert bench["mip"] == SSI
    bench["lines"], bench["mip"] = SEI, SEI
    bench.step("csrrci", rd=5, csr=MIP, uimm=2)
    assert bench["mip"] == SEI
    bench["x", 6] = SEI
    bench["mip"] = 0
    bench.step("csrrs", rd=5, csr=MIP, rs1=6)
    assert bench["mip"] == SEI
    bench.step("csrrc", rd=5, csr=MIP, rs1=6)
    assert (bench["mip"], bench.csr(MIP)) == (0, SEI)


# --- environment, translation ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "name"), [(MENVCFG, "menvcfg"), (SENVCFG, "senvcfg")])
def test_cbie_two_is_not_taken(number: int, name: str) -> None:
    for before in (0, 1, 3):
        bench = Bench(**{name: before << 4})
        bench.set_csr(number, 2 << 4 | 1 << 6)
        assert bench.csr(number) == before << 4 | 1 << 6


@pytest.mark.parametrize("mode", range(16))
def test_satp_modes(mode: int) -> None:
    bench, before = Bench(), 8 << 60 | 1
    bench.set_csr(SATP, before)
    value = mode << 60 | 0xABCD << 44 | 0xFFF_FFFF_FFFF
    bench.set_csr(SATP, value)
    supported = mode in (0, 8, 9, 10)
    assert bench.csr(SATP) == (value if supported else before)
    assert bench.hart.flushes == 1 + supported
    bench.set_csr(SATP, value)
    assert bench.hart.flushes == 1 + supported  # no change


def test_timer_writes_ask_for_a_new_schedule() -> None:
    for number in (STIMECMP, MENVCFG):
        bench = Bench()
        bench.set_csr(number, 5)
        assert bench["stop"] == 1


# --- counters --------------------------------------------------------------------------------------------------------


def test_time() -> None:
    bench = Bench(time_offset=7)
    bench.clock = 12_345
    assert bench.csr(TIME) == 123 + 7


def test_counters_count() -> None:
    bench = Bench(retired=100)
    bench.clock = 1000
    assert (bench.csr(INSTRET), bench.csr(CYCLE)) == (100, 1000)
    bench.set_csr(MINSTRET, 5)
    bench.set_csr(MCYCLE, 50)
    bench["retired"] += 1  # the writing instruction
    assert (bench.csr(INSTRET), bench.csr(MINSTRET)) == (5, 5)
    bench["retired"] += 10
    bench.clock = 1010
    assert (bench.csr(INSTRET), bench.csr(CYCLE)) == (15, 60)


def test_instret_shows_what_was_written_to_the_next_instruction() -> None:
    bench = Bench(retired=1000)
    bench["x", 6] = 77
    bench.step("csrrw", rd=0, csr=MINSTRET, rs1=6)
    bench.step("csrrs", rd=5, csr=INSTRET, rs1=0)
    assert bench["x", 5] == 77
    bench.step("csrrs", rd=5, csr=INSTRET, rs1=0)
    assert bench["x", 5] == 78


@pytest.mark.parametrize(("bit", "counter"), [(1, MCYCLE), (4, MINSTRET)])
def test_inhibited_counters_stand_still(bit: int, counter: int) -> None:
    bench = Bench(retired=100)
    bench.clock = 100

    def elapse(count: int) -> None:
        bench["retired"] += count
        bench.clock += count

    before = bench.csr(counter)
    bench.set_csr(MCOUNTINHIBIT, bit)
    elapse(50)
    assert bench.csr(counter) == before
    bench.set_csr(MCOUNTINHIBIT, bit)
    bench.set_csr(counter, 7)
    elapse(50)
    assert bench.csr(counter) == 7
    bench.set_csr(MCOUNTINHIBIT, 0)
    elapse(1)
    start = bench.csr(counter)
    assert start in (7, 8)
    bench.set_csr(MCOUNTINHIBIT, 0)
    elapse(20)
    assert bench.csr(counter) == start + 20


def test_the_other_counter_goes_on() -> None:
    bench = Bench(retired=100)
    bench.set_csr(MCOUNTINHIBIT, 1)
    bench["retired"] += 5
    assert bench.csr(MINSTRET) == 105


# --- access ----------------------------------------------------------------------------------------------------------

ILLEGAL = 2


def reads(bench: Bench, number: int) -> bool:
    raised = bench.step("csrrs", rd=5, csr=number, rs1=0)
    assert raised is None or raised.cause == ILLEGAL
    return raised is None


def writes(bench: Bench, number: int) -> bool:
    raised = bench.step("csrrw", rd=0, csr=number, rs1=0)
    assert raised is None or raised.cause == ILLEGAL
    return raised is None


@given(st.integers(0, 0xFFF), st.sampled_from([USER, SUPERVISOR, MACHINE]))
def test_numbers_say_who_and_what(number: int, privilege: int) -> None:
    """With everything else permitted, bits 9:8 say from where and bits 11:10 whether it can be written."""

    def bench() -> Bench:
        everything = {"mcounteren": 0xFFFF_FFFF, "scounteren": 0xFFFF_FFFF, "menvcfg": STCE, "mstatus": 3 << FS}
        return Bench(privilege, **everything)

    readable = number in CSRS and privilege >= (number >> 8 & 3)
    assert reads(bench(), number) == readable
    assert writes(bench(), number) == (readable and number >> 10 != 3)


@pytest.mark.parametrize("privilege", [USER, SUPERVISOR, MACHINE])
@pytest.mark.parametrize("counter", [0, 1, 2, 3, 17, 31])
@pytest.mark.parametrize("by_machine", [False, True])
@pytest.mark.parametrize("by_supervisor", [False, True])
def test_counters_are_lent(privilege: int, counter: int, by_machine: bool, by_supervisor: bool) -> None:
    all_but = 0xFFFF_FFFF ^ 1 << counter
    bench = Bench(
        privilege,
        mcounteren=1 << counter if by_machine else all_but,
        scounteren=1 << counter if by_supervisor else all_but,
    )
    expected = privilege == MACHINE or (by_machine and (privilege == SUPERVISOR or by_supervisor))
    assert reads(bench, CYCLE + counter) == expected


@pytest.mark.parametrize("stce", [0, STCE])
@pytest.mark.parametrize("tm", [0, 2])
def test_stimecmp_needs_stce_and_tm(stce: int, tm: int) -> None:
    for access in (reads, writes):
        assert access(Bench(SUPERVISOR, menvcfg=stce, mcounteren=tm), STIMECMP) == bool(stce and tm)
        assert access(Bench(MACHINE, menvcfg=stce, mcounteren=tm), STIMECMP)


def test_tvm_keeps_satp_from_supervisor_mode() -> None:
    for access in (reads, writes):
        assert not access(Bench(SUPERVISOR, mstatus=TVM), SATP)
        assert access(Bench(SUPERVISOR), SATP)
        assert access(Bench(MACHINE, mstatus=TVM), SATP)


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("privilege", [USER, MACHINE])
def test_floating_point_csrs_need_fs(number: int, privilege: int) -> None:
    assert not reads(Bench(privilege), number)
    assert reads(Bench(privilege, mstatus=1 << FS), number)


def test_illegal_access_reports_the_instruction() -> None:
    bench = Bench(USER)
    assert bench.step("csrrw", rd=3, csr=SSTATUS, rs1=4) == Raised(ILLEGAL, 0x1002_11F3)


# --- the six instructions --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("immediate", [False, True])
@given(old=values, source=values)
def test_operations(immediate: bool, old: int, source: int) -> None:
    source = source & 31 if immediate else source
    for name, expected in [("csrrw", source), ("csrrs", old | source), ("csrrc", old & ~source)]:
        bench = Bench(mscratch=old)
        bench["x", 6] = source
        fields = {"uimm": source} if immediate else {"rs1": 6}
        bench.step(name + "i" * immediate, rd=6, csr=0x340, **fields)
        assert (bench["x", 6], bench["mscratch"]) == (old, expected)


@pytest.mark.parametrize("name", ["csrrs", "csrrc", "csrrsi", "csrrci"])
def test_zero_source_does_not_write(name: str) -> None:
    """So that read-only CSRs can be read; a register that holds zero is a write all the same."""
    field = "uimm" if name.endswith("i") else "rs1"
    assert Bench().step(name, rd=5, csr=0xF14, **{field: 0}) is None
    raised = Bench().step(name, rd=5, csr=0xF14, **{field: 7})
    assert raised is not None
    assert raised.cause == ILLEGAL
