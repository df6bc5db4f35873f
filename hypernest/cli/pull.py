"""Fetch a guest image from the package sources of this host, and keep it; an image that is here is left alone."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The image, and from where."""
    parser.add_argument("image", metavar="IMAGE", nargs="?", default="debian", help="the image to fetch (debian)")
    parser.add_argument(
        "--mirror", metavar="URI", help="a Debian archive to fetch from, instead of this host's sources"
    )
    parser.add_argument("--refresh", action="store_true", help="fetch and build the image anew")


def execute(arguments: argparse.Namespace) -> int:
    """Shows a progress bar, then what is there."""
    from hypernest.cli.images import describe
    from hypernest.images import progress_bar, pull

    with progress_bar() as progress:
        image = pull(arguments.image, mirror=arguments.mirror, refresh=arguments.refresh, progress=progress)
    print(describe([image]))
    return 0
