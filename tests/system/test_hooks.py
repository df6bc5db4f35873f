"""Hooks on a Linux guest: every engine shows the same, and the guest does not notice."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from hypernest.images import Image
from hypernest.machine import Machine
from hypernest.machine.hooks import HookEvent
from hypernest.machine.snapshot import Snapshot
from tests.system.shell import LIMIT, PROMPT, Shell

OPENAT, WRITE, SENDFILE, EXIT_GROUP = 56, 64, 71, 94
COMMAND = "cat /proc/version > /tmp/version; echo $?\n"


@dataclass
class Seen:
    """What hooks saw of the command, with the counts of instructions."""

    events: list[tuple[int, str, int, int, int]] = field(default_factory=list)
    calls: list[tuple[int, int]] = field(default_factory=list)
    output: bytes = b""
    covered: bytes = b""
    state: str = ""

    def note(self, event: HookEvent) -> None:
        self.events.append((event.machine.instructions, str(event.kind), event.address, event.value, event.cause))


@pytest.fixture(scope="module")
def at_prompt(debian_image: Image) -> Snapshot:
    with Machine(debian_image, memory="192M") as machine:
        Shell(machine)
        return machine.snapshot()


def run(snapshot: Snapshot, engine: str, *, hooked: bool) -> Seen:
    seen = Seen()
    with snapshot.fork(engine=engine) as machine:
        if hooked:
            hooks = machine.hooks
            hooks.syscall(None, seen.note, lambda event: seen.calls.append((event.number, event.result)))
            hooks.execute("vfs_read", seen.note)
            hooks.execute("vfs_read+0x2", seen.note)
            hooks.trap("load page fault", seen.note)
            hooks.trap("supervisor timer interrupt", seen.note)
            hooks.csr("satp", seen.note)
            task = machine.harts[0].csr["sscratch"] or machine.harts[0].x["tp"]  # the task that runs
            hooks.access(task, 16, seen.note)
            coverage = hooks.coverage()

            def collect(event: HookEvent) -> None:
                seen.output += event.data

            hooks.console(collect)
        machine.console.send(COMMAND)
        output = machine.run_until(PROMPT, LIMIT)
        assert output.endswith(f"0\r\n{PROMPT}")
        if hooked:
            seen.covered = coverage.bitmap()
            assert seen.output.decode() == output
        seen.state = machine.state_hash()
    return seen


@pytest.fixture(scope="module")
def by_translator(at_prompt: Snapshot) -> Seen:
    return run(at_prompt, "translator", hooked=True)


def test_the_guest_does_not_notice(at_prompt: Snapshot, by_translator: Seen) -> None:
    assert run(at_prompt, "translator", hooked=False).state == by_translator.state


def test_the_interpreter_sees_the_same(at_prompt: Snapshot, by_translator: Seen) -> None:
    assert run(at_prompt, "interpreter", hooked=True) == by_translator


def test_system_calls_of_a_command(by_translator: Seen) -> None:
    assert (WRITE, 1) in by_translator.calls  # the echo of what is typed
    opened = max(at for at, (number, _) in enumerate(by_translator.calls) if number == OPENAT)
    file, copied, end = by_translator.calls[opened : opened + 3]
    assert file == (OPENAT, 3)
    assert copied[0] == end[0] == SENDFILE
    assert copied[1] > 50 > end[1] == 0
    assert all(number != EXIT_GROUP for number, _ in by_translator.calls), "that does not return"
    kinds = {kind for _, kind, *_ in by_translator.events}
    assert {"syscall", "execute", "trap", "csr", "read", "write"} <= kinds
