"""Clusters by their numbers: where they are kept, and how what is kept is laid over what is beneath."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator

from hypernest.disks.disk import CLUSTER, SECTOR, Content

ZEROS = bytes(CLUSTER)
CHUNK = 1 << 20
"""Bytes that are moved at a time."""

MEMORY_LIMIT = 64 << 20
"""Bytes of clusters that one store keeps in memory, unless it is told otherwise."""

Kept = bytes | int | None
"""Where a store keeps a cluster: here, in a slot of its file, or nowhere because it is zero."""


class ClusterStore:
    """Keeps clusters: `limit` bytes of them in memory, more in a file without a name in the folder for such (TMPDIR).

    Zeros take no room. `put` raises `OSError` when the host has no room either, and has kept nothing then. Its owner
    sees to it that only one thread uses it; `forget` may be called at any time.
    """

    def __init__(self, limit: int = MEMORY_LIMIT) -> None:
        self._room = limit // CLUSTER
        self._file: int | None = None
        self._slots = 0
        self._free: list[int] = []
        self._forgotten: deque[tuple[int, list[int]]] = deque()

    def put(self, content: bytes) -> Kept:
        """Keep one whole cluster."""
        if content == ZEROS:
            return None
        while self._forgotten:
            count, slots = self._forgotten.popleft()
            self._room += count
            self._free += slots
        if self._room > 0:
            self._room -= 1
            return content
        return self._put_in_file(content)

    def _put_in_file(self, content: bytes) -> int:
        if self._file is None:
            import tempfile

            with tempfile.TemporaryFile(prefix="hypernest-") as file:
                self._file = os.dup(file.fileno())
        slot = self._free[-1] if self._free else self._slots
        if os.pwrite(self._file, content, slot * CLUSTER) != CLUSTER:
            raise OSError("the folder for temporary files is full")
        if self._free:
            self._free.pop()
        else:
            self._slots += 1
        return slot

    def get(self, kept: Kept) -> bytes:
        """The whole cluster."""
        if kept is None:
            return ZEROS
        if isinstance(kept, bytes):
            return kept
        assert self._file is not None, "there are slots only in a file"
        content = os.pread(self._file, CLUSTER, kept * CLUSTER)
        if len(content) != CLUSTER:
            raise OSError("the temporary file has become shorter")
        return content

    def forget(self, kept: Iterable[Kept]) -> None:
        """The room of those is free again, from the next `put` on."""
        count, slots = 0, []
        for each in kept:
            if isinstance(each, bytes):
                count += 1
            elif each is not None:
                slots.append(each)
        if count or slots:
            self._forgotten.append((count, slots))

    def __del__(self) -> None:
        if self._file is not None:
            os.close(self._file)


def is_zero(data: bytes) -> bool:
    """Whether there is nothing but zeros."""
    return data == bytes(len(data))


def covering(offset: int, count: int) -> range:
    """The numbers of the clusters that those bytes touch."""
    return range(offset // CLUSTER, -(-(offset + count) // CLUSTER)) if count else range(0)


def pieces(offset: int, count: int) -> Iterator[tuple[int, int, int]]:
    """Those bytes cut at the borders of clusters: (number, first byte in it, bytes)."""
    end = offset + count
    while offset < end:
        number, inside = divmod(offset, CLUSTER)
        size = min(CLUSTER - inside, end - offset)
        yield number, inside, size
        offset += size


def runs(numbers: Iterable[int]) -> Iterator[range]:
    """Ascending `numbers` as ranges, none longer than what is moved at a time."""
    run = range(0)
    for number in numbers:
        if run and number == run.stop and len(run) < CHUNK // CLUSTER:
            run = range(run.start, number + 1)
        else:
            if run:
                yield run
            run = range(number, number + 1)
    if run:
        yield run


def in_clusters(data: bytes) -> Iterator[bytes]:
    """Whole clusters one by one."""
    return (data[at : at + CLUSTER] for at in range(0, len(data), CLUSTER))


def read_clusters(content: Content, run: range) -> bytes:
    """All of these clusters, with zeros behind the end of the disk."""
    start, size = run.start * CLUSTER, len(run) * CLUSTER
    return content.read(start, min(size, content.sectors * SECTOR - start)).ljust(size, b"\0")


def laid_over(
    offset: int, count: int, find: Callable[[int], bytes | None], beneath: Callable[[int, int], bytes]
) -> bytes:
    """Those bytes: of the clusters that `find` knows, and where it does not, read with `beneath(offset, count)`."""
    parts = []
    begin = at = offset
    for number, inside, size in pieces(offset, count):
        content = find(number)
        if content is not None:
            if begin < at:
                parts.append(beneath(begin, at - begin))
            parts.append(content[inside : inside + size])
            begin = at + size
        at += size
    if begin < at:
        parts.append(beneath(begin, at - begin))
    return parts[0] if len(parts) == 1 else b"".join(parts)


def among(numbers: Collection[int], wanted: range) -> Iterable[int]:
    """Which of `wanted` are in `numbers`, in no order, at the cost of the shorter of the two."""
    if len(numbers) < len(wanted):
        return [number for number in numbers if number in wanted]
    return [number for number in wanted if number in numbers]


def with_clusters(
    ranges: Iterable[tuple[int, int]], numbers: Iterable[int], offset: int, count: int
) -> Iterator[tuple[int, int]]:
    """`ranges` together with the clusters of these numbers, as far as they are among those bytes; ascending, apart."""
    end = offset + count
    more = [(number * CLUSTER, CLUSTER) for number in numbers]
    begin = stop = offset
    for start, size in sorted([*ranges, *more]):
        if start > stop:
            if stop > begin:
                yield begin, stop - begin
            begin = start
        begin = max(begin, offset)
        stop = max(stop, min(start + size, end))
    if stop > begin:
        yield begin, stop - begin
