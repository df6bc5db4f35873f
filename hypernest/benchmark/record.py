"""Everything that was measured, every run included, as JSON; and how the suite writes files."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from hypernest.benchmark.costs import costs
from hypernest.benchmark.host import HostFacts
from hypernest.benchmark.report import HYPERNEST, NATIVE, group_speed
from hypernest.benchmark.suite import Result, Row
from hypernest.benchmark.workloads import GROUPS
from hypernest.errors import HypernestError


def as_json(
    rows: Sequence[Row], host: HostFacts, baselines: Sequence[str], settings: Mapping[str, object]
) -> dict[str, object]:
    """The whole record; `speed` is a share of the fastest baseline's, which is named in each row."""
    return {
        "host": dataclasses.asdict(host),
        "settings": dict(settings),
        "baselines": list(baselines),
        "rows": [_row(row, baselines) for row in rows],
        "groups": [
            {
                "title": group.title,
                "members": group.members,
                "goal": group.goal,
                "mean": (speed := group_speed(group, rows, baselines)).mean,
                "measured": speed.measured,
            }
            for group in GROUPS
        ],
    }


def _row(row: Row, baselines: Sequence[str]) -> dict[str, object]:
    workload = row.workload
    fastest = row.fastest(baselines)
    speed_of_native = row.ratio(HYPERNEST, [NATIVE])
    return {
        "name": workload.name,
        "title": workload.title,
        "kind": workload.kind.value,
        "count": workload.count,
        "metric": workload.metric.value,
        "cold": workload.cold,
        "goal": workload.goal,
        "limit_seconds": workload.limit_seconds,
        "baseline": fastest.peer if fastest else None,
        "times_native": 1 / speed_of_native if speed_of_native else None,
        "problems": row.problems,
        "peers": {peer: _result(row, result, baselines) for peer, result in row.results.items()},
    }


def _result(row: Row, result: Result, baselines: Sequence[str]) -> dict[str, object]:
    return {
        "seconds": result.seconds,
        "first_seconds": result.discarded.seconds if result.discarded else None,
        "speed": row.ratio(result.peer, baselines),
        "mips": result.mips,
        "memory_overhead_bytes": result.memory_overhead_bytes,
        "costs": costs(result) if result.peer == HYPERNEST else {},
        "failure": result.failure,
        "discarded": dataclasses.asdict(result.discarded) if result.discarded else None,
        "samples": [dataclasses.asdict(sample) for sample in result.samples],
    }


def write_json(path: Path, content: Mapping[str, object]) -> None:
    """Raises like `check_writable`."""
    import msgspec

    with told(path):
        path.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")


def check_writable(path: Path) -> None:
    """Raises `HypernestError` when no file can be written there; better now than after minutes of measuring."""
    with told(path), path.open("ab"):
        pass


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Turns what the system refuses into one line about `path`."""
    try:
        yield
    except OSError as error:
        raise HypernestError(f"cannot write {path}: {error.strerror}.") from error
