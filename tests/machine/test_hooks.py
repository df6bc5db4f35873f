"""Hooks: what callbacks see and may do, and that the guest does not notice."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hypernest.errors import HypernestError
from hypernest.machine import Machine, StopKind
from hypernest.machine.hooks import BadHook, EventKind, HookError, HookEvent
from hypernest.machine.scheduler import RunsAlready
from hypernest.machine.snapshot import Snapshot
from tests.machine.small_guests import KERNEL, bare, hosted

on_all_engines = pytest.mark.parametrize("engine", ["reference", "interpreter", "translator"])

SUM = """
        li   s0, 10
        li   s1, 0x80210000
    1:  add  a0, a0, s0
        sd   a0, 0(s1)
        addi s0, s0, -1
        bnez s0, 1b
    end: j end
"""


@pytest.fixture(params=["reference", "interpreter", "translator"])
def machine(request: pytest.FixtureRequest) -> Machine:
    return hosted(SUM, engine=request.param)


def store_address(machine: Machine) -> int:
    """Where the guest stores."""
    code = machine.memory[KERNEL : KERNEL + 64]
    return KERNEL + code.index((0x00A4B023).to_bytes(4, "little"))


def test_a_hook_counts_and_changes_nothing(machine: Machine) -> None:
    seen: list[tuple[int, int]] = []
    store = store_address(machine)
    with hosted(SUM) as other:
        other.run(200)
        hook = machine.hooks.execute(store, lambda event: seen.append((event.machine.instructions, event.address)))
        machine.run(200)
        assert hook.hits == len(seen) == 10
        assert [count - seen[0][0] for count, _ in seen] == list(range(0, 40, 4))
        assert {address for _, address in seen} == {store}
        assert machine.state_hash() == other.state_hash()
        assert (machine.instructions, machine.now) == (200, other.now)


def test_a_callback_reads_and_changes_state(machine: Machine) -> None:
    def double(event: HookEvent) -> None:
        event.hart.x["a0"] *= 2
        event.machine.memory.write(0x8021_0008, event.value.to_bytes(8, "little"))

    machine.hooks.execute(store_address(machine), double)
    machine.run(200)
    total = 0
    for number in range(10, 0, -1):
        total = (total + number) * 2
    assert machine.harts[0].x["a0"] == total
    assert machine.memory[0x8021_0000:0x8021_0008] == total.to_bytes(8, "little")


def test_an_instruction_is_left_out_by_moving_pc(machine: Machine) -> None:
    def skip(event: HookEvent) -> None:
        event.hart.pc += 4

    machine.hooks.execute(store_address(machine), skip)
    machine.run(200)
    assert machine.harts[0].x["a0"] == 55
    assert machine.memory[0x8021_0000:0x8021_0008] == bytes(8)


def test_a_hook_at_the_place_that_a_callback_jumps_to(machine: Machine) -> None:
    store = store_address(machine)
    second = machine.hooks.execute(store + 4, lambda event: None)

    def skip(event: HookEvent) -> None:
        event.hart.pc += 4

    machine.hooks.execute(store, skip)
    machine.run(200)
    assert second.hits == 10


def test_stopping_and_going_on(machine: Machine) -> None:
    hook = machine.hooks.execute(store_address(machine), HookEvent.stop)
    for number in range(10):
        reason = machine.run()
        assert reason.kind is StopKind.BREAK
        assert str(reason) == f"stopped by a hook before the instruction at {store_address(machine):#x}"
        assert hook.hits == number + 1
        assert machine.harts[0].pc == store_address(machine)
    assert machine.run(50).kind is StopKind.LIMIT


def test_a_stop_of_ones_own(machine: Machine) -> None:
    machine.hooks.execute(store_address(machine), lambda event: event.stop("enough"))
    assert str(machine.run()) == "enough"


def test_steps_from_a_stop_are_not_stopped_again(machine: Machine) -> None:
    machine.hooks.execute(store_address(machine), HookEvent.stop)
    machine.run()
    count = machine.instructions
    assert machine.run(0).kind is StopKind.LIMIT
    assert machine.run(1).kind is StopKind.LIMIT
    assert machine.instructions == count + 1
    machine.harts[0].pc -= 4  # back to it: it is not passed any more
    assert machine.run(1).kind is StopKind.BREAK
    assert machine.instructions == count + 1


def test_a_callback_that_raises(machine: Machine) -> None:
    store = store_address(machine)
    trouble = [ValueError("no luck")]
    called = []

    def fail(event: HookEvent) -> None:
        if trouble:
            raise trouble[0]

    hook = machine.hooks.execute(store, fail)
    machine.hooks.execute(store, lambda event: called.append(event.address))
    with pytest.raises(HookError, match="a hook raised ValueError: no luck") as raised:
        machine.run(200)
    assert raised.value.__cause__ is trouble[0]
    assert machine.harts[0].pc == store
    assert (hook.hits, called) == (1, [store])
    trouble.clear()
    machine.run(200 - machine.instructions)
    assert (hook.hits, len(called)) == (10, 10)
    assert machine.harts[0].x["a0"] == 55


def test_a_callback_cannot_run_the_machine(machine: Machine) -> None:
    machine.hooks.execute(store_address(machine), lambda event: event.machine.run(1))
    with pytest.raises(HookError, match="the machine runs already") as raised:
        machine.run(100)
    assert isinstance(raised.value.__cause__, RunsAlready)
    machine.hooks.clear()
    assert machine.run(10).kind is StopKind.LIMIT


def test_a_callback_cannot_close_the_machine(machine: Machine) -> None:
    with machine.hooks.execute(store_address(machine), lambda event: event.machine.close()):
        with pytest.raises(HookError, match="stop it first, then close it") as raised:
            machine.run(100)
        assert isinstance(raised.value.__cause__, RunsAlready)
    machine.run(200 - machine.instructions)
    assert machine.harts[0].x["a0"] == 55
    machine.close()


def test_a_callback_that_goes_back(machine: Machine) -> None:
    base = machine.snapshot()
    values = []

    def again(event: HookEvent) -> None:
        values.append(event.hart.x["a0"])
        if len(values) < 5:
            event.machine.restore(base)

    machine.hooks.execute(store_address(machine), again)
    machine.run(200)
    assert values[:6] == [10, 10, 10, 10, 10, 19]
    assert machine.harts[0].x["a0"] == 55


def test_detaching_and_attaching_in_a_callback(machine: Machine) -> None:
    store = store_address(machine)
    order: list[str] = []

    def first(event: HookEvent) -> None:
        order.append("first")
        hook.detach()
        event.machine.hooks.execute(store, lambda event: order.append("second"))

    hook = machine.hooks.execute(store, first)
    machine.run(200)
    assert order == ["first"] + ["second"] * 9
    assert len(machine.hooks) == 1
    hook.detach()


def test_disabling(machine: Machine) -> None:
    hook = machine.hooks.execute(store_address(machine), HookEvent.stop)
    machine.run()
    hook.enabled = False
    machine.run(12)
    hook.enabled = True
    assert machine.run(10).kind is StopKind.BREAK
    assert hook.hits == 2
    assert "2 hits" in repr(hook)
    with machine.hooks.suspended():
        assert machine.run(10).kind is StopKind.LIMIT
    assert machine.run(10).kind is StopKind.BREAK
    machine.hooks.clear()
    assert machine.run(100).kind is StopKind.LIMIT
    assert "detached" in repr(hook)


def test_data(machine: Machine) -> None:
    seen: list[HookEvent] = []
    machine.hooks.write(0x8021_0007, 2, seen.append)
    elsewhere = machine.hooks.write(0x8021_0008, 8, seen.append)
    reads = machine.hooks.read(0x8021_0000, 8, seen.append)
    both = machine.hooks.access(0x8021_0000, 1, lambda event: None, physical=True)
    machine.run(200)
    assert [event.value for event in seen] == [10, 19, 27, 34, 40, 45, 49, 52, 54, 55]
    assert {(event.kind, event.address, event.size, event.physical) for event in seen} == {
        (EventKind.WRITE, 0x8021_0000, 8, 0x8021_0000)
    }
    assert (elsewhere.hits, reads.hits, both.hits) == (0, 0, 10)


TRAPS = """
        la   t0, handler
        csrw mtvec, t0
        ecall
        csrw 0, x0
        csrw mscratch, t0
        li   t1, 0x10000000
        li   t2, 72
        sb   t2, 0(t1)
        li   t2, 105
        sb   t2, 0(t1)
    end: j end
        .align 2
    handler:
        csrr t3, mepc
        addi t3, t3, 4
        csrw mepc, t3
        mret
