"""Read Debian packages (`.deb`) without dpkg: an `ar` archive that holds a compressed `tar` archive of the files.

Nothing here writes to the file system: files come back as (name, bytes), names made plain and checked, so that no
package can name a place outside itself. Links, devices and folders are left out.
"""

from __future__ import annotations

import gzip
import io
import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, cast

from hypernest.errors import BadImage

_MAGIC = b"!<arch>\n"
_HEADER = 60
_LARGEST_FILE = 512 << 20


def files(package: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    """The regular files of `package` whose names (`usr/bin/busybox`: no leading `./`) are `wanted`, in its order.

    Raises `BadImage` if `package` is damaged or names a file outside itself.
    """
    from zstandard import ZstdError

    damaged = (tarfile.TarError, lzma.LZMAError, zlib.error, gzip.BadGzipFile, ZstdError, EOFError, ValueError)
    try:
        with package.open("rb") as stream, _open_data(stream) as data, tarfile.open(fileobj=data, mode="r|") as tar:
            for member in tar:
                name = _plain(package, member.name)
                if not member.isreg() or not wanted(name):
                    continue
                if member.size > _LARGEST_FILE:
                    raise BadImage(f"{package}: {name} is larger than {_LARGEST_FILE >> 20} MiB, pull it again.")
                contents = tar.extractfile(member)
                assert contents is not None  # a regular file always has contents
                yield name, contents.read()
    except damaged as error:
        raise BadImage(f"{package} is a damaged Debian package ({error}), delete it and pull again.") from error


def _plain(package: Path, name: str) -> str:
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or "\0" in name:
        raise BadImage(f"{package} names a file outside itself ({name!r}) and is not used.")
    return "/".join(parts)


def _open_data(stream: IO[bytes]) -> IO[bytes]:
    """The decompressed `data.tar` of the package in `stream`."""
    name, size = _find_data(stream)
    part = io.BufferedReader(_Part(stream, size))
    match name:
        case "data.tar.xz":
            return lzma.open(part)
        case "data.tar.zst":
            import zstandard

            return zstandard.ZstdDecompressor().stream_reader(part, read_across_frames=True)
        case "data.tar.gz":
            return cast("IO[bytes]", gzip.open(part, "rb"))
        case "data.tar":
            return part
    raise ValueError(f"unknown compression {name!r}")


def _find_data(stream: IO[bytes]) -> tuple[str, int]:
    """Seek to the start of the data archive; its name and size in bytes."""
    if stream.read(len(_MAGIC)) != _MAGIC:
        raise ValueError("it does not start as one")
    while header := stream.read(_HEADER):
        if len(header) < _HEADER or header[58:] != b"`\n":
            raise ValueError("bad member header")
        name, size = header[:16].decode("ascii", "replace").strip().rstrip("/"), int(header[48:58])
        if size < 0:
            raise ValueError("bad member size")
        if name.startswith("data.tar"):
            return name, size
        stream.seek(size + size % 2, io.SEEK_CUR)
    raise ValueError("it holds no data.tar")


class _Part(io.RawIOBase):
    """The next `size` bytes of `stream`."""

    def __init__(self, stream: IO[bytes], size: int) -> None:
        self._stream = stream
        self._left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._stream.read(min(len(buffer), self._left))
        buffer[: len(data)] = data
        self._left -= len(data)
        return len(data)
