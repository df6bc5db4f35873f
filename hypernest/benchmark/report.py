"""What the suite found, for a reader and as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hypernest.benchmark.host import HostFacts
from hypernest.benchmark.suite import Row
from hypernest.errors import HypernestError

if TYPE_CHECKING:
    from rich.table import Table

MEMORY_LIMIT_BYTES = 150 << 20
MEBIBYTE = 1 << 20
NOTHING = "-"
# Runnable processes a CPU, beyond which peers wait for others and not for themselves.
BUSY_SHARE = 0.4


def table(rows: Sequence[Row], peers: Sequence[str], baseline: str) -> Table:
    """Seconds (medians) for every peer, and the speed of all but the baseline as a share of the baseline's."""
    from rich import box
    from rich.table import Table

    others = [peer for peer in peers if peer != baseline]
    result = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True, caption=f"median seconds; 'of {baseline}' is speed"
    )
    result.add_column("workload", no_wrap=True)
    for heading in (*peers, *(f"{peer}\nof {baseline}" for peer in others), "wanted", "MIPS"):
        result.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        result.add_row(
            row.workload.name,
            *(seconds_cell(row, peer) for peer in peers),
            *(ratio_cell(row, peer, baseline) for peer in others),
            wanted_cell(row),
            mips_cell(row),
        )
    return result


def seconds_cell(row: Row, peer: str) -> str:
    result = row.results.get(peer)
    if result is None:
        return NOTHING
    if result.seconds is None:
        return "[red]failed[/]"
    limit = row.workload.limit_seconds
    text = f"{result.seconds:.3f}"
    return f"[red]{text}[/]" if limit is not None and peer == "hypernest" and result.seconds > limit else text


def ratio_cell(row: Row, peer: str, baseline: str) -> str:
    ratio = row.ratio(peer, baseline)
    if ratio is None:
        return NOTHING
    goal = row.workload.goal
    text = f"{ratio:.2f}"
    return f"[red]{text}[/]" if goal is not None and peer == "hypernest" and ratio < goal else text


def wanted_cell(row: Row) -> str:
    if row.workload.limit_seconds is not None:
        return f"<= {row.workload.limit_seconds:g} s"
    return NOTHING if row.workload.goal is None else f">= {row.workload.goal:g}"


def mips_cell(row: Row) -> str:
    rates = [result.mips for result in row.results.values() if result.mips is not None]
    return f"{rates[0]:.0f}" if rates else NOTHING


def memory_line(rows: Sequence[Row]) -> str:
    """The most host memory that any run took beyond the guest pages it touched."""
    beyond = [
        (result.memory_overhead_bytes, row.workload.name)
        for row in rows
        for result in row.results.values()
        if result.memory_overhead_bytes is not None
    ]
    if not beyond:
        return "host memory beyond guest pages: no peer tells"
    most, name = max(beyond)
    verdict = "within" if most <= MEMORY_LIMIT_BYTES else "[red]above[/]"
    limit = MEMORY_LIMIT_BYTES // MEBIBYTE
    return f"host memory beyond guest pages: at most {most / MEBIBYTE:.0f} MiB (in {name}), {verdict} {limit} MiB"


def host_line(host: HostFacts) -> str:
    load = " ".join(f"{value:.2f}" for value in host.load_average)
    busy = " (busy: read these figures with care)" if host.load_average[0] > BUSY_SHARE * host.cpus else ""
    return f"{host.cpu}, {host.cpus} CPUs, {host.qemu}, Python {host.python}, load average {load}{busy}"


def write_json(path: Path, rows: Sequence[Row], host: HostFacts, baseline: str, settings: dict[str, object]) -> None:
    """Writes everything measured, every sample included; raises like `check_writable`."""
    import msgspec

    content = {
        "host": dataclasses.asdict(host),
        "settings": settings,
        "baseline": baseline,
        "rows": [
            {
                "name": row.workload.name,
                "kind": row.workload.kind.value,
                "count": row.workload.count,
                "metric": row.workload.metric.value,
                "goal": row.workload.goal,
                "limit_seconds": row.workload.limit_seconds,
                "problems": row.problems,
                "peers": {
                    peer: {
                        "seconds": result.seconds,
                        "speed": row.ratio(peer, baseline),
                        "mips": result.mips,
                        "memory_overhead_bytes": result.memory_overhead_bytes,
                        "failure": result.failure,
                        "samples": [dataclasses.asdict(sample) for sample in result.samples],
                    }
                    for peer, result in row.results.items()
                },
            }
            for row in rows
        ],
    }
    with _told(path):
        path.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")


def check_writable(path: Path) -> None:
    """Raises `HypernestError` when no file can be written there; better now than after minutes of measuring."""
    with _told(path), path.open("ab"):
        pass


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise HypernestError(f"cannot write {path}: {error.strerror}.") from error
