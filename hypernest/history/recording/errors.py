"""What can be wrong with recordings, each a sentence for the user."""

from __future__ import annotations

from hypernest.errors import HypernestError


class BadRecording(HypernestError):
    """A recording that is damaged, cut short, of another version or none at all, or one whose files are not there."""


class RecordingNotKept(HypernestError):
    """A recording that cannot be made: the file cannot be written, or nobody could repeat the run from it."""


class RunRecorded(HypernestError):
    """The machine is being recorded, and a recording knows only the way forward."""