"""


@on_all_engines
def test_traps_csrs_and_output(engine: str) -> None:
    seen: list[tuple[str, int]] = []

    def note(what: str) -> Callable[[HookEvent], None]:
        return lambda event: seen.append((what, event.cause or event.value))

    with bare(TRAPS, engine=engine) as machine:
        machine.hooks.trap("machine ecall", note("call"))
        machine.hooks.trap(2, note("illegal"))
        machine.hooks.csr("mepc", note("mepc"))
        printed: list[tuple[bytes, int]] = []
        machine.hooks.console(lambda event: printed.append((event.data, event.machine.harts[0].x["t2"])))
        machine.run(100)
        assert [what for what, _ in seen] == ["call", "mepc", "illegal", "mepc"]
        assert [value for _, value in seen][::2] == [11, 2]
        assert printed == [(b"H", 72), (b"i", 105)]


def test_output_stops_the_run_at_its_instruction() -> None:
    with bare(TRAPS) as machine:
        machine.hooks.console(lambda event: event.stop() if event.data == b"i" else None)
        assert str(machine.run(100)) == "stopped by a hook after console output"
        assert machine.console.read() == "Hi"
        assert machine.run(100).kind is StopKind.LIMIT


INTERRUPTED = """
        la    t0, handler
        csrw  mtvec, t0
        csrwi mip, 2
        csrwi mstatus, 8
        addi  s0, s0, 1
    there: addi s1, s1, 1
    end: j end
        .align 2
    handler:
        csrw mie, x0
        mv   s2, s1
        mret
