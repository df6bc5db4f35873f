"""How an archive is laid out, and the checks of everything that one says.

    0       magic, version, block size, their BLAKE2b          never changes
    4096    the root, 8192 the root once more                  rewritten one after the other by each commit
    12288   commit, commit, ...                                only ever appended; one for each snapshot

A *page* is a block's content; pages are numbered in the order in which the archive got them, each content once. A
commit consists of

    frames of up to 64 pages, each compressed by itself with zstd
    digests: BLAKE2b of each of these pages, by which later snapshots find them
    maps: for each stream of the snapshot runs (first block, first page, count), 32 bits each
    a record in MessagePack (`Commit`) that says where these are, and where the record before it is

and the root says where the last record is. Everything but the frames lies under the BLAKE2b of the record or root that
points to it; the frames lie under the digests of their pages. So a commit counts when the root has been written, and
whatever was cut off while writing lies behind what the root knows.

The file is not trusted: nothing is allocated that is larger than the part of the file it is read from, except for a
frame, whose size is known beforehand.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from hashlib import blake2b
from itertools import accumulate
from pathlib import Path
from struct import Struct
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta

from hypernest.history.archive.blocks import BLOCK
from hypernest.history.archive.errors import BadSnapshot

if TYPE_CHECKING:
    from zstandard import ZstdDecompressor

VERSION = 1
FRAME_PAGES = 64
DIGEST = 32
RUN = Struct("<III")
"""A run of a map: first block, first page, how many of both."""

LARGEST_STREAM = BLOCK << 32
LARGEST_NAME = 100

_MAGIC = b"\x89HNSNAP\n"
_HEADER = Struct("<8sII32s")
_ROOT = Struct("<QQQQ32s32s")
_ROOTS = (4096, 8192)
FIRST_COMMIT = 12288
_LARGEST_RECORD = 64 << 20
_LARGEST_FRAME = FRAME_PAGES * BLOCK + 4096  # zstd adds a few bytes to what it cannot compress

Size = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]


class Extent(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A part of the file, and its BLAKE2b."""

    offset: Size
    length: Size
    digest: bytes

    @property
    def end(self) -> int:
        return self.offset + self.length


