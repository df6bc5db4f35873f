"""A raw disk image on the host: opened, checked and locked once, then read and written in place."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import stat
import time
from collections.abc import Hashable, Iterator
from pathlib import Path

from hypernest.disks.clusters import CHUNK, is_zero
from hypernest.disks.disk import SECTOR
from hypernest.errors import BadConfiguration

_KEEP_SIZE, _PUNCH_HOLE = 1, 2
_SETTLED = 2 * 10**9  # nanoseconds after which a change of a file is sure to change its date


class DiskFile:
    """The file or block device at `path`, `sectors` sectors of 512 bytes long.

    It is locked while it is open: one writer, or any number of readers. Raises `BadConfiguration` when it cannot be
    used. A `Disk`.
    """

    def __init__(self, path: str | os.PathLike[str], readonly: bool = False) -> None:
        self.path = Path(path)
        self.readonly = readonly
        self._file = self._open()
        try:
            self._lock()
            self.sectors = self._measure() // SECTOR
        except BaseException:
            os.close(self._file)
            raise

    def _open(self) -> int:
        access = os.O_RDONLY if self.readonly else os.O_RDWR
        try:
            # Without O_NONBLOCK, opening a named pipe would wait for its other end.
            return os.open(self.path, access | os.O_CLOEXEC | os.O_NONBLOCK)
        except (OSError, ValueError) as error:
            hint = {
                errno.ENOENT: f"create it, for example with: truncate -s 1G {self.path}",
                errno.EACCES: "give yourself access to it, or attach it read-only or as an overlay",
                errno.EROFS: "attach it read-only, or use a copy",
                errno.EPERM: "attach it read-only, or use a copy",
            }.get(getattr(error, "errno", None) or 0, "give a raw disk image file")
            reason = getattr(error, "strerror", None) or str(error)
            raise BadConfiguration(f"disk {self.path} cannot be opened ({reason}): {hint}") from error

    def _lock(self) -> None:
        kind = fcntl.LOCK_SH if self.readonly else fcntl.LOCK_EX
        try:
            fcntl.flock(self._file, kind | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BadConfiguration(
                f"disk {self.path} is in use by another machine: stop that one and drop its snapshots, use a copy,"
                " or attach it read-only or as an overlay everywhere"
            ) from error
        except OSError as error:
            raise BadConfiguration(f"disk {self.path} cannot be locked ({error.strerror}): use a local copy") from error

    def _measure(self) -> int:
        mode = os.fstat(self._file).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
            raise BadConfiguration(f"disk {self.path} is not a file or a block device: give a raw disk image file")
        size = os.lseek(self._file, 0, os.SEEK_END)
        if not size:
            raise BadConfiguration(f"disk {self.path} is empty: give it a size, with: truncate -s 1G {self.path}")
        if size % SECTOR:
            raise BadConfiguration(
                f"disk {self.path} has {size} bytes, which is no multiple of {SECTOR}:"
                f" pad it with: truncate -s %{SECTOR} {self.path}"
            )
        return size

    def read(self, offset: int, count: int) -> bytes:
        """Exactly `count` bytes; that the file has become shorter is an `OSError` too."""
        data = b""
        while len(data) < count:
            part = os.pread(self._file, count - len(data), offset + len(data))
            if not part:
                raise OSError(errno.EIO, "the disk image has become shorter")
            data = data + part if data else part
        return data

    def write(self, offset: int, data: bytes) -> None:
        """Store all of `data`."""
        rest = memoryview(data)
        while rest:
            done = os.pwrite(self._file, rest, offset)
            rest, offset = rest[done:], offset + done

    def zero(self, offset: int, count: int) -> None:
        """Make `count` bytes zero and keep their space allocated."""
        zeros = bytes(min(count, CHUNK))
        for start in range(offset, offset + count, CHUNK):
            self.write(start, zeros[: offset + count - start])

    def discard(self, offset: int, count: int) -> None:
        """Make `count` bytes zero and give their space back to the host, if it can take it."""
        if self._punch(offset, count):
            return
        for start in range(offset, offset + count, CHUNK):
            size = min(CHUNK, offset + count - start)
            if not is_zero(self.read(start, size)):  # what is zero may be a hole that the host made
                self.zero(start, size)

    def _punch(self, offset: int, count: int) -> bool:
        """Make a hole in the file; False where the host cannot."""
        punch = getattr(ctypes.CDLL(None, use_errno=True), "fallocate", None)
        if punch is None:
            return False
        if not punch(self._file, _KEEP_SIZE | _PUNCH_HOLE, ctypes.c_int64(offset), ctypes.c_int64(count)):
            return True
        if ctypes.get_errno() in (errno.EOPNOTSUPP, errno.ENOSYS):
            return False
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    def data_ranges(self, offset: int, count: int) -> Iterator[tuple[int, int]]:
        """What is not a hole of the file; everything, where the host does not tell."""
        end = offset + count
        while offset < end:
            try:
                start = os.lseek(self._file, offset, os.SEEK_DATA)
                stop = os.lseek(self._file, start, os.SEEK_HOLE)
            except OSError as error:
                if error.errno == errno.ENXIO:  # no data from there on
                    return
                start, stop = offset, end
            if start < end:
                yield start, min(stop, end) - start
            offset = stop

    def identity(self) -> Hashable | None:
        """Device, number, size and date of the file, if it was not changed just now."""
        status = os.fstat(self._file)
        if not stat.S_ISREG(status.st_mode) or time.time_ns() - status.st_mtime_ns < _SETTLED:
            return None
        return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns

    def flush(self) -> None:
        """Return when everything written has reached the host's storage."""
        os.fsync(self._file)

    def close(self) -> None:
        """Close and unlock the file; harmless when repeated."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
