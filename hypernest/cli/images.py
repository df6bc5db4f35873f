"""List the guest images that are here, with their sizes and where they came from."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hypernest.images import Image


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It takes none."""


def execute(arguments: argparse.Namespace) -> int:
    """Names those that could be fetched as well."""
    from hypernest.images import installed, names

    images = installed()
    print(describe(images))
    here = {image.name for image in images}
    if absent := [name for name in names() if name not in here]:
        print(f"not here yet: {', '.join(absent)} (hypernest pull NAME)")
    return 0


def describe(images: Sequence[Image]) -> str:
    """A table of images, one a line."""
    rows = [("IMAGE", "SIZE", "ORIGIN"), *((image.name, readable_size(image.size), image.origin) for image in images)]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    return "\n".join(f"{name:<{widths[0]}}  {size:>{widths[1]}}  {origin}" for name, size, origin in rows)


def readable_size(count: int) -> str:
    """A count of bytes for people: 52.4 MB."""
    size = float(count)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
