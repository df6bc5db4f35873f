"""`hypernest cache`: what it shows is there, and what it clears is what it said."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypernest.cli.main import run
from hypernest.engines.translator.store import RegionStore

OBJECT = "interpreter-382cdbac02457e909fec39379c9c5610.o"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with something of every kind, and things that are none of hypernest's business."""
    cache = tmp_path / "cache"
    monkeypatch.setenv("HYPERNEST_CACHE", str(cache))
    store = RegionStore(cache / "native", b"generator")
    for number in range(3):
        store.save(bytes([number] * 16), 0, bytes(1000))
    store.save(bytes(16), 2, bytes(1000))
    store.close()
    files = {
        f"native/{OBJECT}": 52_400,
        "native/mine.o": 1,
        "images/debian/build/kernel": 30_000,
        "images/debian/lock": 0,
        "images/mine/picture": 1,
        "guests/loop-0123456789abcdef0123": 7_000,
        "guests/mine": 1,
        "mine": 1,
    }
    for name, size in files.items():
        (cache / name).parent.mkdir(parents=True, exist_ok=True)
        (cache / name).write_bytes(bytes(size))
    (cache / "images" / "hello").symlink_to(cache / "images" / "mine")
    return cache


def left(cache: Path) -> set[str]:
    return {str(path.relative_to(cache)) for path in cache.rglob("*") if path.is_file() and not path.is_symlink()}


MINE = {"native/mine.o", "images/mine/picture", "guests/mine", "mine"}
REGIONS = {"native/regions.sqlite"}
OBJECTS = {f"native/{OBJECT}"}
OTHERS = {"images/debian/build/kernel", "images/debian/lock", "guests/loop-0123456789abcdef0123"}


def rows(shown: str) -> dict[str, str]:
    return {line.split()[0]: line for line in shown.splitlines()}


def test_it_shows_what_is_there(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = left(cache)
    assert run(["cache"]) == 0
    shown = capsys.readouterr().out
    table = rows(shown)
    assert table["images"].split()[1:4] == ["30.0", "kB", "1"] and str(cache / "images") in table["images"]
    assert table["native"].split()[1:4] == ["52.4", "kB", "1"] and str(cache / "native") in table["native"]
    assert table["guests"].split()[1:4] == ["7.0", "kB", "1"]
    assert "4 regions of 3 pages, 4.0 kB of at most 268.4 MB, by 1 generator\n" in shown
    assert left(cache) == before


def test_an_empty_cache_is_nothing_special(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HYPERNEST_CACHE", str(tmp_path / "none"))
    assert run(["cache"]) == 0
    assert all(" 0 B " in line for line in capsys.readouterr().out.splitlines()[1:])
    assert run(["cache", "clear", "--all"]) == 0
    assert capsys.readouterr().out == f"nothing to remove in {tmp_path / 'none'}\n"
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("options", "gone", "named"),
    [
        ([], REGIONS | OBJECTS, {"regions", "native"}),
        (["--regions"], REGIONS, {"regions"}),
        (["--native"], OBJECTS, {"native"}),
        (["--all"], REGIONS | OBJECTS | OTHERS, {"regions", "native", "images", "guests"}),
    ],
)
def test_it_clears_what_it_says(
    cache: Path, options: list[str], gone: set[str], named: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["cache", "clear", *options]) == 0
    assert left(cache) == (MINE | REGIONS | OBJECTS | OTHERS) - gone
    assert rows(capsys.readouterr().out).keys() & {"regions", "native", "images", "guests"} == named
    assert (cache / "images" / "hello").is_symlink()


def test_regions_in_use_are_cleared_too(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = RegionStore(cache / "native", b"generator")
    assert store.load(bytes(16))
    assert run(["cache", "clear", "--regions"]) == 0
    assert store.load(bytes(16)) == []
    store.close()
    assert store.problem is None


def test_a_damaged_store_is_said_and_cleared(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (cache / "native" / "regions.sqlite").write_bytes(b"garbage" * 100)
    assert run(["cache"]) == 0
    assert "regions.sqlite is damaged, see hypernest cache clear.\n" in capsys.readouterr().out
    assert run(["cache", "clear", "--regions"]) == 0
    assert left(cache) == MINE | OBJECTS | OTHERS


def test_what_cannot_be_removed_is_one_line(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = cache / "native" / "regions.sqlite"
    store.unlink()
    store.mkdir()
    assert run(["cache", "clear"]) == 1
    shown = capsys.readouterr().err
    assert shown.startswith("hypernest: ") and shown.count("\n") == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("cache cler", "clear: 'cler' is nothing to do (did you mean clear?), see hypernest cache --help."),
        ("cache --all", "--all says what to clear: hypernest cache clear --all."),
        ("cache clear --everything", "unknown option --everything, see hypernest cache --help."),
        ("cache clear --all --native", "--native: not allowed with argument --all, see hypernest cache --help."),
        ("cache clear now", "'now' is one argument too many, see hypernest cache --help."),
    ],
)
def test_a_mistake_is_one_line(cache: Path, line: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = left(cache)
    assert run(line.split()) == 2
    assert capsys.readouterr().err == f"hypernest: {message}\n"
    assert left(cache) == before
