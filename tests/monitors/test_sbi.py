"""The SBI: every function, with arguments that are right, wrong and hostile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypernest.machine import Machine, StopKind
from hypernest.monitors.sbi import IMPLEMENTATION_ID, Error, HartStatus
from tests.machine.small_guests import KERNEL, assembled, hosted, on_every_engine

BASE, TIME, IPI, RFENCE, HSM, SRST, DBCN = 0x10, 0x54494D45, 0x735049, 0x52464E43, 0x48534D, 0x53525354, 0x4442434E
ALL_ONES = (1 << 64) - 1
RAM_END = 0x8100_0000
DATA = 0x8040_0000

# Hart 0 calls whatever the test has put into its registers; the others wait where they are told to.
CALLER = """
    ecall
    j     .
idle:
    wfi
    j     idle
"""
IDLE = KERNEL + 8


@dataclass
class Caller:
    """Makes SBI calls from hart 0 of `machine`."""

    machine: Machine

    def __call__(self, extension: int, function: int, *arguments: int) -> tuple[int, int]:
        """(error, value), both signed."""
        hart = self.machine.harts[0]
        hart.pc = KERNEL
        for number in range(6):
            hart.x[10 + number] = arguments[number] if number < len(arguments) else 0
        hart.x["a6"], hart.x["a7"] = function, extension
        self.machine.run(1)
        return _signed(hart.x["a0"]), _signed(hart.x["a1"])

    def returned(self) -> bool:
        """Did the last call come back to the instruction behind it, in S-mode?"""
        hart = self.machine.harts[0]
        return hart.pc == KERNEL + 4 and hart.privilege == 1


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


@pytest.fixture
def sbi() -> Iterator[Caller]:
    with hosted(CALLER, harts=3, engine="reference", reboot=False) as machine:
        yield Caller(machine)


def start_hart(sbi: Caller, hart: int, address: int = IDLE) -> None:
    assert sbi(HSM, 0, hart, address, 77) == (Error.SUCCESS, 0)
    sbi.machine.harts[0].pc = KERNEL + 4
    sbi.machine.run(1000)


# --- base ------------------------------------------------------------------------------------------------------------


def test_base(sbi: Caller) -> None:
    assert sbi(BASE, 0) == (0, 0x0200_0000)
    assert sbi(BASE, 1) == (0, IMPLEMENTATION_ID)
    assert sbi(BASE, 2)[0] == 0
    for number, csr in ((4, "mvendorid"), (5, "marchid"), (6, "mimpid")):
        assert sbi(BASE, number) == (0, sbi.machine.harts[0].csr[csr])
    assert sbi.returned()


@pytest.mark.parametrize("extension", [BASE, TIME, IPI, RFENCE, HSM, SRST, DBCN, *range(9)])
def test_probe_finds_what_is_there(sbi: Caller, extension: int) -> None:
    assert sbi(BASE, 3, extension) == (0, 1)


@pytest.mark.parametrize("extension", [0x504D55, 0x53555350, 0x4E41434C, 0x535441, 9, 0xF, ALL_ONES, 1 << 63])
def test_what_is_absent_is_not_supported(sbi: Caller, extension: int) -> None:
    assert sbi(BASE, 3, extension) == (0, 0)
    for function in (0, 1, ALL_ONES):
        assert sbi(extension, function) == (Error.NOT_SUPPORTED, 0)
        assert sbi.returned()


@pytest.mark.parametrize("extension", [BASE, TIME, IPI, RFENCE, HSM, SRST, DBCN])
def test_functions_that_do_not_exist(sbi: Caller, extension: int) -> None:
    for function in (7, 99, 1 << 32, ALL_ONES):
        assert sbi(extension, function, 1, 2, 3) == (Error.NOT_SUPPORTED, 0)


# --- the state in which the kernel starts ----------------------------------------------------------------------------


@on_every_engine
def test_the_kernel_starts_in_supervisor_mode(engine: str) -> None:
    with hosted("j .", engine=engine, harts=2, append="quiet") as machine:
        hart = machine.harts[0]
        assert (hart.pc, hart.privilege, hart.x["a0"]) == (KERNEL, 1, 0)
        tree = hart.x["a1"]
        assert machine.memory.read(tree, 4) == b"\xd0\x0d\xfe\xed"
        assert b"quiet\0" in machine.memory.read(tree, 0x4000)
        assert hart.csr["satp"] == hart.csr["sie"] == 0
        assert hart.csr["mideleg"] == 0x222
        assert hart.csr["medeleg"] == 0xB3FF & ~(1 << 9)
        assert hart.csr["mcounteren"] == 0xFFFF_FFFF
        assert hart.csr["scounteren"] == 7
        assert hart.csr["menvcfg"] == 1 << 63 | 1 << 61 | 0xF0
        machine.run(1000)
        assert machine.harts[1].retired == 0


@on_every_engine
@pytest.mark.parametrize(
    ("instruction", "cause"),
    [(".word 0", 2), ("ebreak", 3), ("csrr t0, mstatus", 2), ("ld t0, 0(zero)", 5), ("sd t0, 0(zero)", 7)],
)
def test_exceptions_of_the_kernel_are_its_own(engine: str, instruction: str, cause: int) -> None:
    guest = f"""
        la    t0, handler
        csrw  stvec, t0
        {instruction}
        j     .
        .align 2
    handler:
        csrr  s0, scause
        j     .
    """
    with hosted(guest, engine=engine) as machine:
        machine.run(20)
        assert machine.harts[0].x["s0"] == cause
        assert not machine.stats.sbi_calls


# --- timer -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("legacy", [False, True])
def test_set_timer(sbi: Caller, legacy: bool) -> None:
    hart = sbi.machine.harts[0]
    sbi(*((0, 0) if legacy else (TIME, 0)), 0)
    assert hart.csr["sip"] & 0x20
    sbi(*((0, 0) if legacy else (TIME, 0)), 10)
    assert not hart.csr["sip"] & 0x20
    hart.pc = KERNEL + 4
    sbi.machine.run(1000)
    assert hart.csr["sip"] & 0x20
    assert sbi(TIME, 0, ALL_ONES) == (0, 0)
    assert not hart.csr["sip"] & 0x20


def test_legacy_calls_keep_a1(sbi: Caller) -> None:
    assert sbi(0, 0, ALL_ONES, 1234) == (0, 1234)


# --- inter-processor interrupts and fences --------------------------------------------------------------------------


def test_ipi_reaches_the_harts_of_the_mask(sbi: Caller) -> None:
    start_hart(sbi, 1)
    start_hart(sbi, 2)
    assert sbi(IPI, 0, 0b10, 0) == (0, 0)
    assert [hart.csr["sip"] & 2 for hart in sbi.machine.harts] == [0, 2, 0]
    assert sbi(IPI, 0, 0b1, 2) == (0, 0)
    assert [hart.csr["sip"] & 2 for hart in sbi.machine.harts] == [0, 2, 2]
    assert sbi(IPI, 0, 0, ALL_ONES) == (0, 0)
    assert [hart.csr["sip"] & 2 for hart in sbi.machine.harts] == [2, 2, 2]
    assert sbi(3, 0)[0] == 0
    assert [hart.csr["sip"] & 2 for hart in sbi.machine.harts] == [0, 2, 2]


@on_every_engine
def test_ipi_wakes_a_sleeping_hart(engine: str) -> None:
    guest = f"""
        li    a0, 1
        la    a1, sleeper
        li    a7, {HSM:#x}
        li    a6, 0
        ecall
        li    t0, 1000
    1:  addi  t0, t0, -1
        bnez  t0, 1b
        li    a0, 2
        li    a1, 0
        li    a7, {IPI:#x}
        ecall
        j     .
    sleeper:
        csrwi sie, 2
        wfi
        csrr  s1, sip
        li    a7, 8
        ecall
    """
    with hosted(guest, engine=engine, harts=2) as machine:
        assert machine.run(500_000).kind is StopKind.POWER_OFF
        assert machine.harts[1].x["s1"] == 2
        assert machine.instructions < 5000


@pytest.mark.parametrize(("mask", "base"), [(0b1000, 0), (1, 3), (1, 1 << 62), (ALL_ONES, 0), (1 << 63, 1), (0, 3)])
@pytest.mark.parametrize(("extension", "function"), [(IPI, 0), (RFENCE, 0), (RFENCE, 1), (RFENCE, 2)])
def test_masks_with_harts_that_do_not_exist(sbi: Caller, extension: int, function: int, mask: int, base: int) -> None:
    assert sbi(extension, function, mask, base) == (Error.INVALID_PARAM, 0)
    assert not any(hart.csr["sip"] & 2 for hart in sbi.machine.harts)


@pytest.mark.parametrize("function", [0, 1, 2])
@pytest.mark.parametrize(("start", "size"), [(0, 0), (0, ALL_ONES), (ALL_ONES, ALL_ONES), (0x8000_0000, 4096)])
def test_remote_fences(sbi: Caller, function: int, start: int, size: int) -> None:
    assert sbi(RFENCE, function, 0b111, 0, start, size, 1) == (0, 0)
    assert sbi(RFENCE, function, 0, ALL_ONES, start, size, 1) == (0, 0)


@pytest.mark.parametrize("function", [3, 4, 5, 6])
def test_fences_of_guests_need_the_hypervisor_extension(sbi: Caller, function: int) -> None:
    assert sbi(RFENCE, function, 1, 0, 0, 0, 0) == (Error.NOT_SUPPORTED, 0)


@on_every_engine
def test_a_remote_fence_is_seen_by_the_other_hart(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hart 1 reads through a page table that hart 0 changes; only the remote fence makes the change sure to be seen."""
    monkeypatch.setattr("hypernest.machine.turns.QUANTUM", 200)
    root, one, other = 0x8060_0000, 0x8070_0000, 0x80E0_0000
    guest = f"""
        li    t0, {root:#x}
        li    t1, {(0x80000000 >> 2) | 0xCF:#x}     # the gigabyte of RAM, as it is
        sd    t1, 16(t0)
        li    t1, {((root + 0x1000) >> 2) | 1:#x}
        sd    t1, 24(t0)                            # 0xC000_0000: a table of 2 MiB pages
        li    t2, {root + 0x1000:#x}
        li    t1, {((one & ~0x1FFFFF) >> 2) | 0xC7:#x}
        sd    t1, 0(t2)
        li    t0, {one:#x}
        li    t1, 11
        sd    t1, 0(t0)
        li    t0, {other & ~0x1FFFFF | one & 0x1FFFFF:#x}
        li    t1, 22
        sd    t1, 0(t0)
        li    a0, 1
        la    a1, reader
        li    a7, {HSM:#x}
        li    a6, 0
        ecall
        li    t0, 500
    1:  addi  t0, t0, -1
        bnez  t0, 1b
        li    t2, {root + 0x1000:#x}
        li    t1, {((other & ~0x1FFFFF) >> 2) | 0xC7:#x}
        sd    t1, 0(t2)
        li    a0, 2
        li    a1, 0
        li    a2, 0
        li    a3, -1
        li    a6, 1
        li    a7, {RFENCE:#x}
        ecall
        j     .
    reader:
        li    t0, {8 << 60 | root >> 12:#x}
        csrw  satp, t0
        sfence.vma
        li    t0, {0xC000_0000 | one & 0x1FFFFF:#x}
        ld    s0, 0(t0)
    1:  ld    s1, 0(t0)
        beq   s0, s1, 1b
        li    a7, 8
        ecall
    """
    with hosted(guest, engine=engine, harts=2) as machine:
        assert machine.run(20_000).kind is StopKind.POWER_OFF
        assert (machine.harts[1].x["s0"], machine.harts[1].x["s1"]) == (11, 22)


# --- hart state management ------------------------------------------------------------------------------------------


def test_start_stop_and_status(sbi: Caller) -> None:
    assert [sbi(HSM, 2, hart) for hart in range(3)] == [(0, 0), (0, 1), (0, 1)]
    start_hart(sbi, 1)
    hart = sbi.machine.harts[1]
    assert (hart.x["a0"], hart.x["a1"], hart.privilege, hart.csr["satp"]) == (1, 77, 1, 0)
    assert sbi(HSM, 2, 1) == (0, HartStatus.STARTED)
    assert sbi(HSM, 0, 1, IDLE, 0) == (Error.ALREADY_AVAILABLE, 0)
    assert sbi(HSM, 0, 0, IDLE, 0) == (Error.ALREADY_AVAILABLE, 0)


@on_every_engine
def test_a_hart_that_stops_can_be_started_again(engine: str) -> None:
    guest = f"""
        li    s0, 5
        li    a7, {HSM:#x}
    again:
        li    a6, 0
        li    a0, 1
        la    a1, other
        mv    a2, s0
        ecall
        bnez  a0, again         # not stopped yet
        addi  s0, s0, -1
        bnez  s0, again
    1:  li    a6, 2
        li    a0, 1
        ecall
        li    t0, 1
        bne   a1, t0, 1b
        li    a7, 8
        ecall
    other:
        la    t0, sum
        amoadd.d t1, a1, (t0)
        li    a7, {HSM:#x}
        li    a6, 1
        ecall
        .word 0                 # never reached
        .align 3
    sum: .dword 0
    """
    code = assembled(guest)
    with Machine(kernel=code, engine=engine, harts=2, memory="16M") as machine:
        assert machine.run(3_000_000).kind is StopKind.POWER_OFF
        assert machine.memory.read(KERNEL + len(code) - 8, 8) == (5 + 4 + 3 + 2 + 1).to_bytes(8, "little")
        assert machine.stats.sbi_calls["hsm.1"] == 5


@pytest.mark.parametrize(
    ("hart", "address", "error"),
    [
        (3, IDLE, Error.INVALID_PARAM),
        (ALL_ONES, IDLE, Error.INVALID_PARAM),
        (1, 0, Error.INVALID_ADDRESS),
        (1, IDLE + 1, Error.INVALID_ADDRESS),
        (1, RAM_END, Error.INVALID_ADDRESS),
        (1, ALL_ONES - 1, Error.INVALID_ADDRESS),
        (1, 0x1000_0000, Error.INVALID_ADDRESS),
    ],
)
def test_starts_that_are_refused(sbi: Caller, hart: int, address: int, error: Error) -> None:
    assert sbi(HSM, 0, hart, address, 0) == (error, 0)
    assert sbi(HSM, 2, 1) == (0, HartStatus.STOPPED)


def test_the_status_of_a_hart_that_does_not_exist(sbi: Caller) -> None:
    assert sbi(HSM, 2, 3) == (Error.INVALID_PARAM, 0)


def test_the_last_hart_that_stops_leaves_the_machine_stuck(sbi: Caller) -> None:
    sbi(HSM, 1)
    assert sbi.machine.run().kind is StopKind.STUCK


SUSPEND = f"""
    li    t0, 2000
    csrw  stimecmp, t0
    li    t0, 0x20
    csrw  sie, t0
    li    s0, 42
    li    a7, {HSM:#x}
    li    a6, 3
    li    a0, KIND
    la    a1, resumed
    li    a2, 99
    ecall
    mv    s1, a0
    csrr  s2, time
    j     done
resumed:
    li    s1, 1
    mv    s3, a0
    mv    s4, a1
    csrr  s2, time
done:
    li    a7, 8
    ecall
"""


@on_every_engine
def test_retentive_suspend(engine: str) -> None:
    with hosted(SUSPEND.replace("KIND", "0"), engine=engine) as machine:
        assert machine.run(10_000).kind is StopKind.POWER_OFF
        hart = machine.harts[0]
        assert (hart.x["s0"], hart.x["s1"], hart.x["s2"]) == (42, 0, 2000)


@on_every_engine
def test_non_retentive_suspend(engine: str) -> None:
    with hosted(SUSPEND.replace("KIND", "0x80000000"), engine=engine) as machine:
        assert machine.run(10_000).kind is StopKind.POWER_OFF
        hart = machine.harts[0]
        assert [hart.x[name] for name in ("s1", "s2", "s3", "s4")] == [1, 2000, 0, 99]


def test_a_suspended_hart_says_so(sbi: Caller) -> None:
    code = assembled(f"li a7, {HSM:#x}\n li a6, 3\n li a0, 0\n ecall\n j .", DATA)
    sbi.machine.memory.write(DATA, code)
    start_hart(sbi, 1, DATA)
    assert sbi(HSM, 2, 1) == (0, HartStatus.SUSPENDED)


@pytest.mark.parametrize(
    ("kind", "address", "error"),
    [
        (1, 0, Error.INVALID_PARAM),
        (0x0FFF_FFFF, 0, Error.INVALID_PARAM),
        (0x8000_0001, KERNEL, Error.INVALID_PARAM),
        (0x1000_0000, 0, Error.NOT_SUPPORTED),
        (0x9000_0000, 0, Error.NOT_SUPPORTED),
        (0x8000_0000, 0, Error.INVALID_ADDRESS),
        (0x8000_0000, KERNEL + 1, Error.INVALID_ADDRESS),
    ],
)
def test_suspends_that_are_refused(sbi: Caller, kind: int, address: int, error: Error) -> None:
    assert sbi(HSM, 3, kind, address, 0) == (error, 0)
    assert sbi.returned()


# --- system reset ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "why", "stop", "code"),
    [
        (0, 0, StopKind.POWER_OFF, 0),
        (0, 1, StopKind.FAILURE, 1),
        (1, 0, StopKind.RESET, 0),
        (2, 1, StopKind.RESET, 0),
        (0, 0xE000_0000, StopKind.POWER_OFF, 0),
    ],
)
def test_system_reset(sbi: Caller, kind: int, why: int, stop: StopKind, code: int) -> None:
    sbi(SRST, 0, kind, why)
    reason = sbi.machine.run()
    assert (reason.kind, reason.code) == (stop, code)


@pytest.mark.parametrize(
    ("kind", "why", "error"),
    [
        (3, 0, Error.INVALID_PARAM),
        (0xEFFF_FFFF, 0, Error.INVALID_PARAM),
        (0xF000_0000, 0, Error.NOT_SUPPORTED),
        (0, 2, Error.INVALID_PARAM),
    ],
)
def test_resets_that_are_refused(sbi: Caller, kind: int, why: int, error: Error) -> None:
    assert sbi(SRST, 0, kind, why) == (error, 0)
    assert sbi.returned()


def test_legacy_shutdown(sbi: Caller) -> None:
    sbi(8, 0)
    assert sbi.machine.run().kind is StopKind.POWER_OFF


# --- console ---------------------------------------------------------------------------------------------------------


def test_debug_console_write(sbi: Caller) -> None:
    sbi.machine.memory.write(DATA, "grüße".encode())
    assert sbi(DBCN, 0, 7, DATA, 0) == (0, 7)
    assert sbi(DBCN, 2, ord("!") | 0xFF00) == (0, 0)
    assert sbi(1, 0, ord("?"))[0] == 0
    assert sbi.machine.console.read() == "grüße!?"


def test_long_writes_are_done_in_part(sbi: Caller) -> None:
    error, count = sbi(DBCN, 0, 0x10_0000, DATA, 0)
    assert error == 0
    assert 0 < count < 0x10_0000
    assert len(sbi.machine.console.read_bytes()) == count


def test_debug_console_read(sbi: Caller) -> None:
    assert sbi(DBCN, 1, 10, DATA, 0) == (0, 0)
    sbi.machine.console.send("hello")
    assert sbi(DBCN, 1, 3, DATA, 0) == (0, 3)
    assert sbi.machine.memory.read(DATA, 4) == b"hel\0"
    assert sbi(2, 0)[0] == ord("l")
    assert sbi(DBCN, 1, 10, DATA + 3, 0) == (0, 1)
    assert sbi.machine.memory.read(DATA, 5) == b"helo\0"
    assert sbi(2, 0)[0] == -1


@pytest.mark.parametrize("function", [0, 1])
@pytest.mark.parametrize(
    ("count", "low", "high"),
    [
        (1, 0, 0),
        (1, RAM_END, 0),
        (2, RAM_END - 1, 0),
        (ALL_ONES, DATA, 0),
        (1 << 63, DATA, 0),
        (1, DATA, 1),
        (1, DATA, ALL_ONES),
        (16, ALL_ONES - 3, 0),
        (1, 0x1000_0000, 0),
    ],
)
def test_text_that_is_not_in_memory(sbi: Caller, function: int, count: int, low: int, high: int) -> None:
    sbi.machine.console.send("secret")
    assert sbi(DBCN, function, count, low, high) == (Error.INVALID_PARAM, 0)
    assert sbi.machine.console.read() == ""


# --- legacy masks in memory ------------------------------------------------------------------------------------------


def test_legacy_ipi_reads_its_mask_from_memory(sbi: Caller) -> None:
    start_hart(sbi, 2)
    sbi.machine.memory.write(DATA, (0b100).to_bytes(8, "little"))
    assert sbi(4, 0, DATA)[0] == 0
    assert [hart.csr["sip"] & 2 for hart in sbi.machine.harts] == [0, 0, 2]
    assert sbi(4, 0, 0)[0] == 0
    assert [hart.csr["sip"] & 2 for hart in sbi.machine.harts] == [2, 0, 2]


@pytest.mark.parametrize("extension", [4, 5, 6, 7])
def test_a_legacy_mask_that_cannot_be_read_is_the_callers_fault(sbi: Caller, extension: int) -> None:
    sbi.machine.harts[0].csr["stvec"] = IDLE
    sbi(extension, 0, 0x10)
    hart = sbi.machine.harts[0]
    assert (hart.pc, hart.privilege) == (IDLE, 1)
    assert (hart.csr["scause"], hart.csr["stval"], hart.csr["sepc"]) == (5, 0x10, KERNEL)


# --- what else reaches machine mode ---------------------------------------------------------------------------------


def test_an_exception_that_was_not_delegated_ends_with_a_sentence(sbi: Caller) -> None:
    sbi.machine.harts[0].csr["medeleg"] = 0
    sbi.machine.memory.write(KERNEL, bytes(4))
    sbi.machine.harts[0].pc = KERNEL
    reason = sbi.machine.run(10)
    assert reason.kind is StopKind.STUCK
    assert str(reason) == "hart 0 trapped to machine mode with cause 0x2 at 0x80200000, which nobody handles"


INTERESTING = st.sampled_from(
    [0, 1, 2, 3, 7, 8, 0x10, DATA, DATA + 1, KERNEL, KERNEL + 2, RAM_END - 1, RAM_END, 1 << 31, 1 << 32, 1 << 63]
) | st.integers(0, ALL_ONES)


@given(st.lists(st.tuples(INTERESTING, INTERESTING, INTERESTING, INTERESTING), min_size=1, max_size=8), st.data())
@settings(max_examples=60)
def test_whatever_is_called_with_whatever(arguments: list[tuple[int, ...]], data: st.DataObject) -> None:
    """Any sequence of calls leaves a machine that can be asked to go on, or that has stopped for a reason."""
    extensions = st.sampled_from([BASE, TIME, IPI, RFENCE, HSM, SRST, DBCN, *range(10)])
    with hosted(CALLER, harts=2, engine="reference", reboot=False, memory="16M") as machine:
        sbi = Caller(machine)
        for four in arguments:
            sbi(data.draw(extensions), data.draw(st.integers(0, 7)), *four)
        if machine.run(5).kind is StopKind.LIMIT:
            assert any(hart.privilege == 1 for hart in machine.harts)  # someone runs, and not in M-mode


def test_calls_are_counted(sbi: Caller) -> None:
    sbi(BASE, 0)
    sbi(BASE, 0)
    sbi(TIME, 0, 1)
    sbi(0x1234_5678, 0)
    assert sbi.machine.stats.sbi_calls == {"base.0": 2, "time.0": 1, "unsupported": 1}
