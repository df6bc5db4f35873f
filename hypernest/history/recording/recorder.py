"""Writing a recording while the machine runs.

What the run loop needs of the host while it records is little: at counts some milliseconds apart, what has come from
outside since, and a digest of harts and devices, are written. Memory is hashed at the end, and before that so seldom
that it takes no more than a hundredth of the time.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar

import hypernest
from hypernest.disks import DiskMode, VersionedDisk, content_digest
from hypernest.history.recording.errors import RecordingNotKept, RunRecorded
from hypernest.history.recording.format import (
    LARGEST_CONTENT,
    MAGIC,
    Contents,
    DiskFile,
    End,
    Input,
    KeptSnapshot,
    Mark,
    Origin,
    Record,
    Writer,
)
from hypernest.history.recording.sources import describe
from hypernest.machine.boot_files import Source
from hypernest.machine.configuration import DiskChoice, FilePath, disk_choice
from hypernest.machine.outcome import StopReason

if TYPE_CHECKING:
    from hypernest.images import Image
    from hypernest.machine.machine import Machine
    from hypernest.machine.snapshot import Snapshot

FIRST_SPACING = 1_000_000
SMALLEST_SPACING = 10_000
_SECONDS_APART = 0.025
_MARKS_OF_A_SPACING = 4096  # after so many of them marks are twice as far apart, which bounds the file
FIRST_MEMORY_HASH_SECONDS = 10.0  # after the beginning; the distance to the next one doubles each time
_SHARE_OF_MEMORY_HASHES = 0.01  # of the time
_SYNC_SECONDS = 5.0
_INPUT_AT_ONCE = 1 << 20

Sources = Sequence[tuple[str, Source]]
Result = TypeVar("Result")


def record(
    machine: Machine,
    path: FilePath,
    *,
    image: str | Image | None = None,
    disks: Sequence[DiskChoice] = (),
    snapshot: Snapshot | None = None,
) -> None:
    """Record a machine that has not run yet, made with that image, those disks, or from that snapshot.

    Raises `RecordingNotKept` if the file cannot be written, or if it would not say enough to repeat the run.
    """
    if snapshot is not None and snapshot.kept is None:
        raise RecordingNotKept(
            "a recording cannot begin with a snapshot that is only in memory: save the snapshot and load it"
        )
    recorder = Recorder(machine, Path(path))
    try:
        recorder.begin(image if image is None or isinstance(image, str) else image.name, disks, snapshot)
    except BaseException:
        recorder.abandon()
        raise
    machine.watch_course(recorder)


class Recorder:
    """A `Witness` that writes what it sees to `path`, which may hold an older recording, and nothing else."""

    def __init__(self, machine: Machine, path: Path) -> None:
        self.path, self._machine = path, machine
        self._file: BinaryIO | None = None
        self._opening: ThreadPoolExecutor | None = None
        self._file = self._try(lambda: _open(path))
        self._writer = self._try(lambda: Writer(self._open_file))
        self._written_events = 0
        self._spacing = FIRST_SPACING
        self.next_visit = machine.instructions + FIRST_SPACING
        self._marks = 0
        self._begin = self._marked = self._synced = time.monotonic()
        self._memory_seconds, self._memory_due = 0.0, FIRST_MEMORY_HASH_SECONDS
        self._described: Future[list[Record]] | None = None
        self._waiting: list[Record] = []

    # --- the beginning ---------------------------------------------------------------------------------------------

    def begin(
        self,
        image: str | None,
        disks: Sequence[DiskChoice],
        snapshot: Snapshot | None,
    ) -> None:
        """Write down what the machine is made of. Files that it boots are read once more, while it runs already."""
        choices = [disk_choice(disk) for disk in disks]
        described = [
            self._try(lambda: _describe_disk(path, mode, disk))  # noqa: B023
            for (path, mode), disk in zip(choices, self._machine.disks, strict=True)
        ] if snapshot is None else []  # fmt: skip
        plan = self._machine.setup.plan if snapshot is None else None
        kernel = [("kernel", plan.kernel)] if plan and plan.kernel is not None else []
        firmware = [("firmware", plan.firmware)] if plan and plan.firmware is not None else []
        initrds: Sources = [("initrd", each) for each in plan.initrds] if plan else []
        sources: Sources = [*kernel, *firmware, *initrds]
        first_initrd = len(kernel) + len(firmware)
        setup = self._machine.setup

        kept = snapshot.kept if snapshot else None

        def describe_all() -> list[Record]:
            return [
                Origin(
                    created=time.time_ns(),
                    maker=hypernest.__version__,
                    title=setup.title[:1000],
                    engine=setup.engine.name,
                    clock="wall" if setup.follow_wall else "virtual",
                    memory_size=setup.memory_size,
                    harts=setup.harts,
                    seed=setup.seed,
                    epoch=setup.epoch,
                    reboot=setup.reboot,
                    append=plan.append if plan else "",
                    image=image,
                    kernel=0 if kernel else None,
                    firmware=len(kernel) if firmware else None,
                    initrds=list(range(first_initrd, len(sources))),
                    files=[describe(source, what) for what, source in sources],
                    disks=described,
                    devices=len(setup.devices),
                    snapshot=KeptSnapshot(os.fsencode(kept.archive), kept.name, kept.digest) if kept else None,
                ),
                *(Contents(source) for _, source in sources if isinstance(source, bytes)),
            ]

        for what, source in sources:
            if isinstance(source, bytes) and len(source) > LARGEST_CONTENT - 64:
                raise RecordingNotKept(f"the {what} of {len(source)} bytes is too large for a recording: give a file")
        self._opening = ThreadPoolExecutor(1)
        self._described = self._opening.submit(describe_all)

    # --- while the machine runs ------------------------------------------------------------------------------------

    def visit(self) -> StopReason | None:
        """See `Witness`."""
        machine = self._machine
        now = time.monotonic()
        since, self._marked = now - self._marked, now
        if machine.scheduler.attended:  # a hook stopped the machine at this count; a mark would not be the same again
            self.next_visit = machine.instructions + 1
            return None
        self._note_input()
        full = self._hash_memory() if now - self._begin >= self._memory_due else None
        self._append(Mark(machine.instructions, machine.boot, machine.now, machine.brief_hash(), full))
        self._flush(sync=now - self._synced > _SYNC_SECONDS)
        self._marks += 1
        if since < _SECONDS_APART or self._marks % _MARKS_OF_A_SPACING == 0:
            self._spacing *= 2
        elif since > 10 * _SECONDS_APART:
            self._spacing = max(self._spacing // 2, SMALLEST_SPACING << self._marks // _MARKS_OF_A_SPACING)
        self.next_visit = machine.instructions + self._spacing
        return None

    def _hash_memory(self) -> bytes:
        begin = time.monotonic()
        digest = bytes.fromhex(self._machine.state_hash())
        end = time.monotonic()
        self._memory_seconds += end - begin
        self._memory_due = max(2 * (end - self._begin), self._memory_seconds / _SHARE_OF_MEMORY_HASHES)
        return digest

    def end_run(self) -> None:
        """See `Witness`."""
        if self._file is not None:
            self._note_input()
            self._flush()

    def leave(self) -> None:
        """See `Witness`."""
        if self._file is not None:
            raise RunRecorded(
                f"the machine is being recorded in {self.path} and cannot go back: replay it, or go back in a fork"
            )

    def close(self) -> None:
        """Write the end, and let go of the file; harmless when repeated."""
        if self._file is None:
            return
        try:
            machine = self._machine
            self._note_input()
            reason = machine.stopped
            machine.scheduler.settle()
            self._append(
                End(
                    machine.instructions,
                    machine.boot,
                    machine.now,
                    machine.brief_hash(),
                    bytes.fromhex(machine.state_hash()),
                    None if reason is None else (reason.kind.value, reason.code, reason.message[:1000]),
                )
            )
            self._write_waiting()
            self._flush(sync=True)
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Let go of the file as it is."""
        if self._opening is not None:
            self._opening.shutdown(cancel_futures=True)
        file, self._file = self._file, None
        self.next_visit = 1 << 63
        if file is not None:
            with suppress(OSError):  # what could not be written has been reported
                file.close()

    # --- writing ---------------------------------------------------------------------------------------------------

    def _note_input(self) -> None:
        events = self._machine.journal.events
        for event in events[self._written_events :]:
            for at in range(0, max(len(event.typed), 1), _INPUT_AT_ONCE):
                typed = event.typed[at : at + _INPUT_AT_ONCE]
                self._append(Input(event.boot, event.time, typed, _window(event.size) if at == 0 else None))
        self._written_events = len(events)

    @property
    def _open_file(self) -> BinaryIO:
        assert self._file is not None
        return self._file

    def _append(self, record: Record) -> None:
        self._waiting.append(record)
        if self._described is None or self._described.done():
            self._write_waiting()

    def _write_waiting(self) -> None:
        """Write what had to wait for the origin; waits for that if need be."""
        if self._described is not None:
            described, self._described = self._described, None
            self._waiting[:0] = self._try(described.result)
        waiting, self._waiting = self._waiting, []
        for record in waiting:
            self._try(lambda: self._writer.append(record))  # noqa: B023

    def _flush(self, sync: bool = False) -> None:
        self._try(self._open_file.flush)
        if sync:
            self._try(lambda: os.fdatasync(self._open_file.fileno()))
            self._synced = time.monotonic()

    def _try(self, action: Callable[[], Result]) -> Result:
        try:
            return action()
        except OSError as error:
            self.abandon()
            what = f"{error.filename}: " if error.filename not in (None, str(self.path)) else ""
            reason = (error.strerror or str(error)).lower()
            raise RecordingNotKept(f"the recording {self.path} cannot be written ({what}{reason})") from error


def _window(size: tuple[int, int] | None) -> tuple[int, int] | None:
    """What a guest learns of any size."""
    return None if size is None else (min(max(size[0], 0), 0xFFFF), min(max(size[1], 0), 0xFFFF))


def _open(path: Path) -> BinaryIO:
    """Open the file for writing, which is new, empty or an older recording. Raises OSError."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o666)
    file = os.fdopen(descriptor, "r+b")
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OSError(errno.EBUSY, "another machine is being recorded in it") from None
        if file.read(len(MAGIC)) not in (b"", MAGIC):
            raise OSError(errno.EEXIST, "there is a file of that name that is no recording")
        file.seek(0)
        file.truncate()
    except BaseException:
        file.close()
        raise
    return file


def _describe_disk(path: FilePath, mode: DiskMode, disk: VersionedDisk) -> DiskFile:
    return DiskFile(os.fsencode(os.path.abspath(path)), mode.value, disk.sectors, content_digest(disk))
