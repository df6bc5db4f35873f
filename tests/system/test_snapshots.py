"""Debian's Linux forked, reset and taken back: what goes on is the same to the bit."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from hypernest.images import Image
from hypernest.machine import Machine
from hypernest.machine.snapshot import Snapshot
from tests.system.shell import LIMIT, PROMPT, Shell

WORK = "for i in 1 2 3; do echo $i | sha256sum; done; ls -l /proc | wc -l\n"


@pytest.fixture(scope="module")
def booted(debian_image: Image) -> Iterator[Snapshot]:
    with Machine(debian_image, memory="192M", harts=2) as machine:
        Shell(machine)
        yield machine.snapshot()


def work(machine: Machine) -> tuple[str, int, str]:
    """Output, instructions and state behind some commands."""
    machine.console.send(WORK)
    output = machine.run_until(PROMPT, LIMIT)
    return output, machine.instructions, machine.state_hash()


def test_forks_on_all_engines_and_restores_do_the_same(booted: Snapshot) -> None:
    with booted.fork() as first:
        expected = work(first)
        assert expected[0].count("  -\r\n") == 3
        first.restore(booted)
        assert work(first) == expected
    with booted.fork(engine="interpreter") as second:
        assert work(second) == expected
    with booted.fork(engine="reference") as slow, booted.fork() as quick:
        for machine in (slow, quick):
            machine.console.send(WORK)
            machine.run(6000)
        assert slow.state_hash() == quick.state_hash()
        with slow.snapshot().fork(engine="translator") as third:
            output = third.run_until(PROMPT, LIMIT)
            assert (output, third.instructions, third.state_hash()) == expected


def test_forks_in_threads_do_the_same(booted: Snapshot) -> None:
    found: list[tuple[str, int, str]] = []

    def go() -> None:
        with booted.fork() as fork:
            found.append(work(fork))

    threads = [threading.Thread(target=go) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    go()
    assert len(found) == 3
    assert found[0] == found[1] == found[2]


def test_going_back_in_linux(booted: Snapshot) -> None:
    with booted.fork() as machine:
        machine.keep_history()
        start = machine.instructions
        states = {}
        machine.console.send(WORK)
        for _ in range(4):
            machine.run(2_500_000)
            states[machine.instructions] = machine.state_hash()
        for count in sorted(states, key=lambda count: count % 7):
            machine.goto(count)
            assert machine.state_hash() == states[count]
        machine.reverse_step(5)
        machine.step(5)
        assert machine.state_hash() == states[machine.instructions]
        handler = machine.harts[0].csr["stvec"]
        machine.reverse_until(handler)
        assert handler in {hart.pc for hart in machine.harts}
        assert start < machine.instructions < max(states)
        last = max(states)
        machine.run(last - machine.instructions)
        assert machine.state_hash() == states[last]
