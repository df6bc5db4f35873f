"""A machine that is not what it was: the interval, then the instruction, then who is wrong."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from hypernest.history.recording import Difference, replay
from hypernest.history.recording import difference as finding
from hypernest.history.recording.format import End, Input, Mark
from hypernest.machine.engines import EngineMaker
from tests.history.recording.recordings import Records, altered, close_marks, record_course
from tests.history.recording.wrong_engine import wrong_from_round, wrong_store
from tests.machine.course_guest import course
from tests.machine.small_guests import FIRMWARE


@pytest.fixture(autouse=True)
def without_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "_REFERENCE_REACH", 0)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recorded") / "short"
    with pytest.MonkeyPatch.context() as patch:
        close_marks(patch)
        with course(record=path, harts=2) as machine:
            machine.run(500)
            machine.console.send("ab")
            machine.run(5_600)
    return path


def difference(path: Path, engine: EngineMaker | str) -> Difference:
    with replay(path, engine=engine) as again:
        verdict = again.verify()
        assert not verdict.identical
        assert str(verdict).startswith("different: ")
        assert verdict.difference is not None
        return verdict.difference


def round_after(path: Path, count: int) -> int:
    """A number of rounds that some hart has after `count` instructions."""
    with replay(path) as again:
        again.machine.run(count)
        return again.machine.running_hart.x["s2"] + 2


def test_an_engine_that_is_wrong_once_is_found_out(recorded: Path) -> None:
    rounds = round_after(recorded, 2_900)
    found = difference(recorded, wrong_from_round(rounds))
    assert found.count is not None
    assert found.begin <= found.count < found.end <= found.begin + 2_000
    with replay(recorded) as again:
        again.machine.run(found.count)
        assert (again.machine.harts[found.hart].pc, again.machine.harts[found.hart].x["s2"]) == (found.pc, rounds)
    assert "andi t3,s2,255" in found.instruction
    assert FIRMWARE <= found.pc < FIRMWARE + 512
    assert str(found.values[0]) == f"t3 of hart {found.hart} is 0x0 instead of {rounds & 255:#x}"
    assert "interpreter comes out as recorded, mistaken does not" in found.why
    assert f"after {found.count} instructions, on hart {found.hart}: " in str(found)


def test_a_wrong_word_of_memory_that_nobody_reads_is_found(recorded: Path) -> None:
    found = difference(recorded, wrong_store(256))
    assert "sd" in found.instruction
    assert found.values[0].where.startswith("memory at 0x80000")
    assert int(found.values[0].wrong, 16) == int(found.values[0].right, 16) ^ 1


def replaced(records: Records, kind: type, number: int, **fields: object) -> None:
    at = [index for index, record in enumerate(records) if isinstance(record, kind)][number]
    records[at] = msgspec.structs.replace(records[at], **fields)


def test_a_recording_with_another_hash_has_no_culprit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    close_marks(monkeypatch)
    record_course(tmp_path / "recording")
    path = altered(tmp_path / "recording", lambda records: replaced(records, Mark, 5, brief=bytes(16)))
    found = difference(path, "interpreter")
    assert found.count is None
    assert (found.begin, found.end) == (10_000, 12_000)
    assert "interpreter and translator come out the same or otherwise wrong" in found.why


def test_a_recording_with_other_input_differs_from_there_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    close_marks(monkeypatch)
    record_course(tmp_path / "recording")
    path = altered(tmp_path / "recording", lambda records: replaced(records, Input, 1, typed=b"C"))
    found = difference(path, "translator")
    assert (found.begin, found.end) == (6_000, 8_000)


def test_a_short_interval_is_given_to_the_reference_too(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "_REFERENCE_REACH", 10_000)
    path = altered(recorded, lambda records: replaced(records, Mark, 0, brief=bytes(16)))
    assert "interpreter and translator and reference come out" in difference(path, "interpreter").why


@pytest.mark.parametrize(
    "fields", [{"full": bytes(32)}, {"brief": bytes(16)}, {"reason": None}, {"reason": ("stuck", 0, "bored")}]
)
def test_another_end_is_noticed(fields: dict[str, object], tmp_path: Path) -> None:
    record_course(tmp_path / "recording")
    path = altered(tmp_path / "recording", lambda records: replaced(records, End, 0, **fields))
    assert difference(path, "interpreter").count is None


def test_a_guest_that_ends_too_early_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    close_marks(monkeypatch)
    record_course(tmp_path / "recording")
    path = altered(tmp_path / "recording", lambda records: replaced(records, Input, 1, typed=b"q"))
    found = difference(path, "interpreter")
    assert (found.begin, found.end) == (6_000, 8_000)


def test_memory_that_was_the_same_once_is_where_the_search_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    close_marks(monkeypatch, memory_too=True)
    record_course(tmp_path / "recording", harts=2)
    path = altered(tmp_path / "recording", lambda records: replaced(records, End, 0, brief=bytes(16)))
    with replay(path) as again:
        verdict = again.verify()
        assert again._comparison.base is not None
    assert verdict.difference is not None
    assert verdict.difference.count is None
