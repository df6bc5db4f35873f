"""Appending snapshots: hash, look up, compress what is new, write, and only then let it count.

Hashing and compressing happen in threads of their own, which the interpreter's lock does not stop, while this one reads
the next blocks. A frame holds pages in the order in which they came, so neighbours in RAM are neighbours in a frame:
64 at a time compress better and much faster than one by one.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import msgspec

from hypernest.history.archive.blocks import BLOCK, ZERO, Blocks
from hypernest.history.archive.format import (
    FRAME_PAGES,
    LARGEST_STREAM,
    RUN,
    ArchiveFile,
    Commit,
    Extent,
    Frame,
    Root,
    StreamRecord,
    digest,
    is_name,
)

LEVEL = 3
"""Of zstd: 5 % smaller than level 1 in about the same time, on the RAM of a booted Linux."""

_AHEAD = 16  # batches and frames that wait for a thread
THREADS = min(os.cpu_count() or 1, 8)


@dataclass(frozen=True, slots=True)
class Description:
    """What a commit says about its snapshot besides the content."""

    name: str
    created: int
    parent: str | None
    about: bytes


class Appender:
    """One commit in the making, behind the end of the archive. Nothing counts before `commit`.

    `known` numbers the pages by digest; `next_page` is the first number that is free. Use it as a context manager.
    Everything raises OSError when the file cannot be written.
    """

    def __init__(self, file: ArchiveFile, known: dict[bytes, int], next_page: int) -> None:
        self._file = file
        self._known = known
        self._begin = self._at = file.root.end
        self.next_page = next_page
        self._frames: list[Frame] = []
        self._digests: list[bytes] = []
        self._waiting: list[bytes] = []  # pages of the next frame
        self._compressing: deque[tuple[Future[bytes], int]] = deque()
        self._streams: dict[str, StreamRecord] = {}
        self._maps: list[tuple[str, int, int, bytes]] = []
        self._pool = ThreadPoolExecutor(THREADS)

    def __enter__(self) -> Appender:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    # --- pages -----------------------------------------------------------------------------------------------------

    def add_page(self, page: bytes, sum_: bytes) -> int:
        """The number of a page with this digest, which is new from here on unless it is known."""
        number = self._known.get(sum_)
        if number is None:
            number = self._number(sum_)
            self._waiting.append(page)
            if len(self._waiting) == FRAME_PAGES:
                self._close_frame()
        return number

    def add_frame(self, compressed: bytes, sums: Iterable[bytes]) -> None:
        """Take over a frame whose pages, with these digests, are all new."""
        self._close_frame()
        while self._compressing:
            self._write_frame()
        self._write(compressed)
        pages = [self._number(sum_) for sum_ in sums]
        self._frames.append(Frame(len(compressed), len(pages)))

    def _number(self, sum_: bytes) -> int:
        number = self._known[sum_] = self.next_page
        self.next_page += 1
        self._digests.append(sum_)
        return number

    def _close_frame(self) -> None:
        if self._waiting:
            self._compressing.append((self._pool.submit(_compress, self._waiting), len(self._waiting)))
            self._waiting = []
            if len(self._compressing) > _AHEAD:
                self._write_frame()

    def _write_frame(self) -> None:
        future, pages = self._compressing.popleft()
        compressed = future.result()
        self._write(compressed)
        self._frames.append(Frame(len(compressed), pages))

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            written = os.pwrite(self._file.descriptor, view, self._at)
            self._at += written
            view = view[written:]

    # --- streams ---------------------------------------------------------------------------------------------------

    def add_stream(self, name: str, content: Blocks) -> None:
        """Map a stream to pages; ValueError if `content` is not as `Blocks` says."""
        if not is_name(name) or any(each[0] == name for each in self._maps):
            raise ValueError(f"{name!r} cannot be the name of one more stream")
        if not 0 <= content.size <= LARGEST_STREAM:
            raise ValueError(f"a stream cannot have {content.size} bytes")
        runs: list[list[int]] = []
        for blocks, pages, sums in self._hashed(content):
            for block, page, sum_ in zip(blocks, pages, sums, strict=True):
                extend(runs, block, self.add_page(page, sum_))
        self.add_map(name, content.size, runs)

    def add_map(self, name: str, size: int, runs: list[list[int]]) -> None:
        """The same for pages that have their numbers: runs (first block, first page, count)."""
        runs.sort()
        free = 0
        for block, _, count in runs:
            if block < free or block + count > -(-size // BLOCK):
                raise ValueError(f"a block of {name!r} is given twice, or lies outside")
            free = block + count
        packed = b"".join(RUN.pack(*run) for run in runs)
        self._maps.append((name, size, sum(count for _, _, count in runs), packed))

    def _hashed(self, content: Blocks) -> Iterator[tuple[list[int], list[bytes], list[bytes]]]:
        """Batches of block numbers, pages and their digests."""
        ahead: deque[tuple[list[int], list[bytes], Future[list[bytes]]]] = deque()
        for blocks, pages in _batches(content):
            ahead.append((blocks, pages, self._pool.submit(_digests, pages)))
            if len(ahead) > _AHEAD:
                blocks, pages, sums = ahead.popleft()
                yield blocks, pages, sums.result()
        for blocks, pages, sums in ahead:
            yield blocks, pages, sums.result()

    # --- the end ---------------------------------------------------------------------------------------------------

    def commit(self, description: Description) -> tuple[Commit, Extent]:
        """Write the rest and have all of it count, at once."""
        self._close_frame()
        while self._compressing:
            self._write_frame()
        digests = self._extent(b"".join(self._digests))
        streams = {name: StreamRecord(size, blocks, self._extent(packed)) for name, size, blocks, packed in self._maps}
        root = self._file.root
        commit = Commit(
            description.name,
            description.created,
            description.parent,
            description.about,
            streams,
            self._begin,
            self._frames,
            digests,
            root.last,
        )
        record = self._extent(msgspec.msgpack.encode(commit))
        self._file.write_root(Root(root.sequence + 1, self._at, record))
        return commit, record

    def _extent(self, data: bytes) -> Extent:
        at = self._at
        self._write(data)
        return Extent(at, len(data), digest(data))


def extend(runs: list[list[int]], block: int, page: int) -> None:
    """Add a block to a map."""
    if runs and block == (last := runs[-1])[0] + last[2] and page == last[1] + last[2]:
        last[2] += 1
    else:
        runs.append([block, page, 1])


def known_pages(sums: Mapping[int, list[bytes]]) -> dict[bytes, int]:
    """The numbers of pages by their digests, of which there are lists by the number of the first page."""
    return {sum_: first + index for first, each in sums.items() for index, sum_ in enumerate(each)}


def _batches(content: Blocks) -> Iterator[tuple[list[int], list[bytes]]]:
    """Block numbers with their pages, one frame's worth at a time, without the zeros that need not be kept."""
    last, rest = divmod(content.size, BLOCK)
    blocks: list[int] = []
    pages: list[bytes] = []
    for first, data in content.blocks:
        for at in range(0, len(data), BLOCK):
            page, block = bytes(data[at : at + BLOCK]), first + at // BLOCK
            if not 0 <= block < last:
                if block != last or not rest:
                    raise ValueError(f"block {block} lies outside")
                page = page[:rest].ljust(BLOCK, b"\0") if len(page) in (rest, BLOCK) else b""
            if len(page) != BLOCK:
                raise ValueError(f"block {block} has another size")
            if page == ZERO and not content.keep_zeros:
                continue
            blocks.append(block)
            pages.append(page)
            if len(pages) == FRAME_PAGES:
                yield blocks, pages
                blocks, pages = [], []
    if pages:
        yield blocks, pages


def _digests(pages: list[bytes]) -> list[bytes]:
    return [digest(page) for page in pages]


def _compress(pages: list[bytes]) -> bytes:
    import zstandard

    return zstandard.ZstdCompressor(level=LEVEL).compress(b"".join(pages))
