"""The content of RAM or of a disk on its way into an archive: numbered blocks of 4 KiB."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

BLOCK = 4096
ZERO = bytes(BLOCK)
_READ = 1 << 20


@dataclass(frozen=True, slots=True)
class Blocks:
    """`size` bytes, of which `blocks` gives some: (number of the first block, the bytes of one or more whole blocks).

    Blocks that are not given read as zeros. No block may be given twice; only the last one of all may be shorter. With
    `keep_zeros` it matters which blocks were given (an overlay's), else those that are zero are as good as not given.
    """

    size: int
    blocks: Iterable[tuple[int, bytes]]
    keep_zeros: bool = False


def file_blocks(descriptor: int, size: int) -> Iterator[tuple[int, bytes]]:
    """The blocks of the first `size` bytes of an open file that may hold anything else than zeros; raises OSError."""
    at = 0
    while at < size:
        try:
            at = os.lseek(descriptor, at, os.SEEK_DATA) // BLOCK * BLOCK
            end = min(-(-os.lseek(descriptor, at, os.SEEK_HOLE) // BLOCK) * BLOCK, size)
        except OSError as error:
            if error.errno == errno.ENXIO:  # no data from there on
                return
            end = size  # a file system that knows of no holes
        while at < end:
            data = os.pread(descriptor, min(_READ, end - at), at)
            if not data:
                return
            whole = len(data) if at + len(data) >= size else len(data) // BLOCK * BLOCK
            if not whole:  # the file ends inside a block, before `size`
                yield at // BLOCK, data.ljust(BLOCK, b"\0")
                return
            yield at // BLOCK, data[:whole]
            at += whole
