"""The console of a guest that runs one command: from where the command starts, and with an end of input."""

from __future__ import annotations

import re

from hypernest.cli.streams import Streams

_END_OF_FILE = b"\x04"
# The bytes a Linux terminal acts upon: they pass when quoted. So does a long line, when it is handed over in pieces.
_SPECIAL = re.compile(rb"[\x03\x04\x0d\x0f\x11-\x13\x15-\x17\x19\x1a\x1c\x7f]")
_QUOTED = b"\x16\\g<0>"
_LONGEST_LINE = 1024


class CommandStreams(Streams):
    """Standard input and output for a command in the guest, which sees a terminal.

    What the guest prints before `ready` is no output of the command and goes to `messages`; `ready` itself goes
    nowhere. Until then no input is passed on. The command sees the end of the input too.
    """

    def __init__(self, source: int, sink: int, messages: int, ready: bytes) -> None:
        super().__init__(source, sink)
        self._messages = Streams(source, messages)
        self._ready_text = ready
        self._held = b""
        self._started = False
        self._end_told = False
        self._column = 0

    def write(self, data: bytes) -> None:
        if self._started:
            super().write(data)
            return
        before, mark, after = (self._held + data).partition(self._ready_text)
        self._started = bool(mark)
        # The end may be the beginning of the text that is waited for.
        lengths = range(len(self._ready_text), -1, -1)
        kept = 0 if mark else next(n for n in lengths if before.endswith(self._ready_text[:n]))
        self._messages.write(before[: len(before) - kept])
        self._held = before[len(before) - kept :]
        if after:
            super().write(after)

    def read(self) -> bytes:
        self.check()
        if not self._started:
            return b""
        data = super().read()
        if data:
            return self._quoted(data)
        if self._ended and not self._end_told:
            self._end_told = True
            # On an unfinished line the first only hands over what there is of it.
            return _END_OF_FILE * (2 if self._column else 1)
        return b""

    def _quoted(self, data: bytes) -> bytes:
        pieces = []
        for line in re.findall(rb"[^\n]*\n|[^\n]+", data):
            while self._column + len(line) > _LONGEST_LINE:
                room = _LONGEST_LINE - self._column
                pieces += [_SPECIAL.sub(_QUOTED, line[:room]), _END_OF_FILE]
                line, self._column = line[room:], 0
            pieces.append(_SPECIAL.sub(_QUOTED, line))
            self._column = 0 if line.endswith(b"\n") else self._column + len(line)
        return b"".join(pieces)
