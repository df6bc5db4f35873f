"""Grades: as they must be, and the same wherever and however often a test is run."""

from __future__ import annotations

import pytest

from examples import grade_lab
from examples.grade_lab import SUBMISSIONS, TESTS, run_test

LATE = "took 1507 ms"
WRONG = r"printed '1: 0\n2: 0\n3: 0\n'"


@pytest.mark.usefixtures("debian_image")
def test_grades(capsys: pytest.CaptureFixture[str]) -> None:
    grades = grade_lab.main(["--jobs", "2"])
    assert grades["ada"] == ["ok"] * 3
    assert grades["bob"][0::2] == ["ok", "ok"]
    assert grades["bob"][1].startswith("took 15")
    assert grades["cleo"] == [WRONG, WRONG, "ok"]
    assert grades["dan"] == ["never ended"] * 3
    assert "ok" not in grades["eve"]
    assert grades["fay"] == ["crashed the kernel"] * 3
    assert "\nbob  2 of 3   ok; took 15" in capsys.readouterr().out

    base = grade_lab.booted()
    for name in ("bob", "eve"):
        assert run_test(base, SUBMISSIONS[name], TESTS[1]) == grades[name][1]
