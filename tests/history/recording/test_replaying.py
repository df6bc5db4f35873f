"""Repeating recorded runs: on other engines, with disks, from snapshots, through resets, under hooks, partly."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypernest.disks import DiskMode
from hypernest.history.recording import BadRecording, RecordingNotKept, RunRecorded, load, replay
from hypernest.machine import Machine, StopKind
from hypernest.machine.hooks import HookEvent
from hypernest.machine.snapshot import Snapshot
from tests.history.recording.recordings import COUNT, close_marks, record_course
from tests.machine.course_guest import TYPED_AT, course
from tests.machine.small_guests import FIRMWARE, assembled
from tests.machine.test_devices_from_guest import SECTORS, play, whole_script


@pytest.mark.parametrize("harts", [1, 4])
@pytest.mark.parametrize("engine", ["interpreter", "translator"])
def test_a_replay_is_identical(harts: int, engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    close_marks(monkeypatch, memory_too=True)
    path = tmp_path / "recording"
    final = record_course(path, harts=harts, engine=engine, seed=7)
    for other in ("translator", "interpreter"):
        with replay(path, engine=other) as again:
            verdict = again.verify()
            assert verdict.identical
            assert verdict.hashes == len(load(path).marks) + 1 >= 10
            assert again.machine.state_hash() == final
            assert again.machine.console.read() == "abcdefq"
            assert str(verdict) == f"identical: {again.machine.instructions} instructions, {verdict.hashes} hashes"


def test_the_reference_engine_repeats_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    close_marks(monkeypatch)
    path = tmp_path / "recording"
    with course(record=path, harts=2) as machine:
        machine.run(1500)
        machine.console.send("x")
        machine.run(4000)
    with replay(path, engine="reference") as again:
        assert again.verify().identical
        assert again.machine.instructions == 5500


def test_a_replay_can_be_run_like_any_machine(tmp_path: Path) -> None:
    path = tmp_path / "recording"
    final = record_course(path)
    with replay(path) as again:
        machine = again.machine
        assert machine.run_until("abc") == "abc"
        hits: list[int] = []
        machine.hooks.console(lambda event: hits.append(machine.instructions))
        machine.run()
        assert len(hits) == 4
        assert machine.stopped is not None
        assert machine.state_hash() == final


def test_a_run_that_could_go_on_ends_where_it_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    close_marks(monkeypatch)
    path = tmp_path / "recording"
    with course(record=path) as machine:
        machine.run(2_345)
        machine.console.send("a")
        machine.run(3_333)
    with replay(path) as again:
        reason = again.machine.run()
        assert reason.kind is StopKind.BREAK
        assert again.machine.instructions == 2_345 + 3_333
        assert again.verify().identical


def test_a_hook_that_stops_the_last_run_spoils_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hypernest.machine.turns.QUANTUM", 100)
    path = tmp_path / "recording"

    def stop(event: HookEvent) -> None:
        if machine.scheduler.turns.began_at == machine.instructions > 3000:
            event.stop()

    with course(record=path, harts=3) as machine:
        loop = FIRMWARE + machine.memory[FIRMWARE : FIRMWARE + 512].index(bytes.fromhex("2fb39900"))
        machine.hooks.execute(loop, stop)
        assert machine.run().kind is StopKind.BREAK
    with replay(path) as again:
        assert again.verify().identical


def test_verify_up_to_a_count_and_then_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    close_marks(monkeypatch)
    path = tmp_path / "recording"
    record_course(path)
    with replay(path) as again:
        verdict = again.verify(until=10_001)
        assert verdict.identical
        assert verdict.instructions == again.machine.instructions == 10_001
        assert 0 < verdict.hashes < len(load(path).marks)
        assert again.verify().hashes == len(load(path).marks) + 1


def test_going_back_in_a_replay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    close_marks(monkeypatch)
    path = tmp_path / "recording"
    final = record_course(path, harts=2)
    with replay(path) as again:
        machine = again.machine
        machine.keep_history()
        machine.run(25_000)
        there = machine.state_hash()
        machine.goto(7_000)
        machine.goto(25_000)
        assert machine.state_hash() == there
        machine.goto(1_000)
        assert again.verify().identical
        assert machine.state_hash() == final


def test_a_reset_and_a_window_are_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    close_marks(monkeypatch)
    path = tmp_path / "recording"
    with course(record=path, harts=2) as machine:
        for text in ("a", "r", "b", "r", "c"):
            machine.console.resize(80 + machine.boot, -3)
            machine.run(6_000)
            machine.console.send(text)
        machine.run(6_000)
        assert machine.boot == 2
        final = machine.state_hash()
    with replay(path, engine="interpreter") as again:
        assert again.verify().identical
        assert again.machine.boot == 2
        again.machine.scheduler.settle()
        assert again.machine.console.read() == "arbrc"
    assert final


def test_what_is_typed_by_the_wall_clock(tmp_path: Path) -> None:
    from tests.machine.test_determinism import Person

    path, person = tmp_path / "recording", Person(8)
    with course(record=path, console=person, clock="wall") as machine:
        assert machine.run().kind is StopKind.POWER_OFF
        instructions = machine.instructions
    recording = load(path)
    assert recording.origin.clock == "wall"
    assert recording.origin.epoch == machine.setup.epoch
    with replay(path) as again:
        assert again.verify().identical
        assert again.machine.instructions == instructions
        assert again.machine.setup.epoch == recording.origin.epoch


# --- disks ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def with_disk(tmp_path: Path) -> Path:
    """A recording of a guest that writes on a disk, of which `before.img` is a copy."""
    content = b"\x11" * 512 * SECTORS
    (tmp_path / "disk.img").write_bytes(content)
    (tmp_path / "before.img").write_bytes(content)
    script = whole_script()
    with Machine(
        firmware=assembled(script.text, FIRMWARE),
        memory="16M",
        disks=[tmp_path / "disk.img"],
        record=tmp_path / "recording",
    ) as machine:
        play(machine, script)
    assert (tmp_path / "disk.img").read_bytes() != content
    return tmp_path


def test_every_device_is_repeated_with_the_disk_as_it_was(with_disk: Path) -> None:
    before = (with_disk / "before.img").read_bytes()
    with replay(with_disk / "recording", files=[with_disk / "before.img"], engine="interpreter") as again:
        assert again.verify().identical
    assert (with_disk / "before.img").read_bytes() == before


def test_a_disk_is_found_in_a_folder(with_disk: Path) -> None:
    folder = with_disk / "kept"
    folder.mkdir()
    (folder / "another.img").write_bytes(bytes(512 * SECTORS))
    (with_disk / "before.img").rename(folder / "before.img")
    with Machine("hello", disks=[folder / "another.img"]), replay(with_disk / "recording", files=[folder]) as again:
        assert again.verify().identical


def test_a_disk_that_was_written_since_is_refused(with_disk: Path) -> None:
    with pytest.raises(BadRecording, match="another disk: it expects.*as it was before the run"):
        replay(with_disk / "recording")
    (with_disk / "disk.img").unlink()
    with pytest.raises(BadRecording, match="is not there"):
        replay(with_disk / "recording")


def test_an_overlay_leaves_the_disk_for_the_replay(tmp_path: Path) -> None:
    disk = tmp_path / "disk.img"
    disk.write_bytes(b"\x11" * 512 * SECTORS)
    script = whole_script()
    with Machine(
        firmware=assembled(script.text, FIRMWARE),
        memory="16M",
        disks=[(disk, DiskMode.OVERLAY)],
        record=tmp_path / "recording",
    ) as machine:
        play(machine, script)
    with replay(tmp_path / "recording") as again:
        assert again.verify().identical


# --- what boots ----------------------------------------------------------------------------------------------------


def test_another_kernel_is_refused_and_the_same_one_found_elsewhere(tmp_path: Path) -> None:
    guest, path = tmp_path / "guest", tmp_path / "recording"
    guest.write_bytes(assembled(TYPED_AT, FIRMWARE))
    with Machine(firmware=guest, memory="1M", record=path) as machine:
        machine.run(5_000)
    replay(path).close()
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    moved = guest.rename(folder / "moved")
    with pytest.raises(BadRecording, match="another firmware: it expects .* is not there.*--look-in, or files="):
        replay(path)
    guest.write_bytes(moved.read_bytes().replace(b"\x2f\xb3\x99\x00", b"\x13\x00\x00\x00"))
    with pytest.raises(BadRecording, match="another firmware: it expects the BLAKE2b [0-9a-f]+ .* has [0-9a-f]+"):
        replay(path)
    for places in ([moved], [folder], [tmp_path / "nothing", folder]):
        with replay(path, files=places) as again:
            assert again.verify().identical


def test_a_recording_does_not_make_anybody_open_a_pipe(tmp_path: Path) -> None:
    import os

    guest, path = tmp_path / "guest", tmp_path / "recording"
    guest.write_bytes(assembled(TYPED_AT, FIRMWARE))
    Machine(firmware=guest, memory="1M", record=path).close()
    guest.unlink()
    os.mkfifo(guest)
    with pytest.raises(BadRecording, match="is not there"):
        replay(path)


# --- snapshots -----------------------------------------------------------------------------------------------------


def test_a_recording_that_goes_on_with_a_snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    close_marks(monkeypatch)
    archive, path = tmp_path / "archive", tmp_path / "recording"
    with course(harts=2) as machine:
        machine.run(10_000)
        machine.console.send("ab")
        machine.run(10_000)
        base = machine.snapshot()
    base.save("base", archive)
    with pytest.raises(RecordingNotKept, match="only in memory"):
        base.fork(record=path)
    with Snapshot.load("base", archive).fork(record=path) as machine:
        machine.run(10_000)
        machine.console.send("cd")
        machine.run(10_000)
        final = machine.instructions
    with replay(path, engine="interpreter") as again:
        verdict = again.verify()
        assert verdict.identical
        assert verdict.instructions == final == 40_000
        assert verdict.hashes > 3
    archive.rename(tmp_path / "moved")
    with pytest.raises(BadRecording, match="that file is not there"):
        replay(path)
    with replay(path, files=[tmp_path / "moved"]) as again:
        assert again.verify().identical
    with replay(path, files=[tmp_path]) as again:
        assert again.verify().identical
    with course(harts=2) as machine:
        machine.run(5)
        machine.snapshot().save("base", archive)
    with pytest.raises(BadRecording, match="is another one"):
        replay(path)


# --- what is refused, and what is left of a recording that was cut off ----------------------------------------------


def test_what_is_whole_of_a_recording_that_was_cut_off_is_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    close_marks(monkeypatch)
    path = tmp_path / "recording"
    record_course(path)
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(BadRecording, match="ask for a partial replay .--partial, or partial=True"):
        replay(path)
    with replay(path, partial=True) as again:
        last = load(path, partial=True).marks[-1].count
        assert 5_000 < last <= COUNT
        verdict = again.verify()
        assert verdict.identical
        assert verdict.instructions == last
        assert verdict.hashes == len(again.recording.marks)


def test_a_machine_that_is_recorded_does_not_go_back(tmp_path: Path) -> None:
    with course(record=tmp_path / "recording") as machine:
        snapshot = machine.snapshot()
        machine.run(100)
        with pytest.raises(RunRecorded, match="cannot go back"):
            machine.restore(snapshot)
        assert machine.instructions == 100
    with replay(tmp_path / "recording") as again:
        assert again.verify().identical


def test_devices_of_a_recorded_machine_are_asked_for(tmp_path: Path) -> None:
    course(record=tmp_path / "recording").close()
    from hypernest.devices.device import Device

    with pytest.raises(BadRecording, match="had 0 devices of its own, not 1"):
        replay(tmp_path / "recording", devices=[Device])
