"""`hypernest bench`: choosing workloads and peers, and the exit when something went wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hypernest.benchmark import command
from hypernest.benchmark.command import BadOption, BenchmarkFailed, bench
from hypernest.benchmark.peers import Invocation, Job, Native, Peer
from hypernest.benchmark.workloads import WORKLOADS


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPERNEST_CACHE", str(tmp_path / "cache"))


class Liar:
    """A peer that always computes the same wrong thing."""

    name = "hypernest"

    def invocation(self, _: Job, /) -> Invocation | None:
        return Invocation(("sh", "-c", "echo bench: begin; echo bench: end 0x0000000000000bad"))


def test_quick_run_on_qemu_and_host(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "bench.json"
    bench(only=["nbody", "startup"], peer=["qemu", "native"], quick=True, json=report)
    out = capsys.readouterr().out
    assert "nbody" in out and "startup" in out and "integer" not in out
    rows = json.loads(report.read_text())["rows"]
    assert [row["name"] for row in rows] == ["startup", "nbody"]
    assert all(set(row["peers"]) == {"qemu", "native"} for row in rows)
    assert rows[1]["count"] == next(workload.quick_count for workload in WORKLOADS if workload.name == "nbody")


def test_wrong_checksum_fails_after_the_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def peers(_: str) -> tuple[Peer, ...]:
        return (Native(), Liar())

    monkeypatch.setattr(command, "make_peers", peers)
    with pytest.raises(BenchmarkFailed, match=r"matrix: checksums differ: native 0x.*, hypernest 0x0000000000000bad"):
        bench(only=["matrix"], peer=["native", "hypernest"], quick=True)
    assert "matrix" in capsys.readouterr().out


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    with pytest.raises(BadOption, match="speed is not one of startup, generation, integer"):
        bench(only=["speed"])
    with pytest.raises(BadOption, match="bochs is not one of qemu, hypernest, native"):
        bench(peer=["bochs"])


@pytest.mark.parametrize("options", [{"repeat": 0}, {"timeout": 0.0}, {"timeout": float("nan")}])
def test_numbers_that_make_no_sense_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(BadOption, match="must be above 0"):
        bench(**options)  # type: ignore[arg-type]


def test_missing_qemu_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    from hypernest.benchmark import build

    program = build.BARE.build([build.GUESTS / "nothing.c"], {"ITERS": 1})
    assert program.exists()
    monkeypatch.setattr("shutil.which", lambda name: None if "qemu" in name else f"/usr/bin/{name}")
    with pytest.raises(build.MissingTool, match=r"qemu-system-riscv64 is not installed: .* qemu-system-misc"):
        bench(only=["startup"], peer=["qemu"])


def test_every_workload_has_a_name_of_its_own() -> None:
    names = [workload.name for workload in WORKLOADS]
    assert len(set(names)) == len(names)
    assert all(workload.quick_count <= workload.count for workload in WORKLOADS)


def test_host_without_a_compiler_leaves_its_column_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert command.default_peers() == ["qemu", "hypernest", "native"]
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert command.default_peers() == ["qemu", "hypernest"]
