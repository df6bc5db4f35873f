"""What can go wrong with guest images, each a sentence for the user."""

from __future__ import annotations

from hypernest.errors import HypernestError


class ImageMissing(HypernestError):
    """There is no image of that name, or it has not been pulled yet."""


class ImageDamaged(HypernestError):
    """The cache holds something that is not the image that was pulled."""


class PullFailed(HypernestError):
    """An image cannot be fetched: no package source, no network, a bad signature, no space."""
