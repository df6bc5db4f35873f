"""Snapshots unpacked, so that a machine that starts from one again maps it and loads only what it looks at.

    CACHE/snapshots/DIGEST    what a stream holds, a sparse file; DIGEST is of its content

A file gets its name when it is complete and on the disk, its content has been compared with the digests of its pages,
and it lies in a folder that nobody else can write to; so it is believed. The files used longest ago go when all
together take more than the limit.
"""

from __future__ import annotations

import os
import re
import stat
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

from hypernest.history.archive.blocks import file_blocks
from hypernest.private_files import is_private, make_folder

LIMIT = 4 << 30
"""Bytes on disk that all unpacked snapshots together may take."""

PATTERN = r"[0-9a-f]{64}|\.new-[a-z0-9_]{8}"
_ABANDONED_SECONDS = 3600


class Expansions:
    """The unpacked snapshots in `folder`. Whatever goes wrong here costs time at the next start, nothing else."""

    def __init__(self, folder: Path, limit: int = LIMIT) -> None:
        self._folder, self._limit = folder, limit
        self._keeping: list[threading.Thread] = []

    def find(self, key: str, size: int) -> int | None:
        """The descriptor, for reading, of the file for `key`, which counts as used now; None if there is none."""
        try:
            descriptor = os.open(self._folder / key, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return None
        try:
            status = os.fstat(descriptor)
            private = stat.S_IMODE(status.st_mode) & 0o022 == 0 and status.st_uid == os.geteuid()
            if private and stat.S_ISREG(status.st_mode) and status.st_size == size and is_private(self._folder):
                with suppress(OSError):
                    os.utime(descriptor)
                return descriptor
        except OSError:
            pass
        os.close(descriptor)
        return None

    def keep(self, key: str, source: int, size: int) -> None:
        """Keep what the file of descriptor `source` holds, in the background; nobody may write that file any more."""
        try:
            duplicate = os.dup(source)
        except OSError:
            return
        thread = threading.Thread(target=self._keep, args=(key, duplicate, size), name="hypernest-expansion")
        self._keeping.append(thread)
        thread.start()

    def wait(self) -> None:
        """Until all is kept that was to be."""
        while self._keeping:
            self._keeping.pop().join()

    def _keep(self, key: str, source: int, size: int) -> None:
        with suppress(OSError):
            needed = os.fstat(source).st_blocks * 512
            if needed <= self._limit // 2:
                make_folder(self._folder)
                if is_private(self._folder):
                    self._evict(needed)
                    self._copy(key, source, size)
        os.close(source)

    def _copy(self, key: str, source: int, size: int) -> None:
        descriptor, name = tempfile.mkstemp(prefix=".new-", dir=self._folder)
        try:
            os.ftruncate(descriptor, size)
            for block, data in file_blocks(source, size):
                at, view = block * 4096, memoryview(data)
                while view:
                    written = os.pwrite(descriptor, view, at)
                    at, view = at + written, view[written:]
            os.fsync(descriptor)
            os.replace(name, self._folder / key)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)

    def _evict(self, needed: int) -> None:
        """Make room for `needed` bytes: first what was abandoned, then what was used longest ago."""
        found = []
        total = needed
        for path in self._folder.iterdir():
            if re.fullmatch(PATTERN, path.name) is None:
                continue
            status = path.lstat()
            if path.name.startswith(".") and time.time() - status.st_mtime > _ABANDONED_SECONDS:
                path.unlink(missing_ok=True)
                continue
            total += status.st_blocks * 512
            found.append((status.st_mtime, status.st_blocks * 512, path))
        for _, size, path in sorted(found):
            if total <= self._limit:
                return
            path.unlink(missing_ok=True)
            total -= size
