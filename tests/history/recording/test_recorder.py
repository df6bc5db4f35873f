"""Writing recordings: into which files, how often, and what happens when that fails."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from hypernest.history.recording import RecordingNotKept, load, recorder
from tests.history.recording.recordings import close_marks, record_course
from tests.machine.course_guest import course


def test_an_older_recording_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "recording"
    record_course(path)
    size = path.stat().st_size
    path.write_bytes(path.read_bytes() * 2)
    record_course(path)
    assert path.stat().st_size == pytest.approx(size, rel=0.5)
    load(path)
    (tmp_path / "precious").write_bytes(b"data")
    with pytest.raises(RecordingNotKept, match="no recording"):
        course(record=tmp_path / "precious")
    assert (tmp_path / "precious").read_bytes() == b"data"
    for where in (tmp_path, tmp_path / "nowhere" / "recording"):
        with pytest.raises(RecordingNotKept, match="cannot be written"):
            course(record=where)


def test_one_file_for_one_machine(tmp_path: Path) -> None:
    path = tmp_path / "recording"
    with course(record=path) as machine:
        with pytest.raises(RecordingNotKept, match="another machine is being recorded"):
            course(record=path)
        machine.run(100)
    assert load(path).instructions == 100


def test_a_recording_is_in_the_file_while_the_machine_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    close_marks(monkeypatch)
    path = tmp_path / "recording"
    with course(record=path) as machine:
        machine.console.send("abc")
        machine.run(9_000)
        seen = load(path, partial=True)
        assert seen.marks[-1].count >= 4_000
        assert seen.events[0].typed == b"abc"


def test_a_full_disk_ends_the_recording_and_not_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    close_marks(monkeypatch)
    path = tmp_path / "recording"
    with course(record=path) as machine:
        machine.run(5_000)

        def full(record: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(machine._witness._writer, "append", full)  # type: ignore[union-attr]
        with pytest.raises(RecordingNotKept, match="no space left"):
            machine.run(50_000)
        machine.run(1_000)
        assert machine.instructions < 50_000
    assert load(path, partial=True).broken


def test_marks_become_rarer_when_they_are_quick_to_reach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "FIRST_SPACING", 1_000)
    monkeypatch.setattr(recorder, "_SECONDS_APART", 1e9)
    path = tmp_path / "recording"
    with course(record=path) as machine:
        machine.run(100_000)
    counts = [mark.count for mark in load(path).marks]
    assert counts == [1_000, 3_000, 7_000, 15_000, 31_000, 63_000]


def test_memory_is_hashed_at_doubling_distances(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    close_marks(monkeypatch, memory_too=True)
    path = tmp_path / "recording"
    with course(record=path) as machine:
        machine.run(200_000)
    marks = load(path).marks
    assert marks[0].full is not None
    assert any(mark.full is None for mark in marks)


def test_long_input_is_written_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "_INPUT_AT_ONCE", 1000)
    path = tmp_path / "recording"
    with course(record=path) as machine:
        machine.console.send(bytes(2500))
        machine.run(10)
        assert len(machine.journal.events) == 1
    assert [len(event.typed) for event in load(path).events] == [1000, 1000, 500]
