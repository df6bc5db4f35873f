"""The way back from a crash to what caused it."""

from __future__ import annotations

import re

import pytest

from examples import who_wrote_it


def test_the_story(capsys: pytest.CaptureFixture[str]) -> None:
    story = who_wrote_it.main([])
    assert capsys.readouterr().out == "\n".join(story) + "\n"
    times = [int(line.split()[0]) for line in story]
    what = [re.sub(r"^ *\d+ instructions: ", "", line) for line in story]
    assert what[0] == "parse is called"
    assert what[1] == "panic: the guard is 0x3030303, not 0x5afe"
    assert re.fullmatch(
        r"right before the first wrong byte: sb a\d,0\(a\d\)   in colors\+0x\w+ at ./parser.c:49", what[2]
    )
    assert what[3] == "colors is called to draw on 272 dots, of a canvas for 64"
    assert what[4] == "dimensions is called, to check 16 x 17, and does not refuse"
    assert times[0] < times[4] < times[3] < times[2] < times[1]
