"""What docs/api.md shows is what happens: the blocks are run in order, and print what stands behind the arrows."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any

import pytest

import hypernest
from hypernest.errors import HypernestError
from tests.debug.sources import compile_program

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "api.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compile_program(tmp_path, "-O1")
    monkeypatch.chdir(tmp_path)
    shared: dict[str, Any] = {"__name__": "__main__"}
    for block in BLOCKS:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(block, "docs/api.md", "exec", dont_inherit=True), shared)
        assert printed.getvalue().splitlines() == re.findall(r"# → (.*)", block)


def test_every_error_is_listed() -> None:
    public = {name for name in hypernest.__all__ if _is_error(getattr(hypernest, name))} - {"HypernestError"}
    listed = PAGE.split("## Errors")[1]
    assert {name for name in public if f"`{name}`" not in listed} == set()


def _is_error(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, HypernestError)


def test_what_it_links_to_is_there() -> None:
    pages = re.findall(r"\]\(([a-z]+\.md)\)", PAGE)
    assert pages and [page for page in pages if not (ROOT / "docs" / page).exists()] == []
    headings = {
        re.sub(r"[^\w -]", "", line).strip().lower().replace(" ", "-")
        for line in PAGE.splitlines()
        if line[:3] == "## "
    }
    assert set(re.findall(r"\]\(#([\w-]+)\)", PAGE)) <= headings
