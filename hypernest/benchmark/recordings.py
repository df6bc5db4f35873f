"""What it costs to record a run, and how long its replay takes: a part of `hypernest bench --objects`.

Debian boots to its shell, hashes 16 MiB and powers off. Runs with and without a recording and replays take turns, and
what counts is the median of the ratios within a turn: the host's speed may change from one to the next. Making and
closing the machine belongs to a run, as files are hashed at one end and memory at the other.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from hypernest.benchmark.figure import Figure
from hypernest.history.recording import replay
from hypernest.machine import Machine, StopKind

_COMMAND = "head -c {} /dev/zero | sha256sum; poweroff -f\n"
_TURNS = 5


def measure(quick: bool = False) -> Iterator[Figure]:
    """All figures; with `quick` of one turn with less work."""
    command = _COMMAND.format(1 << 20 if quick else 16 << 20)
    costs, replays = [], []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "recording")
        _run(command, None)  # what is kept on disk between runs is there from now on
        for turn in range(1 if quick else _TURNS):
            # Whoever comes second may find the host warmer.
            order = (None, path) if turn % 2 else (path, None)
            seconds = {record: _run(command, record) for record in order}
            began = time.perf_counter()
            with replay(path) as again:
                verdict = again.verify()
                assert verdict.identical, str(verdict)
            replays.append((time.perf_counter() - began) / seconds[path])
            costs.append(seconds[path] / seconds[None])
        size = path.stat().st_size
    yield Figure("recording, beside the run without", (statistics.median(costs) - 1) * 100, "%", 5)
    yield Figure("replay with comparison, beside the recorded run", statistics.median(replays) * 100, "%", 100)
    yield Figure("size of the recording", size / 1024, "KiB")


def _run(command: str, record: Path | None) -> float:
    began = time.perf_counter()
    with Machine("debian", memory="256M", record=record) as machine:
        machine.run_until("~ # ")
        machine.console.send(command)
        assert machine.run().kind is StopKind.POWER_OFF
    return time.perf_counter() - began
