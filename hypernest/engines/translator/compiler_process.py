"""The parent's side of the compiler process: bytes go there and bytes come back, and the caller never waits.

Compiling takes milliseconds to seconds and LLVM can crash, so it happens in another process (worker.py). Whatever goes
wrong there is a sentence in `problem` and requests without a reply, never an exception: the guest runs on uncompiled.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import weakref
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from hypernest.engines.translator import worker
from hypernest.engines.translator.worker import ANSWER, LENGTH, LONGEST_FRAME, Kind

_HANDED = 4  # requests in the socket at a time: the worker always has a next one, and what a death can take is little
_RESTARTS = 3
_RECEIVED_AT_ONCE = 1 << 18
_NO_SIGNAL = getattr(socket, "MSG_NOSIGNAL", 0)  # a host program may have given SIGPIPE its deadly meaning again
_REAPING = 1.0  # seconds to wait for a killed process, which is gone in a few milliseconds but on a broken host


class CompilerProcess:
    """One child process that calls `handler` for each request, started by the first `submit`.

    `handler` is "package.module:function", a function from bytes to bytes; it is imported in the child, from where this
    process imports, or else from the folders of `path`. No method blocks or raises. One thread at a time may call them.

    A child that dies is started again, three times at most; the request it was at is not tried again. Then, or if it
    cannot be started, it is given up: `alive` is False and requests are dropped. In a process forked off this one the
    child is not to be had: there `alive` is False as well.

    `failed` counts the requests without a reply: the handler raised, the child died over it, or was given up.
    `problem` is one sentence on the first thing that went wrong.
    """

    def __init__(self, handler: str, path: Sequence[str] = ()) -> None:
        self.failed = 0
        self.problem: str | None = None
        self._handler = handler
        self._path = tuple(path)
        self._queue: deque[bytes] = deque()  # not yet handed to a child
        self._child: _Child | None = None
        self._restarts = 0
        self._ended = False
        self._earlier_cpu_seconds = 0.0

    @property
    def outstanding(self) -> int:
        """Requests whose fate is open."""
        return len(self._queue) + (len(self._child.handed) if self._child else 0)

    @property
    def alive(self) -> bool:
        """Whether a request may still get a reply: not closed, not given up, not in a forked process."""
        return not self._ended and not self._is_foreign()

    @property
    def pid(self) -> int | None:
        """The child's number, None without one."""
        return self._child.process.pid if self._child else None

    @property
    def cpu_seconds(self) -> float:
        """CPU time of the child and those before it, as of the last answer of each."""
        return self._earlier_cpu_seconds + (self._child.cpu_seconds if self._child else 0.0)

    def submit(self, request: bytes) -> None:
        """Queues the request; dropped if not `alive`."""
        if not self.alive:
            self._leave_if_foreign()
        elif len(request) > LONGEST_FRAME:
            self._fail(1, f"the compiler process is not given a request of {len(request)} bytes.")
        else:
            self._queue.append(request)
            if self._child is None:
                self._start()
            if self._child is not None:
                self._child.send(self._queue)

    def poll(self) -> list[bytes]:
        """The replies that have come since the last call, in the order of their requests.

        It is also what hands the child more requests: call it now and then while there are any `outstanding`.
        """
        child = self._child
        if child is None or not (child.handed or self._queue) or self._leave_if_foreign():
            return []
        replies = []
        for kind, body in child.receive():
            if kind is Kind.REPLY:
                replies.append(body)
            else:
                self._fail(1, f"the compiler process cannot compile something ({_one_line(body)}).")
        if child.gone is None:
            child.send(self._queue)
        else:
            self._bury(child, child.gone)
        return replies

    def close(self) -> None:
        """Kills the child, whatever it is at, and drops what is outstanding. May be called again."""
        self._ended = True
        self._queue.clear()
        self._part_with_child()

    def _start(self) -> None:
        try:
            self._child = _Child(_command(self._handler, self._path))
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            self._give_up(f"the compiler process cannot be started ({error}).")

    def _bury(self, child: _Child, reason: str) -> None:
        """After a child's end: the next one gets its requests but the one that was its end."""
        said = self._part_with_child()
        sentence = f"the compiler process {reason}{said}."
        guilty = child.was_at()
        if guilty:
            self._fail(1, sentence)
        self._queue.extendleft(reversed(list(child.handed)[guilty:]))
        if self._restarts == _RESTARTS:
            self._give_up(sentence)
            return
        self._fail(0, sentence)
        self._restarts += 1
        self._start()
        if self._child is not None:
            self._child.send(self._queue)

    def _part_with_child(self) -> str:
        child, self._child = self._child, None
        if child is None:
            return ""
        self._earlier_cpu_seconds += child.cpu_seconds
        return child.end() or ""

    def _fail(self, requests: int, sentence: str) -> None:
        self.failed += requests
        self.problem = self.problem or sentence

    def _give_up(self, sentence: str) -> None:
        self._fail(len(self._queue), sentence)
        self.close()

    def _is_foreign(self) -> bool:
        return self._child is not None and self._child.owner != os.getpid()

    def _leave_if_foreign(self) -> bool:
        foreign = self._is_foreign()
        if foreign:
            self.close()
        return foreign


