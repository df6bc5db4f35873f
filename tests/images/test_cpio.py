import stat
import subprocess
from pathlib import Path

import pytest

from hypernest.images import cpio

ENTRIES = [
    cpio.folder("root", 0o700),
    cpio.file("root/a", b"one\n"),
    cpio.file("deep/er/b", bytes(range(256)) * 3, 0o755),
    cpio.link("sh", "bin/busybox"),
    cpio.character_device("dev/console", 5, 1),
]


def listing(archive: bytes) -> list[list[str]]:
    result = subprocess.run(["cpio", "-itv", "--quiet"], input=archive, capture_output=True, check=True)
    assert not result.stderr
    return [line.split() for line in result.stdout.decode().splitlines()]


def test_cpio_lists_what_was_written() -> None:
    rows = listing(cpio.archive(ENTRIES))
    assert [(row[0], row[8]) for row in rows] == [
        ("drwx------", "root"),
        ("-rw-r--r--", "root/a"),
        ("drwxr-xr-x", "deep"),
        ("drwxr-xr-x", "deep/er"),
        ("-rwxr-xr-x", "deep/er/b"),
        ("lrwxrwxrwx", "sh"),
        ("drwxr-xr-x", "dev"),
        ("crw-------", "1970"),  # a device has major and minor numbers in two columns
    ]
    assert rows[-1][4:6] == ["5,", "1"]
    assert rows[5][8:] == ["sh", "->", "bin/busybox"]


def test_cpio_extracts_the_same_bytes(tmp_path: Path) -> None:
    archive = cpio.archive(ENTRIES[:4])
    subprocess.run(["cpio", "-id", "--quiet"], input=archive, cwd=tmp_path, check=True)
    assert (tmp_path / "root/a").read_bytes() == b"one\n"
    assert (tmp_path / "deep/er/b").read_bytes() == bytes(range(256)) * 3
    assert stat.S_IMODE((tmp_path / "deep/er/b").stat().st_mode) == 0o755
    assert (tmp_path / "sh").readlink() == Path("bin/busybox")


def test_the_same_entries_give_the_same_bytes() -> None:
    assert cpio.archive(ENTRIES) == cpio.archive(iter(ENTRIES))


@pytest.mark.parametrize("size", range(5))
def test_archives_end_on_a_block_so_that_they_concatenate(size: int) -> None:
    assert len(cpio.archive([cpio.file("x" * (size + 1), bytes(size))])) % 512 == 0
