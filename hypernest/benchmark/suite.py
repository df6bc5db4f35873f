"""Runs workloads on peers in turn, and keeps every sample.

Peers alternate within a repetition, so that whatever else the host does meets all of them alike; medians are taken
over the repetitions. What a guest computed is part of the result: peers that disagree make a row that failed.

What a peer generates is kept in folders of the suite's own, so that nobody's earlier runs count. Each workload has one
that begins with the interpreter and no code of any guest; a first run fills it and does not count. A cold workload has
an empty one for every run.
"""

from __future__ import annotations

import json
import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from hypernest.benchmark.peers import Job, Peer, Program
from hypernest.benchmark.process import Run, RunFailed, run_bounded
from hypernest.benchmark.workloads import NOTHING, Metric, Workload

# The dictionary in hypernest's statistics whose numbers are kept too, with this name and a dot before their keys.
TRANSLATION = "translation"

SECONDS: Mapping[Metric, Callable[[Run], float | None]] = {
    Metric.INSIDE: lambda run: run.inside,
    Metric.WALL: lambda run: run.wall,
    Metric.UNTIL_BEGIN: lambda run: run.until_begin,
}


@dataclass(frozen=True)
class Sample:
    """One run that went well. `seconds` is what the workload's metric picks."""

    seconds: float
    run: Run
    # What the peer said about itself (`hypernest run --stats`): numbers by key, only those it gave.
    stats: Mapping[str, float] = field(default_factory=dict)


@dataclass
class Result:
    """All that one peer did on one workload; a peer that failed once is not asked again."""

    peer: str
    samples: list[Sample] = field(default_factory=list)
    failure: str | None = None
    # The run before those that count, if there was one.
    discarded: Sample | None = None

    @property
    def seconds(self) -> float | None:
        """The median, `None` without a sample or after a failure."""
        if self.failure is not None or not self.samples:
            return None
        return statistics.median(sample.seconds for sample in self.samples)

    @property
    def all_samples(self) -> list[Sample]:
        """In the order in which they were taken, the discarded one included."""
        return [*([self.discarded] if self.discarded else []), *self.samples]

    @property
    def first(self) -> Sample | None:
        """The run that met its code for the first time."""
        return next(iter(self.all_samples), None)

    @property
    def mips(self) -> float | None:
        """The median speed in million guest instructions a second, if the peer counts them."""
        rates = [sample.stats["mips"] for sample in self.samples if "mips" in sample.stats]
        return statistics.median(rates) if rates else None

    @property
    def memory_overhead_bytes(self) -> int | None:
        """The most host memory beyond the guest pages touched, if the peer tells."""
        beyond = [
            int(sample.stats["peak_memory_bytes"] - sample.stats["guest_memory_bytes"])
            for sample in self.all_samples
            if {"peak_memory_bytes", "guest_memory_bytes"} <= sample.stats.keys()
        ]
        return max(beyond, default=None)


@dataclass
class Row:
    """One workload, with the result of every peer that took part."""

    workload: Workload
    results: dict[str, Result]

    def fastest(self, peers: Iterable[str]) -> Result | None:
        """The result of whoever of `peers` took the least time."""
        results = [self.results[peer] for peer in peers if peer in self.results]
        timed = [(each.seconds, place) for place, each in enumerate(results) if each.seconds is not None]
        return results[min(timed)[1]] if timed else None

    def ratio(self, peer: str, baselines: Iterable[str]) -> float | None:
        """The speed of `peer` as a share of the fastest baseline's: above 1, it is faster.

        `None` when either is not known or too short to be measured: on a busy host both marks may be read at once.
        """
        own, other = self.fastest([peer]), self.fastest(baselines)
        if own is None or other is None or not own.seconds or not other.seconds:
            return None
        return other.seconds / own.seconds

    @property
    def problems(self) -> list[str]:
        """What went wrong, a line each: failed runs, and checksums that differ."""
        name = self.workload.name
        found = [f"{name}: {result.peer}: {result.failure}" for result in self.results.values() if result.failure]
        checksums = {
            result.peer: sorted({sample.run.checksum or "none" for sample in result.all_samples})
            for result in self.results.values()
            if result.all_samples
        }
        if len({checksum for each in checksums.values() for checksum in each}) > 1:
            told = ", ".join(f"{peer} {' and '.join(each)}" for peer, each in checksums.items())
            found.append(f"{name}: checksums differ: {told}")
        return found


