"""`hypernest bench`: picks workloads and peers, runs the suite, prints what it found."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hypernest.benchmark.peers import Hypernest, Native, Peer, Qemu
from hypernest.benchmark.qemu import QemuProgram, find_qemus, names_of
from hypernest.benchmark.workloads import GROUPS, WORKLOADS, Workload
from hypernest.errors import HypernestError

if TYPE_CHECKING:
    from hypernest.benchmark.suite import Row

# Whom `--peer` can name, in the order of the table; `qemu` means every QEMU of the host.
PEERS = ("qemu", "hypernest", "native")


class BadOption(HypernestError):
    """A workload or a peer that the suite does not have, or a number that makes no sense."""

    exit_status = 2


class BenchmarkFailed(HypernestError):
    """A run that failed, or peers that computed different things; the table has been printed all the same."""


def bench(
    *,
    only: list[str] | None = None,
    peer: list[str] | None = None,
    qemu: list[Path] | None = None,
    repeat: int = 3,
    engine: str = "auto",
    option: list[str] | None = None,
    quick: bool = False,
    timeout: float = 300.0,
    json: Path | None = None,
    plot: Path | None = None,
) -> None:
    """Runs the suite and prints the tables.

    `only` and `peer` name workloads and peers (all without), `qemu` names QEMUs besides those in PATH, `repeat` is
    the number of runs whose median counts, `engine` and the options `option` are hypernest's, `quick` means a tenth
    of the work and once, `timeout` is in seconds for each run, `json` is a file for everything measured and `plot`
    one for a picture (SVG). Raises `BadOption` for a name that is not known, `BenchmarkFailed` after the tables when
    a run failed or peers computed different things, other `HypernestError` when a tool or the Debian image is missing.
    """
    from rich.console import Console

    from hypernest.benchmark import costs, report
    from hypernest.benchmark.build import native_toolchains
    from hypernest.benchmark.host import host_facts
    from hypernest.benchmark.plot import bars, write_plot
    from hypernest.benchmark.programs import build_program
    from hypernest.benchmark.record import as_json, check_writable, write_json
    from hypernest.benchmark.suite import run_suite

    if repeat < 1 or not timeout > 0:
        raise BadOption("--repeat and --timeout must be above 0.")
    workloads = [adjusted(workload, quick) for workload in chosen(WORKLOADS, only)]
    taking_part = chosen_peers(peer or default_peers())
    qemus = find_qemus(qemu or ()) if "qemu" in taking_part else []
    peers = make_peers(taking_part, qemus, engine, run_options(option or ()))
    names, baselines = [each.name for each in peers], names_of(qemus) if qemus else []
    for path in filter(None, (json, plot)):
        check_writable(path)
    repeat = 1 if quick else repeat
    host = host_facts(qemus)
    native = native_toolchains() if "native" in taking_part else {}

    console, progress = Console(), Console(stderr=True)
    console.print(report.host_line(host), highlight=False, soft_wrap=True)
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
    console.print(report.table(rows, names, baselines))
    console.print(report.EXPLANATION, style="dim", highlight=False)
    if "hypernest" in names:
        for group in GROUPS:
            if baselines and any(row.workload.name in group.members for row in rows):
                console.print(
                    report.group_line(report.group_speed(group, rows, baselines)), highlight=False, soft_wrap=True
                )
        console.print(costs.cost_table(rows))
        console.print(costs.EXPLANATION, style="dim", highlight=False)
        console.print(costs.memory_line(rows), highlight=False)
    settings = {"repeat": repeat, "engine": engine, "options": option or [], "quick": quick, "timeout": timeout}
    if json is not None:
        write_json(json, as_json(rows, host, baselines, settings))
    if plot is not None:
        versions = ", ".join(f"QEMU {version}" for version in host.qemus.values())
        write_plot(plot, bars(rows, baselines), f"{host.cpu}, {versions}, medians of {repeat}")
    report_problems(rows)


def make_peers(
    names: Sequence[str], qemus: Sequence[QemuProgram], engine: str, options: tuple[str, ...]
) -> Sequence[Peer]:
    """Those of `PEERS` that are named, in the order of the table."""
    offered: dict[str, Sequence[Peer]] = {
        "qemu": [Qemu(program, name) for program, name in zip(qemus, names_of(qemus), strict=True)] if qemus else [],
        "hypernest": [Hypernest(engine, options)],
        "native": [Native()],
    }
    return [peer for name in PEERS if name in names for peer in offered[name]]


def default_peers() -> list[str]:
    """Who takes part unless told otherwise: the host itself only where it has a compiler."""
    return ["qemu", "hypernest", *(["native"] if shutil.which("gcc") else [])]


def chosen_peers(names: Sequence[str]) -> Sequence[str]:
    """`names`, if all of them are peers."""
    if unknown := [name for name in names if name not in PEERS]:
        raise BadOption(f"{unknown[0]} is not one of {', '.join(PEERS)}.")
    return names


def run_options(options: Sequence[str]) -> tuple[str, ...]:
    """What `--option` passes on to `hypernest run`; the dashes may be left out."""
    return tuple(option if option.startswith("-") else f"--{option}" for option in options)


def chosen(offered: Sequence[Workload], names: Sequence[str] | None) -> list[Workload]:
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
