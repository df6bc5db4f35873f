"""Disks that remember: what they held at some time stays readable while they are written on, and can be had back.

A disk is written in place. Before a cluster is first changed after `freeze`, what it held goes to the log of the newest
version. So a version reads: its own log, then those of newer versions, then the disk. Logs are linked from older to
newer only: without older versions, one that nobody refers to is gone at once, and writing costs what it costs without.
"""

from __future__ import annotations

import errno
import threading
import weakref
from collections.abc import Hashable, Iterable, Iterator
from itertools import groupby
from typing import NamedTuple

from hypernest.disks.clusters import (
    MEMORY_LIMIT,
    ClusterStore,
    Kept,
    among,
    covering,
    in_clusters,
    is_zero,
    laid_over,
    read_clusters,
    runs,
    with_clusters,
)
from hypernest.disks.content import nonzero_clusters
from hypernest.disks.disk import CLUSTER, SECTOR, Disk, check_range
from hypernest.disks.overlay import OverlayDisk
from hypernest.errors import BadConfiguration

_MAXIMUM_DEPTH = 16  # forks of forks, beyond which a fork copies what it would else look for in so many places


class _Log:
    """What changed clusters held when a version was frozen. All logs of a disk share a store."""

    __slots__ = ("__weakref__", "newer", "owner", "saved", "store", "version")

    def __init__(self, owner: _Owner, store: ClusterStore) -> None:
        self.owner = owner
        self.store = store
        self.saved: dict[int, Kept] = {}
        self.newer: _Log | None = None
        self.version: weakref.ref[DiskVersion] | None = None

    def __del__(self) -> None:
        self.store.forget(self.saved.values())

    def onward(self) -> Iterator[_Log]:
        """This log and all newer ones, in that order."""
        log: _Log | None = self
        while log is not None:
            yield log
            log = log.newer


class _Owner:
    """What a versioned disk and its versions have in common. It lives as long as one of them; then the disk is closed.

    Whoever changes the disk or follows logs holds `lock`. A lock of a disk that was forked from a version of this one
    is never asked for meanwhile, only the other way round.
    """

    def __init__(self, disk: Disk, memory_limit: int) -> None:
        self.disk = disk
        self.size = disk.sectors * SECTOR
        self.lock = threading.Lock()
        self.memory_limit = memory_limit
        self._logs: list[weakref.ref[_Log]] = []  # from oldest to newest
        self._untidy = False  # whether there may be logs of versions that nobody refers to any more
        origin = self.origin
        self.depth: int = origin.owner.depth + 1 if origin is not None else 0
        weakref.finalize(self, disk.close)

    @property
    def origin(self) -> DiskVersion | None:
        """The version that the disk was forked from, if it was."""
        base = self.disk.base if isinstance(self.disk, OverlayDisk) else None
        return base if isinstance(base, DiskVersion) else None

    def newest(self) -> _Log | None:
        """The log that old content goes to."""
        return self._logs[-1]() if self._logs else None

    def freeze(self) -> DiskVersion:
        newest = self._tidy()
        if newest is not None and not newest.saved:
            version = newest.version() if newest.version is not None else None
            if version is not None:
                return version
        log = _Log(self, newest.store if newest is not None else ClusterStore(self.memory_limit))
        version = DiskVersion(log)
        log.version = weakref.ref(version, self._note_end)
        if newest is not None:
            newest.newer = log
        self._logs.append(weakref.ref(log))
        return version

    def _note_end(self, version: weakref.ref[DiskVersion]) -> None:
        self._untidy = True

    def _tidy(self) -> _Log | None:
        """Merge logs of versions that nobody refers to into the next older ones; returns the newest that remains."""
        if not self._untidy:
            return self.newest()
        self._untidy = False
        kept: list[_Log] = []
        for log in filter(None, [reference() for reference in self._logs]):
            if log.version is not None and log.version() is not None:
                kept.append(log)
            elif kept:
                older = kept[-1]
                for number in log.saved.keys() - older.saved.keys():
                    older.saved[number] = log.saved.pop(number)
                older.newer = log.newer
        self._logs = [weakref.ref(log) for log in kept]
        return kept[-1] if kept else None

    def save(self, offset: int, count: int) -> None:
        """Keep what those bytes hold, as far as the newest version does not have it yet."""
        log = self.newest()
        if log is None:
            return
        for run in runs(number for number in covering(offset, count) if number not in log.saved):
            for number, content in zip(run, in_clusters(read_clusters(self.disk, run)), strict=True):
                log.saved[number] = log.store.put(content)

    def save_nonzero(self, offset: int, count: int) -> None:
        """The same before those bytes become zero: what is zero already need not be kept."""
        log = self.newest()
        if log is not None:
            for number, content in nonzero_clusters(self.disk, covering(offset, count)):
                if number not in log.saved:
                    log.saved[number] = log.store.put(content)

    def write_clusters(self, run: range, content: bytes) -> None:
        """Store these whole clusters, without keeping what they held; what becomes zero gives its space back."""
        for empty, group in groupby(zip(run, in_clusters(content), strict=True), lambda each: is_zero(each[1])):
            numbers, clusters = zip(*group, strict=True)
            start = numbers[0] * CLUSTER
            size = min(len(numbers) * CLUSTER, self.size - start)
            if empty:
                self.disk.discard(start, size)
            else:
                self.disk.write(start, b"".join(clusters)[:size])


