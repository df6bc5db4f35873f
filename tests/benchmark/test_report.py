"""The table of speeds and the lines around it say what was measured."""

from __future__ import annotations

import dataclasses
import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from hypernest.benchmark.host import cpu_model, host_facts
from hypernest.benchmark.process import Run
from hypernest.benchmark.qemu import QemuProgram
from hypernest.benchmark.report import group_line, group_speed, host_line, ratio_cell, seconds_cell, table
from hypernest.benchmark.suite import Result, Row, Sample
from hypernest.benchmark.workloads import GROUPS, WORKLOADS, Group, Kind, Metric, Workload

INTEGER = Workload("integer", "integer mix", Kind.BARE, "integer", 1, 1, goal=0.5)
STARTUP = Workload("startup", "startup", Kind.BARE, "nothing", 1, 1, Metric.UNTIL_BEGIN, None, limit_seconds=0.7)


def result(peer: str, seconds: float, **stats: float) -> Result:
    return Result(peer, [Sample(seconds, Run(seconds, 0.1, seconds, seconds, 1, "0x1"), stats)])


def row(workload: Workload, **seconds: float) -> Row:
    return Row(workload, {peer: result(peer, value) for peer, value in seconds.items()})


def printed(rows: list[Row], *peers: str) -> list[list[str]]:
    out = io.StringIO()
    Console(file=out, width=160).print(table(rows, peers, ["qemu"]))
    names = {row.workload.name for row in rows}
    return [
        re.split(r"  +", line.strip())
        for line in out.getvalue().splitlines()
        if line.split()[:1] and line.split()[0] in names
    ]


def test_table_shows_seconds_and_speed() -> None:
    cells = printed([row(INTEGER, qemu=1.0, hypernest=2.0, native=0.25)], "qemu", "hypernest", "native")
    assert cells == [["integer", "1.000", "2.000", "-", "0.250", "0.50", "8.0", ">= 0.5", "-"]]


def test_first_run_has_a_column_of_its_own() -> None:
    warm = result("hypernest", 2.0, mips=800.0)
    warm.discarded = result("hypernest", 3.0).samples[0]
    assert printed([Row(INTEGER, {"hypernest": warm})], "hypernest") == [["integer", "2.000", "3.000", ">= 0.5", "800"]]


def test_times_too_short_to_be_measured_are_no_error() -> None:
    cells = printed([row(INTEGER, qemu=0.0, hypernest=1.0, native=0.0)], "qemu", "hypernest", "native")
    assert cells == [["integer", "0.000", "1.000", "-", "0.000", "-", "-", ">= 0.5", "-"]]


def test_table_without_hypernest_has_only_seconds() -> None:
    assert printed([row(INTEGER, qemu=1.0, native=0.5)], "qemu", "native") == [["integer", "1.000", "0.500"]]


def test_table_fits_a_narrow_terminal() -> None:
    peers = ("qemu", "hypernest", "native")
    results = {
        "qemu": result("qemu", 123.4),
        "hypernest": result("hypernest", 123.4, mips=915.0),
        "native": result("native", 123.4),
    }
    out = io.StringIO()
    Console(file=out, width=80).print(table([Row(each, results) for each in WORKLOADS], peers, ["qemu"]))
    assert max(map(len, out.getvalue().splitlines())) <= 80
    assert "…" not in out.getvalue()


def test_peer_that_took_no_part_and_peer_that_failed() -> None:
    broken = Row(INTEGER, {"qemu": result("qemu", 1.0), "hypernest": Result("hypernest", failure="exit status 1")})
    assert printed([broken], "qemu", "hypernest", "native") == [
        ["integer", "1.000", "failed", "-", "-", "-", "-", ">= 0.5", "-"]
    ]


@pytest.mark.parametrize(("seconds", "red"), [(2.0, False), (2.1, True)])
def test_speed_below_the_goal_is_red(seconds: float, red: bool) -> None:
    assert ("red" in ratio_cell(row(INTEGER, qemu=1.0, hypernest=seconds), ["qemu"])) == red


@pytest.mark.parametrize(("seconds", "red"), [(0.7, False), (0.71, True)])
def test_time_above_the_limit_is_red(seconds: float, red: bool) -> None:
    assert ("red" in seconds_cell(row(STARTUP, hypernest=seconds), "hypernest")) == red


def test_group_has_a_mean_and_a_verdict_only_when_whole() -> None:
    group = Group("pair", ("integer", "startup"), 2.0)
    rows = [row(INTEGER, qemu=1.0, hypernest=1.0), row(STARTUP, qemu=4.0, hypernest=1.0)]
    speed = group_speed(group, rows, ["qemu"])
    assert speed.mean == pytest.approx(2.0) and speed.whole
    assert group_line(dataclasses.replace(speed, mean=2.0)) == (
        "pair (integer, startup): geometric mean 2.00 of QEMU's speed, >= 2 wanted"
    )
    assert "geometric mean [red]1.99[/] of" in group_line(dataclasses.replace(speed, mean=1.99))
    part = group_speed(group, rows[:1], ["qemu"])
    assert "geometric mean 1.00 of QEMU's speed (1 of 2 measured), >= 2 wanted" in group_line(part)
    assert group_line(group_speed(group, [], ["qemu"])) == "pair (integer, startup): not measured"


def test_groups_are_made_of_workloads() -> None:
    names = {workload.name for workload in WORKLOADS}
    assert all(set(group.members) <= names for group in GROUPS)


def test_host_facts(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nmodel name\t: Some CPU\n")
    assert cpu_model(cpuinfo) == "Some CPU"
    assert cpu_model(tmp_path / "absent")
    idle = dataclasses.replace(host_facts([QemuProgram(Path("/q"), "7.2.22")]), cpus=4, load_average=(0.5, 3.0, 3.0))
    assert host_line(idle).endswith("load average 0.50 3.00 3.00")
    assert "QEMU 7.2.22 (/q), Python" in host_line(idle)
    assert "busy" in host_line(dataclasses.replace(idle, load_average=(2.0, 0.0, 0.0)))
