"""What the compiler process is given to do in its tests: functions from bytes to bytes."""

import ctypes
import json
import os
import signal
import sys
import time


def echo(request: bytes) -> bytes:
    return request


def double(request: bytes) -> bytes:
    time.sleep(0.001)
    return request * 2


def nap(request: bytes) -> bytes:
    """Sleeps for the seconds that the request says."""
    time.sleep(float(request))
    return request


def spin(request: bytes) -> bytes:
    """Computes in Python for ever."""
    while True:
        pass


def compile_natively(request: bytes) -> bytes:
    """Stays in a native library for half a minute, as compiling does."""
    ctypes.CDLL(None).sleep(30)
    return request


def picky(request: bytes) -> bytes:
    """Raises on `bad`, dies on `deadly`, returns no bytes on `wrong`, floods its streams on `loud`."""
    if request == b"bad":
        raise ValueError("this is\nbad")
    if request == b"deadly":
        print("LLVM ERROR: cannot\x1b[2J select", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGSEGV)
    if request == b"wrong":
        return 7  # type: ignore[return-value]
    if request == b"loud":
        print("x" * 1_000_000, flush=True)
        print("y" * 1_000_000, file=sys.stderr, flush=True)
    return request


def garble(request: bytes) -> bytes:
    """Writes the request to the socket, past the frames."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and os.readlink(f"/proc/self/fd/{name}").startswith("socket:"):
            os.write(int(name), request)
            time.sleep(30)
    return b"no socket"


def surroundings(request: bytes) -> bytes:
    """Where the process finds itself."""
    descriptors = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            descriptors[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:  # the one of listdir itself
            continue
    return json.dumps(
        {
            "descriptors": descriptors,
            "interrupt_ignored": signal.getsignal(signal.SIGINT) == signal.SIG_IGN,
            "session": os.getsid(0),
            "pid": os.getpid(),
        }
    ).encode()
