"""Snapshots: forks and restored machines go the way of the original, to the bit, wherever it was and on any engine."""

from __future__ import annotations

import gc
import itertools
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from hypernest.errors import HypernestError
from hypernest.machine import Machine, MachineClosed, StopKind
from hypernest.machine.backend import ConsoleBackend
from hypernest.machine.outcome import POWERED_OFF
from hypernest.machine.snapshot import Snapshot
from hypernest.machine.state import BadState
from tests.machine.busy_guests import (
    ENGINES,
    GUESTS,
    POWER_OFF,
    PRINT_AND_REBOOT,
    RESET,
    bare_machine,
    course,
    hosted_machine,
)
from tests.machine.small_guests import bare, hosted
from tests.machine.test_devices_from_guest import SECTORS, whole_script

on_all_engines = pytest.mark.parametrize("engine", ENGINES)
on_all_guests = pytest.mark.parametrize("guest", GUESTS)


@pytest.mark.parametrize(("first", "second"), [*itertools.product(ENGINES, ENGINES)])
@on_all_guests
def test_a_fork_goes_the_way_of_the_original(guest: str, first: str, second: str) -> None:
    with GUESTS[guest](engine=first) as machine:
        machine.console.send("ab")
        machine.run(777)
        snapshot = machine.snapshot()
        counts = [777, 778, 800, 1001, 1002, 1500]
        with snapshot.fork(engine=second) as fork:
            assert fork.instructions == 777
            assert fork.stats.engine == second
            assert course(fork, counts) == course(machine, counts)
            assert fork.console.read() == machine.console.read()


@on_all_guests
@pytest.mark.parametrize("harts", [1, 2, 4])
def test_engines_agree_at_every_count(guest: str, harts: int) -> None:
    counts = range(1, 450)
    courses = []
    for engine in ENGINES:
        with GUESTS[guest](harts, engine=engine) as machine:
            machine.console.send("xy")
            courses.append(course(machine, counts))
    assert len(set(courses[0])) == len(counts)
    assert courses[0] == courses[1] == courses[2]


@on_all_guests
def test_there_is_a_snapshot_at_every_count(guest: str) -> None:
    """In the middle of everything: pending timers, held reservations, harts that wait, input that none has taken."""
    with GUESTS[guest](engine="interpreter") as machine, GUESTS[guest](engine="interpreter") as straight:
        for one in (machine, straight):
            one.run(120)
            one.console.send("some text")
        expected = {}
        for _ in range(300):
            straight.run(1)
            expected[straight.instructions] = straight.state_hash()
        straight.run(1000 - straight.instructions)
        seen = set()
        for _ in range(300):
            machine.run(1)
            harts = machine._open_board().harts
            seen |= {name for name in ("reservation_valid", "waiting") if any(hart[name] for hart in harts)}
            snapshot = machine.snapshot()
            assert machine.state_hash() == expected[machine.instructions]
            with snapshot.fork() as fork:
                assert fork.state_hash() == expected[machine.instructions]
                fork.run(1000 - fork.instructions)
                assert fork.state_hash() == straight.state_hash()
        machine.run(1000 - machine.instructions)
        assert machine.state_hash() == straight.state_hash()
        assert seen == ({"waiting", "reservation_valid"} if guest == "bare" else set())


@on_all_engines
def test_taking_snapshots_changes_nothing(engine: str) -> None:
    with bare_machine(engine=engine) as machine, bare_machine(engine=engine) as other:
        for _ in range(20):
            machine.run(50)
            machine.snapshot()
        other.run(1000)
        assert machine.state_hash() == other.state_hash()


@on_all_engines
def test_restore_goes_back_as_often_as_one_likes(engine: str) -> None:
    with bare_machine(engine=engine) as machine:
        machine.run(300)
        early = machine.snapshot()
        machine.run(300)
        late = machine.snapshot()
        expected = course(machine, [700, 900])
        for snapshot in (early, late, late, early, late):
            machine.restore(snapshot)
            assert machine.instructions == snapshot.instructions
            assert course(machine, [700, 900]) == expected