class DiskVersion:
    """What a disk held when it was frozen: a `Content` that never changes. It lasts as long as somebody refers to it.

    Any thread may use it, also while the disk is written.
    """

    __slots__ = ("__weakref__", "_log", "readonly", "sectors")

    def __init__(self, log: _Log) -> None:
        self._log = log
        self.sectors: int = log.owner.disk.sectors
        self.readonly: bool = log.owner.disk.readonly

    @property
    def log(self) -> _Log:
        """Where its content begins."""
        return self._log

    @property
    def owner(self) -> _Owner:
        """What it shares with its disk."""
        return self._log.owner

    def read(self, offset: int, count: int) -> bytes:
        """Exactly `count` bytes from `offset` on; raises `OSError`."""
        check_range(self, offset, count)
        with self.owner.lock:
            return laid_over(offset, count, self._find, self.owner.disk.read)

    def _find(self, number: int) -> bytes | None:
        for log in self._log.onward():
            if number in log.saved:
                return log.store.get(log.saved[number])
        return None

    def cluster(self, number: int) -> bytes:
        """All of cluster `number`, with zeros behind the end of the disk."""
        return read_clusters(self, range(number, number + 1))

    def data_ranges(self, offset: int, count: int) -> Iterator[tuple[int, int]]:
        """See `Content`."""
        check_range(self, offset, count)
        numbers: set[int] = set()
        with self.owner.lock:
            ranges = list(self.owner.disk.data_ranges(offset, count))
            for log in self._log.onward():
                numbers.update(among(log.saved, covering(offset, count)))
        return with_clusters(ranges, numbers, offset, count)

    def identity(self) -> Hashable | None:
        """See `Content`: the disk's, as long as that was not changed."""
        with self.owner.lock:
            changed = any(log.saved for log in self._log.onward())
            return None if changed else self.owner.disk.identity()

    def fork(self) -> OverlayDisk:
        """A new disk that holds this at first. Its writes stay in memory and touch nothing else.

        Wrap it in a `VersionedDisk` to freeze it in turn. The file under it stays open and locked until it is closed.
        """
        if self.owner.depth < _MAXIMUM_DEPTH:
            return OverlayDisk(self, readonly=self.readonly, memory_limit=self.owner.memory_limit)
        first = _descent(self.owner, self.log)[-1]
        origin = first.log.version() if first.log is not None and first.log.version is not None else None
        assert origin is not None, "the fork of a version refers to it"
        fork = OverlayDisk(origin, readonly=self.readonly, memory_limit=self.owner.memory_limit)
        for number in sorted(first.changed):
            fork.put(number, self.cluster(number))
        return fork

    def __repr__(self) -> str:
        return f"<version of a disk of {self.sectors} sectors>"


