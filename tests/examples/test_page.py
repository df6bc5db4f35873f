"""docs/examples.md tells of every example, and what it shows is what they print."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from examples import who_wrote_it

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "examples.md").read_text()


def test_every_example_is_there() -> None:
    scripts = {path.name for path in (ROOT / "examples").glob("*.py")}
    assert scripts
    assert set(re.findall(r"\]\(\.\./examples/(\w+\.py)\)", PAGE)) == scripts
    assert {path.name for path in Path(__file__).parent.glob("test_*.py")} >= {f"test_{name}" for name in scripts}


def test_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^):]+)\)", PAGE)
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []


def test_the_story_that_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    who_wrote_it.main([])
    shown = re.split(r"\n(?=\S)", PAGE.split("python examples/who_wrote_it.py\n")[1])[0]  # the indented lines
    assert [line.strip() for line in shown.splitlines() if line] == [
        line.strip() for line in capsys.readouterr().out.splitlines()
    ]
