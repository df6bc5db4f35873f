"""`hypernest bench`: choosing workloads and peers, and the exit when something went wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hypernest.benchmark import command
from hypernest.benchmark.command import BadOption, BenchmarkFailed, bench
from hypernest.benchmark.peers import Invocation, Job, Native, Peer
from hypernest.benchmark.qemu import QemuProgram
from hypernest.benchmark.workloads import WORKLOADS


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPERNEST_CACHE", str(tmp_path / "cache"))


class Liar:
    """A peer that always computes the same wrong thing."""

    name = "hypernest"
    generates = True

    def invocation(self, _: Job, /) -> Invocation | None:
        return Invocation(("sh", "-c", "echo bench: begin; echo bench: end 0x0000000000000bad"))


def test_quick_run_on_qemu_and_host(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report, plot = tmp_path / "bench.json", tmp_path / "bench.svg"
    bench(only=["nbody", "startup"], peer=["qemu", "native"], quick=True, json=report, plot=plot)
    out = capsys.readouterr().out
    assert plot.read_text().startswith("<svg")
    assert "nbody" in out and "startup" in out and "integer" not in out
    rows = json.loads(report.read_text())["rows"]
    assert [row["name"] for row in rows] == ["startup", "nbody"]
    assert all(set(row["peers"]) == {"qemu", "native"} for row in rows)
    assert rows[1]["count"] == next(workload.quick_count for workload in WORKLOADS if workload.name == "nbody")


def test_quick_run_on_hypernest_with_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "bench.json"
    bench(
        only=["mandelbrot"],
        peer=["qemu", "hypernest"],
        quick=True,
        engine="interpreter",
        option=["harts=2"],
        json=report,
    )
    out = capsys.readouterr().out
    assert "floating point (nbody, matrix, mandelbrot): geometric mean" in out and "(1 of 3 measured)" in out
    assert "ms/instr" in out and "host memory beyond guest pages: at most" in out
    content = json.loads(report.read_text())
    peer = content["rows"][0]["peers"]["hypernest"]
    assert peer["samples"][0]["stats"]["harts"] == 2
    assert peer["first_seconds"] > 0 and peer["costs"]["peak_memory_bytes"] > 0
    assert content["settings"]["options"] == ["harts=2"]


def test_option_that_run_does_not_have_is_told() -> None:
    with pytest.raises(BenchmarkFailed, match=r"mandelbrot: hypernest: exit status 2: .*--nonsense"):
        bench(only=["mandelbrot"], peer=["hypernest"], quick=True, option=["--nonsense"])


def test_several_qemus_are_peers_of_their_own() -> None:
    programs = [QemuProgram(Path("/a"), "7.2.22"), QemuProgram(Path("/b"), "10.0.2")]
    peers = command.make_peers(["native", "qemu"], programs, "auto", ())
    assert [peer.name for peer in peers] == ["qemu 7.2.22", "qemu 10.0.2", "native"]


def test_wrong_checksum_fails_after_the_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def peers(*_: object) -> tuple[Peer, ...]:
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
    monkeypatch.setattr("shutil.which", lambda name, **_: None if "qemu" in name else f"/usr/bin/{name}")
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
