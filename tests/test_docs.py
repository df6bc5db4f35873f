"""What the pages of docs/ show is what happens: their blocks are run in order, as a reader would type them."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import hypernest
from hypernest.errors import HypernestError
from tests.debug.sources import compile_program

DOCS = Path(__file__).parents[1] / "docs"
PAGES = {path.name: path.read_text() for path in sorted(DOCS.glob("*.md"))}
WITH_ARROWS = [name for name in PAGES if "# →" in PAGES[name]]


def blocks(name: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", PAGES[name], re.DOTALL)


def run(name: str) -> Iterator[tuple[str, str]]:
    """The page's blocks one after another in one session, each with what it prints."""
    shared: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks(name):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(block, f"docs/{name}", "exec", dont_inherit=True), shared)
        yield block, printed.getvalue()


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", WITH_ARROWS)
def test_what_stands_behind_the_arrows_is_printed(name: str, tmp_path: Path) -> None:
    if name == "api.md":
        compile_program(tmp_path, "-O1")
    for block, printed in run(name):
        assert printed.splitlines() == re.findall(r"# → (.*)", block)


def test_which_pages_have_arrows() -> None:
    assert set(WITH_ARROWS) >= {"api.md", "classify.md", "history.md", "replay.md"}


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    for page, heading in re.findall(r"\]\(([^):#]*)#?([^):]*)\)", PAGES[name]):
        assert (DOCS / page).exists(), page
        if heading:
            assert heading in headings(PAGES[page or name]), (page, heading)


def headings(page: str) -> set[str]:
    """As links name them."""
    lines = re.findall(r"^##+ (.*)", page, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", line).strip().lower().replace(" ", "-") for line in lines}


# --- api.md --------------------------------------------------------------------------------------------------------


def test_every_error_is_listed() -> None:
    public = {name for name in hypernest.__all__ if _is_error(getattr(hypernest, name))} - {"HypernestError"}
    listed = PAGES["api.md"].split("## Errors")[1]
    assert {name for name in public if f"`{name}`" not in listed} == set()


def _is_error(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, HypernestError)


# --- devices.md ----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("debian_image")
def test_devices_of_ones_own() -> None:
    off, values, *linux = "".join(printed for _, printed in run("devices.md")).replace("\r", "").splitlines()
    assert off == "the guest powered the machine off"
    assert f"`{values}`" in PAGES["devices.md"]
    assert "example,crc\0 00 00 00 00 04 00 00 00 00 00 00 00 00 00 10 00" in linux
    assert " 00 00 00 20" in linux  # the interrupt


def test_the_example_of_a_device_is_short() -> None:
    assert len(blocks("devices.md")[0].splitlines()) < 40


def test_it_says_where_devices_go() -> None:
    from hypernest.devices.plic import SOURCES
    from hypernest.machine.custom_devices import END, FIRST, FIRST_INTERRUPT

    page = PAGES["devices.md"]
    assert f"from {FIRST:#_x} on (up to {END:#_x}: QEMU" in page
    assert f"first free interrupt from {FIRST_INTERRUPT} on (up to {SOURCES})" in " ".join(page.split())


# --- hooks.md ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("debian_image")
def test_hooks(tmp_path: Path) -> None:
    hits, stopped, place, covered = "".join(printed for _, printed in run("hooks.md")).splitlines()
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
        assert re.search(rf"\b{name}\(", PAGES["hooks.md"]), name


# --- classify.md ---------------------------------------------------------------------------------------------------


def test_the_classifier_is_told_of() -> None:
    from hypernest.analysis.isas import BUILT_IN
    from hypernest.analysis.trial import PATHS

    page = " ".join(PAGES["classify.md"].split())
    assert ", ".join(BUILT_IN) in page
    assert f"more than {PATHS} paths" in page
    toy = (DOCS.parent / "examples" / "isas" / "toy.py").read_text()
    assert f"in {len(toy.splitlines())} lines" in page