class VersionedDisk:
    """`disk`, whose content can be frozen in versions and brought back. It is closed by the last one that needs it:
    this, the versions, and the disks forked from them.

    As long as there are versions, what is overwritten is kept, `memory_limit` bytes of it in memory and more in a
    temporary file; if that fails, so does the write, with an `OSError`, and nothing is changed. One thread uses it at a
    time; versions and disks forked from it may be used in others meanwhile.
    """

    def __init__(self, disk: Disk, memory_limit: int = MEMORY_LIMIT) -> None:
        self.sectors = disk.sectors
        self.readonly = disk.readonly
        self._shared: _Owner | None = _Owner(disk, memory_limit)

    @property
    def _owner(self) -> _Owner:
        if self._shared is None:
            raise OSError(errno.EBADF, "the disk is closed")
        return self._shared

    def freeze(self) -> DiskVersion:
        """The content as it is now. Takes no time, whatever the size; the same version again if nothing was written."""
        with self._owner.lock:
            return self._owner.freeze()

    def restore(self, version: DiskVersion) -> None:
        """Hold what `version` holds, which may be of this disk, or of any other of the same size.

        Costs by what was written since, or since the two had a common origin; without one, by what both hold. Other
        versions stay what they are. On an `OSError` some of the content is the version's and some is not: nothing else
        is lost, and it can be done again. Raises `BadConfiguration` if the disk cannot hold that.
        """
        owner = self._owner
        if version.sectors != self.sectors:
            raise BadConfiguration(
                f"a disk of {self.sectors} sectors cannot hold what one of {version.sectors} sectors held:"
                " restore it on a machine with the same disks"
            )
        with owner.lock:
            newest = owner.newest()
            if version.log is newest:
                _take_back(newest)
                return
        if owner.origin is not None and owner.origin.log is version.log:
            with owner.lock:
                _return_to_origin(owner)
            return
        for run in runs(_differing(owner, version)):
            # What the other one holds is never read while this one's lock is held.
            content = read_clusters(version, run)
            with owner.lock:
                self._replace(run, content)

    def _replace(self, run: range, content: bytes) -> None:
        """Store those of the clusters that differ."""
        owner = self._owner
        old = in_clusters(read_clusters(owner.disk, run))
        new = dict(zip(run, in_clusters(content), strict=True))
        for part in runs(number for number, cluster in zip(run, old, strict=True) if cluster != new[number]):
            if self.readonly:
                raise BadConfiguration(
                    "a read-only disk has another content than it had: restore it on a machine with the same disks"
                )
            owner.save(part.start * CLUSTER, len(part) * CLUSTER)
            owner.write_clusters(part, b"".join(new[number] for number in part))

    # --- as a disk ---------------------------------------------------------------------------------------------------

    def read(self, offset: int, count: int) -> bytes:
        """See `Content`."""
        return self._owner.disk.read(offset, count)

    def data_ranges(self, offset: int, count: int) -> Iterator[tuple[int, int]]:
        """See `Content`."""
        return self._owner.disk.data_ranges(offset, count)

    def identity(self) -> Hashable | None:
        """See `Content`."""
        return self._owner.disk.identity()

    def write(self, offset: int, data: bytes) -> None:
        """See `Disk`."""
        check_range(self, offset, len(data))
        owner = self._owner
        with owner.lock:
            owner.save(offset, len(data))
            owner.disk.write(offset, data)

    def zero(self, offset: int, count: int) -> None:
        """See `Disk`."""
        check_range(self, offset, count)
        owner = self._owner
        with owner.lock:
            owner.save_nonzero(offset, count)
            owner.disk.zero(offset, count)

    def discard(self, offset: int, count: int) -> None:
        """See `Disk`."""
        check_range(self, offset, count)
        owner = self._owner
        with owner.lock:
            owner.save_nonzero(offset, count)
            owner.disk.discard(offset, count)

    def flush(self) -> None:
        """See `Disk`."""
        self._owner.disk.flush()

    def close(self) -> None:
        """Give up the disk, which is closed at once unless versions of it are referred to; harmless when repeated."""
        owner, self._shared = self._shared, None
        if owner is not None:
            with owner.lock:
                if owner.newest() is None:
                    owner.disk.close()


def _take_back(newest: _Log) -> None:
    """Undo all writes since the newest version was frozen."""
    for run in runs(sorted(newest.saved)):
        kept = [newest.saved[number] for number in run]
        newest.owner.write_clusters(run, b"".join(map(newest.store.get, kept)))
        for number in run:
            del newest.saved[number]
        newest.store.forget(kept)


def _return_to_origin(owner: _Owner) -> None:
    """Have the content again that a forked disk had at first."""
    assert isinstance(owner.disk, OverlayDisk), "only those have an origin"
    changed = sorted(owner.disk.changed)
    for run in runs(changed):
        owner.save(run.start * CLUSTER, len(run) * CLUSTER)
    owner.disk.revert(changed)


class _Place(NamedTuple):
    """A disk at one of its versions, or as it is now, and in which clusters something may differ from that."""

    owner: _Owner
    log: _Log | None
    changed: set[int]


def _descent(owner: _Owner, log: _Log | None) -> list[_Place]:
    """Where the content of a disk comes from: the disk itself, the version it was forked from, and so on."""
    places = [_Place(owner, log, set())]
    while (origin := owner.origin) is not None:
        with owner.lock:
            assert isinstance(owner.disk, OverlayDisk), "only those have an origin"
            changed = places[-1].changed.union(
                owner.disk.changed, *(each.saved for each in (log.onward() if log is not None else ()))
            )
        owner, log = origin.owner, origin.log
        places.append(_Place(owner, log, changed))
    return places


def _between(owner: _Owner, one: _Log | None, other: _Log | None) -> set[int]:
    """The clusters of a disk that have changed between two of its versions, or from one to now."""
    with owner.lock:
        for first, last in ((one, other), (other, one)):
            changed: set[int] = set()
            for log in first.onward() if first is not None else ():
                if log is last:
                    return changed
                changed.update(log.saved)
            if last is None:
                return changed
    raise AssertionError("versions of a disk are linked")


def _differing(owner: _Owner, version: DiskVersion) -> Iterable[int]:
    """The clusters in which a disk may differ from a version, of whatever disk, ascending."""
    theirs = _descent(version.owner, version.log)
    for own in _descent(owner, None):
        for their in theirs:
            if own.owner is their.owner:
                return sorted(own.changed | their.changed | _between(own.owner, own.log, their.log))
    ranges = [*owner.disk.data_ranges(0, owner.size), *version.data_ranges(0, owner.size)]
    return (number for start, count in with_clusters(ranges, (), 0, owner.size) for number in covering(start, count))