@pytest.mark.parametrize(("first", "second"), [*itertools.permutations(ENGINES, 2)])
def test_a_machine_takes_the_snapshot_of_another_engine(first: str, second: str) -> None:
    with hosted_machine(engine=first) as origin, hosted_machine(engine=second) as other:
        origin.run(555)
        snapshot = origin.snapshot()
        other.run(1234)
        other.restore(snapshot)
        assert other.state_hash() == origin.state_hash()
        assert course(other, [600, 1000]) == course(origin, [600, 1000])


def test_forks_do_not_see_each_other_nor_the_original() -> None:
    with bare_machine() as machine:
        machine.run(200)
        snapshot = machine.snapshot()
        before = machine.state_hash()
        forks = [snapshot.fork() for _ in range(4)]
        address = 0x8008_0000
        for number, fork in enumerate(forks):
            fork.memory.write(address, bytes([number + 1]) * 5000)
            fork.harts[0].x["s6"] = number
            fork.console.send(str(number))
            fork.run(1000)
        for number, fork in enumerate(forks):
            assert fork.memory.read(address, 5000) == bytes([number + 1]) * 5000
            assert fork.console.read() == str(number)
            fork.close()
        assert machine.state_hash() == before
        with snapshot.fork() as fork:
            assert fork.state_hash() == before


def test_forks_of_forks_of_forks() -> None:
    with bare_machine() as machine:
        machine.run(2000)
        expected = machine.state_hash()
    machine = bare_machine()
    for _ in range(40):
        machine.run(50)
        child = machine.snapshot().fork()
        machine.close()
        machine = child
    assert machine.state_hash() == expected
    machine.close()


@pytest.mark.parametrize("which", ["parent", "fork"])
def test_either_may_be_closed_first(which: str) -> None:
    machine = bare_machine()
    machine.run(300)
    snapshot = machine.snapshot()
    fork = snapshot.fork()
    (machine if which == "parent" else fork).close()
    left = fork if which == "parent" else machine
    with bare_machine() as straight:
        straight.run(2000)
        left.run(2000 - left.instructions)
        assert left.state_hash() == straight.state_hash()
        left.close()
        with snapshot.fork() as another:
            another.run(2000 - another.instructions)
            assert another.state_hash() == straight.state_hash()


def test_a_closed_machine_has_no_snapshots() -> None:
    machine = bare_machine()
    snapshot = machine.snapshot()
    machine.close()
    for use in (machine.snapshot, lambda: machine.restore(snapshot), machine.state_hash):
        with pytest.raises(MachineClosed):
            use()


# --- moments ---------------------------------------------------------------------------------------------------------


@on_all_engines
def test_a_snapshot_that_a_callback_takes(engine: str) -> None:
    with bare_machine(engine=engine) as machine, bare_machine(engine=engine) as straight:
        straight.run(800)
        snapshots: list[Snapshot] = []
        machine.run(50)
        handler = machine.harts[0].csr["mtvec"]
        hook = machine.hooks.execute(handler, lambda event: snapshots.append(event.machine.snapshot()))
        machine.run(750)
        assert machine.state_hash() == straight.state_hash()
        assert len(snapshots) == hook.hits > 2
        for snapshot in snapshots:
            with snapshot.fork(engine="interpreter") as fork:
                assert len(fork.hooks) == 0
                fork.run(800 - fork.instructions)
                assert fork.state_hash() == straight.state_hash()


@on_all_engines
def test_after_the_end_there_is_nothing_more(engine: str) -> None:
    with bare(PRINT_AND_REBOOT.format(finish=POWER_OFF), engine=engine) as machine:
        assert machine.run().kind is StopKind.POWER_OFF
        snapshot = machine.snapshot()
        with snapshot.fork() as fork:
            assert fork.run().kind is StopKind.POWER_OFF
            assert fork.instructions == machine.instructions
            assert fork.state_hash() == machine.state_hash()


@on_all_engines
def test_going_back_from_the_end_makes_it_run_again(engine: str) -> None:
    with bare(PRINT_AND_REBOOT.format(finish=POWER_OFF), engine=engine) as machine:
        machine.run(50)
        snapshot = machine.snapshot()
        end = machine.run()
        count, state = machine.instructions, machine.state_hash()
        machine.restore(snapshot)
        assert machine.run(10).kind is StopKind.LIMIT
        assert machine.run() == end
        assert (machine.instructions, machine.state_hash()) == (count, state)
        assert machine.console.read() == "AB"


