"""Versions, forks and overlays against a model of plain bytes; a host that fails; who lets go of what."""

from __future__ import annotations

import errno
import gc
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, precondition, rule

from hypernest.disks import CLUSTER, DiskFile, DiskVersion, OverlayDisk, VersionedDisk, content_digest, data_clusters
from hypernest.disks.clusters import ClusterStore
from hypernest.errors import BadConfiguration

SIZE = 9 * CLUSTER + 1024  # the last cluster is a short one
SECTORS = SIZE // 512


class Disks(RuleBasedStateMachine):
    """Some disks, each with the bytes that it should hold, and their versions."""

    disks = Bundle("disks")
    versions = Bundle("versions")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.count = 0
        self.all: list[tuple[VersionedDisk, bytearray]] = []
        self.frozen: dict[int, tuple[DiskVersion, bytes]] = {}  # by number, since a bundle never lets go of values

    @initialize(target=disks, holes=st.booleans())
    def file(self, holes: bool) -> tuple[VersionedDisk, bytearray]:
        content = bytearray(SIZE)
        content[CLUSTER : 3 * CLUSTER] = bytes(range(1, 129)) * 64
        content[SIZE - 700 :] = b"x" * 700
        path = Path(self.folder.name) / "disk"
        path.write_bytes(content)
        if holes:
            file = DiskFile(path)
            file.discard(4 * CLUSTER, 3 * CLUSTER)
            file.close()
        # One cluster of each store is in memory, the others are in its file.
        return self.add(VersionedDisk(DiskFile(path), CLUSTER), content)

    def add(self, disk: VersionedDisk, content: bytearray) -> tuple[VersionedDisk, bytearray]:
        self.all.append((disk, content))
        return self.all[-1]

    sector = st.integers(0, SECTORS)
    sectors = st.one_of(st.integers(0, 10), st.integers(0, SECTORS))

    def cut(self, sector: int, sectors: int) -> tuple[int, int]:
        return 512 * sector, 512 * min(sectors, SECTORS - sector)

    @rule(disk=disks, sector=sector, sectors=sectors, data=st.sampled_from([b"\0", b"a", b"b", b"\0" * 5000 + b"c"]))
    def write(self, disk: tuple[VersionedDisk, bytearray], sector: int, sectors: int, data: bytes) -> None:
        offset, count = self.cut(sector, sectors)
        data = (data * count)[:count]
        disk[0].write(offset, data)
        disk[1][offset : offset + count] = data

    @rule(disk=disks, sector=sector, sectors=sectors, discard=st.booleans())
    def clear(self, disk: tuple[VersionedDisk, bytearray], sector: int, sectors: int, discard: bool) -> None:
        offset, count = self.cut(sector, sectors)
        if count:
            (disk[0].discard if discard else disk[0].zero)(offset, count)
            disk[1][offset : offset + count] = bytes(count)

    @rule(disk=disks, sector=sector, sectors=sectors)
    def read(self, disk: tuple[VersionedDisk, bytearray], sector: int, sectors: int) -> None:
        offset, count = self.cut(sector, sectors)
        assert disk[0].read(offset, count) == disk[1][offset : offset + count]

    @rule(target=versions, disk=disks)
    def freeze(self, disk: tuple[VersionedDisk, bytearray]) -> int:
        self.count += 1
        self.frozen[self.count] = disk[0].freeze(), bytes(disk[1])
        return self.count

    @rule(version=consumes(versions))
    def let_go(self, version: int) -> None:
        del self.frozen[version]

    @rule(target=disks, version=versions)
    @precondition(lambda self: len(self.all) < 6)
    def fork(self, version: int) -> tuple[VersionedDisk, bytearray]:
        frozen, content = self.frozen[version]
        return self.add(VersionedDisk(frozen.fork(), CLUSTER), bytearray(content))

    @rule(disk=disks, version=versions)
    def restore(self, disk: tuple[VersionedDisk, bytearray], version: int) -> None:
        frozen, content = self.frozen[version]
        disk[0].restore(frozen)
        disk[1][:] = content

    @rule(disk=consumes(disks))
    @precondition(lambda self: len(self.all) > 1)
    def close(self, disk: tuple[VersionedDisk, bytearray]) -> None:
        disk[0].close()
        self.all = [each for each in self.all if each is not disk]

    @rule(version=versions)
    def clusters(self, version: int) -> None:
        frozen, content = self.frozen[version]
        found = bytearray(10 * CLUSTER)
        for number, cluster in data_clusters(frozen):
            assert any(cluster) and len(cluster) == CLUSTER
            found[number * CLUSTER : (number + 1) * CLUSTER] = cluster
        assert found[:SIZE] == content

    @invariant()
    def everything_is_as_it_should_be(self) -> None:
        for disk, content in self.all:
            assert disk.read(0, SIZE) == content
        for version, frozen in self.frozen.values():
            assert version.read(0, SIZE) == frozen

    def teardown(self) -> None:
        for disk, _ in self.all:
            disk.close()
        self.all, self.frozen = [], {}
        self.folder.cleanup()


