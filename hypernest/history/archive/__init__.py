"""Snapshots on disk: one file, versioned and compressed, in which each page is kept once and believed when checked."""

from __future__ import annotations

from hypernest.history.archive.archive import Archive, Entry, require_name
from hypernest.history.archive.blocks import BLOCK, Blocks, file_blocks
from hypernest.history.archive.errors import (
    BadSnapshot,
    SnapshotExists,
    SnapshotMissing,
    SnapshotNotKept,
    SnapshotTooLarge,
)
from hypernest.history.archive.expansions import Expansions
from hypernest.history.archive.reading import Saved, SavedStream

__all__ = [
    "BLOCK",
    "Archive",
    "BadSnapshot",
    "Blocks",
    "Entry",
    "Expansions",
    "Saved",
    "SavedStream",
    "SnapshotExists",
    "SnapshotMissing",
    "SnapshotNotKept",
    "SnapshotTooLarge",
    "file_blocks",
    "require_name",
]
