"""Deleting: the others stay as they are, and what nobody needs any more is gone."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from hypernest.history.archive import Archive, BadSnapshot
from tests.history.archive.content import laid_out, loaded, page, pages, save


def test_the_file_shrinks_to_what_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "snapshots"
    archive = Archive(path, writable=True)
    save(archive, "base", pages(130, dense=True))
    alone = path.stat().st_size
    save(archive, "other", pages(500, 1000, dense=True))
    archive.delete("other")
    assert path.stat().st_size == alone and loaded(path, "base")[1] == laid_out(pages(130, dense=True))
    archive.delete("base")
    assert archive.entries() == [] and path.stat().st_size == 12288


def test_pages_that_others_need_stay(tmp_path: Path) -> None:
    """Any snapshots of random overlap, deleted in any order."""
    random = Random(4)
    path = tmp_path / "snapshots"
    archive = Archive(path, writable=True)
    contents = {}
    for number in range(12):
        contents[f"s{number}"] = {random.randrange(400): page(random.randrange(300)) for _ in range(250)}
        save(archive, f"s{number}", contents[f"s{number}"], b"%d" % number)
    while contents:
        gone = random.sample(sorted(contents), min(len(contents), random.randrange(1, 3)))
        archive.delete(*gone)
        for name in gone:
            del contents[name]
        entries = archive.entries()
        assert [entry.name for entry in entries] == list(contents)
        for name, content in contents.items():
            assert loaded(path, name) == (name[1:].encode(), laid_out(content))
        different = {each for content in contents.values() for each in content.values()}
        assert sum(entry.own_pages for entry in entries) == len(different) + len(contents)


def test_a_child_gets_its_grandparent(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "snapshots", writable=True)
    for name, parent in (("a", None), ("b", "a"), ("c", "b"), ("d", "c"), ("e", "b")):
        save(archive, name, {}, parent=parent)
    before = {entry.name: (entry.created, entry.about) for entry in archive.entries()}
    archive.delete("c", "b")
    assert [(entry.name, entry.parent) for entry in archive.entries()] == [("a", None), ("d", "a"), ("e", "a")]
    archive.delete("a")
    assert [(entry.name, entry.parent) for entry in archive.entries()] == [("d", None), ("e", None)]
    assert all(before[entry.name] == (entry.created, entry.about) for entry in archive.entries())


def test_nothing_is_deleted_from_a_damaged_archive(tmp_path: Path) -> None:
    path = tmp_path / "snapshots"
    archive = Archive(path, writable=True)
    save(archive, "a", pages(40))
    save(archive, "b", pages(20))
    damaged = bytearray(path.read_bytes())
    damaged[12288 + 60] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(BadSnapshot):
        archive.delete("a")
    assert path.read_bytes() == damaged and [each.name for each in tmp_path.iterdir()] == [path.name]
    archive.delete()
    assert path.read_bytes() == damaged
