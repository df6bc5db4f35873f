"""The table, the memory line and the JSON file say what was measured."""

from __future__ import annotations

import dataclasses
import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from hypernest.benchmark.host import cpu_model, host_facts
from hypernest.benchmark.process import Run
from hypernest.benchmark.report import (
    check_writable,
    host_line,
    memory_line,
    ratio_cell,
    seconds_cell,
    table,
    write_json,
)
from hypernest.benchmark.suite import Result, Row, Sample
from hypernest.benchmark.workloads import WORKLOADS, Kind, Metric, Workload
from hypernest.errors import HypernestError

INTEGER = Workload("integer", "integer mix", Kind.BARE, "integer", 1, 1, goal=0.5)
STARTUP = Workload("startup", "startup", Kind.BARE, "nothing", 1, 1, Metric.UNTIL_BEGIN, None, limit_seconds=0.7)


def result(peer: str, seconds: float, **stats: float) -> Result:
    return Result(peer, [Sample(seconds, Run(seconds, 0.1, seconds, seconds, 1, "0x1"), stats)])


def row(workload: Workload, **seconds: float) -> Row:
    return Row(workload, {peer: result(peer, value) for peer, value in seconds.items()})


def printed(rows: list[Row], *peers: str) -> list[list[str]]:
    out = io.StringIO()
    Console(file=out, width=160).print(table(rows, peers, "qemu"))
    names = {row.workload.name for row in rows}
    return [
        re.split(r"  +", line.strip())
        for line in out.getvalue().splitlines()
        if line.split()[:1] and line.split()[0] in names
    ]


def test_table_shows_seconds_and_speed() -> None:
    cells = printed([row(INTEGER, qemu=1.0, hypernest=2.0, native=0.25)], "qemu", "hypernest", "native")
    assert cells == [["integer", "1.000", "2.000", "0.250", "0.50", "4.00", ">= 0.5", "-"]]


def test_table_fits_a_narrow_terminal() -> None:
    peers = ("qemu", "hypernest", "native")
    results = {
        "qemu": result("qemu", 123.4),
        "hypernest": result("hypernest", 123.4, mips=915.0),
        "native": result("native", 123.4),
    }
    out = io.StringIO()
    Console(file=out, width=80).print(table([Row(each, results) for each in WORKLOADS], peers, "qemu"))
    assert max(map(len, out.getvalue().splitlines())) <= 80
    assert "…" not in out.getvalue()


def test_peer_that_took_no_part_and_peer_that_failed() -> None:
    broken = Row(INTEGER, {"qemu": result("qemu", 1.0), "hypernest": Result("hypernest", failure="exit status 1")})
    assert printed([broken], "qemu", "hypernest", "native") == [
        ["integer", "1.000", "failed", "-", "-", "-", ">= 0.5", "-"]
    ]


@pytest.mark.parametrize(("seconds", "red"), [(2.0, False), (2.1, True)])
def test_speed_below_the_goal_is_red(seconds: float, red: bool) -> None:
    assert ("red" in ratio_cell(row(INTEGER, qemu=1.0, hypernest=seconds), "hypernest", "qemu")) == red


@pytest.mark.parametrize(("seconds", "red"), [(0.7, False), (0.71, True)])
def test_time_above_the_limit_is_red(seconds: float, red: bool) -> None:
    assert ("red" in seconds_cell(row(STARTUP, hypernest=seconds), "hypernest")) == red


def test_memory_line_names_the_worst_run() -> None:
    small = Row(STARTUP, {"h": result("h", 1.0, peak_memory_bytes=50 << 20, guest_memory_bytes=10 << 20)})
    large = Row(INTEGER, {"h": result("h", 1.0, peak_memory_bytes=300 << 20, guest_memory_bytes=100 << 20)})
    assert memory_line([small]) == "host memory beyond guest pages: at most 40 MiB (in startup), within 150 MiB"
    assert "at most 200 MiB (in integer), [red]above[/]" in memory_line([small, large])
    assert memory_line([row(INTEGER, qemu=1.0)]) == "host memory beyond guest pages: no peer tells"


def test_json_holds_everything(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    rows = [Row(INTEGER, {"qemu": result("qemu", 1.0), "hypernest": result("hypernest", 2.0, mips=800.0)})]
    write_json(path, rows, host_facts(), "qemu", {"repeat": 1})
    content = json.loads(path.read_text())
    assert content["baseline"] == "qemu" and content["settings"] == {"repeat": 1}
    assert content["host"]["cpus"] >= 1 and len(content["host"]["load_average"]) == 3
    (entry,) = content["rows"]
    assert entry["name"] == "integer" and entry["problems"] == []
    peer = entry["peers"]["hypernest"]
    assert (peer["seconds"], peer["speed"], peer["mips"], peer["failure"]) == (2.0, 0.5, 800.0, None)
    assert peer["samples"][0]["run"]["checksum"] == "0x1"


def test_json_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "absent" / "bench.json"
    with pytest.raises(HypernestError, match=r"cannot write .*: No such file or directory"):
        write_json(path, [], host_facts(), "qemu", {})
    with pytest.raises(HypernestError, match=r"cannot write .*: No such file or directory"):
        check_writable(path)


def test_host_facts(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nmodel name\t: Some CPU\n")
    assert cpu_model(cpuinfo) == "Some CPU"
    assert cpu_model(tmp_path / "absent")
    idle = dataclasses.replace(host_facts(), cpus=4, load_average=(0.5, 3.0, 3.0))
    assert host_line(idle).endswith("load average 0.50 3.00 3.00")
    assert "busy" in host_line(dataclasses.replace(idle, load_average=(2.0, 0.0, 0.0)))