class StreamRecord(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """RAM, a disk or the state in a snapshot: `size` bytes, of which `blocks` blocks are mapped to pages."""

    size: Annotated[int, Meta(ge=0, le=LARGEST_STREAM)]
    blocks: Annotated[int, Meta(ge=0, le=1 << 32)]
    runs: Extent


class Frame(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A compressed piece of `length` bytes that holds `pages` pages."""

    length: Annotated[int, Meta(ge=1, le=_LARGEST_FRAME)]
    pages: Annotated[int, Meta(ge=1, le=FRAME_PAGES)]


class Commit(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A snapshot, and what it added to the archive. `created` is in nanoseconds since 1970."""

    name: str
    created: Size
    parent: str | None
    about: bytes
    streams: dict[str, StreamRecord]
    begin: Size
    """Where the first frame is; the others follow without gaps."""
    frames: list[Frame]
    digests: Extent
    previous: Extent | None


class Root(msgspec.Struct, frozen=True):
    """What the archive is at a moment: `end` is where the next commit begins, `last` the record of the latest one."""

    sequence: int
    end: int
    last: Extent | None


EMPTY = Root(0, FIRST_COMMIT, None)


class Segment:
    """The pages that one commit added: from `first_page` on, in frames."""

    def __init__(self, commit: Commit, record: Extent, first_page: int) -> None:
        self.commit, self.record, self.first_page = commit, record, first_page
        self.first_pages = list(accumulate((frame.pages for frame in commit.frames), initial=first_page))
        """Of each frame, and at last of the next segment."""
        self.offsets = list(accumulate((frame.length for frame in commit.frames), initial=commit.begin))

    @property
    def end_page(self) -> int:
        return self.first_pages[-1]


def digest(data: bytes) -> bytes:
    """The address of a page, and what protects every other part of the file."""
    return blake2b(data, digest_size=DIGEST).digest()


def is_name(name: str) -> bool:
    """Whether a snapshot may have this name: 1 to 100 printable characters, no space at either end."""
    return 1 <= len(name) <= LARGEST_NAME and name.isprintable() and name == name.strip()


def new_header() -> bytes:
    """The beginning of an archive with nothing in it, up to the first commit."""
    head = _HEADER.pack(_MAGIC, VERSION, BLOCK, bytes(DIGEST))[:-DIGEST]
    roots = (_packed(EMPTY).ljust(4096, b"\0") for _ in _ROOTS)
    return b"".join([(head + digest(head)).ljust(4096, b"\0"), *roots])


def _packed(root: Root) -> bytes:
    last = root.last or Extent(0, 0, bytes(DIGEST))
    fields = _ROOT.pack(root.sequence, root.end, last.offset, last.length, last.digest, bytes(DIGEST))[:-DIGEST]
    return fields + digest(fields)


class ArchiveFile:
    """An open archive as far as its root goes. Closing the descriptor is the caller's.

    A file that is not `live` is not used before it is complete, so its commits need not be safe one by one.
    """

    def __init__(self, path: Path, descriptor: int, *, live: bool = True) -> None:
        self.path, self.descriptor, self._live = path, descriptor, live
        self._check_header()
        self.root = self._read_root()

    def damaged(self, why: str) -> BadSnapshot:
        """An error that says so."""
        return BadSnapshot(f"the snapshots in {self.path} are damaged ({why}): use another copy of the file")

    def _pread(self, length: int, offset: int) -> bytes:
        try:
            return os.pread(self.descriptor, length, offset)
        except OSError as error:
            raise self.damaged(f"reading it fails: {(error.strerror or str(error)).lower()}") from error

    def _check_header(self) -> None:
        header = self._pread(_HEADER.size, 0)
        if not header.startswith(_MAGIC):
            raise BadSnapshot(f"{self.path} holds no snapshots: give a file that hypernest snapshot save has written")
        if len(header) < _HEADER.size:
            raise self.damaged("it is cut short")
        _, version, block, sum_ = _HEADER.unpack(header)
        if sum_ != digest(header[:-DIGEST]):
            raise self.damaged("its first bytes were changed")
        if version != VERSION or block != BLOCK:
            raise BadSnapshot(
                f"the snapshots in {self.path} have format {version} with blocks of {block} bytes, this version of"
                f" hypernest knows format {VERSION} with {BLOCK}: use the version that wrote them"
            )

    def _read_root(self) -> Root:
        found = []
        for offset in _ROOTS:
            packed = self._pread(_ROOT.size, offset)
            if len(packed) == _ROOT.size and packed[-DIGEST:] == digest(packed[:-DIGEST]):
                sequence, end, last, length, sum_, _ = _ROOT.unpack(packed)
                found.append(Root(sequence, end, Extent(last, length, sum_) if length else None))
        if not found:
            raise self.damaged("it does not say what it holds")
        root = max(found, key=lambda each: each.sequence)
        size = os.fstat(self.descriptor).st_size
        if root.end > size:
            raise self.damaged(f"it is cut short, {root.end - size} bytes are missing")
        if root.end < FIRST_COMMIT or root.sequence >= 1 << 63:
            raise self.damaged("its root makes no sense")
        return root

    def write_root(self, root: Root) -> None:
        """Make `root` what counts, in one step; raises OSError. What it points to must be written."""
        self._sync()
        self.root = root  # even if the rest fails, for nobody knows how much of it was done
        for offset in _ROOTS:
            os.pwrite(self.descriptor, _packed(root), offset)
            self._sync()

    def _sync(self) -> None:
        if self._live:
            os.fsync(self.descriptor)

    def read(self, offset: int, length: int) -> bytes:
        """Bytes that the archive says it has."""
        if offset < FIRST_COMMIT or offset + length > self.root.end:
            raise self.damaged("it points outside itself")
        data = self._pread(length, offset)
        if len(data) != length:
            raise self.damaged("it is cut short")
        return data

    def read_extent(self, extent: Extent) -> bytes:
        """The same, and they are what they were."""
        data = self.read(extent.offset, extent.length)
        if digest(data) != extent.digest:
            raise self.damaged("its checksums do not fit")
        return data

    # --- commits ---------------------------------------------------------------------------------------------------

    def segments(self) -> list[Segment]:
        """All commits with the pages they added, the oldest first."""
        commits: list[tuple[Commit, Extent]] = []
        record, limit = self.root.last, self.root.end
        while record is not None:
            if record.length > _LARGEST_RECORD or record.end > limit:
                raise self.damaged("its commits are out of order")
            commit = self._decoded(self.read_extent(record))
            self._check_commit(commit, record)
            commits.append((commit, record))
            record, limit = commit.previous, commit.begin
        found: list[Segment] = []
        for commit, record in reversed(commits):
            found.append(Segment(commit, record, found[-1].end_page if found else 0))
        if found and found[-1].end_page > 1 << 32:
            raise self.damaged("it has too many pages")
        if len({segment.commit.name for segment in found}) != len(found):
            raise self.damaged("two snapshots have one name")
        return found

    def _decoded(self, record: bytes) -> Commit:
        try:
            return msgspec.msgpack.decode(record, type=Commit)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            raise self.damaged("a record is garbled") from None

    def _check_commit(self, commit: Commit, record: Extent) -> None:
        pages = sum(frame.pages for frame in commit.frames)
        frames_end = commit.begin + sum(frame.length for frame in commit.frames)
        inside = [commit.digests, *(stream.runs for stream in commit.streams.values())]
        sensible = (
            commit.begin >= FIRST_COMMIT
            and all(frames_end <= extent.offset and extent.end <= record.offset for extent in inside)
            and commit.digests.length == pages * DIGEST
            and all(stream.runs.length % RUN.size == 0 for stream in commit.streams.values())
            and is_name(commit.name)
            and (commit.parent is None or is_name(commit.parent))
            and all(is_name(stream) for stream in commit.streams)
        )
        if not sensible:
            raise self.damaged("a record makes no sense")

    def about(self, commit: Commit) -> dict[str, Any]:
        """What the snapshot's maker wrote about it."""
        try:
            return msgspec.msgpack.decode(commit.about, type=dict[str, Any])
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            raise self.damaged("a description is garbled") from None

    # --- pages -----------------------------------------------------------------------------------------------------

    def digests(self, segment: Segment) -> list[bytes]:
        """Of all pages of the segment."""
        data = self.read_extent(segment.commit.digests)
        return [data[at : at + DIGEST] for at in range(0, len(data), DIGEST)]

    def compressed(self, segment: Segment, index: int) -> bytes:
        """A frame as it is in the file; whether it is what it was, the digests of its pages tell."""
        return self.read(segment.offsets[index], segment.commit.frames[index].length)

    def pages(self, segment: Segment, index: int, decompressor: ZstdDecompressor) -> bytes:
        """A frame's pages, not yet compared with their digests. A decompressor serves one thread at a time."""
        import zstandard

        data = self.compressed(segment, index)
        size = segment.commit.frames[index].pages * BLOCK
        try:
            # The decompressor would allocate whatever size a frame claims.
            if zstandard.get_frame_parameters(data).content_size != size:
                raise self.damaged("a frame has another size")
            return decompressor.decompress(data, max_output_size=size, allow_extra_data=False)
        except zstandard.ZstdError:
            raise self.damaged("a frame is garbled") from None


def runs_of(file: ArchiveFile, stream: StreamRecord, end_page: int) -> list[tuple[int, int, int]]:
    """The map of a stream: (first block, first page, count), ascending, of pages below `end_page`."""
    runs = list(RUN.iter_unpack(file.read_extent(stream.runs)))
    blocks = -(-stream.size // BLOCK)
    free = total = 0
    for block, page, count in runs:
        if block < free or not count or block + count > blocks or page + count > end_page:
            raise file.damaged("a map makes no sense")
        free = block + count
        total += count
    if total != stream.blocks:
        raise file.damaged("a map makes no sense")
    return runs


def about_bytes(about: Mapping[str, Any]) -> bytes:
    """A description as it is kept; ValueError if it is no plain data or too long."""
    try:
        data = msgspec.msgpack.encode(about)
    except (TypeError, OverflowError, RecursionError) as error:
        raise ValueError(f"a snapshot's description must be plain data: {error}") from error
    if len(data) > 1 << 16:
        raise ValueError("a snapshot's description is longer than 64 KiB")
    return data
