"""Small contents for archives in tests."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from random import Random

from hypernest.history.archive import BLOCK, Archive, Blocks, Entry, SavedStream

Pages = Mapping[int, bytes]


def page(seed: int, *, dense: bool = False) -> bytes:
    """A page of its own kind; a dense one does not compress."""
    return Random(seed).randbytes(BLOCK if dense else 64).ljust(BLOCK, b"\x07")


def pages(count: int, first_seed: int = 0, *, dense: bool = False) -> dict[int, bytes]:
    """`count` different pages with holes between them."""
    return {number + number // 3: page(first_seed + number, dense=dense) for number in range(count)}


def blocks(content: Pages, size: int | None = None) -> Blocks:
    return Blocks((max(content, default=-1) + 1) * BLOCK if size is None else size, list(content.items()))


def save(archive: Archive, name: str, content: Pages, state: bytes = b"state", parent: str | None = None) -> Entry:
    return archive.save(name, state, {"ram": blocks(content)}, {"kind": "test", "name": name}, parent)


def laid_out(content: Pages) -> bytes:
    """The bytes that these pages stand for."""
    return b"".join(content.get(number, bytes(BLOCK)) for number in range(max(content, default=-1) + 1))


def filled(stream: SavedStream) -> bytes:
    """All of a stream, by way of `fill`."""
    file = os.memfd_create("test")
    try:
        stream.fill(file)
        assert os.fstat(file).st_size == stream.size
        return os.pread(file, stream.size, 0)
    finally:
        os.close(file)


def loaded(path: Path, name: str) -> tuple[bytes, bytes]:
    """State and RAM of a snapshot."""
    with Archive(path).load(name) as saved:
        return saved.state, filled(saved.open("ram"))