"""


@on_all_engines
def test_an_interrupt_that_a_callback_lets_in_comes_first(engine: str) -> None:
    there = 0x8000_0000 + 4 * 6

    def let_in(event: HookEvent) -> None:
        if hook.hits == 1:
            event.hart.csr["mie"] = 2

    with bare(INTERRUPTED, engine=engine) as machine:
        hook = machine.hooks.execute(there, let_in)
        taken = machine.hooks.trap("supervisor software interrupt", lambda event: addresses.append(event.address))
        addresses: list[int] = []
        machine.run(100)
        x = machine.harts[0].x
        assert (x["s0"], x["s1"], x["s2"]) == (1, 1, 0)
        assert (hook.hits, taken.hits, addresses) == (2, 1, [there])


@on_all_engines
def test_an_instruction_that_the_host_adds(engine: str) -> None:
    """A trap that is not taken, because the callback has done what the instruction means."""

    def emulate(event: HookEvent) -> None:
        assert event.value == 0xC000_2573 | 0xFFF << 20
        event.hart.x["a0"] = 1234
        event.hart.pc += 4

    with bare("csrrs a0, 0xFFF, x0\n addi a1, a0, 1\n end: j end", engine=engine) as machine:
        hook = machine.hooks.trap("illegal instruction", emulate)
        machine.run(10)
        assert machine.harts[0].x["a1"] == 1235
        assert machine.harts[0].csr["mcause"] == 0
        assert hook.hits == 1


PROGRAM = """
        la   t0, user
        csrw sepc, t0
        la   t0, handler
        csrw stvec, t0
        sret
        .align 2
    handler:
        csrr t0, sepc
        addi t0, t0, 4
        csrw sepc, t0
        li   t1, 99
        beq  a7, t1, without
        add  a0, a0, a1
        sret
    without:
        addi t0, t0, 8
        csrw sepc, t0
        sret
    user:
        li   a7, 64
        li   s0, 3
    1:  li   a0, -5
        mv   a1, s0
        ecall
        addi s0, s0, -1
        bnez s0, 1b
        li   a7, 99
        ecall
        nop
        nop
    end: j end
