"""The disk: every request, every refusal, and what the file holds afterwards."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from hypernest.devices.virtio import VirtioBlock
from hypernest.disks import DiskFile
from tests.devices.virtio.driver import BUFFERS, NEXT, WRITE, Driver

IN, OUT, FLUSH, GET_ID, DISCARD, WRITE_ZEROES = 0, 1, 4, 8, 11, 13
OK, IO_ERROR, UNSUPPORTED = 0, 1, 2
RO_FEATURE, FLUSH_FEATURE, DISCARD_FEATURE, WRITE_ZEROES_FEATURE = (1 << bit for bit in (5, 9, 13, 14))
SECTORS = 64


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "disk.img"
    path.write_bytes(b"".join(bytes([number]) * 512 for number in range(SECTORS)))
    return path


class Disk(Driver):
    """A driver that speaks the requests of a disk."""

    def __init__(self, path: Path, readonly: bool = False, refuse: int = 0) -> None:
        self.file = DiskFile(path, readonly)
        super().__init__(VirtioBlock(self.file, "disk one"))
        self.start(refuse)

    def command(self, kind: int, sector: int = 0, data: bytes = b"", room: int = 0) -> tuple[int, bytes, int]:
        """Status, data and used length of one request."""
        send = [struct.pack("<IIQ", kind, 0, sector)] + ([data] if data else [])
        received, written = self.request(send, ([room] if room else []) + [1])
        return received[-1][0], b"".join(received[:-1]), written


@pytest.fixture
def disk(path: Path) -> Iterator[Disk]:
    disk = Disk(path)
    yield disk
    disk.file.close()


@pytest.fixture
def readonly(path: Path) -> Iterator[Disk]:
    disk = Disk(path, readonly=True)
    yield disk
    disk.file.close()


def test_describes_itself(disk: Disk) -> None:
    assert disk.get("device_id") == 2
    assert disk.configuration(0, 8) == SECTORS
    assert disk.configuration(0, 4) == SECTORS
    assert disk.configuration(12, 4) == 254
    assert disk.configuration(20, 4) == 512
    assert disk.offered() & (RO_FEATURE | FLUSH_FEATURE | DISCARD_FEATURE) == FLUSH_FEATURE | DISCARD_FEATURE
    assert disk.command(GET_ID, room=20) == (OK, b"disk one".ljust(20, b"\0"), 21)


def test_reads(disk: Disk) -> None:
    assert disk.command(IN, 3, room=1024) == (OK, b"\3" * 512 + b"\4" * 512, 1025)
    assert disk.command(IN, SECTORS - 1, room=512)[:2] == (OK, bytes([SECTORS - 1]) * 512)


def test_writes(disk: Disk, path: Path) -> None:
    data = os.urandom(1024)
    assert disk.command(OUT, 5, data) == (OK, b"", 1)
    assert disk.command(IN, 5, room=1024)[1] == data
    image = path.read_bytes()
    assert image[5 * 512 : 7 * 512] == data
    assert (image[4 * 512], image[7 * 512]) == (4, 7)
    assert disk.command(FLUSH) == (OK, b"", 1)


def test_any_framing_of_the_buffers(disk: Disk) -> None:
    """Section 2.7.4.1: the device makes no assumptions about how the message is cut into buffers."""
    received, _ = disk.request([struct.pack("<I", IN), bytes(4), struct.pack("<Q", 2)], [100, 412, 1])
    assert b"".join(received) == b"\2" * 512 + b"\0"
    received, _ = disk.request([struct.pack("<IIQ", OUT, 0, 2) + b"\xaa" * 200, b"\xbb" * 312], [1])
    assert received == [b"\0"]
    assert disk.command(IN, 2, room=512)[1] == b"\xaa" * 200 + b"\xbb" * 312


@pytest.mark.parametrize("sector", [SECTORS, SECTORS - 1, 1 << 55, (1 << 64) - 1])
def test_beyond_the_end(disk: Disk, path: Path, sector: int) -> None:
    before = path.read_bytes()
    assert disk.command(IN, sector, room=1024)[0] == IO_ERROR
    assert disk.command(OUT, sector, bytes(1024))[0] == IO_ERROR
    assert disk.command(DISCARD, 0, struct.pack("<QII", sector, 2, 0))[0] == IO_ERROR
    assert path.read_bytes() == before
    assert disk.command(IN, 0, room=512)[0] == OK


def test_parts_of_sectors_are_refused(disk: Disk) -> None:
    assert disk.command(IN, 0, room=511)[0] == IO_ERROR
    assert disk.command(OUT, 0, bytes(513))[0] == IO_ERROR


def test_unknown_requests(disk: Disk) -> None:
    for kind in (2, 3, 5, 14, 0x8000_0000, 0xFFFF_FFFF):
        assert disk.command(kind, room=512)[0] == UNSUPPORTED


def test_read_only(readonly: Disk, path: Path) -> None:
    before = path.read_bytes()
    assert readonly.offered() & RO_FEATURE
    assert not readonly.offered() & (DISCARD_FEATURE | WRITE_ZEROES_FEATURE)
    assert readonly.command(IN, 1, room=512)[:2] == (OK, b"\1" * 512)
    assert readonly.command(OUT, 1, bytes(512))[0] == IO_ERROR
    for kind in (DISCARD, WRITE_ZEROES):
        assert readonly.command(kind, 0, struct.pack("<QII", 0, 1, 0))[0] == IO_ERROR
    assert readonly.command(FLUSH)[0] == OK
    assert path.read_bytes() == before


@pytest.mark.parametrize("holes", [True, False])
def test_discard_gives_space_back(disk: Disk, path: Path, holes: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the host's files have no holes it is zero all the same, so that a run does not depend on that."""
    if not holes:
        monkeypatch.setattr(DiskFile, "_punch", lambda self, offset, count: False)
    ranges = struct.pack("<QII", 8, 16, 0) + struct.pack("<QII", 40, 8, 0)
    blocks = path.stat().st_blocks
    assert disk.command(DISCARD, 0, ranges)[0] == OK
    image = path.read_bytes()
    assert len(image) == SECTORS * 512
    assert image[7 * 512] == 7
    assert image[24 * 512] == 24
    assert not any(image[8 * 512 : 24 * 512])
    assert not any(image[40 * 512 : 48 * 512])
    assert path.stat().st_blocks <= blocks


