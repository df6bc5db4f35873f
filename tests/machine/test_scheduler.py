"""The run loop: turns, time, interrupts at exact counts, idleness, and what ends a run."""

from __future__ import annotations

import time

import pytest

from hypernest.machine import Machine, StopKind
from tests.machine.course_guest import LISTEN
from tests.machine.small_guests import CLINT, FINISHER, KERNEL, UART, bare, hosted, on_every_engine

SPIN_UNTIL_TIMER = """
    la    t0, handler
    csrw  stvec, t0
    li    t0, 50
    csrw  stimecmp, t0      # 5000 ns
    li    t0, 0x20
    csrw  sie, t0
    csrwi sstatus, 2
loop:
    addi  s0, s0, 1
    j     loop
    .align 2
handler:
    rdtime s1
    addi  s2, s2, 1
    j     handler
"""


@on_every_engine
def test_a_timer_interrupts_before_the_very_instruction(engine: str) -> None:
    with hosted(SPIN_UNTIL_TIMER.replace("rdtime s1", "csrr s1, time"), engine=engine) as machine:
        hart = machine.harts[0]
        machine.run(5000)
        assert machine.instructions == machine.now == 5000
        assert hart.x["s1"] == hart.x["s2"] == 0
        handler = hart.csr["stvec"]
        machine.run(1)
        assert hart.x["s1"] == 50
        assert hart.pc == handler + 4
        assert hart.csr["scause"] == 1 << 63 | 5
        assert hart.x["s0"] * 2 in (5000 - 9, 5000 - 8, 5000 - 7)


@on_every_engine
@pytest.mark.parametrize("piece", [3, 1000])
def test_a_run_in_pieces_is_the_same_run(engine: str, piece: int) -> None:
    text = SPIN_UNTIL_TIMER.replace("rdtime s1", "csrr s1, time")
    with hosted(text, engine=engine) as whole, hosted(text, engine=engine) as pieces:
        whole.run(6000)
        while pieces.instructions < 6000:
            pieces.run(min(piece, 6000 - pieces.instructions))
        for register in ("s0", "s1", "s2"):
            assert whole.harts[0].x[register] == pieces.harts[0].x[register]
        assert whole.harts[0].pc == pieces.harts[0].pc


COUNT_TOGETHER = """
    la    s1, counter
    li    s2, 3000
    bnez  a0, work
    li    s3, 1             # hart 0 starts the others
1:  mv    a0, s3
    la    a1, work
    li    a7, 0x48534D
    li    a6, 0
    ecall
    addi  s3, s3, 1
    li    t0, 4
    blt   s3, t0, 1b
work:
    la    s1, counter
    li    s2, 3000
1:  lr.d  t0, (s1)
    addi  t0, t0, 1
    sc.d  t1, t0, (s1)
    bnez  t1, 1b
    addi  s2, s2, -1
    bnez  s2, 1b
    la    s1, finished
    li    t0, 1
    amoadd.w t1, t0, (s1)
    li    t0, 3
    bne   t1, t0, wait
    li    t0, 0x5555
    li    t1, 0x100000
    sw    t0, 0(t1)
wait:
    wfi
    j     wait
    .align 3
counter:  .dword 0
finished: .dword 0
"""


def _count_together(engine: str, limit: int | None = None) -> tuple[object, ...]:
    with hosted(COUNT_TOGETHER, engine=engine, harts=4) as machine:
        reason = machine.run(limit)
        end = KERNEL + 0x200
        return (
            reason,
            machine.instructions,
            machine.memory[KERNEL:end],
            [hart.retired for hart in machine.harts],
            [hart.x[number] for hart in machine.harts for number in range(32)],
        )


def test_harts_take_turns_and_lose_no_increment() -> None:
    reason, _, memory, retired, _ = _count_together("interpreter")
    assert getattr(reason, "kind", None) is StopKind.POWER_OFF
    assert isinstance(memory, bytes)
    assert (4 * 3000).to_bytes(8, "little") in memory
    assert isinstance(retired, list)
    assert min(retired) >= 3000 * 6


def test_a_run_with_four_harts_repeats_to_the_bit() -> None:
    assert _count_together("interpreter") == _count_together("interpreter")


@pytest.mark.parametrize("limit", [1000, 7001])
def test_engines_agree_on_four_harts_at_any_count(limit: int) -> None:
    assert _count_together("interpreter", limit) == _count_together("reference", limit)