TestDisks = Disks.TestCase
TestDisks.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "disk.img"
    path.write_bytes(b"".join(bytes([number + 1]) * CLUSTER for number in range(16)))
    return path


def locked(path: Path) -> bool:
    """Whether another process cannot have the file as a disk."""
    program = "import sys; from hypernest.disks import DiskFile; DiskFile(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", program, path], capture_output=True, text=True, cwd=Path.cwd(), check=False
    )
    assert done.returncode == 0 or "is in use by another machine" in done.stderr
    return done.returncode != 0


def test_an_overlay_leaves_its_base_alone(path: Path) -> None:
    before = path.read_bytes()
    file = DiskFile(path, readonly=True)
    disk = OverlayDisk(file, on_close=file.close)
    assert not disk.readonly
    disk.write(100, b"abc")
    disk.write(3 * CLUSTER, bytes(CLUSTER))
    disk.discard(5 * CLUSTER, 2 * CLUSTER)
    disk.flush()
    assert disk.read(99, 5) == b"\1abc\1"
    assert [number for number, _ in disk.clusters()] == [0, 3, 5, 6]
    assert dict(disk.clusters())[0] == (b"\1" * 100 + b"abc").ljust(CLUSTER, b"\1")
    other = DiskFile(path, readonly=True)  # shared
    other.close()
    disk.close()
    disk.close()
    with pytest.raises(OSError, match="closed"):
        disk.read(0, 1)
    DiskFile(path).close()
    assert path.read_bytes() == before


def test_forks_of_read_only_disks_are_read_only(path: Path) -> None:
    disk = VersionedDisk(DiskFile(path, readonly=True))
    version = disk.freeze()
    fork = VersionedDisk(version.fork())
    assert fork.readonly
    with pytest.raises(OSError, match="read-only"):
        fork.write(0, bytes(512))
    fork.restore(version)
    fork.close()
    disk.close()


