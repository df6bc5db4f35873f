"""Where hypernest keeps what it can make or fetch again: guest images, generated code, compiled guests."""

from __future__ import annotations

import os
from pathlib import Path

from hypernest.errors import BadConfiguration


def cache_folder() -> Path:
    """`HYPERNEST_CACHE`, else `hypernest` in the user's cache folder; it need not exist yet.

    Raises `BadConfiguration` for a user without a home folder.
    """
    if chosen := os.environ.get("HYPERNEST_CACHE"):
        return Path(chosen).absolute()
    if (base := os.environ.get("XDG_CACHE_HOME", "")).startswith("/"):
        return Path(base, "hypernest")
    try:
        return Path.home() / ".cache" / "hypernest"
    except RuntimeError as error:
        raise BadConfiguration("no home folder is known for the cache, set HYPERNEST_CACHE to a folder.") from error