@on_every_engine
def test_a_turn_ends_after_its_quantum(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hypernest.machine.turns.QUANTUM", 50)
    guest = """
        csrr  s1, mhartid
    1:  addi  s0, s0, 1
        j     1b
    """
    with bare(guest, engine=engine, harts=3) as machine:
        machine.run(50 * 3 + 25)
        assert [hart.retired for hart in machine.harts] == [75, 50, 50]


IDLE_FOR_A_SECOND = """
    li    t0, 10000000
    csrw  stimecmp, t0
    li    t0, 0x20
    csrw  sie, t0
    wfi
    li    a7, 8
    ecall
"""


@on_every_engine
def test_idle_time_is_skipped(engine: str) -> None:
    with hosted(IDLE_FOR_A_SECOND, engine=engine) as machine:
        begin = time.monotonic()
        assert machine.run().kind is StopKind.POWER_OFF
        assert time.monotonic() - begin < 0.5
        assert machine.instructions < 20
        assert 10**9 <= machine.now < 10**9 + 100
        assert machine.stats.idle_seconds == pytest.approx(1, abs=1e-6)


def test_idle_time_follows_the_wall_clock_when_asked_to() -> None:
    with hosted(IDLE_FOR_A_SECOND.replace("10000000", "2000000"), clock="wall") as machine:
        begin = time.monotonic()
        assert machine.run().kind is StopKind.POWER_OFF
        assert time.monotonic() - begin >= 0.15  # up to 50 ms of making the machine may be caught up with
        assert machine.now >= 2 * 10**8


class Typist:
    """A back end that types something while the machine sleeps."""

    def __init__(self, text: bytes) -> None:
        self.text, self.slept, self.written = text, 0.0, b""
        self.waits: list[float | None] = []

    def write(self, data: bytes) -> None:
        self.written += data

    def read(self) -> bytes:
        text, self.text = (self.text, b"") if self.waits else (b"", self.text)
        return text

    def wait(self, seconds: float | None) -> bool:
        self.waits.append(seconds)
        return bool(self.text)


WAIT_FOR_KEY = f"""
    la    t0, handler
    csrw  mtvec, t0
    li    s0, {UART:#x}
{LISTEN}
    li    t0, 0x800
    csrw  mie, t0
    csrwi mstatus, 8
1:  wfi
    j     1b
    .align 2
handler:
    lbu   s1, 0(s0)
    sb    s1, 0(s0)
    li    t0, {FINISHER:#x}
    li    t1, 0x5555
    sw    t1, 0(t0)
"""


@pytest.mark.parametrize("clock", ["virtual", "wall"])
def test_a_machine_that_only_input_can_wake_waits_for_it(clock: str) -> None:
    typist = Typist(b"k")
    with bare(WAIT_FOR_KEY, console=typist, clock=clock) as machine:
        assert machine.run().kind is StopKind.POWER_OFF
    assert typist.waits == [None]
    assert typist.written == b"k"


@pytest.mark.parametrize("clock", ["virtual", "wall"])
@pytest.mark.parametrize("console", [None, Typist(b"")])
def test_a_machine_that_nothing_can_wake_is_stuck(clock: str, console: Typist | None) -> None:
    with bare(WAIT_FOR_KEY, console=console, clock=clock) as machine:
        reason = machine.run()
        assert reason.kind is StopKind.STUCK
        assert "cannot come" in str(reason)
        assert machine.run() == reason


def test_a_masked_timer_does_not_keep_an_idle_machine_alive() -> None:
    with hosted("li t0, 100\n csrw stimecmp, t0\n 1: wfi\n j 1b") as machine:
        assert machine.run().kind is StopKind.STUCK


@on_every_engine
@pytest.mark.parametrize(
    ("value", "kind", "code"),
    [(0x5555, StopKind.POWER_OFF, 0), (0x0007_3333, StopKind.FAILURE, 7), (0x7777, StopKind.RESET, 0)],
)
def test_the_finisher_ends_the_run_after_its_instruction(engine: str, value: int, kind: StopKind, code: int) -> None:
    guest = f"li t0, {value}\n li t1, {FINISHER:#x}\n sw t0, 0(t1)\n addi s0, s0, 1\n j ."
    with hosted(guest, engine=engine, reboot=False) as machine:
        reason = machine.run()
        assert (reason.kind, reason.code) == (kind, code)
        assert machine.harts[0].x["s0"] == 0
        assert machine.run() == reason


MACHINE_TIMER = f"""
    la    t0, handler
    csrw  mtvec, t0
    li    s0, {CLINT:#x}
    li    t0, 0x4000
    add   t0, s0, t0
    li    t1, 40
    sd    t1, 0(t0)         # mtimecmp of hart 0: 4000 ns
    li    t0, 0x80
    csrw  mie, t0
    csrwi mstatus, 8
1:  addi  s1, s1, 1
    j     1b
    .align 2
handler:
    csrr  s2, time
    csrr  s3, mcause
2:  j     2b
"""


@on_every_engine
def test_the_timer_of_the_clint_is_exact_too(engine: str) -> None:
    with bare(MACHINE_TIMER, engine=engine) as machine:
        machine.run(4000)
        assert machine.harts[0].x["s2"] == 0
        machine.run(2)
        assert machine.harts[0].x["s2"] == 40
        assert machine.harts[0].x["s3"] == 1 << 63 | 7


@on_every_engine
def test_a_deadline_set_in_the_past_interrupts_at_once(engine: str) -> None:
    guest = MACHINE_TIMER.replace("li    t1, 40", "li    t1, 0")
    with bare(guest, engine=engine) as machine:
        machine.run(40)
        assert machine.harts[0].x["s3"] == 1 << 63 | 7
        assert machine.harts[0].x["s1"] == 0


@on_every_engine
def test_writing_mtime_moves_the_time_of_all_harts(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hypernest.machine.turns.QUANTUM", 100)
    guest = f"""
        csrr  t0, mhartid
        bnez  t0, 1f
        li    t0, {CLINT + 0xBFF8:#x}
        li    t1, 1000000
        sd    t1, 0(t0)
        csrr  s1, time
    2:  j     2b
    1:  csrr  s1, time
        li    t0, 1000000
        blt   s1, t0, 1b
    2:  j     2b
    """
    with bare(guest, engine=engine, harts=2) as machine:
        machine.run(1000)
        assert [1_000_000 <= hart.x["s1"] < 1_003_000 for hart in machine.harts] == [True, True]


@on_every_engine
def test_a_software_interrupt_wakes_another_hart(engine: str) -> None:
    guest = f"""
        csrr  t0, mhartid
        li    t1, {CLINT:#x}
        li    t2, 8
        csrw  mie, t2
        bnez  t0, sleep
        li    t3, 100
    1:  addi  t3, t3, -1
        bnez  t3, 1b
        li    t2, 1
        sw    t2, 4(t1)
    1:  j     1b
    sleep:
        wfi
        csrr  s1, mip
        li    t0, {FINISHER:#x}
        li    t1, 0x5555
        sw    t1, 0(t0)
    """
    with bare(guest, engine=engine, harts=2) as machine:
        assert machine.run(10_000).kind is StopKind.POWER_OFF
        assert machine.harts[1].x["s1"] == 8


def test_a_run_of_nothing_does_nothing() -> None:
    with hosted("j .") as machine:
        assert machine.run(0).kind is StopKind.LIMIT
        assert machine.instructions == 0


def test_an_exception_of_the_back_end_leaves_a_machine_that_can_go_on() -> None:
    class Quitter(Typist):
        def read(self) -> bytes:
            raise KeyboardInterrupt

    console = Quitter(b"")
    with hosted("1: addi s0, s0, 1\n j 1b", console=console) as machine:
        with pytest.raises(KeyboardInterrupt):
            machine.run(10)
        machine.console.backend = None
        assert machine.instructions == 0
        machine.run(10)
        assert machine.harts[0].x["s0"] == 5


def _resets(machine: Machine) -> int:
    return machine.console.read().count("up")


RESET_FOREVER = f"""
    la    t0, mark
    ld    t1, 0(t0)
    bnez  t1, bad
    sd    t0, 0(t0)
    li    t0, {UART:#x}
    li    t1, 'u'
    sb    t1, 0(t0)
    li    t1, 'p'
    sb    t1, 0(t0)
    li    t0, {FINISHER:#x}
    li    t1, 0x7777
    sw    t1, 0(t0)
bad:
    li    t0, {FINISHER:#x}
    li    t1, 0x3333
    sw    t1, 0(t0)
    .align 3
mark: .dword 0
"""


@on_every_engine
def test_a_reset_starts_from_the_files_in_cleared_memory(engine: str) -> None:
    with hosted(RESET_FOREVER, engine=engine) as machine:
        hart = machine.harts[0]
        assert machine.run(100).kind is StopKind.LIMIT
        assert _resets(machine) >= 4
        assert machine.instructions == 100
        assert machine.stats.device_accesses["Uart"] >= 8
        assert KERNEL <= hart.pc < KERNEL + 0x100


def test_a_guest_that_jumps_into_nothing_is_stuck_and_says_where() -> None:
    with hosted("jr zero", engine="interpreter") as machine:
        reason = machine.run()
    assert reason.kind is StopKind.STUCK
    assert "pc 0x0" in str(reason)


@on_every_engine
def test_waiting_for_the_turn_of_a_hart(engine: str) -> None:
    with bare("1: addi s0, s0, 1\n j 1b", harts=3, engine=engine) as machine:
        counts = [hart.x for hart in machine.harts]
        machine.scheduler.await_turn(2)
        machine.run(1_000_000)
        assert machine.instructions == machine.scheduler.turns.began_at == 200_000
        assert counts[1]["s0"] and not counts[2]["s0"]
        machine.run(1_000_000)
        assert machine.instructions == 200_000
        machine.scheduler.await_turn(None)
        machine.run(2)
        assert counts[2]["s0"] == 0  # still in the reset code
        assert machine.running_hart is machine.harts[2]
        assert machine.scheduler.turns.began_at == 200_000
        machine.run(50_000)
        assert counts[2]["s0"]


@on_every_engine
def test_time_does_not_run_out(engine: str) -> None:
    """A timer of a guest that would go off in 292 years is none, and does not take the machine to the end of time."""
    guest = f"""
        li    t0, 0x2004000
        li    t1, {((1 << 63) - 1) // 100}
        sd    t1, 0(t0)
        li    t0, 0x80
        csrw  mie, t0
    1:  wfi
        j     1b
    """
    with bare(guest, engine=engine) as machine:
        assert machine.run(1000).kind is StopKind.STUCK
        assert machine.now < 1000