def run_suite(
    workloads: Sequence[Workload],
    peers: Sequence[Peer],
    build: Callable[[Workload], Program],
    *,
    repeat: int,
    timeout: float,
    say: Callable[[str], None] = lambda _: None,
) -> Iterator[Row]:
    """Yields a row as soon as its workload is done, if any peer takes part.

    `timeout` is in seconds and bounds each single run. Everything is built before anything runs, so that what is
    missing shows at once.
    """
    programs = []
    for workload in workloads:
        say(f"building {workload.name}")
        programs.append(build(workload))
    with tempfile.TemporaryDirectory(prefix="hypernest-bench-", ignore_cleanup_errors=True) as folder:
        caches = Caches(Path(folder))
        if not all(workload.cold for workload in workloads):
            for peer in peers:
                if peer.generates:
                    say(f"preparing {peer.name}")
                    caches.prepare(peer, build(NOTHING), timeout)
        for workload, program in zip(workloads, programs, strict=True):
            results = _run_workload(workload, program, peers, caches, repeat=repeat, timeout=timeout, say=say)
            if results:
                yield Row(workload, results)


_RUNS_TO_WARM_UP = 3


def _run_workload(
    workload: Workload,
    program: Program,
    peers: Sequence[Peer],
    caches: Caches,
    *,
    repeat: int,
    timeout: float,
    say: Callable[[str], None],
) -> dict[str, Result]:
    """The results of those peers that take part."""
    results: dict[str, Result] = {}
    for repetition in range(-max(map(partial(warm_ups, workload), peers)), repeat):
        for peer in peers:
            result = results.setdefault(peer.name, Result(peer.name))
            if result.failure is not None or repetition < -warm_ups(workload, peer):
                continue
            say(f"{workload.name} on {peer.name}, {max(repetition, 0) + 1} of {repeat}")
            try:
                with caches.lent(workload, peer) as cache:
                    sample = _run_once(workload, peer, program, cache, timeout)
            except RunFailed as error:
                result.failure = str(error)
                continue
            if repetition < 0:
                result.discarded = result.discarded or sample
            elif sample is not None:
                result.samples.append(sample)
    return {name: result for name, result in results.items() if result.failure or result.samples}


def warm_ups(workload: Workload, peer: Peer) -> int:
    """How many runs that do not count go before: as many as differ from later ones.

    A run compiles what it has time for, the hottest first, so a peer that keeps what it compiled has several.
    """
    if peer.generates:
        return 0 if workload.cold else _RUNS_TO_WARM_UP
    return int(workload.metric is not Metric.INSIDE)


@dataclass(frozen=True)
class Caches:
    """The folders in `folder` that peers keep generated code in."""

    folder: Path

    def prepare(self, peer: Peer, nothing: Program, timeout: float) -> None:
        """Fills the peer's folder that others begin as, by running the program `nothing`."""
        try:
            _run_once(NOTHING, peer, nothing, self._prepared(peer), timeout)
        except RunFailed:
            # Every workload will fail for the same reason, and say so.
            shutil.rmtree(self._prepared(peer), ignore_errors=True)

    @contextmanager
    def lent(self, workload: Workload, peer: Peer) -> Iterator[Path]:
        """The folder for one run: empty if the workload is cold, else what earlier runs of the workload left.

        Raises `RunFailed` when there is no room for it.
        """
        try:
            if workload.cold:
                with tempfile.TemporaryDirectory(dir=self.folder, ignore_cleanup_errors=True) as empty:
                    yield Path(empty) / "cache"
                return
            cache = self.folder / f"{workload.name}-{peer.name}"
            if not cache.exists() and self._prepared(peer).exists():
                shutil.copytree(self._prepared(peer), cache)
        except OSError as error:
            raise RunFailed(f"no cache folder can be made in {self.folder}: {error.strerror}") from error
        yield cache

    def _prepared(self, peer: Peer) -> Path:
        return self.folder / f"prepared-{peer.name}"


def _run_once(workload: Workload, peer: Peer, program: Program, cache: Path, timeout: float) -> Sample | None:
    """One sample; `None` when the peer does not take part."""
    with tempfile.TemporaryDirectory(prefix="hypernest-bench-") as folder:
        stats = Path(folder) / "stats.json"
        invocation = peer.invocation(Job(program, stats, cache))
        if invocation is None:
            return None
        run = run_bounded(invocation.command, timeout, invocation.environment)
        seconds = SECONDS[workload.metric](run)
        if seconds is None or run.checksum is None:
            raise RunFailed("ended without saying what it computed")
        return Sample(seconds, run, _read_stats(stats))


def _read_stats(path: Path) -> dict[str, float]:
    """The numbers at the top level of a statistics file and in its `TRANSLATION`; empty when the peer wrote none."""
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise RunFailed(f"statistics cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise RunFailed("statistics are not a JSON object")
    inner = content.get(TRANSLATION)
    return {
        **_numbers(content, ""),
        **_numbers(inner if isinstance(inner, dict) else {}, f"{TRANSLATION}."),
    }


def _numbers(content: Mapping[str, object], prefix: str) -> dict[str, float]:
    return {
        prefix + key: float(value)
        for key, value in content.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
