"""Write `cpio` archives in the `newc` format, the one the Linux kernel unpacks as an initial RAM file system.

The same entries give the same bytes: every file is owned by root and dated 1970, inode numbers count upwards.
An archive ends on a 512-byte boundary, so archives can be concatenated, which the kernel unpacks one after another.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

_BLOCK = 512
_TRAILER = "TRAILER!!!"


@dataclass(frozen=True, slots=True)
class Entry:
    """One file: `path` relative to the root, `mode` with its file-type bits, the link target or contents in `data`."""

    path: str
    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


def folder(path: str, permissions: int = 0o755) -> Entry:
    return Entry(path, stat.S_IFDIR | permissions)


def file(path: str, data: bytes, permissions: int = 0o644) -> Entry:
    return Entry(path, stat.S_IFREG | permissions, data)


def link(path: str, target: str) -> Entry:
    """A symbolic link at `path` to `target`."""
    return Entry(path, stat.S_IFLNK | 0o777, target.encode())


def character_device(path: str, major: int, minor: int, permissions: int = 0o600) -> Entry:
    return Entry(path, stat.S_IFCHR | permissions, device=(major, minor))


def archive(entries: Iterable[Entry]) -> bytes:
    """The archive of `entries` in their order, with the folders above them added where `entries` has none yet."""
    out = bytearray()
    for inode, entry in enumerate(_with_parents(entries), start=1):
        _append(out, inode, entry)
    _append(out, 0, Entry(_TRAILER, 0))
    out += bytes(-len(out) % _BLOCK)
    return bytes(out)


def _with_parents(entries: Iterable[Entry]) -> Iterator[Entry]:
    seen: set[str] = set()
    for entry in entries:
        for parent in reversed(PurePosixPath(entry.path).parents[:-1]):
            if str(parent) not in seen:
                seen.add(str(parent))
                yield folder(str(parent))
        seen.add(entry.path)
        yield entry


def _append(out: bytearray, inode: int, entry: Entry) -> None:
    name = entry.path.encode() + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    # inode, mode, uid, gid, links, mtime, size, device holding the file, device the file is, name size, checksum
    fields = (inode, entry.mode, 0, 0, links, 0, len(entry.data), 0, 0, *entry.device, len(name), 0)
    out += b"070701" + b"".join(b"%08X" % value for value in fields) + name
    out += bytes(-len(out) % 4)
    out += entry.data
    out += bytes(-len(out) % 4)
