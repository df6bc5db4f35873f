"""What docs/devices.md shows works, and is as short as it looks."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any

import pytest

PAGE = (Path(__file__).parents[1] / "docs" / "devices.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.usefixtures("debian_image")
def test_the_page() -> None:
    """The blocks one after another, as a reader would type them."""
    shared: dict[str, Any] = {"__name__": "__main__"}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        for block in BLOCKS:
            exec(compile(block, "docs/devices.md", "exec", dont_inherit=True), shared)
    off, values, *linux = printed.getvalue().replace("\r", "").splitlines()
    assert off == "the guest powered the machine off"
    assert f"`{values}`" in PAGE
    assert "example,crc\0 00 00 00 00 04 00 00 00 00 00 00 00 00 00 10 00" in linux
    assert " 00 00 00 20" in linux  # the interrupt


def test_the_example_is_short() -> None:
    assert len(BLOCKS[0].splitlines()) < 40


def test_it_says_where_devices_go() -> None:
    from hypernest.devices.plic import SOURCES
    from hypernest.machine.custom_devices import END, FIRST, FIRST_INTERRUPT

    assert f"from {FIRST:#_x} on (up to {END:#_x}: QEMU" in PAGE
    assert f"first free interrupt from {FIRST_INTERRUPT} on (up to {SOURCES})" in " ".join(PAGE.split())
