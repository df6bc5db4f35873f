"""The oven: what it does follows from its constants, and from the window in one of the two machines."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from examples import custom_device


def gaps(diary: str) -> list[float]:
    """Milliseconds between two switches."""
    times = [float(each) for each in re.findall(r"at ([\d.]+) ms", diary)]
    return [round(later - earlier, 1) for earlier, later in pairwise(times)]


def test_it_keeps_warm(capsys: pytest.CaptureFixture[str]) -> None:
    closed, opened = custom_device.main([])
    assert capsys.readouterr().out == f"window closed: {closed}\nwindow open:   {opened}\n"
    assert gaps(closed)[:3] == [7.0, 4.0, 2.0]  # from 15 to 22 degrees, down to 20, up again
    assert set(gaps(closed)[1::2]) == {4.0}
    assert gaps(opened)[:5] == gaps(closed)[:5]
    assert gaps(opened)[-1] == 2.0
    assert gaps(opened)[-2] == 1.0  # four times as quick


def test_other_limits() -> None:
    closed, _ = custom_device.main(["--low", "16000", "--high", "16500"])
    assert gaps(closed)[:3] == [1.5, 1.0, 0.5]
