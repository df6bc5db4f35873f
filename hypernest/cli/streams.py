"""The guest's console on standard input and output that are no terminal: files, pipes, nothing."""

from __future__ import annotations

import os
import select
import time
from contextlib import AbstractContextManager, nullcontext

from hypernest.errors import HypernestError

_CHUNK = 4096
_END_OF_FILE = b"\x04"
_REPEATED = 50


class OutputLost(HypernestError):
    """Standard output takes no more."""


class Streams:
    """A console back end on two file descriptors. Bytes pass unchanged, and at once.

    After the end of the input the guest goes on without; with `types_end` it gets Ctrl-D, on a line of its own, which
    ends a session as it would for a person, and again from time to time, as a key may get lost between two programs.
    When the output fails, what the guest writes is dropped and the next `read` or `check` raises: `BrokenPipeError` if
    the reader has gone, else `OutputLost`.
    """

    def __init__(self, source: int, sink: int, types_end: bool = False) -> None:
        self._source = source
        self._sink = sink
        self._last_words = _END_OF_FILE if types_end else b""
        self._reads_after_end = 0
        self._ended = False
        self._failure: OSError | None = None

    def taken(self) -> AbstractContextManager[object]:
        """A `with` block in which the guest runs."""
        return nullcontext()

    def write(self, data: bytes) -> None:
        """Returns when all of `data` has left; waits for a slow reader."""
        if self._failure is not None:
            return
        view = memoryview(data)
        try:
            while view:
                try:
                    view = view[os.write(self._sink, view) :]
                except BlockingIOError:  # someone shares the descriptor and made it non-blocking
                    select.select([], [self._sink], [])
        except OSError as error:
            self._failure = error

    def read(self) -> bytes:
        """The input that is there, at most 4 KiB at a time."""
        self.check()
        if self._ended or not self._ready([self._source], 0):
            return self._take_last_words()
        try:
            data = os.read(self._source, _CHUNK)
        except BlockingIOError:
            return b""
        except OSError:  # a terminal that is gone, a folder
            data = b""
        self._ended = not data
        if data and self._last_words:
            self._last_words = _END_OF_FILE if data.endswith(b"\n") else b"\n" + _END_OF_FILE
        return data or self._take_last_words()

    def _take_last_words(self) -> bytes:
        """What to type when the input has ended."""
        if not self._ended:
            return b""
        self._reads_after_end += 1
        if self._reads_after_end % _REPEATED != 1:
            return b""
        words, self._last_words = self._last_words, self._last_words[-1:]
        return words

    def check(self) -> None:
        """Raises what went wrong with the output, if anything did."""
        match self._failure:
            case None:
                return
            case BrokenPipeError():
                raise self._failure
            case failure:
                raise OutputLost(f"the output of the guest cannot be written: {failure.strerror}.") from failure

    def wait(self, seconds: float | None) -> bool:
        """Sleep until there is input, or `seconds` have gone by.

        False if no input can come any more; then it does not sleep without a limit.
        """
        if not self._ended or seconds is not None:
            self._ready(self._sources(), seconds)
        return not self._ended

    def _sources(self) -> list[int]:
        return [] if self._ended else [self._source]

    def _ready(self, sources: list[int], seconds: float | None) -> list[int]:
        try:
            return select.select(sources, [], [], seconds)[0]
        except (OSError, ValueError):  # closed by whoever started us
            self._ended = True
            time.sleep(seconds or 0)
            return []
