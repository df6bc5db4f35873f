"""A terminal in which the tests run programs, and look at it as a person would."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEADLINE_SECONDS = 60  # generous: the machine may be busy

# Makes the terminal on standard input the controlling one, as it is for a program that a shell starts.
_PROLOGUE = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"


class PseudoTerminal:
    """A terminal with one program in it; `seen` is all that the program has shown."""

    def __init__(self) -> None:
        self.master, self.slave = pty.openpty()
        self.seen = b""
        self.resize(100, 40)
        self.mode_before = self.mode()

    def start(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Run Python source in the terminal, which alone says how large it is."""
        outside = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
        self.process = subprocess.Popen(
            [sys.executable, "-c", _PROLOGUE + program, *arguments],
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            start_new_session=True,
            env={**outside, "PYTHONPATH": str(ROOT), "TERM": "xterm"},
        )
        return self.process

    def mode(self) -> list[object]:
        return termios.tcgetattr(self.slave)

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def expect(self, text: bytes) -> None:
        """Wait until `text` has been shown; what came before is forgotten."""
        end = time.monotonic() + DEADLINE_SECONDS
        while text not in self.seen:
            assert self._receive(end - time.monotonic()), f"{text!r} did not come, but {self.seen!r}"
        self.seen = self.seen.partition(text)[2]

    def exit_status(self) -> int:
        """Wait for the end of the program, with all it has shown in `seen`."""
        end = time.monotonic() + DEADLINE_SECONDS
        while self.process.poll() is None:
            assert time.monotonic() < end, f"the program does not end; it showed {self.seen!r}"
            self._receive(0.02)
        while self._receive(0.05):
            pass
        return self.process.returncode

    def expect_mode(self, wanted: list[object]) -> None:
        """Wait until the terminal's settings are `wanted`."""
        end = time.monotonic() + DEADLINE_SECONDS
        while self.mode() != wanted:
            assert time.monotonic() < end, "the terminal's settings are not what they should be"
            time.sleep(0.01)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)

    def _receive(self, seconds: float) -> bool:
        if not select.select([self.master], [], [], max(seconds, 0))[0]:
            return False
        self.seen += os.read(self.master, 65536)
        return True


@pytest.fixture
def terminal() -> Iterator[PseudoTerminal]:
    """A terminal of 100 columns and 40 rows."""
    terminal = PseudoTerminal()
    yield terminal
    terminal.close()
