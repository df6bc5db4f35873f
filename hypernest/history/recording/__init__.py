"""Recordings: what came from outside while a machine ran, in one file, so that the run can be had again to the bit."""

from __future__ import annotations

from hypernest.history.recording.difference import Difference
from hypernest.history.recording.errors import BadRecording, RecordingNotKept, RunRecorded
from hypernest.history.recording.loading import Recording, load
from hypernest.history.recording.recorder import Recorder, record
from hypernest.history.recording.replaying import Replay, Verdict, replay

__all__ = [
    "BadRecording",
    "Difference",
    "Recorder",
    "Recording",
    "RecordingNotKept",
    "Replay",
    "RunRecorded",
    "Verdict",
    "load",
    "record",
    "replay",
]
