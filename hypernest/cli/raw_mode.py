"""Gives every key to the guest, and gives the terminal back whatever happens."""

from __future__ import annotations

import contextlib
import os
import subprocess
import termios
from types import TracebackType
from typing import Self

_INPUT, _OUTPUT, _CONTROL, _LOCAL, _CHARACTERS = 0, 1, 2, 3, 6
"""Places in the list that `termios.tcgetattr` returns."""

# Says when it is ready, then waits for a line or for the end of its input, which comes when hypernest ends in whatever
# way. Without the line the terminal is set back, unless somebody (the user's shell) has done so already.
_KEEPER = """
trap '' HUP INT QUIT TERM TSTP TTIN TTOU
echo
read -r _ || { [ "$(stty -g <&3)" = "$1" ] && stty "$0" <&3; }
"""


class RawMode:
    """A `with` block in which the terminal behind `terminal` interprets no key and echoes nothing.

    As in QEMU, output stays as it was, so that guests that end lines with a bare newline are readable. The terminal
    is set back at the end of the block; if the process dies before that (SIGKILL, a crash), a keeper does it: a shell
    that waits for its death.
    """

    def __init__(self, terminal: int) -> None:
        self._terminal = terminal
        self._keeper: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Raises `termios.error` if it is no terminal."""
        self._saved = termios.tcgetattr(self._terminal)
        saved = self._describe()
        self.set_raw()
        self._keeper = self._start_keeper(saved, self._describe())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.set_back()
        if self._keeper is not None:
            with contextlib.suppress(OSError):
                self._keeper.communicate(b"done\n")

    def set_raw(self) -> None:
        """Let every key through, from now on."""
        mode = termios.tcgetattr(self._terminal)
        mode[_INPUT] &= ~(
            termios.IGNBRK
            | termios.BRKINT
            | termios.PARMRK
            | termios.ISTRIP
            | termios.INLCR
            | termios.IGNCR
            | termios.ICRNL
            | termios.IXON
        )
        mode[_LOCAL] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.IEXTEN | termios.ISIG)
        mode[_CONTROL] = mode[_CONTROL] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
        mode[_CHARACTERS][termios.VMIN], mode[_CHARACTERS][termios.VTIME] = 1, 0
        termios.tcsetattr(self._terminal, termios.TCSANOW, mode)

    def set_back(self) -> None:
        """Make the terminal what it was before the block; harmless when it is gone."""
        with contextlib.suppress(termios.error):
            termios.tcsetattr(self._terminal, termios.TCSADRAIN, self._saved)

    def _describe(self) -> str:
        """The terminal's settings as `stty` reads them, or nothing without `stty`."""
        try:
            done = subprocess.run(["stty", "-g"], stdin=self._terminal, capture_output=True, text=True, check=False)
        except OSError:
            return ""
        return done.stdout.strip()

    def _start_keeper(self, saved: str, raw: str) -> subprocess.Popen[bytes] | None:
        if not saved or not raw:
            return None
        # A copy, because the keeper's standard input is the pipe.
        terminal = os.dup(self._terminal)
        try:
            keeper = subprocess.Popen(
                ["sh", "-c", f"exec 3<&{terminal}\n{_KEEPER}", saved, raw],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                pass_fds=(terminal,),
            )
            assert keeper.stdout is not None
            keeper.stdout.read(1)
            return keeper
        except OSError:
            return None
        finally:
            os.close(terminal)
