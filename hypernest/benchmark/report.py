"""What the suite found about speed, for a reader: the table of seconds and ratios, and the lines around it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hypernest.benchmark.host import HostFacts
from hypernest.benchmark.suite import Row
from hypernest.benchmark.workloads import Group

if TYPE_CHECKING:
    from rich.table import Table

HYPERNEST = "hypernest"
NATIVE = "native"
NOTHING = "-"
# Runnable processes a CPU, beyond which peers wait for others and not for themselves.
BUSY_SHARE = 0.4
EXPLANATION = (
    "Median seconds of runs with warm caches, after three; 'first' is the first of these: the interpreter was there, "
    "regions of the guest's code were not. 'generation' and 'boot-cold' begin each run with no cache at all. "
    "'of qemu' is QEMU's time by hypernest's, 'x native' hypernest's by the host's own."
)


def table(rows: Sequence[Row], peers: Sequence[str], baselines: Sequence[str]) -> Table:
    """Seconds (medians) for every peer; hypernest's speed next to the fastest baseline's and to the host's own."""
    from rich import box
    from rich.table import Table

    result = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    columns = {"workload": [row.workload.name for row in rows]}
    for peer in peers:
        columns[peer] = [seconds_cell(row, peer) for row in rows]
        if peer == HYPERNEST:
            columns["first"] = [first_cell(row) for row in rows]
    if HYPERNEST in peers:
        if any(peer in baselines for peer in peers):
            columns["of qemu"] = [ratio_cell(row, baselines) for row in rows]
        if NATIVE in peers:
            columns["x native"] = [factor_cell(row) for row in rows]
        columns["wanted"] = [wanted_cell(row) for row in rows]
        columns["MIPS"] = [mips_cell(row) for row in rows]
    for heading in columns:
        result.add_column(
            heading.replace(" ", "\n"), justify="left" if heading == "workload" else "right", no_wrap=True
        )
    for cells in zip(*columns.values(), strict=True):
        result.add_row(*cells)
    return result


def seconds_cell(row: Row, peer: str) -> str:
    result = row.results.get(peer)
    if result is None:
        return NOTHING
    if result.seconds is None:
        return "[red]failed[/]"
    limit = row.workload.limit_seconds
    text = f"{result.seconds:.3f}"
    return f"[red]{text}[/]" if limit is not None and peer == HYPERNEST and result.seconds > limit else text


def first_cell(row: Row) -> str:
    result = row.results.get(HYPERNEST)
    discarded = result.discarded if result else None
    return NOTHING if discarded is None else f"{discarded.seconds:.3f}"


def ratio_cell(row: Row, baselines: Sequence[str]) -> str:
    ratio = row.ratio(HYPERNEST, baselines)
    if ratio is None:
        return NOTHING
    goal = row.workload.goal
    text = f"{ratio:.2f}"
    return f"[red]{text}[/]" if goal is not None and ratio < goal else text


def factor_cell(row: Row) -> str:
    ratio = row.ratio(HYPERNEST, [NATIVE])
    return NOTHING if ratio is None else f"{1 / ratio:.1f}"


def wanted_cell(row: Row) -> str:
    if row.workload.limit_seconds is not None:
        return f"<= {row.workload.limit_seconds:g} s"
    return NOTHING if row.workload.goal is None else f">= {row.workload.goal:g}"


def mips_cell(row: Row) -> str:
    rates = [result.mips for result in row.results.values() if result.mips is not None]
    return f"{rates[0]:.0f}" if rates else NOTHING


@dataclass(frozen=True)
class GroupSpeed:
    """A group's geometric mean of hypernest's speed over `measured` of its members; `None` when there is none."""

    group: Group
    mean: float | None
    measured: int

    @property
    def whole(self) -> bool:
        return self.measured == len(self.group.members)


def group_speed(group: Group, rows: Sequence[Row], baselines: Sequence[str]) -> GroupSpeed:
    ratios = [row.ratio(HYPERNEST, baselines) for row in rows if row.workload.name in group.members]
    known = [ratio for ratio in ratios if ratio is not None]
    return GroupSpeed(group, statistics.geometric_mean(known) if known else None, len(known))


def group_line(speed: GroupSpeed) -> str:
    """The mean and what is wanted of it; no verdict over a part of the group."""
    group = speed.group
    if speed.mean is None:
        return f"{group.title} ({', '.join(group.members)}): not measured"
    text, members = f"{speed.mean:.2f}", ", ".join(group.members)
    if speed.whole and speed.mean < group.goal:
        text = f"[red]{text}[/]"
    part = "" if speed.whole else f" ({speed.measured} of {len(group.members)} measured)"
    return f"{group.title} ({members}): geometric mean {text} of QEMU's speed{part}, >= {group.goal:g} wanted"


def host_line(host: HostFacts) -> str:
    load = " ".join(f"{value:.2f}" for value in host.load_average)
    busy = " (busy: read these figures with care)" if host.load_average[0] > BUSY_SHARE * host.cpus else ""
    qemus = "".join(f"QEMU {version} ({path}), " for path, version in host.qemus.items())
    return f"{host.cpu}, {host.cpus} CPUs, {qemus}Python {host.python}, load average {load}{busy}"
