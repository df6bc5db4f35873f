"""Comparing with a recording goes on wherever the machine is brought."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypernest.history.recording import replay
from hypernest.history.recording.format import Mark
from hypernest.machine import StopKind
from tests.history.recording.recordings import altered, close_marks, record_course
from tests.history.recording.test_difference import replaced


def test_a_run_stops_at_the_first_mark_that_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    close_marks(monkeypatch)
    record_course(tmp_path / "recording")
    path = altered(tmp_path / "recording", lambda records: replaced(records, Mark, 2, brief=bytes(16)))
    with replay(path) as again:
        machine = again.machine
        before = machine.snapshot()
        reason = machine.run(50_000)
        assert reason.kind is StopKind.BREAK
        assert str(reason) == "the machine is not what it was after 6000 instructions"
        assert machine.instructions == 6_000
        machine.become(before)
        machine.run(7_000)  # it is known, and stops nobody any more
        assert machine.instructions == 7_000
