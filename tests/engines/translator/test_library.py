"""Regions that engines share: in threads at once, in too little room, in processes that are forked off."""

from __future__ import annotations

import os
import threading
import time

import pytest

from hypernest.engines.translator import library
from hypernest.engines.translator.engine import TranslatorEngine
from hypernest.machine import Machine
from tests.machine.small_guests import bare

LOOPS = 24


def _hot_guest() -> str:
    """Many hot loops on several pages, each of which computes something of its own, over and over."""
    blocks = []
    for number in range(LOOPS):
        blocks.append(f"""
        li    t0, 3000
    1:  addi  s1, s1, {number + 1}
        slli  t1, s1, {number % 13 + 1}
        xor   s2, s2, t1
        mul   t2, s2, s1
        add   s3, s3, t2
        sd    s3, {8 * number}(s4)
        addi  t0, t0, -1
        bnez  t0, 1b
        j     1f
        .align 9
    1:
        """)
    return "la s4, data\nagain:\n" + "".join(blocks) + "j again\n.align 6\ndata: .dword 0\n"


GUEST = _hot_guest()
COUNTS = [1_000_000 * number for number in range(1, 16)]


def hashes(machine: Machine) -> list[str]:
    found = []
    for count in COUNTS:
        machine.run(count - machine.instructions)
        found.append(machine.state_hash())
    return found


def engine_of(machine: Machine) -> TranslatorEngine:
    engine = machine.engine
    assert isinstance(engine, TranslatorEngine)
    return engine


@pytest.fixture(scope="module")
def expected() -> list[str]:
    with bare(GUEST, engine="interpreter") as machine:
        return hashes(machine)


def warm(machine: Machine, regions: int) -> None:
    """Run until some regions are installed, and go back."""
    start = machine.snapshot()
    deadline = time.monotonic() + 100
    while engine_of(machine).counts.regions_installed < regions:
        assert time.monotonic() < deadline, machine.stats.translation
        machine.run(2_000_000)
    machine.restore(start)


def test_a_fork_executes_what_the_original_has_compiled(expected: list[str]) -> None:
    with bare(GUEST, engine="translator") as machine:
        warm(machine, 3)
        with machine.snapshot().fork() as fork:
            assert hashes(fork) == expected
            counts = engine_of(fork).counts
            assert counts.regions_installed > 0
            assert fork.stats.translation["share_in_regions"] > 0.1
        assert hashes(machine) == expected


@pytest.mark.parametrize("room", [library.ARENA_BYTES, 16 << 10], ids=["enough room", "little room"])
def test_threads_share_regions(room: int, expected: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    evictions = []
    make_room = library.RegionLibrary.make_room

    def note_and_make_room(self: library.RegionLibrary) -> None:
        evictions.append(self.running)
        make_room(self)

    monkeypatch.setattr(library, "ARENA_BYTES", room)
    monkeypatch.setattr(library.RegionLibrary, "make_room", note_and_make_room)
    with bare(GUEST, engine="translator") as machine:
        warm(machine, 4)
        snapshot = machine.snapshot()
        found: list[list[str]] = []

        def go() -> None:
            for _ in range(2):
                with snapshot.fork() as fork:
                    found.append(hashes(fork))

        threads = [threading.Thread(target=go) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        assert found == [expected] * 6
        assert hashes(machine) == expected
        assert not any(evictions)
        assert bool(evictions) == (room < 1 << 20)


def test_a_forked_process_translates_by_itself(expected: list[str]) -> None:
    with bare(GUEST, engine="translator") as machine:
        warm(machine, 4)
        snapshot = machine.snapshot()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                same = hashes(machine) == expected
                with snapshot.fork() as fork:
                    same &= hashes(fork) == expected
                machine.close()
                status = 0 if same else 2
            finally:
                os._exit(status)
        assert hashes(machine) == expected
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_process_forked_while_others_run_may_close_at_once(expected: list[str]) -> None:
    """The lock may be held in the original by a thread that the new process does not have."""
    with bare(GUEST, engine="translator") as machine:
        warm(machine, 2)
        lock = engine_of(machine)._library.lock
        held, done = threading.Event(), threading.Event()

        def hold() -> None:
            with lock:
                held.set()
                done.wait(30)

        thread = threading.Thread(target=hold)
        thread.start()
        held.wait(30)
        child = os.fork()
        if child == 0:
            try:
                machine.hooks.execute(0x8000_0000, lambda event: None)
                engine_of(machine).cover([])
                machine.close()
                os._exit(0)
            finally:
                os._exit(1)
        deadline, status = time.monotonic() + 20, 0
        while time.monotonic() < deadline:
            pid, status = os.waitpid(child, os.WNOHANG)
            if pid:
                break
            time.sleep(0.01)
        else:
            os.kill(child, 9)
            os.waitpid(child, 0)
            done.set()
            pytest.fail("the forked process waits for a lock that nobody holds")
        done.set()
        thread.join()
        assert os.waitstatus_to_exitcode(status) == 0
