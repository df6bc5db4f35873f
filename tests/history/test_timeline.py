"""Going back: every moment of the past is as it was, what is changed there makes another way, and searches find all."""

from __future__ import annotations

import time
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypernest.errors import BadConfiguration, HypernestError
from hypernest.history import timeline
from hypernest.history.timeline import BEGINNING, NoHistory, Timeline
from hypernest.machine import Machine, StopKind
from hypernest.machine.hooks import BadHook
from tests.machine.busy_guests import (
    ENGINES,
    GUESTS,
    POWER_OFF,
    PRINT_AND_REBOOT,
    RESET,
    bare_machine,
    hosted_machine,
)
from tests.machine.small_guests import bare, hosted

on_all_engines = pytest.mark.parametrize("engine", ENGINES)
on_all_guests = pytest.mark.parametrize("guest", GUESTS)


@pytest.fixture(autouse=True)
def _near_snapshots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Snapshots as near each other, in a few thousand instructions, as they are in billions."""
    monkeypatch.setattr(timeline, "_FIRST_SPACING", 100)
    monkeypatch.setattr(timeline, "_SMALLEST_SPACING", 100)
    monkeypatch.setattr(timeline, "_SECONDS_APART", 0)
    monkeypatch.setattr(timeline, "_LARGEST_SHARE", 1e9)
    monkeypatch.setattr(timeline, "_NEAR_ENOUGH", 10)


def remember(machine: Machine, known: dict[int, str], until: int, pieces: int = 7) -> None:
    """Run on and note the state now and then."""
    known[machine.instructions] = machine.state_hash()
    while machine.instructions < until:
        machine.run(min(pieces, until - machine.instructions))
        known[machine.instructions] = machine.state_hash()


def visit_all(machine: Machine, known: dict[int, str], random: Random) -> None:
    """Go to all moments that are known, in any order."""
    counts = [*known]
    random.shuffle(counts)
    for count in counts:
        machine.goto(count)
        assert machine.instructions == count
        assert machine.state_hash() == known[count], f"at {count}"


# --- being there again -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("engine", "end"), [("reference", 900), ("interpreter", 4000), ("translator", 4000)])
@on_all_guests
def test_every_moment_is_as_it_was(guest: str, engine: str, end: int) -> None:
    random = Random(guest)
    with GUESTS[guest](engine=engine) as machine:
        machine.run(50)
        machine.keep_history()
        known: dict[int, str] = {}
        while machine.instructions < end:
            machine.console.send(random.choice(("", "a", "some text")))
            remember(machine, known, machine.instructions + random.randrange(1, end // 5), pieces=end // 60)
        assert len(machine.history.counts) > 5
        visit_all(machine, known, random)


@on_all_guests
@given(data=st.data())
def test_any_way_through_time_leads_to_the_same_states(guest: str, data: st.DataObject) -> None:
    with GUESTS[guest](engine="interpreter") as machine:
        machine.keep_history()
        known: dict[int, str] = {}
        for text in ("xy", "z"):
            machine.console.send(text)
            remember(machine, known, machine.instructions + 700, pieces=50)
        for _ in range(6):
            target = data.draw(st.integers(0, 1400))
            way = data.draw(st.sampled_from(("goto", "step", "run", "reverse")))
            if way == "goto":
                machine.goto(target)
            elif way == "step":
                machine.goto(max(0, target - 3))
                for _ in range(min(3, target)):
                    machine.step()
            elif way == "run":
                machine.goto(target // 2)
                machine.run(target - target // 2)
            else:
                machine.goto(1400)
                machine.reverse_step(1400 - target)
            assert machine.instructions == target
            machine.run((-target) % 50)
            assert machine.state_hash() == known[machine.instructions]


def test_steps_back_are_not_negative() -> None:
    with bare_machine() as machine:
        machine.keep_history()
        machine.run(20)
        with pytest.raises(BadConfiguration, match="give a number that is not negative"):
            machine.reverse_step(-1)
        assert machine.instructions == 20


def test_the_past_needs_some_memory() -> None:
    with bare_machine() as machine, pytest.raises(BadConfiguration, match="the past cannot have 0 bytes of memory"):
        machine.keep_history(memory=0)


@on_all_engines
def test_stepping_back_one_by_one(engine: str) -> None:
    with bare_machine(engine=engine) as machine:
        machine.keep_history()
        known: dict[int, str] = {}
        remember(machine, known, 300, pieces=1)
        for count in range(299, 180, -1):
            assert machine.reverse_step().kind is StopKind.LIMIT
            assert machine.instructions == count
            assert machine.state_hash() == known[count]
        assert machine.reverse_step(182) == BEGINNING
        assert machine.instructions == 0
        assert machine.reverse_step() == BEGINNING


def test_running_on_from_the_past_repeats_the_input() -> None:
    with bare_machine() as machine:
        machine.keep_history()
        known: dict[int, str] = {}
        for text in ("one ", "two ", "three "):
            machine.console.send(text)
            remember(machine, known, machine.instructions + 2500, pieces=100)
        assert machine.console.read() == "one two three "
        for start in (100, 2600, 0):
            machine.goto(start)
            machine.run(7500 - start)
            assert machine.state_hash() == known[7500]
        assert machine.console.read() == "one two three "
        assert machine.history.end == 7500
        machine.console.send("four")
        machine.run(2500)
        assert machine.console.read() == "four"


def test_going_further_than_one_has_been() -> None:
    with bare_machine() as machine, bare_machine() as straight:
        machine.keep_history()
        machine.run(500)
        machine.goto(5000)
        straight.run(5000)
        assert machine.state_hash() == straight.state_hash()
        assert machine.history.end == 5000
        machine.goto(500)
        straight.run(1000)
        machine.goto(6000)
        assert machine.state_hash() == straight.state_hash()


def test_what_was_before_is_not_known() -> None:
    with bare_machine() as machine:
        with pytest.raises(NoHistory, match="keep_history"):
            machine.goto(0)
        with pytest.raises(NoHistory):
            machine.reverse_step()
        machine.run(300)
        machine.keep_history()
        machine.run(300)
        with pytest.raises(NoHistory, match="300"):
            machine.goto(299)
        assert machine.instructions == 600
        assert machine.reverse_step(400) == BEGINNING
        assert machine.instructions == 300


# --- other ways ------------------------------------------------------------------------------------------------------


def test_new_input_in_the_past_makes_another_way() -> None:
    with bare_machine() as machine, bare_machine() as other:
        machine.keep_history()
        machine.run(700)
        machine.console.send("old")
        machine.run(3000)
        machine.goto(500)
        other.run(500)
        for each in (machine, other):
            each.console.send("new")
            each.run(4000)
        assert machine.state_hash() == other.state_hash()
        assert machine.console.read() == other.console.read() == "new"
        assert machine.history.end == 4500
        known = {machine.instructions: machine.state_hash()}
        machine.goto(100)
        machine.run(4400)
        assert machine.state_hash() == known[4500]


CHANGES: dict[str, Callable[[Machine], object]] = {
    "a register": lambda machine: setattr(machine.harts[0], "pc", machine.harts[0].pc),
    "an integer register": lambda machine: machine.harts[0].x.__setitem__("s6", 1234567),
    "memory": lambda machine: machine.memory.write(0x8007_0000, b"changed"),
    "the same again": lambda machine: machine.memory.write(0x8007_0000, bytes(4)),
}


@pytest.mark.parametrize("what", CHANGES)
@pytest.mark.parametrize("engine", ["interpreter", "translator"])
def test_what_the_host_changes_is_part_of_the_past(what: str, engine: str) -> None:
    random = Random(what)
    with bare_machine(engine=engine) as machine:
        machine.keep_history()
        known: dict[int, str] = {}
        for _ in range(4):
            remember(machine, known, machine.instructions + random.randrange(1, 500), pieces=50)
            CHANGES[what](machine)
        remember(machine, known, machine.instructions + 500)
        visit_all(machine, known, random)


def test_a_change_in_the_past_makes_another_way() -> None:
    with bare_machine() as machine, bare_machine() as other:
        machine.keep_history()
        machine.run(2000)
        machine.goto(777)
        other.run(777)
        for each in (machine, other):
            each.harts[1].x["s7"] = 99
            each.memory.write(0x8006_0000, b"x")
            each.run(1000)
        assert machine.state_hash() == other.state_hash()
        assert machine.history.end == 1777
        final = other.state_hash()
        for start in (0, 776, 777):
            machine.goto(start)
            machine.goto(1777)
            assert machine.state_hash() == final


def test_looking_changes_nothing() -> None:
    with bare_machine() as machine:
        machine.keep_history()
        machine.run(1000)
        machine.goto(500)
        assert machine.harts[0].x["s6"] >= 0
        machine.memory.read(0x8000_0000, 100)
        machine.state_hash()
        machine.snapshot()
        machine.goto(700)
        assert machine.history.end == 1000


@on_all_engines
def test_what_callbacks_change_is_part_of_the_past(engine: str) -> None:
    with bare_machine(engine=engine) as machine:
        machine.run(60)
        machine.keep_history()
        calls: list[int] = []

        def change(event: object) -> None:
            calls.append(machine.instructions)
            machine.harts[0].x["s5"] += len(calls)

        handler = machine.harts[0].csr["mtvec"]
        hook = machine.hooks.execute(handler, change)
        known: dict[int, str] = {}
        remember(machine, known, 900 if engine == "reference" else 2500)
        assert len(calls) == hook.hits > 2
        hits = hook.hits
        random = Random(4)
        visit_all(machine, {count: known[count] for count in known if count not in calls}, random)
        assert hook.hits == hits  # no hook is called on the way


# --- searching -------------------------------------------------------------------------------------------------------


Attach = Callable[[Machine, Callable[[object], None]], object]
HOOKS: dict[str, Attach] = {
    "execution": lambda machine, note: machine.hooks.execute(machine.harts[0].csr["mtvec"], note),
    "writes": lambda machine, note: machine.hooks.write(machine.harts[0].x["s1"], 8, note),
    "reads": lambda machine, note: machine.hooks.read(machine.harts[0].x["s1"] + 64, 16, note),
    "a device": lambda machine, note: machine.hooks.write(0x200_4000, 8, note),
    "interrupts": lambda machine, note: machine.hooks.trap("machine timer interrupt", note),
    "a csr": lambda machine, note: machine.hooks.csr("mstatus", note),
}


@pytest.mark.parametrize("what", HOOKS)
@on_all_engines
def test_searching_backwards_finds_what_going_forward_found(what: str, engine: str) -> None:
    end = 700 if engine == "reference" else 3000
    with bare_machine(engine=engine) as machine:
        machine.run(60)
        machine.keep_history()
        expected: list[int] = []
        hook = HOOKS[what](machine, lambda event: expected.append(machine.instructions))
        machine.run(end - 60)
        final = machine.state_hash()
        seen = len(expected)
        found = []
        while machine.reverse_run().kind is StopKind.BREAK and machine.instructions > 60:
            found.append(machine.instructions)
        assert len(expected) == seen
        assert found == sorted({count for count in expected if count > 60}, reverse=True)
        assert machine.instructions == 60
        machine.goto(end)
        assert machine.state_hash() == final
        del hook


def test_several_hooks_at_once() -> None:
    with bare_machine() as machine:
        machine.run(60)
        machine.keep_history()
        expected: list[int] = []
        for attach in HOOKS.values():
            attach(machine, lambda event: expected.append(machine.instructions))
        machine.run(1500)
        found = []
        while machine.reverse_run() != BEGINNING:
            found.append(machine.instructions)
        assert found == sorted(set(expected), reverse=True)


def test_searching_for_an_address_or_a_hook() -> None:
    with bare_machine() as machine:
        machine.run(60)
        machine.keep_history()
        handler = machine.harts[0].csr["mtvec"]
        counts: list[int] = []
        with machine.hooks.execute(handler, lambda event: counts.append(machine.instructions)):
            machine.run(3000)
        assert len(machine.hooks) == 0
        for count in reversed(counts):
            reason = machine.reverse_until(handler)
            assert machine.instructions == count
            assert f"{handler:#x}" in str(reason)
            assert [machine.harts[hart].pc for _, hart in machine.history.found] == [handler]
            with machine.hooks.execute(handler, lambda event: None) as again:
                machine.run(1)
                assert again.hits == 1
            machine.reverse_step()
        assert machine.reverse_until(handler) == BEGINNING
        machine.goto(3060)
        hook = machine.hooks.write(machine.harts[0].x["s1"], 8, lambda event: None)
        machine.reverse_until(hook)
        assert hook.hits == 0
        machine.run(1)
        assert hook.hits == 1


def test_a_hook_that_cannot_be_looked_for_is_refused() -> None:
    with bare_machine() as machine:
        machine.keep_history()
        machine.run(100)
        detached, disabled = (machine.hooks.trap("illegal instruction", lambda event: None) for _ in range(2))
        detached.detach()
        disabled.enabled = False
        for hook in (detached, disabled, machine.hooks.console(lambda event: None)):
            with pytest.raises(BadHook, match="cannot be looked for: give one that is attached and enabled"):
                machine.reverse_until(hook)
        assert machine.instructions == 100
        assert machine.reverse_run() == BEGINNING  # of all that are attached those are looked for that can be


@pytest.mark.parametrize("steps", [0, 1, 2, 50])
def test_a_hit_right_at_the_present_is_not_found_again(steps: int) -> None:
    with bare_machine() as machine:
        machine.run(60)
        machine.keep_history()
        handler = machine.harts[0].csr["mtvec"]
        machine.run(until=handler)
        first = machine.instructions
        machine.run(until=handler)
        second = machine.instructions
        assert first < second
        machine.run(steps)
        machine.reverse_until(handler)
        assert machine.instructions == (second if steps else first)


@on_all_guests
def test_searching_for_a_condition(guest: str) -> None:
    def condition(machine: Machine) -> bool:
        return machine.harts[0].x["t0"] % 7 == 3

    with GUESTS[guest](engine="interpreter") as machine:
        machine.run(100)
        machine.keep_history()
        holds = [machine.instructions] if condition(machine) else []
        while machine.instructions < 700:
            machine.step()
            if condition(machine):
                holds.append(machine.instructions)
        assert len(holds) > 10
        expected = [count for count in holds if count < 700]
        for count in reversed(expected[-8:]):
            assert machine.reverse_until(condition).kind is StopKind.BREAK
            assert machine.instructions == count
        assert machine.reverse_until(lambda each: False) == BEGINNING
        assert machine.instructions == 100


def test_running_until_an_address_or_a_condition() -> None:
    with bare_machine() as machine:
        machine.run(60)
        handler = machine.harts[0].csr["mtvec"]
        assert machine.run(until=handler).kind is StopKind.BREAK
        assert machine.running_hart.pc == handler
        before = machine.instructions
        assert machine.run(until=handler).kind is StopKind.BREAK
        assert machine.instructions > before
        assert machine.run(3, until=handler).kind is StopKind.LIMIT
        timers = machine.harts[0].x["s6"]
        assert machine.run(until=lambda each: each.harts[0].x["s6"] > timers).kind is StopKind.BREAK
        assert machine.harts[0].x["s6"] == timers + 1
        before = machine.instructions
        assert machine.run(10, until=lambda each: False).kind is StopKind.LIMIT
        assert machine.instructions == before + 10
        machine.step()
        machine.step(4)
        assert machine.instructions == before + 15


def test_running_until_something_in_a_guest_that_ends() -> None:
    with bare(PRINT_AND_REBOOT.format(finish=POWER_OFF)) as machine:
        assert machine.run(until=lambda each: False).kind is StopKind.POWER_OFF
        assert machine.run(until=0x8000_0000).kind is StopKind.POWER_OFF


# --- ends, resets, limits --------------------------------------------------------------------------------------------


@on_all_engines
def test_going_back_over_a_reset(engine: str) -> None:
    with bare(PRINT_AND_REBOOT.format(finish=RESET), engine=engine) as machine:
        machine.keep_history()
        known: dict[int, str] = {}
        remember(machine, known, 800, pieces=23)
        assert machine.boot >= 3
        visit_all(machine, known, Random(1))
        machine.goto(0)
        assert (machine.boot, machine.console.read()) == (0, "")
        machine.run(800)
        assert machine.state_hash() == known[800]


def test_input_in_later_boots_is_repeated() -> None:
    guest = PRINT_AND_REBOOT.format(finish=RESET).replace("2:  ", "2:  lbu s3, 0(s2)\n        add s4, s4, s3\n        ")
    random = Random(7)
    with bare(guest) as machine:
        machine.keep_history()
        known: dict[int, str] = {}
        while machine.instructions < 3000:
            remember(machine, known, machine.instructions + random.randrange(1, 100), pieces=30)
            machine.console.send(chr(random.randrange(32, 127)))
        assert machine.boot > 3
        visit_all(machine, known, random)


@on_all_engines
def test_going_back_from_the_end(engine: str) -> None:
    with bare(PRINT_AND_REBOOT.format(finish=POWER_OFF), engine=engine) as machine:
        machine.keep_history()
        end = machine.run()
        count, state = machine.instructions, machine.state_hash()
        machine.reverse_step()
        assert machine.stopped is None
        assert machine.instructions == count - 1
        assert machine.step().kind is StopKind.POWER_OFF
        assert (machine.instructions, machine.state_hash()) == (count, state)
        machine.goto(3)
        machine.goto(count + 1000)
        assert machine.instructions == count
        assert machine.run() == end


def test_output_is_shown_once() -> None:
    class Screen:
        shown = b""

        def write(self, data: bytes) -> None:
            self.shown += data

        def read(self) -> bytes:
            return b""

        def wait(self, seconds: float | None) -> bool:
            return False

    screen = Screen()
    with bare(PRINT_AND_REBOOT.format(finish=POWER_OFF), console=screen) as machine:
        machine.keep_history()
        machine.run()
        assert screen.shown == b"AB"
        machine.goto(0)
        assert machine.console.read() == ""
        machine.goto(10_000)
        assert machine.console.read() == "AB"
        machine.reverse_until(lambda each: False)
        machine.goto(100)
        assert screen.shown == b"AB"


def test_a_machine_that_follows_the_wall_clock() -> None:
    with hosted_machine(clock="wall") as machine:
        machine.keep_history()
        known: dict[int, str] = {}
        for text in ("a", "b", "c"):
            remember(machine, known, machine.instructions + 400, pieces=37)
            machine.console.send(text)
        remember(machine, known, machine.instructions + 400)
        began = time.monotonic()
        visit_all(machine, dict(list(known.items())[::3]), Random(2))
        assert time.monotonic() - began < 20


def test_thinning_keeps_everything_within_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline, "_MOST_SNAPSHOTS", 6)
    with bare_machine() as machine:
        machine.run(60)
        history = machine.keep_history()
        known: dict[int, str] = {}
        for _ in range(5):
            machine.console.send("x")
            remember(machine, known, machine.instructions + 1000, pieces=200)
            assert len(history.counts) <= 6
        assert history.counts[0] == history.beginning == 60
        visit_all(machine, known, Random(3))


WRITER = """
        li    s1, 0x80080000
        li    s2, 0x3f000
        li    t0, 4096
    1:  addi  s0, s0, 1
        add   t1, s1, s3
        sd    s0, 0(t1)
        add   s3, s3, t0
        and   s3, s3, s2
        j     1b
