"""The order of runs, medians and ratios, and what happens when peers fail or disagree; all on invented peers."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hypernest.benchmark.peers import BareProgram, Invocation, Job, Program
from hypernest.benchmark.process import Run
from hypernest.benchmark.suite import Result, Row, Sample, run_suite
from hypernest.benchmark.workloads import NOTHING, Kind, Metric, Workload

INTEGER = Workload("integer", "integer mix", Kind.BARE, "integer", 1, 1, goal=0.5)
BOOT = Workload("boot", "boot", Kind.LINUX, "", 0, 0, Metric.WALL, goal=1.0)
COLD = Workload("cold", "cold", Kind.BARE, "nothing", 1, 1, Metric.UNTIL_BEGIN, None, cold=True)
GOOD = "echo bench: begin; echo bench: end 0x000000000000000{};"


@dataclass
class FakePeer:
    """A peer that is a shell script with a file for statistics and a cache; it notes in `log` when it is asked."""

    name: str
    script: str
    log: list[str] = field(default_factory=list)
    generates: bool = False
    caches: list[Path] = field(default_factory=list)

    def invocation(self, job: Job, /) -> Invocation | None:
        self.log.append(self.name)
        self.caches.append(job.cache)
        return Invocation(("sh", "-c", self.script, "sh", str(job.stats), str(job.cache))) if self.script else None


def build(_: Workload) -> Program:
    return BareProgram(Path("/nowhere.elf"))


def run_one(workload: Workload, *peers: FakePeer, repeat: int = 1, timeout: float = 10) -> Row:
    (row,) = run_suite([workload], peers, build, repeat=repeat, timeout=timeout)
    return row


def sample(seconds: float, checksum: str = "0x1", **stats: float) -> Sample:
    return Sample(seconds, Run(seconds, 0.0, seconds, seconds, 0, checksum), stats)


def test_peers_alternate() -> None:
    log: list[str] = []
    row = run_one(INTEGER, FakePeer("a", GOOD.format(1), log), FakePeer("b", GOOD.format(1), log), repeat=3)
    assert log == ["a", "b"] * 3
    assert [len(result.samples) for result in row.results.values()] == [3, 3]
    assert row.problems == []


def test_whole_process_metric_has_a_warm_up_run_that_does_not_count() -> None:
    log: list[str] = []
    row = run_one(BOOT, FakePeer("a", GOOD.format(1), log), repeat=2)
    assert log == ["a"] * 3
    assert len(row.results["a"].samples) == 2
    assert row.results["a"].discarded is not None
    assert row.results["a"].first is row.results["a"].discarded


# Fails unless the cache holds what COUNT earlier runs left, and leaves a line more.
KEEPS = "mkdir -p $2; n=$(cat $2/runs 2>/dev/null | wc -l); echo run >> $2/runs;" + GOOD.format("$n")


def test_each_cold_run_has_a_cache_folder_of_its_own_that_does_not_exist_yet() -> None:
    peer = FakePeer("a", KEEPS, generates=True)
    row = run_one(COLD, peer, repeat=2)
    assert len(set(peer.caches)) == len(peer.caches) == 2
    assert [sample.run.checksum for sample in row.results["a"].all_samples] == ["0x0000000000000000"] * 2
    assert row.results["a"].discarded is None
    assert row.results["a"].first is row.results["a"].samples[0]


def test_cold_workload_has_a_warm_up_run_only_for_who_generates_nothing() -> None:
    cold_boot = dataclasses.replace(BOOT, cold=True)
    log: list[str] = []
    run_one(cold_boot, FakePeer("qemu", GOOD.format(1), log), FakePeer("h", GOOD.format(1), log, generates=True))
    assert log == ["qemu", "qemu", "h"]


def test_every_warm_workload_begins_with_what_no_work_leaves_and_its_first_runs_do_not_count() -> None:
    built: list[str] = []

    def building(workload: Workload) -> Program:
        built.append(workload.name)
        return build(workload)

    peer = FakePeer("a", KEEPS, generates=True)
    other = dataclasses.replace(INTEGER, name="other")
    rows = list(run_suite([INTEGER, other, COLD], [peer], building, repeat=2, timeout=10))
    assert built == ["integer", "other", "cold", NOTHING.name]
    prepared, *rest = peer.caches
    assert rest[:5] == [rest[0]] * 5 and rest[5:10] == [rest[5]] * 5
    assert len({prepared, *rest}) == 5
    for row in rows[:2]:
        # One earlier run left a line, the one with no work, though the workload before has run five times.
        numbers = [int(sample.run.checksum or "", 16) for sample in row.results["a"].all_samples]
        assert numbers == [1, 4, 5]
        assert [len(row.results["a"].samples), row.results["a"].discarded is not None] == [2, True]
    assert not any(folder.exists() for folder in peer.caches)


def test_peer_that_cannot_even_do_nothing_fails_in_every_row() -> None:
    peer = FakePeer("a", "mkdir -p $2; echo broken >&2; exit 3", generates=True)
    assert run_one(INTEGER, peer).problems == ["integer: a: exit status 3: broken"]


def test_checksum_mismatch_is_reported() -> None:
    row = run_one(INTEGER, FakePeer("qemu", GOOD.format(1)), FakePeer("hypernest", GOOD.format(2)))
    assert row.problems == [
        "integer: checksums differ: qemu 0x0000000000000001, hypernest 0x0000000000000002",
    ]


def test_peer_that_disagrees_with_itself_is_reported(tmp_path: Path) -> None:
    flip = f"if mkdir {tmp_path}/once 2>/dev/null; then {GOOD.format(1)} else {GOOD.format(2)} fi"
    row = run_one(INTEGER, FakePeer("qemu", flip), repeat=2)
    assert row.problems == ["integer: checksums differ: qemu 0x0000000000000001 and 0x0000000000000002"]


def test_failed_peer_is_reported_and_not_asked_again_while_the_others_go_on() -> None:
    bad, good = FakePeer("bad", "echo broken >&2; exit 3"), FakePeer("good", GOOD.format(1))
    row = run_one(INTEGER, bad, good, repeat=3)
    assert len(bad.log) == 1
    assert len(row.results["good"].samples) == 3
    assert row.problems == ["integer: bad: exit status 3: broken"]
    assert row.results["bad"].seconds is None


def test_run_without_a_checksum_is_a_failure() -> None:
    row = run_one(INTEGER, FakePeer("qemu", "echo bench: begin"))
    assert row.problems == ["integer: qemu: ended without saying what it computed"]


def test_run_that_never_ends_is_a_failure() -> None:
    assert run_one(INTEGER, FakePeer("qemu", "sleep 60"), timeout=0.2).problems == ["integer: qemu: no end after 0.2 s"]


def test_peer_that_does_not_take_part_has_no_result() -> None:
    row = run_one(INTEGER, FakePeer("qemu", GOOD.format(1)), FakePeer("native", ""))
    assert list(row.results) == ["qemu"]
    assert row.problems == []


def test_statistics_are_read_as_far_as_they_are_numbers() -> None:
    figures = {"mips": 915.5, "peak_memory_bytes": 300, "guest_memory_bytes": 100, "traps": {}, "ok": True}
    content = json.dumps({**figures, "translation": {"code_bytes": 7, "exits": {}, "engine": "x"}})
    row = run_one(INTEGER, FakePeer("hypernest", GOOD.format(1) + f"echo '{content}' > $1"))
    result = row.results["hypernest"]
    assert result.samples[0].stats == {
        "mips": 915.5,
        "peak_memory_bytes": 300.0,
        "guest_memory_bytes": 100.0,
        "translation.code_bytes": 7.0,
    }
    assert (result.mips, result.memory_overhead_bytes) == (915.5, 200)


def test_translation_that_is_no_dictionary_is_left_out() -> None:
    row = run_one(INTEGER, FakePeer("hypernest", GOOD.format(1) + """echo '{"translation": [1]}' > $1"""))
    assert row.problems == [] and row.results["hypernest"].samples[0].stats == {}


@pytest.mark.parametrize("content", ["not json", "[1]", '"text"'])
def test_statistics_that_make_no_sense_are_a_failure(content: str) -> None:
    row = run_one(INTEGER, FakePeer("hypernest", GOOD.format(1) + f"echo '{content}' > $1"))
    assert len(row.problems) == 1 and "statistics" in row.problems[0]


def test_median_and_ratio() -> None:
    qemu = Result("qemu", [sample(1.0), sample(9.0), sample(2.0)])
    fast, slow = Result("fast", [sample(0.5)]), Result("slow", [sample(8.0)])
    row = Row(INTEGER, {"qemu": qemu, "fast": fast, "slow": slow})
    assert qemu.seconds == 2.0
    assert [row.ratio(peer, ["qemu"]) for peer in ("fast", "slow", "qemu")] == [4.0, 0.25, 1.0]
    assert row.ratio("absent", ["qemu"]) is None and row.ratio("fast", ["absent"]) is None


def test_time_too_short_to_be_measured_gives_no_ratio() -> None:
    row = Row(INTEGER, {"native": Result("native", [sample(0.0)]), "h": Result("h", [sample(1.0)])})
    assert row.ratio("h", ["native"]) is None and row.ratio("native", ["h"]) is None


def test_fastest_baseline_counts() -> None:
    old, new = Result("qemu 7.2", [sample(1.0)]), Result("qemu 10.0", [sample(3.0)])
    broken = Result("qemu 11.0", [sample(0.1)], "exit status 1")
    results = {each.peer: each for each in (new, broken, old, Result("h", [sample(2.0)]))}
    row = Row(INTEGER, results)
    baselines = ["qemu 10.0", "qemu 11.0", "qemu 7.2"]
    assert row.fastest(baselines) is old
    assert row.ratio("h", baselines) == 0.5
    assert Row(INTEGER, {}).fastest(baselines) is None


def test_failure_leaves_no_ratio_even_with_samples() -> None:
    row = Row(INTEGER, {"qemu": Result("qemu", [sample(1.0)]), "h": Result("h", [sample(1.0)], "no end after 3 s")})
    assert row.ratio("h", ["qemu"]) is None


def test_workload_that_concerns_no_peer_has_no_row() -> None:
    assert list(run_suite([INTEGER], [FakePeer("native", "")], build, repeat=1, timeout=10)) == []
