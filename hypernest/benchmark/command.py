"""`hypernest bench`: picks workloads and peers, runs the suite, prints the table."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from hypernest.benchmark.peers import Hypernest, Native, Peer, Qemu
from hypernest.benchmark.workloads import WORKLOADS, Workload
from hypernest.errors import HypernestError

if TYPE_CHECKING:
    from hypernest.benchmark.suite import Row

BASELINE = "qemu"


class HasName(Protocol):
    @property
    def name(self) -> str: ...


Named = TypeVar("Named", bound=HasName)


class BadOption(HypernestError):
    """A workload or a peer that the suite does not have, or a number that makes no sense."""

    exit_status = 2


class BenchmarkFailed(HypernestError):
    """A run that failed, or peers that computed different things; the table has been printed all the same."""


def bench(
    *,
    only: list[str] | None = None,
    peer: list[str] | None = None,
    repeat: int = 3,
    engine: str = "auto",
    quick: bool = False,
    timeout: float = 300.0,
    json: Path | None = None,
) -> None:
    """Runs the suite and prints the table.

    `only` and `peer` name workloads and peers (all without), `repeat` is the number of runs whose median counts,
    `quick` means a tenth of the work and once, `timeout` is in seconds for each run, and `json` is a file for
    everything measured. Raises `BadOption` for a name that is not known, `BenchmarkFailed` after the table when a
    run failed or peers computed different things, other `HypernestError` when a tool or the Debian image is missing.
    """
    from rich.console import Console

    from hypernest.benchmark.build import native_toolchain
    from hypernest.benchmark.host import host_facts
    from hypernest.benchmark.programs import build_program
    from hypernest.benchmark.report import check_writable, host_line, memory_line, table, write_json
    from hypernest.benchmark.suite import run_suite

    if repeat < 1 or not timeout > 0:
        raise BadOption("--repeat and --timeout must be above 0.")
    workloads = [adjusted(workload, quick) for workload in chosen(WORKLOADS, only)]
    peers = chosen(make_peers(engine), peer or default_peers())
    names = [each.name for each in peers]
    if json is not None:
        check_writable(json)
    repeat = 1 if quick else repeat
    host = host_facts()
    native = native_toolchain() if "native" in names else None

    console, progress = Console(), Console(stderr=True)
    console.print(host_line(host), highlight=False, soft_wrap=True)
    rows: list[Row] = []
    with progress.status("starting") as status:
        for row in run_suite(
            workloads,
            peers,
            lambda workload: build_program(workload, native),
            repeat=repeat,
            timeout=timeout,
            say=status.update,
        ):
            rows.append(row)
    console.print(table(rows, names, BASELINE))
    if "hypernest" in names:
        console.print(memory_line(rows), highlight=False)
    if json is not None:
        settings: dict[str, object] = {"repeat": repeat, "engine": engine, "quick": quick, "timeout": timeout}
        write_json(json, rows, host, BASELINE, settings)
    report_problems(rows)


def make_peers(engine: str) -> tuple[Peer, ...]:
    """All peers, in the order of the table."""
    return (Qemu(), Hypernest(engine), Native())


def default_peers() -> list[str]:
    """Who takes part unless told otherwise: the host itself only where it has a compiler."""
    return ["qemu", "hypernest", *(["native"] if shutil.which("gcc") else [])]


def chosen(offered: Sequence[Named], names: Sequence[str] | None) -> list[Named]:
    """Those of `offered` that are named, in their own order; all of them without names."""
    known = [each.name for each in offered]
    if unknown := [name for name in names or () if name not in known]:
        raise BadOption(f"{unknown[0]} is not one of {', '.join(known)}.")
    return [each for each in offered if not names or each.name in names]


def report_problems(rows: Sequence[Row]) -> None:
    """Raises `BenchmarkFailed` with all that went wrong, if anything did."""
    if problems := [problem for row in rows for problem in row.problems]:
        raise BenchmarkFailed("; ".join(problems) + ".")


def adjusted(workload: Workload, quick: bool) -> Workload:
    """The workload with the amount of work that will be done."""
    return dataclasses.replace(workload, count=workload.quick_count) if quick else workload
