"""Recordings of a small guest, and ways to damage them that checksums do not show."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hypernest.history.recording import recorder
from hypernest.history.recording.format import Record, Writer, read_records
from tests.machine.course_guest import course

COUNT = 40_000

Records = list[Record]


def record_course(path: Path, **options: Any) -> str:
    """Record 40,000 instructions and more, until the guest powers off; returns the last state hash."""
    with course(record=path, **options) as machine:
        for count, text in ((1_003, "ab"), (7_500, "c"), (20_000, "def")):
            machine.run(count - machine.instructions)
            machine.console.send(text)
        machine.run(COUNT - machine.instructions)
        machine.console.send("q")
        machine.run()
        return machine.state_hash()


def close_marks(monkeypatch: pytest.MonkeyPatch, *, memory_too: bool = False) -> None:
    """Have marks some thousand instructions apart."""
    monkeypatch.setattr(recorder, "FIRST_SPACING", 2_000)
    monkeypatch.setattr(recorder, "SMALLEST_SPACING", 2_000)
    monkeypatch.setattr(recorder, "_SECONDS_APART", 0.0)
    if memory_too:
        monkeypatch.setattr(recorder, "FIRST_MEMORY_HASH_SECONDS", 0.0)


def records_of(path: Path) -> Records:
    """What a recording says."""
    with path.open("rb") as file:
        return list(read_records(file, path))


def write_records(path: Path, records: Records) -> Path:
    """A recording that says that, with checksums that fit."""
    with path.open("wb") as file:
        writer = Writer(file)
        for record in records:
            writer.append(record)
    return path


def altered(path: Path, change: Callable[[Records], None]) -> Path:
    """Another recording with changed records."""
    records = records_of(path)
    change(records)
    return write_records(path.with_name("altered"), records)