class _Child:
    """One process, the requests handed to it, and the frames that are on their way in part.

    Raises OSError, ValueError or SubprocessError if it cannot be started. `gone` tells its end, once `receive` met it.
    """

    def __init__(self, command: list[str]) -> None:
        self.handed: deque[bytes] = deque()  # without an answer yet; the last may still be in part in `_sending`
        self.gone: str | None = None
        self.cpu_seconds = 0.0
        self.owner = os.getpid()
        self._ready = False
        self._sending = memoryview(b"")
        self._received = bytearray()
        self._buffer = bytearray(_RECEIVED_AT_ONCE)
        with contextlib.ExitStack() as opened:
            self._channel, theirs = socket.socketpair()
            opened.callback(self._channel.close)
            self._channel.setblocking(False)
            said: IO[bytes] | int = subprocess.DEVNULL
            with contextlib.suppress(OSError):  # no room for what it may say: then unheard
                said = opened.enter_context(tempfile.TemporaryFile())
            with theirs:
                # In a session of its own, Ctrl-C does not reach it even before it can ignore it.
                self.process = subprocess.Popen(
                    command, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, stderr=said, start_new_session=True
                )
            opened.pop_all()
        self.end = weakref.finalize(self, _end, self.process, self._channel, said, self.owner)

    def send(self, queue: deque[bytes]) -> None:
        """Hands over what the socket takes without waiting."""
        while self._sending or (queue and len(self.handed) < _HANDED):
            if not self._sending:
                request = queue.popleft()
                self.handed.append(request)
                self._sending = memoryview(LENGTH.pack(len(request)) + request)
            try:
                sent = self._channel.send(self._sending, _NO_SIGNAL)
            except OSError:
                return  # full, or the process is gone, which receiving tells after the last of its answers
            self._sending = self._sending[sent:]

    def receive(self) -> list[tuple[Kind, bytes]]:
        """The answers that have come, each of which takes its request from `handed`."""
        answers: list[tuple[Kind, bytes]] = []
        count = len(self._buffer)
        while count == len(self._buffer) and self.gone is None:
            try:
                count = self._channel.recv_into(self._buffer)
            except BlockingIOError:
                break
            except OSError:
                count = 0
            if not count:
                self.gone = "died"
            self._received += memoryview(self._buffer)[:count]
            while self.gone is None and (frame := self._frame()) is not None:
                self._take(frame, answers)
        return answers

    def was_at(self) -> int:
        """1 if it had a whole request before it, the first of `handed`; else 0."""
        return int(self._ready and len(self.handed) > bool(self._sending))

    def _frame(self) -> bytes | None:
        if len(self._received) < LENGTH.size:
            return None
        (length,) = LENGTH.unpack_from(self._received)
        if not ANSWER.size <= length <= LONGEST_FRAME:
            self.gone = f"sent a frame of {length} bytes and was killed"
            return None
        end = LENGTH.size + length
        if len(self._received) < end:
            return None
        frame = bytes(memoryview(self._received)[LENGTH.size : end])
        del self._received[:end]
        return frame

    def _take(self, frame: bytes, answers: list[tuple[Kind, bytes]]) -> None:
        number, seconds = ANSWER.unpack_from(frame)
        expected = (Kind.REPLY, Kind.FAILURE) if self._ready else (Kind.READY,)
        if number not in expected or (self._ready and not self.was_at()):
            self.gone = "sent what nobody asked for and was killed"
            return
        self.cpu_seconds = seconds
        if self._ready:
            self.handed.popleft()
            answers.append((Kind(number), frame[ANSWER.size :]))
        self._ready = True


def _command(handler: str, path: Sequence[str]) -> list[str]:
    """How to start a child that imports what this process does; ValueError if there is no Python to start.

    Isolated (-I) and without site customizations (-S), which can be slow and need not be written for a second process:
    what they and PYTHONPATH added is in this process's sys.path, which is handed over. The standard library comes
    first, then this very hypernest.
    """
    if not sys.executable or getattr(sys, "frozen", False):
        raise ValueError("this Python does not know its own executable")
    home = str(Path(__file__).resolve().parents[3])
    folders = [home, *path, *(folder for folder in sys.path if isinstance(folder, str))]
    options = ["-I", "-S", *(["-B"] if sys.dont_write_bytecode else [])]
    return [sys.executable, *options, worker.__file__, handler, str(os.getpid()), *dict.fromkeys(folders)]


def _end(process: subprocess.Popen[bytes], channel: socket.socket, said: IO[bytes] | int, owner: int) -> str:
    """Kills and reaps the process, and tells its end: also when the machine is forgotten, and when Python ends.

    In a forked process, only its copies are closed.
    """
    ending = ""
    if owner != os.getpid():
        process.returncode = 0  # not ours to wait for
    else:
        process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_REAPING)
        ending = f" ({_ending(process.returncode)}{_last_words(said)})"
    channel.close()
    if not isinstance(said, int):
        said.close()
    return ending


def _ending(status: int | None) -> str:
    if status is None or status >= 0:
        return f"status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"


def _last_words(said: IO[bytes] | int) -> str:
    if isinstance(said, int):
        return ""
    try:
        size = os.fstat(said.fileno()).st_size
        line = _one_line(os.pread(said.fileno(), 4096, max(0, size - 4096)).rstrip().rpartition(b"\n")[2])
    except OSError:
        return ""
    return f": {line}" if line else ""


def _one_line(text: bytes) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text.decode(errors="replace")).split())[:200]
