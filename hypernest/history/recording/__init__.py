"""Recordings: what came from outside while a machine ran, in one file, so that the run can be had again to the bit."""

from __future__ import annotations

from hypernest.history.recording.errors import BadRecording, RecordingNotKept, RunRecorded
from hypernest.history.recording.recorder import Recorder, record

__all__ = [
    "BadRecording",
    "Recorder",
    "RecordingNotKept",
    "RunRecorded",
    "record",
]
