"""Which pages of a private mapping were written: those that the host's kernel has copied.

Linux tells in /proc/self/pagemap (Documentation/admin-guide/mm/pagemap.rst): an entry of 64 bits for each page, in
which bit 63 says that it is present, 62 that it is swapped out, and 61 that it belongs to a file. A page of the mapping
that is there and not the file's is a copy.
"""

from __future__ import annotations

import mmap
import os
import re
from collections.abc import Iterator

from hypernest.memory.image import PAGE

_ENTRY = 8
_CHUNK = 1 << 17  # pages that are asked for at once
_IS_COPY = bytes(int(flags >> 6 != 0 and not flags & 1 << 5) for flags in range(256))  # by the top byte of an entry
_COPIES = re.compile(b"\x01+")


def copied_runs(address: int, size: int) -> Iterator[tuple[int, int]]:
    """Runs (first, end) of pages, counted from `address`, that are copies; OSError where the host does not tell."""
    if mmap.PAGESIZE != PAGE:
        raise OSError("the host's pages have another size")
    pages = size // PAGE
    file = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    try:
        for first in range(0, pages, _CHUNK):
            count = min(_CHUNK, pages - first)
            entries = os.pread(file, count * _ENTRY, (address // PAGE + first) * _ENTRY)
            if len(entries) != count * _ENTRY:
                raise OSError("the host tells nothing about its pages")
            tops = entries[_ENTRY - 1 :: _ENTRY].translate(_IS_COPY)
            for run in _COPIES.finditer(tops):
                yield first + run.start(), first + run.end()
    finally:
        os.close(file)
