"""Reading a recording, and checking everything that it says before anybody believes it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO

from hypernest.disks import DiskMode
from hypernest.errors import BadConfiguration
from hypernest.history.recording.errors import BadRecording
from hypernest.history.recording.format import (
    DIGEST,
    Contents,
    CutShort,
    End,
    Input,
    Mark,
    Origin,
    Record,
    read_records,
)
from hypernest.machine.configuration import MAXIMUM_HARTS, choice, memory_size
from hypernest.machine.journal import Event
from hypernest.machine.outcome import StopKind, StopReason


@dataclass(frozen=True, slots=True)
class Recording:
    """What a recording says. `contents` are the bytes of files without a path, by their number.

    `broken` says what keeps the rest of the file from being read, if anything does; then there is no `end`.
    """

    path: Path
    origin: Origin
    contents: dict[int, bytes]
    events: list[Event]
    marks: list[Mark]
    end: End | None
    broken: str | None = None

    @property
    def instructions(self) -> int:
        """How far it goes."""
        return self.last.count if self.last is not None else 0

    @property
    def last(self) -> Mark | End | None:
        """The last moment that is known."""
        return self.end or (self.marks[-1] if self.marks else None)

    @property
    def reason(self) -> StopReason | None:
        """Why the machine stopped for good, if it did."""
        if self.end is None or self.end.reason is None:
            return None
        kind, code, message = self.end.reason
        return StopReason(StopKind(kind), code, message)

    def __repr__(self) -> str:
        events, marks = len(self.events), len(self.marks)
        return f"<Recording of {self.origin.title}, {self.instructions:,} instructions, {events} inputs, {marks} marks>"


def load(path: str | os.PathLike[str], *, partial: bool = False) -> Recording:
    """The recording in a file.

    Raises `BadRecording` if it is none, damaged or of another version. One that was cut off is refused too, unless it
    may be `partial`: then it is what can be had of it.
    """
    path = Path(path)
    try:
        with _open(path) as file:
            reader = _Reader(path)
            try:
                reader.take_all(read_records(file, path))
            except CutShort as why:
                reader.broken = str(why)
    except OSError as error:
        raise BadRecording(f"the recording {path} cannot be read: {(error.strerror or str(error)).lower()}") from error
    return reader.finish(partial)


def _open(path: Path) -> BinaryIO:
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(0, "it is not a regular file")
    return file


@dataclass(slots=True)
class _Reader:
    """Collects the records of one recording."""

    path: Path
    origin: Origin | None = None
    contents: dict[int, bytes] = field(default_factory=dict)
    missing: list[int] = field(default_factory=list)  # numbers of files whose contents are to come
    events: list[Event] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    end: End | None = None
    broken: str | None = None

    def take_all(self, records: Iterable[Record]) -> None:
        for record in records:
            if self.end is not None:
                raise self.bad("it goes on behind its end")
            if (self.origin is None) != isinstance(record, Origin):
                raise self.bad("it does not begin with what the machine was made of")
            if isinstance(record, Origin):
                self.take_origin(record)
            elif isinstance(record, Contents) or self.missing:
                self.take_contents(record)
            elif isinstance(record, Input):
                self.take_input(record)
            else:
                self.take_mark(record)
        if self.end is None:
            self.broken = "it has no end"

    def bad(self, why: str) -> BadRecording:
        return BadRecording(f"the recording {self.path} makes no sense ({why}): use another copy of the file")

    def take_origin(self, origin: Origin) -> None:
        numbers = [*origin.initrds, *(each for each in (origin.kernel, origin.firmware) if each is not None)]
        try:
            memory_size(origin.memory_size)
            choice("clock", origin.clock, ("virtual", "wall"))
            for disk in origin.disks:
                choice("disk mode", disk.mode, [mode.value for mode in DiskMode])
        except BadConfiguration as error:
            raise self.bad(str(error)) from error
        if origin.harts > MAXIMUM_HARTS:
            raise self.bad("no machine is like that")
        if sorted(numbers) != list(range(len(origin.files))):
            raise self.bad("its files do not fit what the machine booted")
        if (origin.kernel is None and origin.firmware is None) != (origin.snapshot is not None):
            raise self.bad("it does not say what the machine booted")
        if not (origin.title + origin.maker + origin.engine).isprintable():
            raise self.bad("its title is no text")
        self.origin = origin
        self.missing = [number for number, file in enumerate(origin.files) if file.path is None]

    def take_contents(self, record: Record) -> None:
        assert self.origin is not None
        if not isinstance(record, Contents) or not self.missing:
            raise self.bad("contents of files are missing, or too many")
        number = self.missing.pop(0)
        file = self.origin.files[number]
        if len(record.data) != file.size or blake2b(record.data, digest_size=DIGEST).digest() != file.digest:
            raise self.bad("the contents of a file are not what they should be")
        self.contents[number] = record.data

    def take_input(self, record: Input) -> None:
        event = Event(record.boot, record.time, record.typed, record.size)
        if self.events and (event.boot, event.time) < (self.events[-1].boot, self.events[-1].time):
            raise self.bad("its inputs are out of order")
        self.events.append(event)

    def take_mark(self, record: Record) -> None:
        assert isinstance(record, Mark | End)
        last = self.marks[-1] if self.marks else None
        if last is not None and (record.count, record.boot) < (last.count + isinstance(record, Mark), last.boot):
            raise self.bad("its marks are out of order")
        if isinstance(record, Mark):
            self.marks.append(record)
            return
        try:
            if record.reason is not None:
                StopKind(record.reason[0])
        except ValueError:
            raise self.bad("the machine cannot have ended so") from None
        if record.reason is not None and not record.reason[2].isprintable():
            raise self.bad("the machine cannot have ended so")
        self.end = record

    def finish(self, partial: bool) -> Recording:
        if self.origin is None or self.missing:
            raise BadRecording(
                f"the recording {self.path} is damaged before it begins ({self.broken}): nothing is left"
            )
        if self.broken is not None and not partial:
            reached = f"{self.marks[-1].count:,} instructions" if self.marks else "the first of its marks"
            raise BadRecording(
                f"the recording {self.path} does not end as it should ({self.broken}), it is whole up to {reached}:"
                " ask for a partial replay (--partial, or partial=True in Python) to see that much"
            )
        return Recording(self.path, self.origin, self.contents, self.events, self.marks, self.end, self.broken)