@on_all_engines
def test_snapshots_before_and_after_a_reset(engine: str) -> None:
    with bare(PRINT_AND_REBOOT.format(finish=RESET), engine=engine) as machine:
        machine.run(100)
        before = machine.snapshot()
        machine.run(150)
        assert machine._boot == 1
        after = machine.snapshot()
        assert after.instructions == 250
        expected = course(machine, [300, 700])
        for snapshot in (before, after, before):
            machine.restore(snapshot)
            assert (machine.instructions, machine._boot) == (snapshot.instructions, snapshot.boot)
            assert course(machine, [300, 700]) == expected
            with snapshot.fork() as fork:
                assert course(fork, [300, 700]) == expected


@on_all_engines
def test_forks_in_the_middle_of_what_devices_do(engine: str, tmp_path: Path) -> None:
    """A guest that uses every register of every device, forked as it goes: requests, timers, interrupts are open."""
    path = tmp_path / "disk.img"
    path.write_bytes(b"\x11" * 512 * SECTORS)
    script = whole_script()

    def finish(machine: Machine, typed_at: int) -> tuple[object, int, str]:
        if machine.instructions <= typed_at:
            machine.run(typed_at - machine.instructions)
            machine.console.send("key!")
        reason = machine.run(1_000_000)
        return reason, machine.instructions, machine.state_hash()

    with bare(script.text, engine=engine, disks=[(path, "overlay")]) as machine:
        machine.console.send("u")
        machine.run_until("virtio\n", 1_000_000)
        typed_at = machine.instructions
        expected = finish(machine, typed_at)
        assert expected[0] == POWERED_OFF
        total = machine.instructions
    with bare(script.text, engine="interpreter", disks=[(path, "overlay")]) as machine:
        machine.console.send("u")
        moments = range(1, total, total // (8 if engine == "reference" else 60))
        for moment in moments:
            if machine.instructions <= typed_at < moment:
                machine.run(typed_at - machine.instructions)
                machine.console.send("key!")
            machine.run(moment - machine.instructions)
            with machine.snapshot().fork(engine=engine) as fork:
                if moment > typed_at:
                    reason = fork.run(1_000_000)
                    assert (reason, fork.instructions, fork.state_hash()) == expected
                else:
                    assert finish(fork, typed_at) == expected


# --- refusals --------------------------------------------------------------------------------------------------------

OTHERS: dict[str, Callable[[], Machine]] = {
    "more harts": lambda: bare_machine(3),
    "more memory": lambda: bare("j .", harts=2, memory="2M"),
    "a monitor and more memory": lambda: hosted("j .", harts=2, memory="4M"),
}


@pytest.mark.parametrize("other", OTHERS)
def test_a_machine_of_another_shape_refuses_and_stays(other: str) -> None:
    with bare_machine() as machine, OTHERS[other]() as target:
        machine.run(500)
        target.run(300)
        snapshot, before = machine.snapshot(), target.state_hash()
        mine = target.snapshot()
        with pytest.raises(BadState) as refused:
            target.restore(snapshot)
        assert str(refused.value)
        assert target.state_hash() == before
        assert target.instructions == 300
        with mine.fork() as straight:
            assert course(target, [400, 500]) == course(straight, [400, 500])


def test_a_machine_with_other_disks_refuses_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.write_bytes(bytes(4096))
    with bare_machine() as without, bare_machine(disks=[(path, "overlay")]) as machine:
        machine.run(400)
        without.run(100)
        before = without.state_hash(), machine.state_hash()
        with pytest.raises(BadState):
            without.restore(machine.snapshot())
        with pytest.raises(BadState):
            machine.restore(without.snapshot())
        assert before == (without.state_hash(), machine.state_hash())


def test_a_fork_on_an_engine_that_does_not_exist() -> None:
    with bare_machine() as machine, pytest.raises(HypernestError, match="engine"):
        machine.snapshot().fork(engine="quantum")


# --- many, and at once -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["interpreter", "translator"])
def test_nothing_leaks_over_many_forks_and_restores(engine: str) -> None:
    with bare_machine(engine=engine) as machine:
        machine.run(500)
        snapshot = machine.snapshot()

        def use() -> None:
            with snapshot.fork() as fork:
                fork.run(100)
                fork.restore(fork.snapshot())
                fork.restore(snapshot)

        for _ in range(3):
            use()
        gc.collect()
        before = _resources()
        for _ in range(60):
            use()
        gc.collect()
        after = _resources()
        assert after[0] == before[0]
        assert after[1] <= before[1] + 3
        assert after[2] <= before[2] + 8192


def test_a_thousand_restores() -> None:
    with bare_machine(engine="interpreter") as machine:
        machine.run(500)
        snapshot = machine.snapshot()
        expected = course(machine, [600])
        machine.restore(snapshot)
        gc.collect()
        before = _resources()
        for _ in range(1000):
            machine.run(20)
            machine.restore(snapshot)
        assert course(machine, [600]) == expected
        gc.collect()
        after = _resources()
        assert after[:2] == before[:2]
        assert after[2] <= before[2] + 8192


def _resources() -> tuple[int, int, int]:
    """Open files, threads and child processes together with mappings, and KiB of memory of this process."""
    status = Path("/proc/self/status").read_text()
    resident = int(status.partition("RssAnon:")[2].split()[0])
    return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task")), resident


@pytest.mark.parametrize("engine", ["interpreter", "translator"])
def test_forks_run_in_threads_at_once(engine: str) -> None:
    with bare_machine(engine=engine) as machine:
        machine.run(300)
        snapshot = machine.snapshot()
        counts = list(range(1000, 120_000, 7777))
        expected = course(machine, counts)
        found: dict[int, list[str]] = {}

        def go(number: int) -> None:
            with snapshot.fork() as fork:
                found[number] = course(fork, counts)

        threads = [threading.Thread(target=go, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert found == dict.fromkeys(range(3), expected)


@pytest.mark.parametrize("engine", ["interpreter", "translator"])
def test_a_forked_process_goes_on_with_the_machine_and_its_snapshots(engine: str) -> None:
    with bare_machine(engine=engine) as machine:
        machine.run(40_000)
        snapshot = machine.snapshot()
        counts = list(range(50_000, 200_000, 20_000))
        with snapshot.fork() as straight:
            expected = course(straight, counts)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                with snapshot.fork() as fork:
                    status = int(course(fork, counts) != expected) * 2
                status |= int(course(machine, counts) != expected) * 4
            finally:
                os._exit(status)
        assert course(machine, counts) == expected
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        machine.restore(snapshot)
        assert course(machine, counts) == expected


class _Typist(ConsoleBackend):
    """Types one thing at first and remembers what it is shown."""

    def __init__(self, text: bytes) -> None:
        self.text, self.shown = text, b""

    def read(self) -> bytes:
        data, self.text = self.text, b""
        return data

    def write(self, data: bytes) -> None:
        self.shown += data

    def wait(self, seconds: float | None) -> bool:
        return bool(self.text)


def test_a_fork_has_a_console_of_its_own() -> None:
    with bare_machine() as machine:
        machine.console.send("old")
        machine.run(1000)
        assert machine.console.read() == "old"
        typist = _Typist(b"new")
        with machine.snapshot().fork(console=typist) as fork:
            fork.run(3000)
            assert typist.shown == b"new"
            assert fork.console.read() == "new"
        machine.run(1000)
        assert machine.console.read() == ""


def test_output_that_was_not_read_is_in_the_snapshot() -> None:
    with bare_machine() as machine:
        machine.console.send("text")
        machine.run(1000)
        with machine.snapshot().fork() as fork:
            assert fork.console.read() == "text"
        assert machine.console.read() == "text"


def test_looking_at_a_snapshot() -> None:
    with bare_machine() as machine:
        machine.run(321)
        snapshot = machine.snapshot()
        assert snapshot.instructions == machine.instructions == 321
        assert snapshot.now == machine.now
        assert snapshot.hart(1)["hartid"] == 1
        assert snapshot.hart(0)["pc"] == machine.harts[0].pc
        machine.run(100)
        assert snapshot.instructions == 321
        assert "321 instructions" in repr(snapshot)
