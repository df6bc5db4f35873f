"""Guest images: fetch, build, keep and find them. Stands alone; the machine and the command line use it."""

from hypernest.images.catalog import Image, find, installed, names, pull
from hypernest.images.debian import APPEND as DEBIAN_APPEND
from hypernest.images.errors import ImageDamaged, ImageMissing, PullFailed
from hypernest.images.initramfs import READY, exec_overlay
from hypernest.images.progress import Progress, progress_bar, silent

__all__ = [
    "DEBIAN_APPEND",
    "READY",
    "Image",
    "ImageDamaged",
    "ImageMissing",
    "Progress",
    "PullFailed",
    "exec_overlay",
    "find",
    "installed",
    "names",
    "progress_bar",
    "pull",
    "silent",
]
