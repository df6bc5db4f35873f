"""Running a peer: times and checksum are found, and nothing outlives a run that goes wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hypernest.benchmark.process import RunFailed, run_bounded

END_LINE = "bench: end 0x00000000000000ab"


def shell(script: str) -> list[str]:
    return ["sh", "-c", script]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def assert_gone(pid: int) -> None:
    deadline = time.monotonic() + 5
    while alive(pid):
        assert time.monotonic() < deadline, f"process {pid} is still there"
        time.sleep(0.01)


def test_times_are_taken_between_the_marks() -> None:
    run = run_bounded(shell(f"sleep 0.1; echo bench: begin; sleep 0.2; echo {END_LINE}; sleep 0.1"), 10)
    assert run.checksum == "0x00000000000000ab"
    assert run.until_begin is not None and run.inside is not None
    assert 0.1 <= run.until_begin < 0.3
    assert 0.15 <= run.inside < 0.5
    assert run.wall >= 0.4


def test_marks_may_end_in_carriage_returns_and_hide_in_other_output() -> None:
    script = f"printf 'Linux\\r\\nbench: begin\\r\\r\\n'; seq 10000; printf '{END_LINE}\\r\\n'"
    assert run_bounded(shell(script), 10).checksum == "0x00000000000000ab"


def test_marks_split_between_writes_are_found() -> None:
    script = "printf 'bench: be'; sleep 0.05; printf 'gin\\nbench: end 0x0000'; sleep 0.05; printf '000000000001\\n'"
    assert run_bounded(shell(script), 10).checksum == "0x0000000000000001"


def test_output_without_marks_has_no_times() -> None:
    run = run_bounded(shell("echo hello"), 10)
    assert (run.until_begin, run.inside, run.checksum) == (None, None, None)


def test_environment_is_added() -> None:
    script = f'test "$ADDED" = yes && test "$PATH" && echo bench: begin && echo {END_LINE}'
    assert run_bounded(shell(script), 10, {"ADDED": "yes"}).checksum


def test_failing_command_tells_its_status_and_last_words() -> None:
    with pytest.raises(RunFailed, match="exit status 7: no such kernel"):
        run_bounded(shell("echo first >&2; echo no such kernel >&2; exit 7"), 10)


def test_command_that_does_not_exist() -> None:
    with pytest.raises(RunFailed, match="cannot start /nowhere/qemu"):
        run_bounded(["/nowhere/qemu"], 10)


@pytest.mark.parametrize("end", ["sleep 60", "exec >&- 2>&-; sleep 60"])
def test_timeout_ends_the_whole_process_group(tmp_path: Path, end: str) -> None:
    pids = tmp_path / "pids"
    started = time.monotonic()
    with pytest.raises(RunFailed, match=r"no end after 0\.3 s"):
        run_bounded(shell(f"sleep 60 & echo $! $$ > {pids}; {end}"), 0.3)
    assert time.monotonic() - started < 5
    for pid in map(int, pids.read_text().split()):
        assert_gone(pid)


def test_killing_the_suite_ends_its_guest(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    program = f"""
from hypernest.benchmark.process import run_bounded
run_bounded(["sh", "-c", "echo $$ > {pid_file}.new; mv {pid_file}.new {pid_file}; exec sleep 60"], 60)
"""
    suite = subprocess.Popen([sys.executable, "-c", program])
    deadline = time.monotonic() + 10
    while not pid_file.exists():
        assert time.monotonic() < deadline and suite.poll() is None
        time.sleep(0.01)
    os.kill(suite.pid, signal.SIGKILL)
    suite.wait()
    assert_gone(int(pid_file.read_text()))
