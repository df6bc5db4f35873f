"""Snapshots on disk, any number in one file."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hypernest.errors import BadConfiguration
from hypernest.history.archive.blocks import Blocks
from hypernest.history.archive.compaction import copy_without
from hypernest.history.archive.errors import BadSnapshot, SnapshotExists, SnapshotMissing, SnapshotNotKept
from hypernest.history.archive.expansions import Expansions
from hypernest.history.archive.format import (
    LARGEST_NAME,
    ArchiveFile,
    Commit,
    Extent,
    Segment,
    about_bytes,
    is_name,
    new_header,
)
from hypernest.history.archive.reading import Saved
from hypernest.history.archive.writing import Appender, Description, known_pages
from hypernest.private_files import make_folder

STATE = "state"
"""The stream that holds what is neither RAM nor a disk."""

LARGEST_STATE = 64 << 20
_PATIENCE_SECONDS = 30.0
_PAUSE_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Entry:
    """A snapshot in the list. `created` is in nanoseconds since 1970."""

    name: str
    created: int
    parent: str | None
    about: Mapping[str, Any]
    """What its maker said about it."""
    own_bytes: int
    """What it added to the file."""
    own_pages: int
    """Pages of 4 KiB that no older snapshot in the file had."""
    blocks: int
    """Blocks of RAM and disks that hold something."""
    sizes: Mapping[str, int]
    """Bytes of each stream."""


class Archive:
    """The snapshots in the file `path`, each page kept once however many have it.

    Raises `SnapshotMissing` if there is no such file, unless it is `writable`: then it is made. Every verb looks at the
    file anew, so that several processes can use one; those that write take turns. All verbs raise `BadSnapshot` if the
    file is damaged in what they need, or is no archive. `expansions` keeps snapshots unpacked, see `SavedStream.image`.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, writable: bool = False, expansions: Expansions | None = None
    ) -> None:
        self.path = Path(os.path.realpath(path))  # which deleting replaces
        self._writable = writable
        self._expansions = expansions
        if writable and not os.path.lexists(self.path):
            self._create()
        with self._reading() as file:
            file.segments()

    def entries(self) -> list[Entry]:
        """What there is, the oldest first."""
        with self._reading() as file:
            return [_entry(file, segment.commit, segment.record) for segment in file.segments()]

    def require_free(self, name: str) -> None:
        """Raises `SnapshotExists` if there is a snapshot of that name."""
        with self._reading() as file:
            _require_free(file.segments(), name)

    def load(self, name: str) -> Saved:
        """The snapshot `name`, to be closed by the caller; `SnapshotMissing` if there is none."""
        descriptor = self._open(os.O_RDONLY)
        try:
            file = ArchiveFile(self.path, descriptor)
            segments = file.segments()
            number = self._find(segments, name)
            if STATE not in segments[number].commit.streams:
                raise file.damaged("it has no state")
            return Saved(file, segments, number, self._expansions, STATE, LARGEST_STATE)
        except BaseException:
            os.close(descriptor)
            raise

    def save(
        self,
        name: str,
        state: bytes,
        blocks: Mapping[str, Blocks],
        about: Mapping[str, Any] | None = None,
        parent: str | None = None,
    ) -> Entry:
        """Add a snapshot; `parent` is the name of the one that it was made from, if there is one here.

        Raises `SnapshotExists`, `SnapshotMissing` if there is no such parent, `SnapshotNotKept` if the file cannot be
        written or `blocks` raises OSError, `BadConfiguration` for a name that cannot be, and ValueError for blocks or a
        description that cannot be. Whatever happens, the file is whole and has the snapshot or not.
        """
        require_name(name)
        if len(state) > LARGEST_STATE:
            raise ValueError(f"a state of {len(state)} bytes is too large")
        description = Description(name, time.time_ns(), parent, about_bytes(about or {}))
        with self._changing() as file:
            segments = file.segments()
            _require_free(segments, name)
            if parent is not None:
                self._find(segments, parent)
            sums = {segment.first_page: file.digests(segment) for segment in segments}
            next_page = segments[-1].end_page if segments else 0
            os.ftruncate(file.descriptor, file.root.end)  # of what was cut off while writing
            try:
                with Appender(file, known_pages(sums), next_page) as appender:
                    appender.add_stream(STATE, Blocks(len(state), [(0, state)] if state else [], keep_zeros=True))
                    for stream, content in blocks.items():
                        appender.add_stream(stream, replace(content, blocks=_read(stream, content)))
                    commit, record = appender.commit(description)
            finally:
                os.ftruncate(file.descriptor, file.root.end)
            return _entry(file, commit, record)

    def delete(self, *names: str) -> None:
        """Remove snapshots by writing the file anew without what only they had; `SnapshotMissing` if one is missing."""
        if not names:
            return
        with self._changing() as file:
            segments = file.segments()
            gone = {self._find(segments, name) for name in names}
            new = self.path.with_name(f".{self.path.name}.new")
            try:
                descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
                try:
                    os.fchmod(descriptor, stat.S_IMODE(os.fstat(file.descriptor).st_mode))
                    _write_all(descriptor, new_header())
                    copy_without(file, segments, gone, ArchiveFile(self.path, descriptor, live=False))
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
                os.replace(new, self.path)
            except BaseException:
                new.unlink(missing_ok=True)
                raise
            _sync_folder(self.path.parent)

    def _find(self, segments: list[Segment], name: str) -> int:
        for number, segment in enumerate(segments):
            if segment.commit.name == name:
                return number
        raise SnapshotMissing(f"there is no snapshot {name!r} in {self.path}: see hypernest snapshot list")

    # --- the file --------------------------------------------------------------------------------------------------

    def _create(self) -> None:
        """Make an empty archive, whole from its first moment; another process may do the same."""
        with self._clear_failures():
            make_folder(self.path.parent)
            new = self.path.with_name(f".{self.path.name}.{os.getpid()}")
            new.unlink(missing_ok=True)
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                _write_all(descriptor, new_header())
                os.fsync(descriptor)
                _give_name(new, self.path)
            finally:
                os.close(descriptor)
                new.unlink(missing_ok=True)

    def _open(self, flags: int) -> int:
        try:
            descriptor = os.open(self.path, flags | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            raise SnapshotMissing(
                f"there are no snapshots in {self.path}: make one with hypernest snapshot save"
            ) from None
        except OSError as error:
            raise BadSnapshot(f"cannot open {self.path} ({_reason(error)}): give another file") from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise BadSnapshot(f"{self.path} is no file: give another one")
        return descriptor

    @contextmanager
    def _reading(self) -> Iterator[ArchiveFile]:
        descriptor = self._open(os.O_RDONLY)
        try:
            yield ArchiveFile(self.path, descriptor)
        finally:
            os.close(descriptor)

    @contextmanager
    def _changing(self) -> Iterator[ArchiveFile]:
        """The file while nobody else may write it."""
        if not self._writable:
            raise SnapshotNotKept(f"{self.path} was opened for reading: open it with writable=True")
        with self._clear_failures():
            descriptor = self._lock()
            try:
                yield ArchiveFile(self.path, descriptor)
            finally:
                os.close(descriptor)

    def _lock(self) -> int:
        """The descriptor of the file, locked; whoever had it before may have replaced the file."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            descriptor = self._open(os.O_RDWR)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(descriptor), os.stat(self.path)):
                    return descriptor
            except (BlockingIOError, FileNotFoundError):
                pass
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)
            if time.monotonic() > deadline:
                raise SnapshotNotKept(f"another process is writing {self.path}: try again when it is done")
            time.sleep(_PAUSE_SECONDS)

    @contextmanager
    def _clear_failures(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                advice = "free some space, or give another file"
            else:
                advice = "give another file"
            raise SnapshotNotKept(f"cannot write {self.path} ({_reason(error)}): {advice}") from error


def require_name(name: str) -> None:
    """Raises `BadConfiguration` if no snapshot can have this name."""
    if not is_name(name):
        raise BadConfiguration(
            f"{name!r} cannot be a snapshot's name: give it 1 to {LARGEST_NAME} printable characters,"
            " without a space at either end"
        )


def _require_free(segments: Sequence[Segment], name: str) -> None:
    if any(segment.commit.name == name for segment in segments):
        raise SnapshotExists(f"there is a snapshot {name!r} already: choose another name, or delete it first")


def _entry(file: ArchiveFile, commit: Commit, record: Extent) -> Entry:
    return Entry(
        name=commit.name,
        created=commit.created,
        parent=commit.parent,
        about=file.about(commit),
        own_bytes=record.end - commit.begin,
        own_pages=sum(frame.pages for frame in commit.frames),
        blocks=sum(stream.blocks for name, stream in commit.streams.items() if name != STATE),
        sizes={name: stream.size for name, stream in commit.streams.items() if name != STATE},
    )


def _read(stream: str, content: Blocks) -> Iterator[tuple[int, bytes]]:
    """The blocks; that they cannot be read is no fault of the archive."""
    try:
        yield from content.blocks
    except OSError as error:
        raise SnapshotNotKept(f"{stream} cannot be read ({_reason(error)}), so there is no snapshot of it") from error


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _give_name(new: Path, path: Path) -> None:
    """Name a file `path` unless there is one of that name."""
    try:
        os.link(new, path)
    except OSError:  # FAT knows no links
        if not path.exists():
            new.replace(path)


def _write_all(descriptor: int, data: bytes) -> None:
    if os.pwrite(descriptor, data, 0) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
