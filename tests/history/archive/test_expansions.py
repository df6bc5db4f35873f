"""Unpacked snapshots: found again, believed only if private, bounded, and never in the way."""

from __future__ import annotations

import mmap
import os
import time
from pathlib import Path

import pytest

from hypernest.history.archive import BLOCK, Archive, BadSnapshot, Expansions, SavedStream
from tests.history.archive.content import Pages, blocks, laid_out, pages, save


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "snapshots"


def archive_with(tmp_path: Path, expansions: Expansions, **contents: Pages) -> Archive:
    archive = Archive(tmp_path / "archive", writable=True, expansions=expansions)
    for name, content in contents.items():
        save(archive, name, content)
    return archive


def image(archive: Archive, name: str, expansions: Expansions) -> tuple[bytes, str]:
    """What an image holds, mapped as a machine would; and the file that it is."""
    with archive.load(name) as saved:
        stream = saved.open("ram")
        descriptor = stream.image()
    try:
        expansions.wait()
        with mmap.mmap(descriptor, stream.size, flags=mmap.MAP_PRIVATE) as mapped:
            content = mapped[:]
            mapped[:5] = b"wrote"  # which is nobody else's business
        return content, os.readlink(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def test_the_second_time_it_is_the_file_in_the_cache(tmp_path: Path, folder: Path) -> None:
    expansions = Expansions(folder)
    archive = archive_with(tmp_path, expansions, one=pages(100), two=pages(100, 50))
    for name, content in (("one", pages(100)), ("two", pages(100, 50))):
        first, where = image(archive, name, expansions)
        assert first == laid_out(content) and "memfd" in where
        for _ in range(2):
            again, where = image(archive, name, expansions)
            assert again == laid_out(content) and where.startswith(str(folder))
    assert len(list(folder.iterdir())) == 2
    assert all(each.stat().st_mode & 0o777 == 0o600 for each in folder.iterdir())
    assert os.stat(folder).st_mode & 0o777 == 0o700


def test_holes_take_no_space(tmp_path: Path, folder: Path) -> None:
    expansions = Expansions(folder)
    archive = Archive(tmp_path / "archive", writable=True, expansions=expansions)
    archive.save("large", b"", {"ram": blocks({0: b"a" * BLOCK, 99_999: b"b" * BLOCK}, 4 << 30)})
    with archive.load("large") as saved:
        os.close(saved.open("ram").image())
    expansions.wait()
    (file,) = folder.iterdir()
    assert file.stat().st_size == 4 << 30 and file.stat().st_blocks * 512 < 100_000


def test_equal_content_is_one_file(tmp_path: Path, folder: Path) -> None:
    """Also after the pages have been numbered anew, and whatever else the archive holds."""
    expansions = Expansions(folder)
    archive = archive_with(tmp_path, expansions, other=pages(50, 20), one=pages(100), same=pages(100))
    image(archive, "one", expansions)
    assert image(archive, "same", expansions)[1].startswith(str(folder))
    archive.delete("other", "one")
    assert image(archive, "same", expansions)[1].startswith(str(folder))
    assert len(list(folder.iterdir())) == 1


def test_different_content_is_another_file(tmp_path: Path) -> None:
    contents: list[tuple[Pages, int]] = [
        ({0: b"a" * BLOCK, 1: b"b" * BLOCK}, 4 * BLOCK),
        ({0: b"b" * BLOCK, 1: b"a" * BLOCK}, 4 * BLOCK),
        ({0: b"a" * BLOCK, 2: b"b" * BLOCK}, 4 * BLOCK),
        ({0: b"a" * BLOCK, 1: b"b" * BLOCK}, 5 * BLOCK),
        ({1: b"a" * BLOCK, 2: b"b" * BLOCK}, 4 * BLOCK),
        ({0: b"a" * BLOCK}, 4 * BLOCK),
        ({}, 4 * BLOCK),
        ({}, 0),
    ]
    archive = Archive(tmp_path / "archive", writable=True)
    digests = set()
    for number, (content, size) in enumerate(contents):
        archive.save(f"s{number}", b"", {"ram": blocks(content, size)})
        with archive.load(f"s{number}") as saved:
            digests.add(saved.open("ram").content_digest())
    assert len(digests) == len(contents)


def test_a_damaged_snapshot_is_not_kept(tmp_path: Path, folder: Path) -> None:
    expansions = Expansions(folder)
    archive = archive_with(tmp_path, expansions, one=pages(100))
    data = bytearray(archive.path.read_bytes())
    data[12288 + 3000] ^= 1
    archive.path.write_bytes(data)
    with archive.load("one") as saved, pytest.raises(BadSnapshot):
        saved.open("ram").image()
    expansions.wait()
    assert not folder.exists()


def kept(tmp_path: Path, folder: Path) -> tuple[Archive, Expansions, Path]:
    expansions = Expansions(folder)
    archive = archive_with(tmp_path, expansions, one=pages(10))
    image(archive, "one", expansions)
    (file,) = folder.iterdir()
    return archive, expansions, file


@pytest.mark.parametrize("spoil", ["file mode", "folder mode", "size", "link", "pipe", "folder"])
def test_what_others_could_have_written_is_not_believed(tmp_path: Path, folder: Path, spoil: str) -> None:
    archive, expansions, file = kept(tmp_path, folder)
    match spoil:
        case "file mode":
            file.chmod(0o620)
        case "folder mode":
            folder.chmod(0o722)
        case "size":
            os.truncate(file, 5)
        case "link":
            file.rename(tmp_path / "elsewhere")
            file.symlink_to(tmp_path / "elsewhere")
        case "pipe":
            file.unlink()
            os.mkfifo(file)
        case "folder":
            file.unlink()
            file.mkdir()
    content, where = image(archive, "one", expansions)
    assert content == laid_out(pages(10)) and "memfd" in where


def test_a_folder_that_cannot_be_made_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    expansions = Expansions(tmp_path / "file" / "snapshots")
    archive = archive_with(tmp_path, expansions, one=pages(10))
    for _ in range(2):
        assert image(archive, "one", expansions)[0] == laid_out(pages(10))


def test_what_was_used_longest_ago_goes(tmp_path: Path, folder: Path) -> None:
    room = 2_000_000
    expansions = Expansions(folder, room)
    names = {f"s{number}": pages(100, 1000 * number, dense=True) for number in range(8)}
    archive = archive_with(tmp_path, expansions, **names)
    for age, name in enumerate(names):
        image(archive, name, expansions)
        for file in folder.iterdir():
            os.utime(file, (time.time() - 1000 + 10 * age,) * 2) if file.stat().st_mtime > time.time() - 500 else None
        assert image(archive, "s0", expansions)[1].startswith(str(folder)), "it was used last"
        assert sum(file.stat().st_blocks * 512 for file in folder.iterdir()) <= room
    assert 2 <= len(list(folder.iterdir())) < 6


def test_what_is_too_large_is_not_kept(tmp_path: Path, folder: Path) -> None:
    expansions = Expansions(folder, 100_000)
    archive = archive_with(tmp_path, expansions, one=pages(100))
    for _ in range(2):
        assert "memfd" in image(archive, "one", expansions)[1]
    assert not folder.exists()


def test_what_was_abandoned_goes(tmp_path: Path, folder: Path) -> None:
    archive, expansions, file = kept(tmp_path, folder)
    old, new, mine = folder / ".new-abcdefgh", folder / ".new-12345678", folder / "mine"
    for each in (old, new, mine):
        each.touch()
    for each in (old, mine):
        os.utime(each, (0, 0))
    save(archive, "two", pages(20))
    image(archive, "two", expansions)
    assert {new, mine, file} < set(folder.iterdir()) and not old.exists()


def test_an_image_outlives_its_file(tmp_path: Path, folder: Path) -> None:
    archive, expansions, file = kept(tmp_path, folder)
    with archive.load("one") as saved:
        stream: SavedStream = saved.open("ram")
        descriptor = stream.image()
    file.unlink()
    archive.path.unlink()
    assert os.pread(descriptor, stream.size, 0) == laid_out(pages(10))
    os.close(descriptor)
    del expansions
