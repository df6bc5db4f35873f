"""What docs/hooks.md shows works."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any

import pytest

PAGE = (Path(__file__).parents[1] / "docs" / "hooks.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.usefixtures("debian_image")
def test_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks one after another, as a reader would type them."""
    monkeypatch.chdir(tmp_path)
    shared: dict[str, Any] = {"__name__": "__main__"}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        for block in BLOCKS:
            exec(compile(block, "docs/hooks.md", "exec", dont_inherit=True), shared)
    hits, stopped, place, covered = printed.getvalue().splitlines()
    count, _, results = hits.partition(" ")
    assert int(count) == len(results.split(",")) > 0
    assert stopped == "somebody reads 1048576 bytes"
    assert int(place, 16) < 1 << 40
    assert re.fullmatch(r"\d+ Block\(start=\d+, size=\d+\)", covered)
    assert (tmp_path / "linux.drcov").read_bytes().startswith(b"DRCOV VERSION: 2\n")


def test_every_kind_of_hook_is_told_of() -> None:
    from hypernest.machine.hooks import Hooks

    for name in ("execute", "read", "write", "access", "trap", "syscall", "csr", "console", "coverage"):
        assert callable(getattr(Hooks, name))
        assert re.search(rf"\b{name}\(", PAGE), name