def test_discards_of_huge_holes_cost_nothing(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.touch()
    os.truncate(path, 1 << 40)
    disk = VersionedDisk(DiskFile(path))
    disk.write(1 << 39, b"data")
    version = disk.freeze()
    fork = VersionedDisk(version.fork())
    fork_version = fork.freeze()
    for written in (disk, fork):
        written.discard(0, 1 << 40)
        assert written.read(1 << 39, 4) == bytes(4)
    for each in (version, fork_version):
        assert each.read(1 << 39, 4) == b"data"
    assert [number for number, _ in data_clusters(version)] == [1 << 27]
    assert list(data_clusters(disk)) == list(data_clusters(fork)) == []
    disk.restore(version)
    fork.restore(version)
    assert disk.read(1 << 39, 4) == fork.read(1 << 39, 4) == b"data"
    assert path.stat().st_blocks < 100
    disk.close()
    fork.close()


def test_restoring_the_newest_version_empties_its_log(path: Path) -> None:
    disk = VersionedDisk(DiskFile(path))
    version = disk.freeze()
    before = path.read_bytes()
    for _ in range(3):
        disk.write(10, b"x" * 3 * CLUSTER)
        assert len(version.log.saved) == 4
        disk.restore(version)
        assert not version.log.saved
        assert path.read_bytes() == before
    assert disk.freeze() is version
    fork = VersionedDisk(version.fork())
    fork.write(0, b"y" * 2 * CLUSTER)
    fork.restore(version)
    assert fork.freeze().owner.disk.identity() == version.identity()  # nothing is left in the overlay
    disk.close()
    fork.close()


def test_versions_that_nobody_refers_to_cost_nothing(path: Path) -> None:
    disk = VersionedDisk(DiskFile(path), memory_limit=0)
    oldest = disk.freeze()
    for number in range(200):
        version = disk.freeze()
        disk.write(number % 8 * CLUSTER, bytes([number]) * CLUSTER)
    disk.freeze()
    assert len(list(oldest.log.onward())) <= 3
    assert len(oldest.log.saved) == 8
    store = oldest.log.store
    assert store._slots <= 16
    middle = version.read(7 * CLUSTER, 1)
    del oldest
    assert version.read(7 * CLUSTER, 1) == middle
    descriptor = store._file
    assert descriptor is not None
    del version, store
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
    disk.write(0, b"plain")
    disk.close()


def test_many_versions_may_go_at_once(path: Path) -> None:
    disk = VersionedDisk(DiskFile(path))
    versions = []
    for number in range(3000):
        versions.append(disk.freeze())
        disk.write(0, number.to_bytes(4, "little"))
    oldest = versions[0]
    assert oldest.read(0, 4) == b"\1" * 4
    versions.clear()
    assert oldest.read(0, 4) == b"\1" * 4
    del oldest
    disk.close()
    assert not locked(path)


def test_forks_of_forks_of_forks(path: Path) -> None:
    """However deep, reading is neither slow nor impossible, and restoring finds the common origin."""
    disks = [VersionedDisk(DiskFile(path))]
    versions = [disks[0].freeze()]
    for number in range(100):
        disks.append(VersionedDisk(versions[-1].fork()))
        disks[-1].write(number * 512, b"%3d" % number)
        versions.append(disks[-1].freeze())
    for number in range(100):
        assert versions[-1].read(number * 512, 3) == b"%3d" % number
    assert versions[-1].owner.depth <= 16
    disks[50].restore(versions[-1])
    assert disks[50].read(0, 65536) == versions[-1].read(0, 65536)
    disks[-1].restore(versions[0])
    assert disks[-1].read(0, 65536) == path.read_bytes()
    for disk in disks:
        disk.close()
    assert locked(path)
    del disk, disks, versions
    assert not locked(path)


def test_the_last_one_closes_the_file(path: Path) -> None:
    disk = VersionedDisk(DiskFile(path))
    version = disk.freeze()
    disk.write(0, b"changed")
    disk.close()
    disk.close()
    with pytest.raises(OSError, match="closed"):
        disk.read(0, 1)
    assert version.read(0, 7) == b"\1" * 7
    fork = VersionedDisk(version.fork())
    del version
    fork.write(CLUSTER, b"fork")
    assert fork.read(0, 7) == b"\1" * 7
    assert locked(path)
    fork.close()
    assert not locked(path)
    assert path.read_bytes()[:7] == b"changed"


def test_without_versions_the_file_is_closed_at_once(path: Path) -> None:
    disk = VersionedDisk(DiskFile(path))
    disk.freeze()
    shared = disk._owner  # as a traceback may keep it
    disk.close()
    assert not locked(path)
    del shared


def test_versions_in_cycles_do_not_keep_the_file(path: Path) -> None:
    disk = VersionedDisk(DiskFile(path))
    cycle: list[object] = [disk.freeze()]
    cycle.append(cycle)
    disk.write(0, b"x")
    disk.close()
    del cycle
    gc.collect()
    assert not locked(path)


@pytest.mark.parametrize("verb", ["write", "zero", "discard"])
@pytest.mark.parametrize("limit", [0, CLUSTER])
def test_a_host_without_room_for_the_old_content(
    path: Path, limit: int, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = path.read_bytes()
    disk = VersionedDisk(DiskFile(path), memory_limit=limit)
    version = disk.freeze()

    def fail(self: ClusterStore, content: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    arguments = (512, b"x" * 3 * CLUSTER) if verb == "write" else (512, 3 * CLUSTER)
    with monkeypatch.context() as patched:
        patched.setattr(ClusterStore, "_put_in_file", fail)
        with pytest.raises(OSError, match="No space"):
            getattr(disk, verb)(*arguments)
    assert path.read_bytes() == before == version.read(0, len(before))
    getattr(disk, verb)(*arguments)
    assert path.read_bytes() != before
    assert version.read(0, len(before)) == before
    disk.close()


def test_a_host_that_fails_while_restoring(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = VersionedDisk(DiskFile(path))
    version = disk.freeze()
    before = path.read_bytes()
    disk.write(0, b"x" * 5 * CLUSTER)
    newer = disk.freeze()
    after = path.read_bytes()
    disk.write(0, b"y" * 2 * CLUSTER)
    calls = iter(range(100))
    write = os.pwrite

    def fail(file: int, data: memoryview, offset: int) -> int:
        if next(calls) >= 1:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return write(file, data[:CLUSTER], offset)

    for target, content in ((version, before), (newer, after)):
        calls = iter(range(100))
        with monkeypatch.context() as patched:
            patched.setattr(os, "pwrite", fail)
            with pytest.raises(OSError, match="Input/output"):
                disk.restore(target)
        assert version.read(0, len(before)) == before
        assert newer.read(0, len(before)) == after
        disk.restore(target)
        assert path.read_bytes() == content
        disk.write(0, b"z" * 4 * CLUSTER)
    disk.close()


def test_what_cannot_be_restored(path: Path, tmp_path: Path) -> None:
    small, other = tmp_path / "small", tmp_path / "other"
    small.write_bytes(bytes(512))
    other.write_bytes(bytes(16 * CLUSTER))
    disk = VersionedDisk(DiskFile(path, readonly=True))
    for stranger, message in ((small, "same disks"), (other, "read-only disk has another content")):
        source = VersionedDisk(DiskFile(stranger))
        with pytest.raises(BadConfiguration, match=message):
            disk.restore(source.freeze())
        source.close()
    disk.close()


def test_versions_of_strangers_are_restored_too(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.touch()
    os.truncate(other, 16 * CLUSTER)
    disk, stranger = VersionedDisk(DiskFile(path)), VersionedDisk(DiskFile(other))
    stranger.write(7 * CLUSTER, b"here")
    own = disk.freeze()
    disk.restore(stranger.freeze())
    assert path.read_bytes() == other.read_bytes()
    disk.restore(own)
    assert path.read_bytes()[:2] == b"\1\1"
    disk.close()
    stranger.close()


def test_outside(path: Path) -> None:
    disk = VersionedDisk(DiskFile(path))
    version = disk.freeze()
    fork = version.fork()
    end = 16 * CLUSTER
    for offset, count in ((end, 1), (end - 1, 2), (-1, 1), (0, end + 1)):
        for content in (version, fork):
            with pytest.raises(OSError, match="outside"):
                content.read(offset, count)
        for each in (fork, disk):
            with pytest.raises(OSError, match="outside"):
                each.write(offset, bytes(count))
            with pytest.raises(OSError, match="outside"):
                each.discard(offset, count)
    disk.close()


def test_forks_in_threads_while_the_owner_writes(path: Path) -> None:
    disk = VersionedDisk(DiskFile(path), memory_limit=4 * CLUSTER)
    before = path.read_bytes()
    version = disk.freeze()
    wrong: list[object] = []
    stop = threading.Event()

    def use(letter: bytes) -> None:
        try:
            fork = VersionedDisk(version.fork(), memory_limit=CLUSTER)
            while not stop.is_set():
                fork.write(3 * CLUSTER + 5, letter)
                own = fork.freeze()
                fork.write(3 * CLUSTER + 5, b"-")
                for number in range(16):
                    expected = before[number * CLUSTER : (number + 1) * CLUSTER]
                    if number == 3:
                        expected = expected[:5] + letter + expected[6:]
                    if own.read(number * CLUSTER, CLUSTER) != expected:
                        wrong.append((letter, number))
                fork.restore(version)
        except BaseException as error:
            wrong.append(error)
            raise

    threads = [threading.Thread(target=use, args=(letter,)) for letter in (b"A", b"B")]
    for thread in threads:
        thread.start()
    for step in range(300):
        disk.write(step % 16 * CLUSTER, os.urandom(CLUSTER))
        if step % 16 == 15:
            disk.restore(version)
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong
    disk.close()


def test_the_log_spills(tmp_path: Path) -> None:
    """What does not fit into memory is in a file that has no name."""
    path = tmp_path / "disk"
    data = os.urandom(64 * CLUSTER)
    path.write_bytes(data)
    disk = VersionedDisk(DiskFile(path), memory_limit=8 * CLUSTER)
    version = disk.freeze()
    disk.write(0, bytes(64 * CLUSTER))
    kept = list(version.log.saved.values())
    assert sum(isinstance(each, bytes) for each in kept) == 8
    assert sum(isinstance(each, int) for each in kept) == 56
    assert version.read(0, len(data)) == data
    assert content_digest(version) == _digest(tmp_path / "copy", data)
    disk.close()


def _digest(path: Path, data: bytes) -> bytes:
    path.write_bytes(data)
    file = DiskFile(path, readonly=True)
    try:
        return content_digest(file)
    finally:
        file.close()
