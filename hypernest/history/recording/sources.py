"""The files that a machine boots, by their content: named when a run is recorded, found when it is repeated.

A recording names files, and a file that it names is looked at: only if it is a regular file of the right size it is
read, and only if its content has the right digest it is used. So a recording from elsewhere cannot make a machine boot
what its maker did not have himself.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from hypernest.errors import HypernestError
from hypernest.history.recording.errors import BadRecording
from hypernest.history.recording.format import DIGEST, File
from hypernest.machine.boot_files import Source

HOW_TO_SAY = "with --look-in, or files=[...] in Python"
"""How `places` are given."""

_SHOWN = 16  # digits of a digest in a message
_MOST_IN_FOLDER = 10_000
_SETTLED = 10**9  # ns; two changes within the same tick of the file system's clock look like one
_MOST_DIGESTS = 64
_DIGESTS: dict[tuple[int, ...], bytes] = {}  # of files by what changes when they do; only saves time


def describe(source: Source, what: str) -> File:
    """What identifies it; raises OSError if it cannot be read."""
    if isinstance(source, bytes):
        return File(what, None, len(source), hashlib.blake2b(source, digest_size=DIGEST).digest())
    path = os.path.abspath(source)
    with open(path, "rb") as file:
        status = os.fstat(file.fileno())
        identity = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        digest = _DIGESTS.get(identity)
        if digest is None:
            digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=DIGEST)).digest()
            if time.time_ns() - status.st_mtime_ns > _SETTLED:
                if len(_DIGESTS) >= _MOST_DIGESTS:
                    _DIGESTS.clear()
                _DIGESTS[identity] = digest
        return File(what, os.fsencode(path), status.st_size, digest)


class Finder:
    """Looks for files where they were, among the files of a guest image, and in `places`: files and folders."""

    def __init__(self, image: str | None, places: Iterable[str | os.PathLike[str]]) -> None:
        self._image, self._places = image, [Path(place) for place in places]
        self._digests: dict[Path, bytes] = {}

    def find(self, file: File) -> Path:
        """Raises `BadRecording` if none of the files there are is the one."""
        assert file.path is not None, "what has no path is in the recording"
        there = Path(os.fsdecode(file.path))
        found: str | None = None
        for path in self._candidates(there):
            size = regular_size(path)
            if size is None:
                continue
            if size == file.size and self._digest(path) == file.digest:
                return path
            if path == there or not found:
                digest = self._digest(path) if size == file.size else None
                found = f"{path} has {digest.hex()[:_SHOWN] if digest else f'{size} bytes'}"
        expected = f"{file.digest.hex()[:_SHOWN]} ({file.size} bytes)"
        where = "" if found and found.startswith(str(there)) else f"{there} is not there, "
        raise BadRecording(
            f"the recording was made with another {file.what}: it expects the BLAKE2b {expected}, but"
            f" {where}{found or 'nothing else is known'}: say where the file is that was used, {HOW_TO_SAY}"
        )

    def _candidates(self, there: Path) -> Iterator[Path]:
        yield from candidates(self._places, there)
        yield from self._image_files()

    def _image_files(self) -> Sequence[Path]:
        if self._image is None:
            return []
        from hypernest.images import find

        try:
            image = find(self._image)
        except HypernestError:
            return []
        return [image.kernel, *image.initrds]

    def _digest(self, path: Path) -> bytes | None:
        if path not in self._digests:
            try:
                self._digests[path] = describe(path, "").digest
            except OSError:
                return None
        return self._digests[path]


def candidates(places: Iterable[Path], there: Path) -> Iterator[Path]:
    """Where a file may be that was `there`: first `places`, in folders every file."""
    for place in places:
        if place.is_dir():
            yield from _files_in(place)
        else:
            yield place
    yield there


def _files_in(folder: Path) -> Iterator[Path]:
    try:
        for number, path in enumerate(sorted(folder.iterdir())):
            if number < _MOST_IN_FOLDER and path.is_file():
                yield path
    except OSError:
        return


def regular_size(path: Path) -> int | None:
    """Of a regular file that may be read, so that no pipe and no device is opened."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) and os.access(path, os.R_OK) else None