"""


@on_all_engines
def test_system_calls(engine: str) -> None:
    with hosted(PROGRAM, engine=engine) as machine, hosted(PROGRAM) as other:
        calls: list[tuple[int, tuple[int, ...]]] = []
        results: list[tuple[int, int]] = []
        hook = machine.hooks.syscall(
            64,
            lambda event: calls.append((event.number, event.arguments[1:2])),
            lambda event: results.append((event.number, event.result)),
        )
        every = machine.hooks.syscall(None, None, lambda event: results.append((event.number, event.arguments[1])))
        machine.run(300)
        assert calls == [(64, (3,)), (64, (2,)), (64, (1,))]
        assert results == [(64, -2), (64, 3), (64, -3), (64, 2), (64, -4), (64, 1)]
        assert (hook.hits, every.hits) == (3, 4)
        other.run(300)
        assert machine.state_hash() == other.state_hash()


def test_a_system_call_is_answered_by_the_host() -> None:
    with hosted(PROGRAM) as machine:

        def answer(event: HookEvent) -> None:
            event.hart.x["a0"] = 7 * event.arguments[1]
            event.hart.pc += 4

        machine.hooks.syscall(64, answer)
        machine.run(100)
        assert machine.harts[0].x["a0"] == 7 + 0
        assert machine.harts[0].x["s0"] == 0


def test_hooks_stay_when_the_guest_resets_the_machine() -> None:
    text = """
        li a0, 1
        li a1, 0
        li a6, 0
        li a7, 0x53525354
        ecall
    """
    with hosted(text) as machine:
        hook = machine.hooks.execute(KERNEL, lambda event: event.stop() if hook.hits == 3 else None)
        assert machine.run(10_000).kind is StopKind.BREAK
        assert hook.hits == 3


def test_a_snapshot_taken_by_a_hook_and_the_way_back() -> None:
    with hosted(SUM) as machine:
        store = store_address(machine)
        taken: list[Snapshot] = []
        hook = machine.hooks.execute(store, lambda event: taken.append(event.machine.snapshot()) if not taken else None)
        machine.run(200)
        assert hook.hits == 10
        with taken[0].fork() as child:
            assert child.harts[0].pc == store
            assert len(child.hooks) == 0
            child.run(200 - child.instructions)
            assert child.state_hash() == machine.state_hash()
        machine.restore(taken[0])
        machine.run(200 - machine.instructions)
        assert hook.hits == 20


def test_a_symbol_that_is_not_known() -> None:
    with hosted(SUM) as machine, pytest.raises(HypernestError, match="schedule"):
        machine.hooks.execute("schedule", print)


@pytest.mark.parametrize(
    ("attach", "message"),
    [
        (lambda hooks: hooks.execute(1 << 64, print), "no address"),
        (lambda hooks: hooks.execute(3, print), "odd"),
        (lambda hooks: hooks.write(0, 0, print), "cannot be hooked"),
        (lambda hooks: hooks.read((1 << 64) - 4, 8, print), "cannot be hooked"),
        (lambda hooks: hooks.trap("coffee", print), "no trap 'coffee'"),
        (lambda hooks: hooks.trap(63, print), "no trap with cause"),
        (lambda hooks: hooks.csr("coffee", print), "no CSR"),
        (lambda hooks: hooks.csr(0x7FF, print), "no CSR"),
    ],
)
def test_what_cannot_be_hooked(attach: Callable[[object], object], message: str) -> None:
    with hosted(SUM) as machine, pytest.raises(BadHook, match=message):
        attach(machine.hooks)


def test_harts_take_turns_around_a_hook() -> None:
    text = """
        la   t0, counter
        csrr t1, mhartid
        slli t1, t1, 3
        add  t0, t0, t1
    1:  ld   t2, 0(t0)
        addi t2, t2, 1
        sd   t2, 0(t0)
        j    1b
        .align 3
    counter: nop
        nop
        nop
        nop
    """
    states = []
    for engine in ("reference", "interpreter", "translator"):
        with bare(text, harts=2, engine=engine) as machine:
            seen: list[HookEvent] = []
            machine.hooks.execute(0x8000_0000 + 4 * 6, seen.append)
            machine.run(3000)
            states.append((machine.state_hash(), [event.hart.number for event in seen]))
    assert states[0] == states[1] == states[2]
