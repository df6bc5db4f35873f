"""Disk images: what is refused, in words that help, and who may have one open."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hypernest.disks import DiskFile
from hypernest.errors import BadConfiguration


def image(folder: Path, size: int = 1024) -> Path:
    path = folder / "disk.img"
    path.write_bytes(bytes(size))
    return path


@pytest.mark.parametrize(("size", "hint"), [(0, "truncate -s 1G"), (1, "truncate -s %512"), (1025, "truncate -s %512")])
@pytest.mark.parametrize("readonly", [True, False])
def test_sizes_that_are_refused(tmp_path: Path, size: int, hint: str, readonly: bool) -> None:
    gc.collect()  # or what other tests have left is closed meanwhile
    descriptors = len(os.listdir("/proc/self/fd"))
    with pytest.raises(BadConfiguration, match=hint):
        DiskFile(image(tmp_path, size), readonly)
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_the_hint_on_odd_sizes_works(tmp_path: Path) -> None:
    path = image(tmp_path, 1025)
    subprocess.run(["truncate", "-s", "%512", path], check=True)
    DiskFile(path).close()
    assert path.stat().st_size == 1536


def test_paths_that_are_refused(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    cases = [
        (tmp_path / "missing", "truncate"),
        (tmp_path, "cannot be opened"),
        (pipe, "not a file"),
        (Path("/dev/null"), "not a file"),
        (tmp_path / "x" / "y", "cannot be opened"),
        (tmp_path / ("n" * 300), "cannot be opened"),
        (Path("nul\0byte"), "cannot be opened"),
    ]
    for path, text in cases:
        with pytest.raises(BadConfiguration, match=text) as caught:
            DiskFile(path)
        assert "\n" not in str(caught.value)
    for path in (tmp_path, pipe):
        with pytest.raises(BadConfiguration, match="not a file"):
            DiskFile(path, readonly=True)


def test_one_writer_or_many_readers(tmp_path: Path) -> None:
    path = image(tmp_path)
    writer = DiskFile(path)
    for readonly in (True, False):
        with pytest.raises(BadConfiguration, match="in use"):
            DiskFile(path, readonly)
    writer.close()
    writer.close()
    first, second = DiskFile(path, readonly=True), DiskFile(path, readonly=True)
    with pytest.raises(BadConfiguration, match="in use"):
        DiskFile(path)
    first.close()
    second.close()
    DiskFile(path).close()


def test_another_process_is_refused_too(tmp_path: Path) -> None:
    path = image(tmp_path)
    program = "import sys; from hypernest.disks import DiskFile; DiskFile(sys.argv[1])"
    writer = DiskFile(path)
    blocked = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, cwd=Path.cwd())
    assert "is in use by another machine" in blocked.stderr
    writer.close()
    subprocess.run([sys.executable, "-c", program, path], check=True)


def test_reads_and_writes(tmp_path: Path) -> None:
    path = image(tmp_path, 4096)
    disk = DiskFile(path)
    assert disk.sectors == 8
    disk.write(1000, b"x" * 2000)
    assert disk.read(999, 2002) == b"\0" + b"x" * 2000 + b"\0"
    disk.zero(1100, 100)
    assert disk.read(1099, 102) == b"x" + bytes(100) + b"x"
    with pytest.raises(OSError, match="shorter"):
        disk.read(4000, 97)
    disk.flush()
    disk.close()
