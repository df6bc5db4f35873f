"""The kinds of values that options take."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from hypernest.cli.arguments import Disk, count, disk
from hypernest.disks import DiskMode


def test_digits_may_be_grouped() -> None:
    assert count("1_000_000") == 1_000_000


@pytest.mark.parametrize("text", ["", "0", "-1", "1__0", "_1", "1_", "0x10", "1e6", "٣"])
def test_what_is_no_count(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        count(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.img", Disk(Path("a.img"), DiskMode.WRITABLE)),
        ("a.img,readonly", Disk(Path("a.img"), DiskMode.READONLY)),
        ("a.img,overlay", Disk(Path("a.img"), DiskMode.OVERLAY)),
        ("a,overlay,readonly", Disk(Path("a,overlay"), DiskMode.READONLY)),
        ("a,b.img", Disk(Path("a,b.img"), DiskMode.WRITABLE)),
    ],
)
def test_disks(text: str, expected: Disk) -> None:
    assert disk(text) == expected


def test_a_disk_with_an_unknown_mode(tmp_path: Path) -> None:
    text = f"{tmp_path}/a.img,read"
    with pytest.raises(argparse.ArgumentTypeError, match="nor a mode 'read': modes are readonly and overlay"):
        disk(text)
    Path(text).touch()
    assert disk(text) == Disk(Path(text), DiskMode.WRITABLE)
