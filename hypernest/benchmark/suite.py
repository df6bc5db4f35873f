"""Runs workloads on peers in turn, and keeps every sample.

Peers alternate within a repetition, so that whatever else the host does meets all of them alike; medians are taken
over the repetitions. What a guest computed is part of the result: peers that disagree make a row that failed.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hypernest.benchmark.peers import Job, Peer, Program
from hypernest.benchmark.process import Run, RunFailed, run_bounded
from hypernest.benchmark.workloads import Metric, Workload

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

    @property
    def seconds(self) -> float | None:
        """The median, `None` without a sample or after a failure."""
        if self.failure is not None or not self.samples:
            return None
        return statistics.median(sample.seconds for sample in self.samples)

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
            for sample in self.samples
            if {"peak_memory_bytes", "guest_memory_bytes"} <= sample.stats.keys()
        ]
        return max(beyond, default=None)


@dataclass
class Row:
    """One workload, with the result of every peer that took part."""

    workload: Workload
    results: dict[str, Result]

    def ratio(self, peer: str, baseline: str) -> float | None:
        """The speed of `peer` as a share of the baseline's: above 1, it is faster."""
        own, other = (self.results.get(name) for name in (peer, baseline))
        if own is None or other is None or own.seconds is None or other.seconds is None or own.seconds == 0:
            return None
        return other.seconds / own.seconds

    @property
    def problems(self) -> list[str]:
        """What went wrong, a line each: failed runs, and checksums that differ."""
        name = self.workload.name
        found = [f"{name}: {result.peer}: {result.failure}" for result in self.results.values() if result.failure]
        checksums = {
            result.peer: sorted({sample.run.checksum or "none" for sample in result.samples})
            for result in self.results.values()
            if result.samples
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
    for workload, program in zip(workloads, programs, strict=True):
        results: dict[str, Result] = {}
        # A warm-up run that does not count, where a first run would differ from the later ones.
        warm_up = 0 if workload.cold or workload.metric is Metric.INSIDE else 1
        for repetition in range(-warm_up, repeat):
            for peer in peers:
                result = results.setdefault(peer.name, Result(peer.name))
                if result.failure is not None:
                    continue
                say(f"{workload.name} on {peer.name}, {max(repetition, 0) + 1} of {repeat}")
                try:
                    sample = _run_once(workload, peer, program, timeout)
                except RunFailed as error:
                    result.failure = str(error)
                    continue
                if sample is None:
                    del results[peer.name]
                elif repetition >= 0:
                    result.samples.append(sample)
        if results:
            yield Row(workload, results)


def _run_once(workload: Workload, peer: Peer, program: Program, timeout: float) -> Sample | None:
    """One sample; `None` when the peer does not take part."""
    with tempfile.TemporaryDirectory(prefix="hypernest-bench-") as folder:
        stats = Path(folder) / "stats.json"
        invocation = peer.invocation(Job(program, stats, Path(folder) / "cache" if workload.cold else None))
        if invocation is None:
            return None
        run = run_bounded(invocation.command, timeout, invocation.environment)
        seconds = SECONDS[workload.metric](run)
        if seconds is None or run.checksum is None:
            raise RunFailed("ended without saying what it computed")
        return Sample(seconds, run, _read_stats(stats))


def _read_stats(path: Path) -> dict[str, float]:
    """The numbers at the top level of a statistics file; empty when the peer wrote none."""
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise RunFailed(f"statistics cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise RunFailed("statistics are not a JSON object")
    return {
        key: float(value)
        for key, value in content.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
