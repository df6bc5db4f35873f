"""What RAM held at one moment, in a form that any number of machines can start from without copying it.

An image is a file that nobody writes any more, and the pages that differ from it. A machine maps the file privately:
the host's kernel copies a page when the machine first writes it, so machines share what they have not written.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field

PAGE = 4096


def empty_file(size: int) -> int:
    """The descriptor of a sparse file without a name, of `size` zero bytes; in memory where the host has such files."""
    if hasattr(os, "memfd_create"):
        file = os.memfd_create("hypernest-guest-memory", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile() as named:
            file = os.dup(named.fileno())
    try:
        os.ftruncate(file, size)
    except BaseException:
        os.close(file)
        raise
    return file


class FrozenFile:
    """A file with the bytes of RAM from its first one on, which is not written any more; closed with its last user."""

    def __init__(self, descriptor: int, size: int) -> None:
        self.descriptor, self.size = descriptor, size

    @property
    def pages(self) -> int:
        """How many pages of the host it takes."""
        return os.fstat(self.descriptor).st_blocks * 512 // PAGE

    def __del__(self) -> None:
        os.close(self.descriptor)


def data_runs(file: int, size: int) -> list[tuple[int, int]]:
    """Runs (first, end) of pages of a file that may be other than zero; all of it where the host cannot tell."""
    found: list[tuple[int, int]] = []
    at = 0
    try:
        while at < size:
            at = os.lseek(file, at, os.SEEK_DATA)
            end = os.lseek(file, at, os.SEEK_HOLE)
            found.append((at // PAGE, -(-min(end, size) // PAGE)))
            at = end
    except OSError as error:
        if error.errno != errno.ENXIO:  # which means that no data follows
            return [(0, size // PAGE)]
    return found


@dataclass(eq=False)
class MemoryImage:
    """The content of RAM: that of `file`, except for the pages in `changed` (bytes of a page, by its number).

    Never changes. `flat` is made when many machines begin here: a file of the whole content.
    """

    file: FrozenFile
    changed: Mapping[int, bytes]
    _flat: FrozenFile | None = field(default=None, repr=False)

    @property
    def size(self) -> int:
        """Bytes of RAM."""
        return self.file.size

    @property
    def flat(self) -> FrozenFile:
        """A file with the whole content; made, at the cost of a copy, when first asked for."""
        if not self.changed:
            return self.file
        if self._flat is None:
            descriptor = empty_file(self.size)
            for first, end in data_runs(self.file.descriptor, self.size):
                _copy(self.file.descriptor, descriptor, first * PAGE, end * PAGE)
            for page, content in self.changed.items():
                os.pwrite(descriptor, content, page * PAGE)
            self._flat = FrozenFile(descriptor, self.size)
        return self._flat

    def pages(self) -> dict[int, bytes]:
        """All pages that are not zero, by their number."""
        zero, found = bytes(PAGE), {}
        for first, stop in data_runs(self.file.descriptor, self.size):
            end = stop * PAGE
            for at in range(first * PAGE, end, 1 << 20):
                chunk = os.pread(self.file.descriptor, min(1 << 20, end - at), at)
                for inside in range(0, len(chunk), PAGE):
                    content = chunk[inside : inside + PAGE]
                    if content != zero:
                        found[(at + inside) // PAGE] = content
        for page, content in self.changed.items():
            if content != zero:
                found[page] = content
            else:
                found.pop(page, None)
        return found


def _copy(source: int, target: int, start: int, end: int) -> None:
    for at in range(start, end, 1 << 20):
        os.pwrite(target, os.pread(source, min(1 << 20, end - at), at), at)
