"""The guest's console on a terminal: every key goes to the guest, but for what follows Ctrl-A."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import termios
from collections.abc import Callable, Iterator
from types import FrameType

from hypernest.cli.raw_mode import RawMode
from hypernest.cli.streams import Streams

ESCAPE = 0x01  # Ctrl-A
HELP = b"""\r
Ctrl-A h       this help\r
Ctrl-A x       switch the machine off and quit\r
Ctrl-A Ctrl-A  send Ctrl-A to the guest\r
"""


class Quit(Exception):
    """The user typed Ctrl-A x."""


class Terminal(Streams):
    """A console back end on the terminal that is `source` and `sink`.

    `resized` is called with columns and rows when the size of the window has changed, between two turns like all else.
    """

    def __init__(self, source: int, sink: int) -> None:
        super().__init__(source, sink)
        self.resized: Callable[[int, int], None] = lambda columns, rows: None
        self._escaped = False
        self._size: tuple[int, int] | None = None
        self._size_changed = True
        self._at_line_start = True
        self._wake_reader, self._wake_writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)  # open until the program ends
        self._commands: dict[int, Callable[[], bytes]] = {
            ord("x"): self._quit,
            ord("h"): self._help,
            ESCAPE: lambda: bytes([ESCAPE]),
        }

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        """A `with` block in which the terminal is in raw mode; it is given back whatever happens."""
        try:
            with RawMode(self._source) as raw, self._signals(raw):
                yield
        finally:
            if not self._at_line_start:
                self.write(b"\r\n")  # leave the cursor where a shell's prompt can follow

    def size(self) -> tuple[int, int]:
        """Columns and rows of the window; 80 and 24 where the terminal does not know."""
        with contextlib.suppress(OSError):
            size = os.get_terminal_size(self._sink)
            if size.columns and size.lines:
                return size.columns, size.lines
        return 80, 24

    def write(self, data: bytes) -> None:
        super().write(data)
        self._at_line_start = data.endswith(b"\n") if data else self._at_line_start

    def read(self) -> bytes:
        """The keys for the guest; raises `Quit` when the user asks to."""
        if self._size_changed:
            self._report_size()
        typed = super().read()
        if not self._escaped and ESCAPE not in typed:
            return typed
        return b"".join(map(self._key, typed))

    def wait(self, seconds: float | None) -> bool:
        """Sleep until there is a key or a new window size, or `seconds` have gone by; false as for `Streams`."""
        if self._ended and seconds is None:
            return False
        if self._wake_reader in self._ready([*self._sources(), self._wake_reader], seconds):
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake_reader, 4096)
        return not self._ended

    def _key(self, key: int) -> bytes:
        if self._escaped:
            self._escaped = False
            return self._commands.get(key, bytes)()
        self._escaped = key == ESCAPE
        return b"" if self._escaped else bytes([key])

    def _quit(self) -> bytes:
        raise Quit

    def _help(self) -> bytes:
        self.write(HELP)
        return b""

    def _report_size(self) -> None:
        self._size_changed = False
        if (size := self.size()) != self._size:
            self._size = size
            self.resized(*size)

    @contextlib.contextmanager
    def _signals(self, raw: RawMode) -> Iterator[None]:
        """Answer the signals that concern a terminal, for the time of a `with` block."""

        def end(number: int, frame: FrameType | None) -> None:
            sys.exit(128 + number)

        def suspend(number: int, frame: FrameType | None) -> None:
            raw.set_back()
            os.kill(os.getpid(), signal.SIGSTOP)

        def resume(number: int, frame: FrameType | None) -> None:
            with contextlib.suppress(termios.error):
                raw.set_raw()
            self._size_changed = True

        def resize(number: int, frame: FrameType | None) -> None:
            self._size_changed = True

        handlers = {
            signal.SIGTERM: end,
            signal.SIGHUP: end,
            signal.SIGTSTP: suspend,
            signal.SIGCONT: resume,
            signal.SIGWINCH: resize,
        }
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        wakeup = signal.set_wakeup_fd(self._wake_writer, warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)
