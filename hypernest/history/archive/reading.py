"""Loading snapshots: every page is compared with its digest before anybody sees it.

A snapshot keeps its file open, so that nothing that happens to the archive meanwhile matters.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path
from struct import Struct
from typing import NamedTuple

from hypernest.history.archive.blocks import BLOCK
from hypernest.history.archive.errors import BadSnapshot, SnapshotTooLarge
from hypernest.history.archive.expansions import Expansions
from hypernest.history.archive.format import FRAME_PAGES, ArchiveFile, Segment, StreamRecord, digest, runs_of

THREADS = min(os.cpu_count() or 1, 8)
_FRAMES_AT_ONCE = 8
_FRAMES_KEPT = 16
_PIECE_BYTES = 200  # in lists
_RANGE = Struct("<QQ")


class Piece(NamedTuple):
    """Blocks of a stream whose pages follow each other in a frame: `length` from block `block` and page `slot` on."""

    segment: int
    frame: int
    slot: int
    block: int
    length: int


class Pages:
    """The pages of an archive by their number, compared with their digests. Any thread may use it."""

    def __init__(self, file: ArchiveFile, segments: Sequence[Segment]) -> None:
        self.file = file
        self.segments = segments
        self._first_pages = [segment.first_page for segment in segments]
        self._digests: dict[int, list[bytes]] = {}

    def digests(self, segment: int) -> list[bytes]:
        """Of all pages of a segment."""
        if segment not in self._digests:
            self._digests[segment] = self.file.digests(self.segments[segment])
        return self._digests[segment]

    def pieces(self, runs: Sequence[tuple[int, int, int]]) -> Iterator[Piece]:
        """Where the blocks of a map are."""
        for block, page, left in runs:
            while left:
                number = bisect_right(self._first_pages, page) - 1
                segment = self.segments[number]
                frame = bisect_right(segment.first_pages, page) - 1
                count = min(left, segment.first_pages[frame + 1] - page)
                yield Piece(number, frame, page - segment.first_pages[frame], block, count)
                block, page, left = block + count, page + count, left - count

    def by_frame(self, runs: Sequence[tuple[int, int, int]]) -> list[list[Piece]]:
        """The same, those of a frame together. Raises `SnapshotTooLarge` if even these lists have no room."""
        blocks = sum(count for _, _, count in runs)
        _require(_PIECE_BYTES * (len(runs) + blocks // FRAME_PAGES), _available_memory(), "memory")
        frames: dict[tuple[int, int], list[Piece]] = {}
        for piece in self.pieces(runs):
            frames.setdefault((piece.segment, piece.frame), []).append(piece)
        return list(frames.values())

    def sums(self, piece: Piece) -> list[bytes]:
        """The digests of the piece's pages."""
        segment = self.segments[piece.segment]
        first = segment.first_pages[piece.frame] - segment.first_page + piece.slot
        return self.digests(piece.segment)[first : first + piece.length]

    def frame(self, piece: Piece) -> bytes:
        """The frame in which a piece is, not compared with anything yet."""
        import zstandard

        return self.file.pages(self.segments[piece.segment], piece.frame, zstandard.ZstdDecompressor())

    def cut(self, data: bytes, pieces: Sequence[Piece]) -> list[bytes]:
        """The bytes of each of these pieces, which are all of the frame `data`."""
        found = []
        verified: set[int] = set()
        for piece in pieces:
            begin = piece.slot * BLOCK
            for slot, sum_ in enumerate(self.sums(piece), piece.slot):
                if slot not in verified:
                    if digest(data[slot * BLOCK : slot * BLOCK + BLOCK]) != sum_:
                        raise self.file.damaged("a page is not what it was")
                    verified.add(slot)
            found.append(data[begin : begin + piece.length * BLOCK])
        return found

    def read(self, pieces: Sequence[Piece]) -> list[bytes]:
        """The same for pieces whose frame is yet to be loaded."""
        return self.cut(self.frame(pieces[0]), pieces)


