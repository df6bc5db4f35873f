"""The guest images by name: which there are, which are here, and how to get the others."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hypernest.images import debian, hello, initramfs
from hypernest.images.cache import (
    Package,
    clear_failures,
    image_folder,
    make_private,
    part_path,
    read_manifest,
    write_whole,
)
from hypernest.images.errors import ImageMissing
from hypernest.images.progress import Progress, silent


@dataclass(frozen=True, slots=True)
class Image:
    """A guest ready to boot: paths of a kernel and of initrds to concatenate, and the kernel command line.

    `size` is what it takes on disk in bytes, `origin` says in words where it is from.
    """

    name: str
    kernel: Path
    initrds: tuple[Path, ...]
    append: str
    origin: str
    packages: tuple[Package, ...]
    size: int


@dataclass(frozen=True, slots=True)
class Recipe:
    """How an image is found, and fetched if it must be; `find` gives None if it is not here."""

    find: Callable[[], Image | None]
    pull: Callable[..., None] | None = None


def find(name: str) -> Image:
    """The image `name`; raises `ImageMissing` if it is unknown or was not pulled, `ImageDamaged` if it is not whole."""
    image = _recipe(name).find()
    if image is None:
        raise ImageMissing(f"the image {name!r} is not here yet, get it with 'hypernest pull {name}'.")
    return image


def installed() -> list[Image]:
    """The images that are here, by name; damaged ones raise `ImageDamaged`."""
    return [image for recipe in _RECIPES.values() if (image := recipe.find()) is not None]


def names() -> list[str]:
    """The names of all images there are, here or not."""
    return list(_RECIPES)


def pull(name: str, *, mirror: str | None = None, refresh: bool = False, progress: Progress = silent) -> Image:
    """Make sure that the image `name` is here, fetching it if not, or in any case if `refresh`.

    `mirror` is the URI of the archive to fetch from. Raises `PullFailed` or `ImageMissing`.
    """
    recipe = _recipe(name)
    if recipe.pull is not None:
        recipe.pull(mirror=mirror, refresh=refresh, progress=progress)
    return find(name)


def _recipe(name: str) -> Recipe:
    try:
        return _RECIPES[name]
    except KeyError:
        raise ImageMissing(f"there is no image {name!r}, only {', '.join(_RECIPES)}.") from None


def _find_debian() -> Image | None:
    folder = image_folder(debian.NAME)
    manifest = read_manifest(folder)
    if manifest is None:
        return None
    parts = [part_path(folder, manifest, part) for part in manifest.initrds]
    kernel = part_path(folder, manifest, manifest.kernel)
    init = _current_init(folder / manifest.build)
    return Image(
        name=debian.NAME,
        kernel=kernel,
        initrds=(*parts, init),
        append=debian.APPEND,
        origin=manifest.origin,
        packages=tuple(manifest.packages),
        size=sum(path.stat().st_size for path in (kernel, *parts, init)),
    )


def _current_init(build: Path) -> Path:
    """This version's init in the folder `build`, put there when it is first asked for."""
    data = initramfs.init()
    return _kept(build, "init", ".cpio", data)


def _find_hello() -> Image:
    folder, kernel = image_folder(hello.NAME), hello.kernel()
    with clear_failures(folder):
        make_private(folder)
    return Image(
        name=hello.NAME,
        kernel=_kept(folder, "kernel", ".bin", kernel),
        initrds=(),
        append="",
        origin=hello.ORIGIN,
        packages=(),
        size=len(kernel),
    )


def _kept(folder: Path, name: str, suffix: str, data: bytes) -> Path:
    """The file with `data` in `folder`, put there when it is first asked for."""
    path = folder / f"{name}-{hashlib.sha256(data).hexdigest()[:16]}{suffix}"
    with clear_failures(folder):
        if not path.is_file() or path.read_bytes() != data:
            write_whole(path, data)
    return path


_RECIPES: Mapping[str, Recipe] = {
    debian.NAME: Recipe(_find_debian, debian.pull),
    hello.NAME: Recipe(_find_hello),
}
