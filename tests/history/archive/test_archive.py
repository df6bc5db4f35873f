"""Archives: what is saved is loaded, each page is kept once, nobody is in another's way, a failure changes nothing."""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import stat
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypernest.errors import BadConfiguration, HypernestError
from hypernest.history.archive import (
    BLOCK,
    Archive,
    BadSnapshot,
    Blocks,
    SnapshotExists,
    SnapshotMissing,
    SnapshotNotKept,
    file_blocks,
)
from hypernest.history.archive import (
    archive as archive_module,
)
from tests.history.archive.content import blocks, filled, laid_out, loaded, page, pages, save


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "snapshots"


def test_what_is_saved_is_loaded(path: Path) -> None:
    content = pages(200)
    entry = save(Archive(path, writable=True), "one", content, b"the state")
    assert loaded(path, "one") == (b"the state", laid_out(content))
    assert Archive(path).entries() == [entry]
    assert (entry.name, entry.parent, entry.about) == ("one", None, {"kind": "test", "name": "one"})
    assert entry.blocks == 200 and entry.own_pages == 201 and entry.sizes == {"ram": len(laid_out(content))}
    assert abs(entry.created - time.time_ns()) < 60 * 10**9
    assert entry.own_bytes <= path.stat().st_size


def test_file_and_folder_are_the_users_own(path: Path) -> None:
    os.umask(os.umask(0) | 0)
    Archive(path, writable=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@given(
    st.dictionaries(
        st.sampled_from(["ram", "disk0", "disk1"]),
        st.tuples(st.lists(st.integers(0, 6), max_size=80), st.integers(0, BLOCK), st.booleans()),
    ),
    st.binary(max_size=3 * BLOCK),
)
def test_any_streams(
    tmp_path_factory: pytest.TempPathFactory, streams: dict[str, tuple[list[int], int, bool]], state: bytes
) -> None:
    """Equal pages in a stream and in several, zeros kept or not, ends inside a block, no blocks at all."""
    path = tmp_path_factory.mktemp("any") / "snapshots"
    given, expected = {}, {}
    for name, (seeds, rest, keep) in streams.items():
        content = b"".join(page(seed) if seed else bytes(BLOCK) for seed in seeds) + page(9)[:rest]
        numbered = [(at // BLOCK, content[at : at + BLOCK]) for at in range(0, len(content), BLOCK)]
        given[name], expected[name] = Blocks(len(content), reversed(numbered), keep), content
    Archive(path, writable=True).save("any", state, given)
    with Archive(path).load("any") as saved:
        assert saved.state == state and {name: filled(stream) for name, stream in saved.streams.items()} == expected
        for name, stream in saved.streams.items():
            keep, content = streams[name][2], expected[name]
            count = -(-len(content) // BLOCK)
            there = [each for each in range(count) if keep or content[each * BLOCK : (each + 1) * BLOCK].strip(b"\0")]
            assert list(stream.block_numbers()) == there and stream.blocks == len(there)
            padded = content.ljust(count * BLOCK, b"\0")
            wanted = {each: padded[each * BLOCK : (each + 1) * BLOCK] for each in there}
            assert dict(stream.all_blocks()) == wanted
            assert {each: stream.read(each) for each in range(count + 1)} == {
                each: wanted.get(each) for each in range(count + 1)
            }


def test_several_blocks_may_be_given_at_once(path: Path) -> None:
    content = b"".join(page(seed) for seed in range(150)) + b"end"
    Archive(path, writable=True).save("s", b"", {"ram": Blocks(len(content), [(0, content)])})
    assert loaded(path, "s") == (b"", content)


def test_a_file_is_read_without_its_holes(tmp_path: Path) -> None:
    file = os.memfd_create("sparse")
    try:
        os.ftruncate(file, 1 << 33)
        os.pwrite(file, b"here", 5 * BLOCK + 7)
        os.pwrite(file, b"there", (1 << 33) - 5)
        found = {number: data for number, data in file_blocks(file, 1 << 33) if data.strip(b"\0")}
    finally:
        os.close(file)
    assert found == {5: b"\0" * 7 + b"here".ljust(BLOCK - 7, b"\0"), (1 << 21) - 1: b"there".rjust(BLOCK, b"\0")}


def test_a_file_that_ends_before_its_size(tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(b"x" * (BLOCK + 10))
    with (tmp_path / "short").open("rb") as file:
        given = dict(file_blocks(file.fileno(), 4 * BLOCK))
    assert given == {0: b"x" * BLOCK, 1: (b"x" * 10).ljust(BLOCK, b"\0")}


def test_a_chain_keeps_each_page_once(path: Path) -> None:
    archive = Archive(path, writable=True)
    content = pages(500, dense=True)
    sizes, contents = [], {}
    for number in range(10):
        name = f"s{number}"
        save(archive, name, content, parent=f"s{number - 1}" if number else None)
        sizes.append(path.stat().st_size)
        contents[name] = laid_out(content)
        content = {**content, 7 * number: page(10_000 + number, dense=True)}
    growth = [after - before for before, after in pairwise(sizes)]
    assert sizes[0] > 500 * BLOCK and max(growth) < 2 * BLOCK
    assert {name: loaded(path, name)[1] for name in contents} == contents
    assert [(entry.name, entry.parent, entry.own_pages) for entry in archive.entries()] == [
        (f"s{number}", f"s{number - 1}" if number else None, 1 if number else 501) for number in range(10)
    ]


def test_equal_pages_of_ram_and_disks_are_one(path: Path) -> None:
    content = pages(100, dense=True)
    entry = Archive(path, writable=True).save("s", b"", {"ram": blocks(content), "disk0": blocks(content)})
    assert entry.own_pages == 100 and entry.blocks == 200


def test_a_snapshot_that_is_being_loaded_stays(path: Path) -> None:
    archive = Archive(path, writable=True)
    save(archive, "one", pages(100))
    with archive.load("one") as saved:
        save(archive, "two", pages(100, 500))
        archive.delete("one", "two")
        assert archive.entries() == []
        assert filled(saved.open("ram")) == laid_out(pages(100))


# --- what cannot be ------------------------------------------------------------------------------------------------


def test_what_is_not_there(path: Path) -> None:
    with pytest.raises(SnapshotMissing, match="there are no snapshots in .*snapshot save"):
        Archive(path)
    archive = Archive(path, writable=True)
    for verb in (archive.load, archive.delete, lambda name: archive.save("new", b"", {}, parent=name)):
        with pytest.raises(SnapshotMissing, match="there is no snapshot 'none' in .*snapshot list"):
            verb("none")
    save(archive, "one", {})
    with archive.load("one") as saved, pytest.raises(BadSnapshot, match="has no disk7"):
        saved.open("disk7")


def test_a_snapshot_is_never_overwritten(path: Path) -> None:
    archive = Archive(path, writable=True)
    save(archive, "one", pages(3))
    before = path.read_bytes()
    with pytest.raises(SnapshotExists, match="there is a snapshot 'one' already: choose another name"):
        save(archive, "one", pages(4))
    assert path.read_bytes() == before


def test_an_archive_for_reading_is_not_written(path: Path) -> None:
    save(Archive(path, writable=True), "one", {})
    for verb in (lambda: Archive(path).delete("one"), lambda: save(Archive(path), "two", {})):
        with pytest.raises(SnapshotNotKept, match="opened for reading"):
            verb()


@pytest.mark.parametrize("name", ["", " a", "a ", "a\nb", "\x1b[31m", "x" * 101])
def test_names_that_cannot_be(path: Path, name: str) -> None:
    with pytest.raises(BadConfiguration, match="cannot be a snapshot's name"):
        save(Archive(path, writable=True), name, {})


@pytest.mark.parametrize(
    "content",
    [
        Blocks(BLOCK, [(0, page(1)), (0, page(2))]),
        Blocks(BLOCK, [(1, page(1))]),
        Blocks(BLOCK + 5, [(1, b"123456")]),
        Blocks(2 * BLOCK, [(0, b"short")]),
        Blocks(BLOCK, [(-1, page(1))]),
        Blocks(-1, []),
        Blocks((BLOCK << 32) + 1, []),
    ],
)
def test_blocks_that_cannot_be(path: Path, content: Blocks) -> None:
    archive = Archive(path, writable=True)
    save(archive, "one", pages(5))
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"block|bytes"):
        archive.save("two", b"", {"ram": content})
    assert path.read_bytes() == before


def test_descriptions_that_cannot_be(path: Path) -> None:
    archive = Archive(path, writable=True)
    for about in ({"x": object()}, {"x": "y" * 70_000}):
        with pytest.raises(ValueError, match="description"):
            archive.save("one", b"", {}, about)
    assert archive.entries() == []


def test_files_that_are_no_archives(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello\n")
    (tmp_path / "empty").touch()
    os.mkfifo(tmp_path / "pipe")
    for name in ("text", "empty", "pipe", "."):
        with pytest.raises(BadSnapshot, match="holds no snapshots|is no file|cannot open"):
            Archive(tmp_path / name)
        with pytest.raises(BadSnapshot, match="holds no snapshots|is no file|cannot open"):
            Archive(tmp_path / name, writable=True)


# --- failures ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("room", [0, 1, 3000, 100_000, 700_000])
def test_a_full_disk_leaves_the_archive_as_it_was(path: Path, room: int) -> None:
    archive = Archive(path, writable=True)
    save(archive, "one", pages(100))
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + room, limits[1]))
    try:
        with pytest.raises(SnapshotNotKept, match=r"cannot write .* \(file too large\): free some space"):
            save(archive, "two", pages(200, 1000, dense=True))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == before
    save(archive, "two", pages(200, 1000, dense=True))
    assert loaded(path, "two")[1] == laid_out(pages(200, 1000, dense=True))


def test_no_room_to_delete_leaves_the_archive_as_it_was(path: Path) -> None:
    archive = Archive(path, writable=True)
    save(archive, "one", pages(100, dense=True))
    save(archive, "two", pages(200, dense=True))
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(SnapshotNotKept, match="file too large"):
            archive.delete("one")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == before and os.listdir(path.parent) == [path.name]


def test_blocks_that_fail_leave_the_archive_as_it_was(path: Path) -> None:
    archive = Archive(path, writable=True)
    save(archive, "one", pages(5))
    before = path.read_bytes()

    class Lost(HypernestError):
        pass

    def lose() -> Iterator[tuple[int, bytes]]:
        yield from pages(5000).items()
        raise Lost("the disk went away")

    with pytest.raises(Lost):
        archive.save("two", b"", {"ram": Blocks(1 << 30, lose())})
    assert path.read_bytes() == before


def test_a_disk_that_fails_is_named(path: Path) -> None:
    def fail() -> Iterator[tuple[int, bytes]]:
        yield 0, page(1)
        raise OSError(5, "Input/output error")

    archive = Archive(path, writable=True)
    with pytest.raises(SnapshotNotKept, match=r"disk0 cannot be read \(input/output error\), so there is no snapshot"):
        archive.save("one", b"", {"disk0": Blocks(BLOCK * 5, fail())})
    assert archive.entries() == []


def test_a_writer_that_dies_leaves_the_archive_valid(path: Path) -> None:
    """At whatever byte: the new commit counts when its root is there, and not before."""
    archive = Archive(path, writable=True)
    save(archive, "one", pages(10))
    before = path.read_bytes()
    save(archive, "two", pages(20, 100))
    after = path.read_bytes()
    for cut in (*range(len(before), len(after), 37), len(after)):
        path.write_bytes(before + after[len(before) : cut])
        assert [entry.name for entry in archive.entries()] == ["one"]
        assert loaded(path, "one")[1] == laid_out(pages(10))
    for first, second in ((True, False), (False, True)):  # one of the two roots was written, and the other half of it
        mixed = bytearray(after)
        for offset, written in ((4096, first), (8192, second)):
            if not written:
                mixed[offset : offset + 40] = before[offset : offset + 40]
        path.write_bytes(mixed)
        assert [entry.name for entry in archive.entries()] == ["one", "two"]
        assert loaded(path, "two")[1] == laid_out(pages(20, 100))
    path.write_bytes(before + after[len(before) : -5])
    save(archive, "three", pages(3, 700))
    assert loaded(path, "three")[1] == laid_out(pages(3, 700)) and loaded(path, "one")[1] == laid_out(pages(10))


_WRITER = """
    import sys
    from pathlib import Path
    from hypernest.history.archive import Archive
    from tests.history.archive.content import pages, save
    for number in range(int(sys.argv[3])):
        archive = Archive(sys.argv[1], writable=True)
        print(number, flush=True)
        save(archive, f"{sys.argv[2]}{number}", pages(300, 1000 * number, dense=True))
        if number % 3 == 2:
            archive.delete(f"{sys.argv[2]}{number - 1}")
"""


def writer(path: Path, name: str, count: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", textwrap.dedent(_WRITER), str(path), name, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3])


def test_two_processes_write_and_one_reads(path: Path) -> None:
    writers = [writer(path, name, 9) for name in "ab"]
    while any(process.poll() is None for process in writers):
        if path.exists():
            for entry in Archive(path).entries():
                with suppress(SnapshotMissing):  # deleted in between
                    assert len(loaded(path, entry.name)[1]) > 300 * BLOCK
    assert [process.wait() for process in writers] == [0, 0]
    for process in writers:
        assert process.stdout is not None
        process.stdout.close()
    left = {f"{name}{number}" for name in "ab" for number in range(9) if number % 3 != 1}
    assert {entry.name for entry in Archive(path).entries()} == left
    for name in left:
        assert loaded(path, name)[1] == laid_out(pages(300, 1000 * int(name[1:]), dense=True))
    assert os.listdir(path.parent) == [path.name]


def test_a_writer_that_is_killed(path: Path) -> None:
    save(Archive(path, writable=True), "first", pages(50))
    for pause in (0.0, 0.01, 0.03, 0.06, 0.1):
        process = writer(path, f"killed{pause}-", 100)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(pause)
        process.kill()
        process.wait()
        process.stdout.close()
        assert loaded(path, "first")[1] == laid_out(pages(50))
        for entry in Archive(path).entries():
            loaded(path, entry.name)
    save(Archive(path, writable=True), "last", pages(60))
    Archive(path, writable=True).delete("first")
    assert loaded(path, "last")[1] == laid_out(pages(60))


def test_who_waits_too_long_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = Archive(path, writable=True)
    monkeypatch.setattr(archive_module, "_PATIENCE_SECONDS", 0.1)
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(SnapshotNotKept, match="another process is writing .*: try again"):
            save(archive, "one", {})
        assert archive.entries() == []
    save(archive, "one", {})


def test_a_link_to_an_archive_stays_one(path: Path, tmp_path: Path) -> None:
    save(Archive(path, writable=True), "one", pages(5))
    link = tmp_path / "link"
    link.symlink_to(path)
    save(Archive(link, writable=True), "two", pages(6))
    Archive(link, writable=True).delete("one")
    assert link.is_symlink() and [entry.name for entry in Archive(path).entries()] == ["two"]