class SavedStream:
    """RAM or a disk in a snapshot: `size` bytes, of which `blocks` blocks are there and the others read as zeros."""

    def __init__(self, pages: Pages, record: StreamRecord, end_page: int, expansions: Expansions | None) -> None:
        self.size, self.blocks = record.size, record.blocks
        self._pages = pages
        self._runs = runs_of(pages.file, record, end_page)
        self._expansions = expansions
        self._kept: OrderedDict[tuple[int, int], bytes] = OrderedDict()

    def fill(self, descriptor: int) -> None:
        """Make the file of `descriptor`, which holds nothing but zeros, hold the stream and be `size` bytes long.

        Raises `BadSnapshot`, after which the file holds parts of it, `SnapshotTooLarge` before anything is written if
        there is no room for it, and OSError.
        """
        _require_room(descriptor, self.blocks * BLOCK)
        os.ftruncate(descriptor, self.size)
        frames = self._pages.by_frame(self._runs)

        def fill(group: list[list[Piece]]) -> None:
            for pieces in group:
                for piece, data in zip(pieces, self._pages.read(pieces), strict=True):
                    at = piece.block * BLOCK
                    _write(descriptor, memoryview(data)[: self.size - at], at)

        groups = [frames[at : at + _FRAMES_AT_ONCE] for at in range(0, len(frames), _FRAMES_AT_ONCE)]
        self._load_digests(frames)
        with ThreadPoolExecutor(THREADS) as pool:
            try:
                for _ in pool.map(fill, groups):
                    pass
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def image(self) -> int:
        """The descriptor of a file with the stream, which nobody may write: it is mapped privately.

        The first time it is a file in memory, filled as by `fill`, which is then kept in the cache folder; from then on
        it is the file there, of which only the pages that are looked at are loaded. The caller closes it. Raises as
        `fill` does.
        """
        _require(self.blocks * BLOCK, _available_memory(), "memory")
        key = self.content_digest().hex() if self._expansions else ""
        if self._expansions is not None:
            found = self._expansions.find(key, self.size)
            if found is not None:
                return found
        descriptor = os.memfd_create("hypernest-snapshot", os.MFD_CLOEXEC)
        try:
            self.fill(descriptor)
            if self._expansions is not None:
                self._expansions.keep(key, descriptor, self.size)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def content_digest(self) -> bytes:
        """A BLAKE2b of size, blocks and their content; two streams are equal if theirs are."""
        ranges, content = blake2b(_RANGE.pack(self.size, self.blocks), digest_size=32), blake2b(digest_size=32)
        begin = end = 0
        for piece in self._pages.pieces(self._runs):
            content.update(b"".join(self._pages.sums(piece)))
            if piece.block != end:
                ranges.update(_RANGE.pack(begin, end))
                begin = piece.block
            end = piece.block + piece.length
        ranges.update(_RANGE.pack(begin, end))
        return digest(ranges.digest() + content.digest())

    def block_numbers(self) -> Iterator[int]:
        """The blocks that are there, ascending."""
        for block, _, count in self._runs:
            yield from range(block, block + count)

    def all_blocks(self) -> Iterator[tuple[int, bytes]]:
        """The blocks that are there, in no particular order; raises `BadSnapshot` at one that is not what it was."""
        for pieces in self._pages.by_frame(self._runs):
            for piece, data in zip(pieces, self._pages.read(pieces), strict=True):
                for index in range(piece.length):
                    yield piece.block + index, data[index * BLOCK : index * BLOCK + BLOCK]

    def read(self, block: int) -> bytes | None:
        """One block, loaded when it is asked for; None if it is not there. One thread at a time may ask."""
        index = bisect_right(self._runs, (block, 1 << 32, 0)) - 1
        if index < 0 or block >= self._runs[index][0] + self._runs[index][2]:
            return None
        first, page, _ = self._runs[index]
        (piece,) = self._pages.pieces([(block, page + block - first, 1)])
        key = piece.segment, piece.frame
        if key not in self._kept:
            self._kept[key] = self._pages.frame(piece)
            if len(self._kept) > _FRAMES_KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        (data,) = self._pages.cut(self._kept[key], [piece])
        return data

    def _load_digests(self, frames: list[list[Piece]]) -> None:
        for number in {pieces[0].segment for pieces in frames}:
            self._pages.digests(number)


def _require_room(descriptor: int, needed: int) -> None:
    """The room that there must be in memory, or on the disk if that is where the file is."""
    where = os.fstatvfs(descriptor)
    if where.f_blocks:
        _require(needed, where.f_bavail * where.f_frsize, "space")
    else:
        _require(needed, _available_memory(), "memory")


def _require(needed: int, free: int | None, what: str) -> None:
    if free is not None and needed > free:
        raise SnapshotTooLarge(
            f"the snapshot needs {needed / 1e9:.1f} GB of {what} and {free / 1e9:.1f} GB are free:"
            " free some, or use a larger host"
        )


def _available_memory() -> int | None:
    """Bytes that the host could give without swapping; None if it does not tell."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return None


def _write(descriptor: int, data: memoryview, at: int) -> None:
    while data:
        written = os.pwrite(descriptor, data, at)
        data, at = data[written:], at + written


class Saved:
    """A snapshot that is being loaded: its `state`, and its streams by name. Close it when nothing more is needed."""

    def __init__(
        self,
        file: ArchiveFile,
        segments: Sequence[Segment],
        number: int,
        expansions: Expansions | None,
        state: str,
        largest_state: int,
    ) -> None:
        self._file = file
        end_page = segments[number].end_page
        pages = Pages(file, segments[: number + 1])
        records = segments[number].commit.streams
        self._descriptor: int | None = file.descriptor
        self.streams: Mapping[str, SavedStream] = {
            name: SavedStream(pages, record, end_page, expansions) for name, record in records.items() if name != state
        }
        """RAM and disks as the maker of the snapshot named them."""
        self.digest = segments[number].record.digest
        """BLAKE2b of what says by digests what the snapshot holds."""
        self.state = self._state(SavedStream(pages, records[state], end_page, None), largest_state)

    def _state(self, stream: SavedStream, largest: int) -> bytes:
        if stream.size > largest or stream.blocks != -(-stream.size // BLOCK):
            raise self._file.damaged("its state makes no sense")
        data = b"".join(data for _, data in sorted(stream.all_blocks()))
        return data[: stream.size]

    def open(self, stream: str) -> SavedStream:
        """A stream by name; `BadSnapshot` if the snapshot has none of that name."""
        try:
            return self.streams[stream]
        except KeyError:
            raise BadSnapshot(f"the snapshot has no {stream}: it was made for another purpose") from None

    def close(self) -> None:
        """Let go of the file; streams cannot be read from any more, images stay."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Saved:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
