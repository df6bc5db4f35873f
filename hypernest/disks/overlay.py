"""A disk that may be written although what it shows at first must not: what is written is laid over it."""

from __future__ import annotations

import errno
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator

from hypernest.disks.clusters import (
    MEMORY_LIMIT,
    ZEROS,
    ClusterStore,
    Kept,
    among,
    covering,
    is_zero,
    laid_over,
    pieces,
    read_clusters,
    with_clusters,
)
from hypernest.disks.content import nonzero_clusters
from hypernest.disks.disk import CLUSTER, SECTOR, Content, check_range


def _nothing() -> None:
    pass


class OverlayDisk:
    """A disk with the content of `base`, which is only read and must not change; writes are kept here, until `close`.

    `memory_limit` bytes of them are kept in memory, more in a temporary file. `on_close` is called once.
    One thread uses it at a time.
    """

    def __init__(
        self,
        base: Content,
        *,
        readonly: bool = False,
        memory_limit: int = MEMORY_LIMIT,
        on_close: Callable[[], None] = _nothing,
    ) -> None:
        self.sectors = base.sectors
        self.readonly = readonly
        self._base: Content | None = base
        self._size = base.sectors * SECTOR
        self._store = ClusterStore(memory_limit)
        self._clusters: dict[int, Kept] = {}
        self._on_close = on_close

    @property
    def base(self) -> Content:
        """What shows where nothing was written."""
        if self._base is None:
            raise OSError(errno.EBADF, "the disk is closed")
        return self._base

    def read(self, offset: int, count: int) -> bytes:
        """See `Content`."""
        check_range(self, offset, count)
        return laid_over(offset, count, self._find, self.base.read)

    def _find(self, number: int) -> bytes | None:
        kept = self._clusters.get(number, -1)
        return None if kept == -1 else self._store.get(kept)

    def write(self, offset: int, data: bytes) -> None:
        """See `Disk`."""
        self._check_writable(offset, len(data))
        done = 0
        for number, inside, size in pieces(offset, len(data)):
            part = data[done : done + size]
            done += size
            if size < CLUSTER:
                old = self.cluster(number)
                part = old[:inside] + part + old[inside + size :]
            self.put(number, part)

    def _check_writable(self, offset: int, count: int) -> None:
        check_range(self, offset, count)
        if self.readonly:
            raise OSError(errno.EROFS, "the disk is read-only")

    def cluster(self, number: int) -> bytes:
        """All of cluster `number`, with zeros behind the end of the disk."""
        content = self._find(number)
        return read_clusters(self.base, range(number, number + 1)) if content is None else content

    def put(self, number: int, content: bytes) -> None:
        """Have this as cluster `number`, as the host may even if the guest may not; as long as a whole cluster."""
        kept = self._store.put(bytes(content))
        self.revert((number,))
        self._clusters[number] = kept

    def revert(self, numbers: Iterable[int]) -> None:
        """Show the base again in these clusters."""
        self._store.forget([self._clusters.pop(number, None) for number in numbers])

    def zero(self, offset: int, count: int) -> None:
        """See `Disk`."""
        self.discard(offset, count)

    def discard(self, offset: int, count: int) -> None:
        """See `Disk`. Costs nothing where there are zeros already, however many."""
        self._check_writable(offset, count)
        end = offset + count
        begin = min(-(-offset // CLUSTER) * CLUSTER, end)
        stop = end if end == self._size else max(end // CLUSTER * CLUSTER, begin)
        self._blank(offset, begin - offset)
        self._blank(stop, end - stop)
        whole = covering(begin, stop - begin)
        hidden = {number for number, _ in nonzero_clusters(self.base, whole)}
        self.revert(number for number in among(self._clusters, whole) if number not in hidden)
        for number in hidden:
            self.put(number, ZEROS)

    def _blank(self, offset: int, count: int) -> None:
        """Make a part of a cluster zero."""
        if not is_zero(self.read(offset, count)):
            self.write(offset, bytes(count))

    def flush(self) -> None:
        """Nothing here lasts."""

    def data_ranges(self, offset: int, count: int) -> Iterator[tuple[int, int]]:
        """See `Content`."""
        check_range(self, offset, count)
        own = [n for n in among(self._clusters, covering(offset, count)) if self._clusters[n] is not None]
        return with_clusters(self.base.data_ranges(offset, count), own, offset, count)

    def identity(self) -> Hashable | None:
        """See `Content`."""
        return None if self._clusters else self.base.identity()

    @property
    def changed(self) -> Collection[int]:
        """The numbers of the clusters that were written."""
        return self._clusters.keys()

    def clusters(self) -> Iterator[tuple[int, bytes]]:
        """The clusters that were written, by their numbers: all in which this may differ from its base."""
        for number in sorted(self._clusters):
            yield number, self.cluster(number)

    def close(self) -> None:
        """See `Disk`. The base stays what it is; it is only let go."""
        if self._base is not None:
            self._base = None
            self._clusters, self._store = {}, ClusterStore(0)
            self._on_close()
