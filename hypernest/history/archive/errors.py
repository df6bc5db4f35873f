"""What can be wrong with an archive of snapshots, each a sentence for the user."""

from __future__ import annotations

from hypernest.errors import HypernestError


class BadSnapshot(HypernestError):
    """An archive, or a snapshot in one, that is damaged, cut short, of another version, or no archive at all."""


class SnapshotMissing(HypernestError):
    """There is no archive, or no snapshot of that name in it."""


class SnapshotExists(HypernestError):
    """The name is taken: a snapshot is never overwritten."""


class SnapshotNotKept(HypernestError):
    """An archive that cannot be written: no space, no permission, or another writer; it is as it was before."""


class SnapshotTooLarge(HypernestError):
    """A snapshot that the host has no room to load; nothing was loaded."""
