"""Runs one peer once, bounded in time and output, and notes when its guest says that the work begins and ends."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from resource import struct_rusage

# The protocol of guests/harness.c and guests/linux_workloads.c.
BEGIN = re.compile(rb"bench: begin\r*\n")
END = re.compile(rb"bench: end (0x[0-9a-f]{16})\r*\n")

# What is kept of the output: enough to show what went wrong, and longer than any mark.
KEPT_OUTPUT_BYTES = 16 << 10
PR_SET_PDEATHSIG = 1


class RunFailed(Exception):
    """A run that did not end as it must; the text says how."""


@dataclass(frozen=True)
class Run:
    """One finished run; all times in seconds."""

    wall: float
    # From the start of the process until its guest said `begin` (`None`: it never did), and from there to `end`.
    until_begin: float | None
    inside: float | None
    cpu: float
    # As the kernel accounts it: never less than what this process held when it started the run.
    peak_memory_bytes: int
    checksum: str | None


def run_bounded(command: Sequence[str], timeout: float, environment: Mapping[str, str] | None = None) -> Run:
    """Runs `command` with no input to its end; nothing of its process group is left behind whatever happens.

    `environment` is added to this process's own. Raises `RunFailed` when the command cannot be started, takes longer
    than `timeout` seconds, or exits with another status than 0.
    """
    with tempfile.TemporaryFile() as errors:
        started = time.perf_counter()
        try:
            process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        except OSError as error:
            raise RunFailed(f"cannot start {command[0]}: {error.strerror}") from error
        try:
            marks = _watch(process, started, started + timeout)
            status, usage = _reap(process, started + timeout)
        except TimeoutError:
            raise RunFailed(f"no end after {timeout:g} s") from None
        finally:
            _kill_group(process)
        wall = time.perf_counter() - started
        if status != 0:
            errors.seek(0)
            raise RunFailed(f"exit status {status}: {_last_line(errors.read()) or _last_line(marks.tail)}")
    return Run(
        wall=wall,
        until_begin=marks.begin,
        inside=None if marks.begin is None or marks.end is None else marks.end - marks.begin,
        cpu=usage.ru_utime + usage.ru_stime,
        peak_memory_bytes=usage.ru_maxrss * 1024,
        checksum=marks.checksum,
    )


@dataclass
class _Marks:
    """What the output has shown so far; times since the start."""

    begin: float | None = None
    end: float | None = None
    checksum: str | None = None
    tail: bytes = b""

    def feed(self, data: bytes, now: float) -> None:
        self.tail += data
        if self.begin is None and (found := BEGIN.search(self.tail)):
            self.begin = now
            self.tail = self.tail[found.end() :]
        if self.begin is not None and self.end is None and (found := END.search(self.tail)):
            self.end, self.checksum = now, found[1].decode()
        self.tail = self.tail[-KEPT_OUTPUT_BYTES:]


def _watch(process: subprocess.Popen[bytes], started: float, deadline: float) -> _Marks:
    """Reads the output to its end; raises `TimeoutError` at the deadline."""
    marks = _Marks()
    assert process.stdout is not None
    with process.stdout as stream:
        while True:
            ready, _, _ = select.select([stream], [], [], max(0.0, deadline - time.perf_counter()))
            if not ready:
                raise TimeoutError
            data = os.read(stream.fileno(), 1 << 16)
            if not data:
                return marks
            marks.feed(data, time.perf_counter() - started)


def _reap(process: subprocess.Popen[bytes], deadline: float) -> tuple[int, struct_rusage]:
    """Waits for the process itself, for it may close its output before it ends."""
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return process.returncode, usage
        if time.perf_counter() > deadline:
            raise TimeoutError
        time.sleep(0.001)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    if process.returncode is None:
        process.wait()


def _die_with_parent() -> None:
    """Runs in the child: when the suite itself is killed, its guest must not live on."""
    _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


_LIBC = ctypes.CDLL(None)


def _last_line(output: bytes) -> str:
    lines = [line for line in output.decode(errors="replace").splitlines() if line.strip()]
    return lines[-1].strip()[:200] if lines else ""
