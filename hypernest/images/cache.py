"""The folder that keeps pulled images, private to its user.

    CACHE/images/NAME/manifest.json    what the image is, replaced at once when a new build is complete
    CACHE/images/NAME/BUILD/           the files of one build; only the manifest makes one count
    CACHE/images/NAME/lock             held while pulling
    CACHE/images/NAME/work/            an unfinished pull, taken up by the next

CACHE is `hypernest.cache.cache_folder()`.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from hypernest.cache import cache_folder as cache_folder
from hypernest.images.errors import ImageDamaged, PullFailed
from hypernest.private_files import is_private, make_folder

FORMAT = 1
_LARGEST_MANIFEST = 1 << 20


class Package(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A distribution's package an image was made from; `sha256` is of its file, as the signed index says."""

    name: str
    version: str
    architecture: str
    sha256: str
    size: int


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of the image in its build folder, `size` in bytes."""

    file: str
    size: int


class _AnyFormat(msgspec.Struct, frozen=True):
    format: int


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an image is made of and from where it came; read back as untrusted."""

    format: int
    build: str
    kernel: Part
    initrds: list[Part]
    origin: str
    packages: list[Package]


def image_folder(name: str) -> Path:
    return cache_folder() / "images" / name


def make_private(folder: Path) -> None:
    """Create the cache folder and `folder` in it, for the user alone; refuse one that others can write to."""
    top = cache_folder()
    make_folder(top)
    if not is_private(top):
        raise PullFailed(f"others can write to {top}, choose a private folder with HYPERNEST_CACHE.")
    make_folder(folder)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of the image in `folder`, waiting for whoever holds it; the system frees it if the holder dies."""
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def clear_failures(folder: Path) -> Iterator[None]:
    """Turn what the file system refuses into one clear line about `folder`."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise no_space(folder) from error
        reason = (error.strerror or str(error)).lower()
        raise PullFailed(
            f"cannot write to {error.filename or folder} ({reason}), choose another folder with HYPERNEST_CACHE."
        ) from error


def no_space(folder: Path, needed: int = 0) -> PullFailed:
    amount = f"{needed / 1e6:.0f} MB are needed, " if needed else ""
    return PullFailed(
        f"no space is left for the image in {folder}: {amount}free some or choose another folder with HYPERNEST_CACHE."
    )


def publish(folder: Path, manifest: Manifest, files: dict[str, bytes]) -> None:
    """Make `files` the image in `folder`, at once and whole; older builds are removed. The lock must be held."""
    build = folder / manifest.build
    shutil.rmtree(build, ignore_errors=True)
    build.mkdir(mode=0o700)
    for name, data in files.items():
        write_whole(build / name, data)
    write_whole(folder / "manifest.json", msgspec.json.format(msgspec.json.encode(manifest)))
    for other in folder.iterdir():
        if other.is_dir() and other.name != manifest.build:
            shutil.rmtree(other, ignore_errors=True)


def write_whole(path: Path, data: bytes) -> None:
    """Write `data` so that `path` holds all of it or what it held before, even if the machine stops."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of the image in `folder`, None if none of this format was pulled yet; raises `ImageDamaged`."""
    path = folder / "manifest.json"
    try:
        with path.open("rb") as stream:
            text = stream.read(_LARGEST_MANIFEST + 1)
        if msgspec.json.decode(text, type=_AnyFormat).format < FORMAT:
            return None
        manifest = msgspec.json.decode(text, type=Manifest)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise damaged(folder, (error.strerror or str(error)).lower()) from error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise damaged(folder, "its manifest is garbled") from error
    if manifest.format != FORMAT:
        raise damaged(folder, f"its format is {manifest.format}, this version knows {FORMAT}")
    for name in (manifest.build, manifest.kernel.file, *(part.file for part in manifest.initrds)):
        if not name.strip(".") or "/" in name or not name.isprintable():
            raise damaged(folder, "its manifest names a file outside it")
    return manifest


def part_path(folder: Path, manifest: Manifest, part: Part) -> Path:
    """Where `part` is, after a look that it is there in full; raises `ImageDamaged`."""
    path = folder / manifest.build / part.file
    try:
        status = path.lstat()
    except (OSError, ValueError):
        raise damaged(folder, f"{part.file} is missing") from None
    if not stat.S_ISREG(status.st_mode) or status.st_size != part.size:
        raise damaged(folder, f"{part.file} is not as it was pulled")
    return path


def damaged(folder: Path, why: str) -> ImageDamaged:
    return ImageDamaged(f"the image {folder.name!r} is damaged ({why}), run 'hypernest pull {folder.name}' again.")
