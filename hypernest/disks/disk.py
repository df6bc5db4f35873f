"""What every disk is, whatever holds its content."""

from __future__ import annotations

import errno
from collections.abc import Hashable, Iterator
from enum import Enum
from typing import Protocol

SECTOR = 512
"""Bytes that a guest reads or writes at least."""

CLUSTER = 4096
"""Bytes that are kept together where a disk differs from another. The last cluster of a disk may be shorter."""


class DiskMode(Enum):
    """What a machine may do with a disk image. The values are what users write."""

    WRITABLE = "writable"
    READONLY = "readonly"
    OVERLAY = "overlay"
    """The guest may write; the file is only read, and what was written is gone when the machine is closed."""


class Content(Protocol):
    """The bytes of a disk, to be read. Offsets and counts are in bytes; `OSError` when the host fails."""

    @property
    def sectors(self) -> int:
        """How many sectors of 512 bytes there are."""

    @property
    def readonly(self) -> bool:
        """Whether a guest that has it as a disk must not write."""

    def read(self, offset: int, count: int) -> bytes:
        """Exactly `count` bytes from `offset` on; `OSError` if they are not all there."""

    def data_ranges(self, offset: int, count: int) -> Iterator[tuple[int, int]]:
        """Ranges (offset, count) among those bytes, ascending and apart; what is between them reads as zero."""

    def identity(self) -> Hashable | None:
        """Something that, as long as this process runs, is only equal where contents are; None if there is nothing."""


class Disk(Content, Protocol):
    """A disk as a device uses it. What cannot be written raises `OSError`."""

    def write(self, offset: int, data: bytes) -> None:
        """Store all of `data`."""

    def zero(self, offset: int, count: int) -> None:
        """Make `count` bytes zero and keep their space, where there is such a thing."""

    def discard(self, offset: int, count: int) -> None:
        """Make `count` bytes zero and give their space back as far as possible."""

    def flush(self) -> None:
        """Return when everything written is where it lasts."""

    def close(self) -> None:
        """Give everything back that the disk occupies; harmless when repeated. Nothing else can be used any more."""


def check_range(content: Content, offset: int, count: int) -> None:
    """Raise `OSError` unless those bytes exist."""
    if offset < 0 or count < 0 or offset + count > content.sectors * SECTOR:
        raise OSError(errno.EINVAL, "outside the disk")
