"""Which files may be trusted: native code from the cache is run, so nobody else may have been able to write it."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def is_private(*paths: Path) -> bool:
    """Whether the files and folders `paths` are the user's own and nobody else can write to them.

    Raises OSError if one is not there or cannot be looked at.
    """
    for status in map(os.stat, paths):
        if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return False
    return True


def make_folder(folder: Path) -> None:
    """Create `folder` and what is missing above it, whatever the umask, for the user alone; raises OSError."""
    if not folder.parent.exists():
        make_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
