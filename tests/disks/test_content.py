"""Digests and clusters: of the content alone, whatever holds it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from hypernest.disks import CLUSTER, DiskFile, OverlayDisk, VersionedDisk, content_digest, data_clusters

SIZE = 64 * CLUSTER + 512


@pytest.fixture
def content() -> bytes:
    data = bytearray(SIZE)
    data[5 * CLUSTER + 7] = 1
    data[20 * CLUSTER : 22 * CLUSTER] = b"x" * 2 * CLUSTER
    data[-1] = 255
    return bytes(data)


def expected_digest(content: bytes) -> bytes:
    """As it is defined."""
    digest = hashlib.blake2b((len(content) // 512).to_bytes(8, "little"), digest_size=32, person=b"hypernest disk")
    for number in range(-(-len(content) // CLUSTER)):
        cluster = content[number * CLUSTER : (number + 1) * CLUSTER].ljust(CLUSTER, b"\0")
        if any(cluster):
            digest.update(number.to_bytes(8, "little") + cluster)
    return digest.digest()


def dense(path: Path, content: bytes) -> DiskFile:
    path.write_bytes(content)
    return DiskFile(path)


def sparse(path: Path, content: bytes) -> DiskFile:
    path.touch()
    os.truncate(path, len(content))
    file = DiskFile(path)
    for number, cluster in enumerate(content[at : at + CLUSTER] for at in range(0, len(content), CLUSTER)):
        if any(cluster):
            file.write(number * CLUSTER, cluster)
    return file


def test_holes_make_no_difference(tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = dense(tmp_path / "dense", content), sparse(tmp_path / "sparse", content)
    assert content_digest(one) == content_digest(other) == expected_digest(content)
    assert list(data_clusters(one)) == list(data_clusters(other))
    assert [number for number, _ in data_clusters(one)] == [5, 20, 21, 64]
    assert all(len(cluster) == CLUSTER for _, cluster in data_clusters(one))

    def unsupported(*arguments: object) -> int:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "lseek", unsupported)
    assert list(data_clusters(other)) == list(data_clusters(one))
    one.close()
    other.close()


def test_whatever_holds_it(tmp_path: Path, content: bytes) -> None:
    file = dense(tmp_path / "dense", content)
    empty = sparse(tmp_path / "sparse", bytes(SIZE))
    disk = VersionedDisk(file)
    version = disk.freeze()
    disk.discard(0, SIZE)
    overlay = OverlayDisk(empty)
    overlay.write(0, content)
    fork = version.fork()
    for holder in (version, overlay, fork):
        assert content_digest(holder) == expected_digest(content)
        assert dict(data_clusters(holder)).keys() == {5, 20, 21, 64}
    assert content_digest(disk) == content_digest(empty) == expected_digest(bytes(SIZE))
    assert content_digest(empty) != content_digest(sparse(tmp_path / "longer", bytes(SIZE + 512)))
    overlay.close()
    empty.close()
    disk.close()


def test_a_digest_is_remembered_until_the_file_changes(
    tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "disk"
    file = dense(path, content)
    assert file.identity() is None  # just written: its date could stay the same if it was written again
    old = path.stat().st_mtime_ns - 10**10
    os.utime(path, ns=(old, old))
    disk = VersionedDisk(file)
    version = disk.freeze()
    assert file.identity() == disk.identity() == version.identity() is not None
    first = content_digest(version)

    with monkeypatch.context() as patched:
        patched.delattr(DiskFile, "read")
        assert content_digest(version) == first
        assert content_digest(version.fork()) == first
    disk.write(0, b"changed")
    assert version.identity() is None
    assert content_digest(disk) == expected_digest(b"changed" + content[7:])
    assert content_digest(version) == first
    disk.close()