"""
"""Writes 64 pages in turn."""


def test_a_memory_limit_is_kept() -> None:
    with bare(WRITER) as machine:
        history = machine.keep_history("1M")
        known: dict[int, str] = {}
        while machine.instructions < 15_000:
            machine.run(500)
            known[machine.instructions] = machine.state_hash()
            assert history.memory <= 1 << 20
        visit_all(machine, known, Random(3))


def test_many_changes_by_the_host_forget_the_oldest_past(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline, "_MOST_SNAPSHOTS", 10)
    with bare_machine() as machine:
        history = machine.keep_history()
        known: dict[int, str] = {}
        for number in range(40):
            machine.run(100)
            machine.harts[0].x["s5"] = number
            known[machine.instructions] = machine.state_hash()
            machine.run(1)
        assert len(history.counts) <= 10
        assert history.beginning > 2000
        for count in known:
            if count >= history.beginning:
                machine.goto(count)
                assert machine.state_hash() == known[count]
            else:
                with pytest.raises(NoHistory):
                    machine.goto(count)


def test_restoring_a_snapshot_begins_anew() -> None:
    with bare_machine() as machine:
        machine.run(100)
        snapshot = machine.snapshot()
        machine.keep_history()
        machine.run(900)
        machine.restore(snapshot)
        assert (machine.history.beginning, machine.history.end) == (100, 100)
        known: dict[int, str] = {}
        remember(machine, known, 600)
        visit_all(machine, known, Random(5))


def test_a_fork_keeps_a_history_of_its_own() -> None:
    with bare_machine() as machine:
        machine.keep_history()
        machine.console.send("a")
        machine.run(500)
        with machine.snapshot().fork() as fork:
            with pytest.raises(NoHistory):
                fork.goto(0)
            fork.keep_history()
            fork.console.send("b")
            known: dict[int, str] = {}
            remember(fork, known, 1500, pieces=50)
            machine.goto(100)
            visit_all(fork, known, Random(6))
            assert machine.instructions == 100


def test_a_callback_that_raises_in_a_search(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(machine: Machine) -> bool:
        raise RuntimeError("no luck")

    with bare_machine() as machine, bare_machine() as straight:
        machine.keep_history()
        machine.run(1000)
        with pytest.raises(RuntimeError, match="no luck"):
            machine.reverse_until(fail)
        machine.goto(1000)
        straight.run(1000)
        assert machine.state_hash() == straight.state_hash()
        machine.console.send("typed")
        machine.run(3000)
        assert machine.console.read() == "typed"


def test_a_history_says_what_it_knows() -> None:
    with bare_machine() as machine:
        history = machine.keep_history()
        assert isinstance(history, Timeline)
        assert history is machine.history
        machine.run(1234)
        assert "0 to 1,234 instructions" in repr(history)
        assert issubclass(NoHistory, HypernestError)


def test_waiting_forever_in_the_past() -> None:
    """A guest that waits for input is where the past ends; going there comes back."""
    with hosted("1: li a7, 2\necall\nbltz a0, 2f\nadd s0, s0, a0\n2: wfi\nj 1b") as machine:
        machine.keep_history()
        machine.run(100)
        machine.goto(10_000)
        machine.goto(0)
        machine.run(3)
        assert machine.instructions == 3
