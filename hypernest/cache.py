"""Where hypernest keeps what can be made or fetched again: images, native code, compiled guests."""

from __future__ import annotations

import os
from pathlib import Path

from hypernest.errors import BadConfiguration


def cache_folder() -> Path:
    """`$HYPERNEST_CACHE`, or `hypernest` in `$XDG_CACHE_HOME` or in `~/.cache`; it need not exist yet.

    BadConfiguration if the user has no home folder and names none.
    """
    if chosen := os.environ.get("HYPERNEST_CACHE"):
        return Path(chosen).absolute()
    if (base := os.environ.get("XDG_CACHE_HOME", "")).startswith("/"):
        return Path(base, "hypernest")
    try:
        return Path.home() / ".cache" / "hypernest"
    except RuntimeError as error:
        raise BadConfiguration("no home folder is known for the cache, set HYPERNEST_CACHE to a folder.") from error
