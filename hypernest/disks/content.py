"""What a disk holds, without its zeros: to compare it, to store it, to name it by a digest."""

from __future__ import annotations

from collections.abc import Hashable, Iterator

from hypernest.disks.clusters import CHUNK, ZEROS, covering, is_zero
from hypernest.disks.disk import CLUSTER, SECTOR, Content

_KNOWN = 64
_DIGESTS: dict[Hashable, bytes] = {}  # of contents that have an identity; only saves time


def nonzero_clusters(content: Content, numbers: range) -> Iterator[tuple[int, bytes]]:
    """Number and bytes of all clusters among `numbers` that are not zero, ascending.

    The last one of a disk may be shorter than others, and is filled up with zeros. Holes cost nothing.
    """
    size = content.sectors * SECTOR
    begin, end = numbers.start * CLUSTER, min(numbers.stop * CLUSTER, size)
    done = begin
    for start, count in content.data_ranges(begin, max(end - begin, 0)):
        around = covering(start, count)
        stop = min(around.stop * CLUSTER, end)
        for at in range(max(around.start * CLUSTER, done), stop, CHUNK):
            data = content.read(at, min(CHUNK, stop - at))
            if is_zero(data):
                continue
            for inside in range(0, len(data), CLUSTER):
                cluster = data[inside : inside + CLUSTER].ljust(CLUSTER, b"\0")
                if cluster != ZEROS:
                    yield (at + inside) // CLUSTER, cluster
        done = max(done, stop)


def data_clusters(content: Content) -> Iterator[tuple[int, bytes]]:
    """Number and 4096 bytes of all clusters that are not zero, ascending; the last of the disk filled up with zeros."""
    return nonzero_clusters(content, covering(0, content.sectors * SECTOR))


def content_digest(content: Content) -> bytes:
    """BLAKE2b-256 of what a disk holds, whatever holds it, and however much of it are holes.

    It is that of the number of sectors and then, for each 4 KiB cluster that is not zero, its number and its bytes,
    filled up with zeros; numbers have 64 bits, little-endian; personalised with `hypernest disk`. Remembered as long
    as the content's identity shows that it has not changed.
    """
    identity = content.identity()
    known = _DIGESTS.get(identity) if identity is not None else None
    if known is not None:
        return known
    import hashlib

    digest = hashlib.blake2b(content.sectors.to_bytes(8, "little"), digest_size=32, person=b"hypernest disk")
    for number, cluster in data_clusters(content):
        digest.update(number.to_bytes(8, "little"))
        digest.update(cluster)
    result = digest.digest()
    if identity is not None and content.identity() == identity:
        if len(_DIGESTS) >= _KNOWN:
            _DIGESTS.clear()
        _DIGESTS[identity] = result
    return result
