"""What is believed of a recording: whole files, and what makes sense."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from struct import pack

import msgspec
import pytest

from hypernest.history.recording import BadRecording, load
from hypernest.history.recording.format import MAGIC, Contents, End, Input, Mark, Origin
from tests.history.recording.recordings import COUNT, Records, altered, close_marks, record_course, records_of


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recorded") / "course"
    with pytest.MonkeyPatch.context() as patch:
        close_marks(patch)
        record_course(path)
    return path


def test_a_recording_says_what_was_recorded(recorded: Path) -> None:
    recording = load(recorded)
    assert recording.broken is None
    assert recording.origin.memory_size == 1 << 20
    assert [event.typed for event in recording.events] == [b"ab", b"c", b"def", b"q"]
    assert len(recording.marks) >= 15
    assert recording.instructions > COUNT
    assert str(recording.reason) == "the guest powered the machine off"
    assert "inputs" in repr(recording)


def test_a_recording_that_was_cut_off_anywhere_is_refused_or_partial(recorded: Path, tmp_path: Path) -> None:
    data, cut = recorded.read_bytes(), tmp_path / "cut"
    whole = load(recorded)
    for size in [*range(0, len(data), 97), len(data) - 1]:
        cut.write_bytes(data[:size])
        with pytest.raises(BadRecording):
            load(cut)
        try:
            recording = load(cut, partial=True)
        except BadRecording:
            assert size < 1500  # what was booted is not there yet
            continue
        assert recording.broken
        assert recording.end is None
        assert recording.marks == whole.marks[: len(recording.marks)]
        assert recording.events == whole.events[: len(recording.events)]


def test_a_flipped_bit_anywhere_is_noticed(recorded: Path, tmp_path: Path) -> None:
    data, flipped = recorded.read_bytes(), tmp_path / "flipped"
    whole, dice = load(recorded), random.Random(1)
    for at in [*range(12), *(dice.randrange(len(data)) for _ in range(200))]:
        changed = bytearray(data)
        changed[at] ^= 1 << dice.randrange(8)
        flipped.write_bytes(changed)
        with pytest.raises(BadRecording):
            load(flipped)
        try:
            recording = load(flipped, partial=True)
        except BadRecording:
            continue
        assert recording.marks == whole.marks[: len(recording.marks)]
        assert recording.broken


def test_a_huge_claim_allocates_nothing(recorded: Path, tmp_path: Path) -> None:
    path = tmp_path / "huge"
    path.write_bytes(recorded.read_bytes()[:12] + pack("<I", 0xFFFF_FFFF) + bytes(16))
    with pytest.raises(BadRecording, match="cut short"):
        load(path)


def test_other_files_are_no_recordings(tmp_path: Path) -> None:
    path = tmp_path / "other"
    for data in (b"", b"\x7fELF" + bytes(100), MAGIC):
        path.write_bytes(data)
        with pytest.raises(BadRecording, match="is no recording"):
            load(path)
    path.write_bytes(MAGIC + pack("<I", 99))
    with pytest.raises(BadRecording, match="has format 99"):
        load(path)
    with pytest.raises(BadRecording, match="no such file"):
        load(tmp_path / "nothing")
    with pytest.raises(BadRecording):
        load(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadRecording, match="not a regular file"):
        load(tmp_path / "pipe")


def _replace(records: Records, kind: type, number: int = 0, **fields: object) -> None:
    at = [index for index, record in enumerate(records) if isinstance(record, kind)][number]
    records[at] = msgspec.structs.replace(records[at], **fields)


NONSENSE: dict[str, Callable[[Records], None]] = {
    "no origin": lambda records: records.__delitem__(0),
    "two origins": lambda records: records.insert(1, records[0]),
    "no contents": lambda records: records.__delitem__(1),
    "more contents": lambda records: records.insert(1, Contents(b"x")),
    "other contents": lambda records: _replace(records, Contents, data=b"x" * len(records[1].data)),  # type: ignore[union-attr]
    "behind the end": lambda records: records.append(Input(0, 1 << 60, b"x", None)),
    "inputs out of order": lambda records: _replace(records, Input, 1, time=0),
    "marks out of order": lambda records: _replace(records, Mark, 3, count=1),
    "an end before the last mark": lambda records: _replace(records, End, count=1),
    "an unknown end": lambda records: _replace(records, End, reason=("bored", 0, "")),
    "a message with control characters": lambda records: _replace(records, End, reason=("stuck", 0, "\x1b[2J")),
    "a title with control characters": lambda records: _replace(records, Origin, title="\x1b[2J"),
    "too much memory": lambda records: _replace(records, Origin, memory_size=1 << 62),
    "no memory": lambda records: _replace(records, Origin, memory_size=0),
    "too many harts": lambda records: _replace(records, Origin, harts=9),
    "no harts": lambda records: _replace(records, Origin, harts=0),
    "nothing to boot": lambda records: _replace(records, Origin, firmware=None),
    "a file that is not there": lambda records: _replace(records, Origin, kernel=7),
    "a large time": lambda records: _replace(records, Mark, time=1 << 63),
    "a clock that does not exist": lambda records: _replace(records, Origin, clock="sun"),
    "a short digest": lambda records: _replace(records, Mark, brief=b"x"),
    "a large window": lambda records: _replace(records, Input, size=(1 << 40, 1)),
}


@pytest.mark.parametrize("change", NONSENSE.values(), ids=NONSENSE)
def test_nonsense_with_fitting_checksums_is_refused(recorded: Path, change: Callable[[Records], None]) -> None:
    with pytest.raises(BadRecording):
        load(altered(recorded, change))


def test_the_records_of_a_recording_can_be_written_again(recorded: Path) -> None:
    assert altered(recorded, lambda records: None).read_bytes() == recorded.read_bytes()
    assert isinstance(records_of(recorded)[0], Origin)
