"""What it costs to snapshot, fork, keep, rewind, record and hook a machine: `hypernest bench --objects` prints it all.

The guest here is Debian with 256 MiB, booted to its shell. All figures are of wall time and of this process, which does
nothing else meanwhile.
"""

from __future__ import annotations

import gc
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from hypernest.benchmark import hooks, recordings
from hypernest.benchmark.figure import Figure
from hypernest.machine import Machine
from hypernest.memory import PAGE

_PROMPT = "~ # "
_MEMORY = "256M"
_REPEAT = 25
_TOUCHED = 1000  # pages, written before going back to a snapshot
_FORKS = 100
_FAR = 64 << 20  # from the start of RAM, where the pages are that are touched


def print_table(quick: bool = False) -> None:
    """Measure, and print each figure as it becomes known."""
    from rich.console import Console

    console = Console(highlight=False)
    for figure in measure(quick):
        wanted = "" if figure.at_most is None else f"at most {figure.at_most:g} {figure.unit}"
        missed = "" if figure.met else ", missed"
        console.print(f"{figure.what:62}{figure.value:9.3f} {figure.unit:4} {wanted}{missed}", soft_wrap=True)


def measure(quick: bool = False) -> Iterator[Figure]:
    """All figures, as they become known; with `quick` of few repetitions."""
    repeat, forks = (3, 5) if quick else (_REPEAT, _FORKS)
    with Machine("debian", memory=_MEMORY) as machine:
        machine.run_until(_PROMPT)
        yield from _forks_and_resets(machine, repeat)
        yield from _many_forks(machine, forks)
        yield from _archives(machine, 1 if quick else 5)
    yield from _history()
    yield from recordings.measure(quick)
    yield from hooks.measure(quick)


def _forks_and_resets(machine: Machine, repeat: int) -> Iterator[Figure]:
    began = time.perf_counter()
    snapshot = machine.snapshot()
    yield Figure("first snapshot of the booted guest", _milliseconds(began), "ms")
    yield Figure("fork, until it runs", _median(lambda: snapshot.fork().close(), repeat), "ms", 5)
    with snapshot.fork() as child:
        times = []
        for _ in range(repeat):
            for page in range(_TOUCHED):
                child.memory.write(child.memory.base + _FAR + page * PAGE, b"touched")
            began = time.perf_counter()
            child.restore(snapshot)
            times.append(_milliseconds(began))
        yield Figure(f"reset to the snapshot after {_TOUCHED:,} pages", statistics.median(times), "ms", 2)
        times = []
        for _ in range(repeat):
            child.console.send("echo $((6*7))\n")
            child.run_until(_PROMPT)
            began = time.perf_counter()
            child.restore(snapshot)
            times.append(_milliseconds(began))
        yield Figure("reset after a command of the shell", statistics.median(times), "ms")
    machine.console.send("true\n")
    machine.run_until(_PROMPT)
    yield Figure("snapshot after a command of the shell", _median(lambda: machine.snapshot(), 1), "ms")


def _many_forks(machine: Machine, forks: int) -> Iterator[Figure]:
    snapshot = machine.snapshot()
    before = _resident()
    children = [snapshot.fork() for _ in range(forks)]
    yield Figure(f"memory of {forks} forks, none of which has run", (_resident() - before) / 2**30, "GiB")
    for number, child in enumerate(children):
        child.console.send(f"echo $(({number}*7))\n")
        assert str(number * 7) in child.run_until(_PROMPT)
    yield Figure(f"memory of {forks} forks and this process, all alive", _resident() / 2**30, "GiB", 3)
    for child in children:
        child.close()
    gc.collect()


def _archives(machine: Machine, repeat: int) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "snapshots")
        snapshot = machine.snapshot()
        times = []
        for number in range(repeat):
            file.unlink(missing_ok=True)
            began = time.perf_counter()
            snapshot.save(f"booted{number}", file)
            times.append(time.perf_counter() - began)
        yield Figure("snapshot to disk", statistics.median(times), "s", 1)
        yield Figure("size on disk", file.stat().st_size / 2**20, "MiB", 80)
        name = f"booted{repeat - 1}"
        first, later = (_restoring(file, name, Path(folder, "cache")) for _ in range(2))
        yield Figure("from disk to running, first time, beyond start-up", first, "s", 0.3)
        yield Figure("from disk to running, later, beyond start-up", later, "s", 0.3)


_RESTORE = """
import sys, time
from hypernest import Machine, Snapshot
with Machine("hello", memory="256M") as other:
    other.run(1000)
began = time.perf_counter()
with Snapshot.load(sys.argv[2], sys.argv[1]).fork() as machine:
    machine.run(1000)
    print(time.perf_counter() - began)
"""


def _restoring(file: Path, name: str, cache: Path) -> float:
    """Seconds from having a machine at all to having run the first instructions of a loaded one, in a new process.

    What is unpacked is kept under `cache` for the next time, what was compiled is where it always is.
    """
    from hypernest.cache import cache_folder

    cache.mkdir(exist_ok=True)
    for part in ("native", "images"):
        if not (cache / part).exists() and (cache_folder() / part).exists():
            (cache / part).symlink_to(cache_folder() / part)
    environment = os.environ | {"HYPERNEST_CACHE": str(cache)}
    done = subprocess.run(
        [sys.executable, "-c", _RESTORE, str(file), name], capture_output=True, text=True, check=True, env=environment
    )
    return float(done.stdout)


def _history() -> Iterator[Figure]:
    times: dict[bool, list[float]] = {False: [], True: []}
    for kept in (False, True) * 3:
        with Machine("debian", memory=_MEMORY) as machine:
            if kept:
                machine.keep_history()
            began = time.perf_counter()
            machine.run_until(_PROMPT)
            times[kept].append(time.perf_counter() - began)
            if kept and len(times[True]) == 3:
                began = time.perf_counter()
                machine.reverse_step()
                yield Figure("one reverse step at the end of a Linux boot", time.perf_counter() - began, "s", 0.5)
                yield Figure("the next reverse step", _median(machine.reverse_step, 3) / 1e3, "s")
                began = time.perf_counter()
                machine.goto(machine.instructions // 2)
                yield Figure("to the middle of the boot", time.perf_counter() - began, "s")
                yield Figure("memory for the past", machine.history.memory / 2**20, "MiB")
    slower = min(times[True]) / min(times[False]) - 1
    yield Figure("what keeping the past costs a boot", 100 * slower, "%")


def _median(action: Callable[[], object], repeat: int) -> float:
    """Milliseconds."""
    times = []
    for _ in range(repeat):
        began = time.perf_counter()
        action()
        times.append(_milliseconds(began))
    return statistics.median(times)


def _milliseconds(began: float) -> float:
    return (time.perf_counter() - began) * 1e3


def _resident() -> int:
    """Bytes of host memory of this process, what it shares with itself counted once."""
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) << 10
    raise AssertionError("/proc/self/smaps_rollup has no sum")
