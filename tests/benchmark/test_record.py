"""The JSON file holds everything that was measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hypernest.benchmark.host import host_facts
from hypernest.benchmark.process import Run
from hypernest.benchmark.qemu import QemuProgram
from hypernest.benchmark.record import as_json, check_writable, write_json
from hypernest.benchmark.suite import Result, Row, Sample
from hypernest.benchmark.workloads import Kind, Workload
from hypernest.errors import HypernestError

NBODY = Workload("nbody", "n-body", Kind.BARE, "nbody", 1, 1, goal=0.8)
HOST = host_facts([QemuProgram(Path("/q"), "7.2.22")])


def result(peer: str, seconds: float, **stats: float) -> Result:
    return Result(peer, [Sample(seconds, Run(seconds, 0.1, seconds, seconds, 1, "0x1"), stats)])


def test_json_holds_everything(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    own = result("hypernest", 2.0, mips=800.0, peak_memory_bytes=5)
    own.discarded = result("hypernest", 3.0).samples[0]
    results = {"qemu 7": result("qemu 7", 4.0), "qemu 10": result("qemu 10", 1.0), "hypernest": own}
    row = Row(NBODY, {**results, "native": result("native", 0.5)})
    write_json(path, as_json([row], HOST, ["qemu 7", "qemu 10"], {"repeat": 1}))
    content = json.loads(path.read_text())
    assert content["baselines"] == ["qemu 7", "qemu 10"] and content["settings"] == {"repeat": 1}
    assert content["host"]["cpus"] >= 1 and len(content["host"]["load_average"]) == 3
    assert content["host"]["qemus"] == {"/q": "7.2.22"}
    (entry,) = content["rows"]
    assert entry["name"] == "nbody" and entry["problems"] == []
    assert (entry["baseline"], entry["times_native"]) == ("qemu 10", 4.0)
    peer = entry["peers"]["hypernest"]
    assert (peer["seconds"], peer["first_seconds"], peer["speed"], peer["mips"]) == (2.0, 3.0, 0.5, 800.0)
    assert peer["failure"] is None
    assert peer["costs"]["peak_memory_bytes"] == 5 and peer["costs"]["code_bytes"] is None
    assert peer["samples"][0]["run"]["checksum"] == "0x1"
    assert peer["discarded"]["seconds"] == 3.0
    group = next(group for group in content["groups"] if "nbody" in group["members"])
    assert (group["mean"], group["measured"], group["goal"]) == (0.5, 1, 2.0)


def test_failed_and_absent_peers_have_no_figures() -> None:
    row = Row(NBODY, {"hypernest": Result("hypernest", failure="exit status 1")})
    text = json.dumps(as_json([row], HOST, ["qemu"], {}))
    (entry,) = json.loads(text)["rows"]
    assert entry["baseline"] is None and entry["times_native"] is None
    assert entry["peers"]["hypernest"]["seconds"] is None
    assert entry["problems"] == ["nbody: hypernest: exit status 1"]


def test_json_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "absent" / "bench.json"
    with pytest.raises(HypernestError, match=r"cannot write .*: No such file or directory"):
        write_json(path, {})
    with pytest.raises(HypernestError, match=r"cannot write .*: No such file or directory"):
        check_writable(path)