@pytest.mark.parametrize("unmap", [0, 1])
@pytest.mark.parametrize("holes", [True, False])
def test_write_zeroes(disk: Disk, path: Path, unmap: int, holes: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not holes:
        monkeypatch.setattr(DiskFile, "_punch", lambda self, offset, count: False)
    assert disk.command(WRITE_ZEROES, 0, struct.pack("<QII", 9, 3, unmap))[0] == OK
    image = path.read_bytes()
    assert image[9 * 512 : 12 * 512] == bytes(3 * 512)
    assert (image[9 * 512 - 1], image[12 * 512]) == (8, 12)


@pytest.mark.parametrize(
    ("kind", "data", "status"),
    [
        (DISCARD, struct.pack("<QII", 0, 1, 1), UNSUPPORTED),
        (WRITE_ZEROES, struct.pack("<QII", 0, 1, 2), UNSUPPORTED),
        (DISCARD, struct.pack("<QII", 0, 0, 0), IO_ERROR),
        (WRITE_ZEROES, struct.pack("<QII", 0, 0xFFFF_FFFF, 0), IO_ERROR),
        (DISCARD, struct.pack("<QI", 0, 1), IO_ERROR),
        (DISCARD, b"", IO_ERROR),
        (DISCARD, struct.pack("<QII", 0, 1, 0) * 17, IO_ERROR),
    ],
)
def test_bad_ranges(disk: Disk, path: Path, kind: int, data: bytes, status: int) -> None:
    before = path.read_bytes()
    assert disk.command(kind, 0, data)[0] == status
    assert path.read_bytes() == before


def test_a_request_without_header_or_status_asks_for_a_reset(path: Path) -> None:
    for count, flags in ((15, 0), (16, 0), (1, WRITE)):
        disk = Disk(path)
        disk.describe(0, BUFFERS, count, flags)
        disk.offer(0)
        disk.notify()
        assert disk.broken()
        disk.file.close()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EFBIG])
def test_host_failures_are_io_errors_and_the_machine_goes_on(
    disk: Disk, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patched:
        for name in ("pread", "pwrite", "fsync"):
            patched.setattr(os, name, fail)
        assert disk.command(IN, 0, room=512)[0] == IO_ERROR
        assert disk.command(OUT, 0, bytes(512))[0] == IO_ERROR
        assert disk.command(FLUSH)[0] == IO_ERROR
    assert disk.command(IN, 1, room=512)[0] == OK
    assert not disk.broken()


def test_a_file_that_shrinks_is_an_io_error(disk: Disk, path: Path) -> None:
    os.truncate(path, 512 * 4)
    assert disk.command(IN, 3, room=512)[0] == OK
    assert disk.command(IN, 3, room=1024)[0] == IO_ERROR


def test_writes_are_durable_unless_the_driver_flushes_itself(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushes: list[int] = []
    monkeypatch.setattr(os, "fsync", flushes.append)
    for refuse, expected in ((0, 0), (FLUSH_FEATURE, 1)):
        disk = Disk(path, refuse=refuse)
        disk.command(OUT, 0, bytes(512))
        assert len(flushes) == expected
        disk.file.close()


def test_large_requests_are_complete(tmp_path: Path) -> None:
    path = tmp_path / "large.img"
    data = os.urandom(0x20000)
    path.write_bytes(data)
    disk = Disk(path)
    disk.memory.write(BUFFERS - 16, struct.pack("<IIQ", IN, 0, 0))
    disk.describe(0, BUFFERS - 16, 16, NEXT, 1)
    disk.describe(1, BUFFERS, 0x20000, WRITE | NEXT, 2)
    disk.describe(2, BUFFERS + 0x20000, 1, WRITE)
    disk.offer(0)
    disk.notify()
    assert disk.used() == [(0, 0x20001)]
    assert disk.memory.read(BUFFERS, 0x20000) == data
    disk.file.close()


def test_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests larger than what is moved at a time."""
    monkeypatch.setattr("hypernest.devices.virtio.block._CHUNK", 512)
    monkeypatch.setattr("hypernest.disks.disk_file.CHUNK", 512)
    path = tmp_path / "disk.img"
    path.write_bytes(os.urandom(8 * 512))
    disk = Disk(path)
    data = os.urandom(5 * 512)
    assert disk.command(OUT, 1, data)[0] == OK
    assert disk.command(IN, 1, room=5 * 512)[1] == data
    assert disk.command(WRITE_ZEROES, 0, struct.pack("<QII", 2, 3, 0))[0] == OK
    assert disk.command(IN, 1, room=5 * 512)[1] == data[:512] + bytes(3 * 512) + data[4 * 512 :]
    disk.file.close()
