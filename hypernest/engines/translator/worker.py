"""What runs in the compiler process: one function from bytes to bytes, called for each request in turn.

Started by `CompilerProcess` (compiler_process.py) as `python -I -S worker.py MODULE:FUNCTION PARENT FOLDER…`, with one
end of a socket pair as standard input: PARENT is the process to serve, the FOLDERs are where to import from. The file
runs on its own and imports only the standard library, so that nothing of the parent's set-up can stop or slow it.

A frame on the socket is a u32 length and as many bytes. A request is the function's argument. An answer begins with
`ANSWER`: its kind, and the CPU seconds of this process so far; the function's result or the error's text follows.

The process must not outlive the parent, however that ends. PR_SET_PDEATHSIG is of no use: it fires when the *thread*
that started the process ends, and machines are made in threads. Instead a second thread waits for the socket to be hung
up, and now and then compares the parent's number: a process forked off the parent may hold the socket open after it.
The thread needs Python's lock only for a moment, which compiling in a native library leaves free.
"""

from __future__ import annotations

import enum
import importlib
import os
import select
import signal
import socket
import struct
import sys
import threading
import time
import traceback
from collections.abc import Callable

LENGTH = struct.Struct("<I")
ANSWER = struct.Struct("<Bd")
LONGEST_FRAME = 64 << 20
_GLANCE = 250  # milliseconds between two looks at the parent's number


class Kind(enum.IntEnum):
    """What an answer says."""

    READY = 0  # the function is imported; comes once, before all others
    REPLY = 1
    FAILURE = 2  # the function raised


def main(handler: str, parent: int, folders: list[str]) -> None:
    """Serves the socket at descriptor 0 until it ends. Raises whatever importing the function raises."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    channel = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)  # nobody else may read from the socket
    os.close(nothing)
    threading.Thread(target=_end_with, args=(parent, channel.fileno()), daemon=True).start()
    sys.path += folders
    module, _, name = handler.partition(":")
    function: Callable[[bytes], bytes] = getattr(importlib.import_module(module), name)
    _send(channel, Kind.READY, b"")
    while True:
        (length,) = LENGTH.unpack(_receive(channel, LENGTH.size))
        kind, body = _answer(function, _receive(channel, length))
        _send(channel, kind, body)


def _answer(function: Callable[[bytes], bytes], request: bytes) -> tuple[Kind, bytes]:
    try:
        reply = bytes(memoryview(function(request)))  # not bytes(n), which is n zeros
        if ANSWER.size + len(reply) > LONGEST_FRAME:
            raise ValueError(f"a reply of {len(reply)} bytes is too long")
    except Exception as error:
        return Kind.FAILURE, f"{type(error).__name__}: {error}"[:1000].encode(errors="replace")
    return Kind.REPLY, reply


def _send(channel: socket.socket, kind: Kind, body: bytes) -> None:
    channel.sendall(LENGTH.pack(ANSWER.size + len(body)) + ANSWER.pack(kind, time.process_time()) + body)


def _receive(channel: socket.socket, length: int) -> bytes:
    """Exactly `length` bytes; EOFError when the parent is gone."""
    data = bytearray(length)
    rest = memoryview(data)
    while rest:
        count = channel.recv_into(rest)
        if not count:
            raise EOFError
        rest = rest[count:]
    return bytes(data)


def _end_with(parent: int, channel: int) -> None:
    """Ends this process at once when the parent has closed the socket or is gone."""
    poller = select.poll()
    poller.register(channel, 0)  # a hang-up is always told
    while not poller.poll(_GLANCE) and os.getppid() == parent:
        pass
    os._exit(0)


if __name__ == "__main__":
    try:
        main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
    except (EOFError, ConnectionError):
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(
            1
        )  # not by way of Python's long good-bye, in which the socket would be closed before the status is set
