"""A recorded session at Debian's shell, by the wall clock, is repeated on every engine that is quick enough."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from hypernest.history.recording import replay
from hypernest.images import Image
from hypernest.machine import Machine, StopKind
from hypernest.machine.hooks import HookEvent


class Typist:
    """A person who reads what the guest prints, and types slowly, a key at a time."""

    def __init__(self, *lines: str) -> None:
        self.output = b""
        self._lines = list(lines)
        self._keys: list[int] = []
        self._looked = 0
        self._next = 0.0

    def write(self, data: bytes) -> None:
        self.output += data

    def read(self) -> bytes:
        if not self._keys and self._lines and b"~ # " in self.output[self._looked :]:
            self._looked = len(self.output)
            self._keys = list((self._lines.pop(0) + "\n").encode())
        if not self._keys or time.monotonic() < self._next:
            return b""
        self._next = time.monotonic() + 0.003
        return bytes([self._keys.pop(0)])

    def wait(self, seconds: float | None) -> bool:
        time.sleep(min(0.003, seconds if seconds is not None else 1))
        return True


def test_a_session_at_a_shell_is_repeated(debian_image: Image, tmp_path: Path) -> None:
    typist = Typist("date; echo $RANDOM; sleep 0.1; cat /proc/interrupts", "head -c 8 /dev/urandom | od -x", "poweroff")
    path = tmp_path / "session"
    with Machine(debian_image, memory="192M", harts=2, console=typist, clock="wall", seed=5, record=path) as machine:
        machine.console.resize(90, 20)
        assert machine.run(20_000_000_000).kind is StopKind.POWER_OFF
        assert len(machine.journal.events) > 50
        instructions = machine.instructions
    for engine in ("translator", "interpreter"):
        with replay(path, engine=engine) as again:
            verdict = again.verify()
            assert verdict.identical, str(verdict)
            assert verdict.instructions == instructions
            assert verdict.hashes > 10
            assert again.machine.console.read_bytes() == typist.output


def test_input_from_a_hook_is_repeated_without_the_hook(debian_image: Image, tmp_path: Path) -> None:
    path, wanted = tmp_path / "hooked", ["uname -a", "ls -l /", "poweroff"]
    seen = bytearray()

    def answer(event: HookEvent) -> None:
        seen.extend(event.data)
        if seen.endswith(b"~ # ") and wanted:
            event.machine.console.send(wanted.pop(0) + "\n")

    with Machine(debian_image, memory="192M", record=path) as machine:
        machine.hooks.console(answer)
        assert machine.run(20_000_000_000).kind is StopKind.POWER_OFF
    with replay(path, engine="interpreter") as again:
        verdict = again.verify()
        assert verdict.identical, str(verdict)
        assert again.machine.console.read_bytes() == bytes(seen)


@pytest.mark.parametrize("engine", ["interpreter", "translator"])
def test_a_linux_that_was_not_itself_is_found_out(engine: str, debian_image: Image, tmp_path: Path) -> None:
    """A program that changes a register while the machine is recorded cannot be repeated, and that is what is said."""
    path = tmp_path / "touched"
    with Machine(debian_image, memory="192M", record=path) as machine:
        machine.run(30_000_000)
        machine.harts[0].f["fa0"] = 1  # nobody uses it while Linux boots
        machine.run(10_000_000)
        count = machine.instructions
    with replay(path, engine=engine) as again:
        verdict = again.verify()
        assert verdict.difference is not None
        assert verdict.difference.begin <= 30_000_000 < verdict.difference.end <= count
        assert "a change from outside that is not in the recording" in str(verdict)
