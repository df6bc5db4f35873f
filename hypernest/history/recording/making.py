"""Making the machine that a recording speaks of, from files that are what they were."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hypernest.disks import SECTOR, DiskMode, content_digest
from hypernest.errors import BadConfiguration, HypernestError
from hypernest.history.recording.errors import BadRecording
from hypernest.history.recording.format import DiskFile, KeptSnapshot
from hypernest.history.recording.loading import Recording
from hypernest.history.recording.sources import HOW_TO_SAY, Finder, candidates, regular_size
from hypernest.machine.boot import BootPlan
from hypernest.machine.boot_files import Source
from hypernest.machine.configuration import open_disks
from hypernest.machine.custom_devices import DeviceChoice, device_makers
from hypernest.machine.engines import EngineMaker
from hypernest.machine.journal import Event
from hypernest.machine.machine import Machine
from hypernest.machine.setup import Setup
from hypernest.machine.snapshot import Snapshot

if TYPE_CHECKING:
    from hypernest.machine.backend import ConsoleBackend

FilePath = str | os.PathLike[str]


class Maker:
    """Makes any number of machines that repeat `recording`, with files that are looked for in `places` too.

    `devices` are those that were added to the machine. Raises `BadRecording` if a file is missing or another one.
    """

    def __init__(
        self, recording: Recording, places: Iterable[FilePath] = (), devices: Sequence[DeviceChoice] = ()
    ) -> None:
        origin = recording.origin
        self._recording, self._devices = recording, tuple(devices)
        self._places = [Path(place) for place in places]
        if len(devices) != origin.devices:
            raise BadRecording(
                f"the recorded machine had {origin.devices} devices of its own, not {len(devices)}: give the same ones"
            )
        finder = Finder(origin.image, self._places)
        self._files: list[Source] = [
            recording.contents[number] if file.path is None else finder.find(file)
            for number, file in enumerate(origin.files)
        ]
        self._disks = [self._find_disk(disk) for disk in origin.disks]
        self._snapshot = None if origin.snapshot is None else self._find_snapshot(origin.snapshot)

    def make(self, engine: EngineMaker, console: ConsoleBackend | None = None) -> Machine:
        """A machine at the beginning, which will repeat what was recorded. It writes to no disk."""
        origin, files = self._recording.origin, self._files
        if self._snapshot is not None:
            machine = fork_with(self._snapshot, engine, console)
        else:
            plan = BootPlan(
                None if origin.kernel is None else files[origin.kernel],
                tuple(files[number] for number in origin.initrds),
                origin.append,
                None if origin.firmware is None else files[origin.firmware],
            )
            setup = Setup(
                memory_size=origin.memory_size,
                harts=origin.harts,
                engine=engine,
                seed=origin.seed,
                epoch=origin.epoch,
                follow_wall=False,
                reboot=origin.reboot,
                hosted=plan.firmware is None,
                plan=plan,
                title=origin.title,
                devices=device_makers(self._devices),
            )
            machine = Machine.made_of(setup, open_disks([(path, mode) for path, mode in self._disks]), console)
        machine.journal.events.extend(self.events())
        return machine

    def events(self) -> Sequence[Event]:
        """What came from outside, and that nothing more is known behind it if the machine could have gone on."""
        recording = self._recording
        if recording.last is None or recording.reason is not None:
            return recording.events
        return [*recording.events, Event(recording.last.boot, recording.last.time, ends=True)]

    def _find_disk(self, disk: DiskFile) -> tuple[Path, DiskMode]:
        there = Path(os.fsdecode(disk.path))
        mode = DiskMode.READONLY if disk.mode == DiskMode.READONLY.value else DiskMode.OVERLAY
        seen = f"{there} is not there"
        for path in candidates(self._places, there):
            size = regular_size(path)
            if size is None or size // SECTOR != disk.sectors:
                seen = seen if size is None or path != there else f"{path} has {size} bytes"
                continue
            try:
                (opened,) = open_disks([(path, mode)])
            except BadConfiguration:
                if path in (*self._places, there):
                    raise
                continue  # something else in a folder, which is in use
            digest = content_digest(opened)
            opened.close()
            if digest == disk.digest:
                return path, mode
            seen = f"{path} has {digest.hex()[:16]}" if path == there else seen
        advice = " as it was before the run" if disk.mode == DiskMode.WRITABLE.value else ""
        raise BadRecording(
            f"the recording was made with another disk: it expects the BLAKE2b {disk.digest.hex()[:16]}"
            f" ({disk.sectors} sectors), but {seen}: say where a copy of the disk{advice} is, {HOW_TO_SAY}"
        )

    def _find_snapshot(self, kept: KeptSnapshot) -> Snapshot:
        there = Path(os.fsdecode(kept.archive))
        seen: str | None = None
        for path in candidates(self._places, there):
            if regular_size(path) is None:
                continue
            try:
                snapshot = Snapshot.load(kept.name, path, devices=self._devices)
            except HypernestError as error:
                if path in (*self._places, there):  # of what else is in a folder nobody wants to hear
                    seen = seen or str(error)
                continue
            if snapshot.kept is not None and snapshot.kept.digest == kept.digest:
                return snapshot
            seen = f"the snapshot of that name in {path} is another one"
        raise BadRecording(
            f"the recording goes on with the snapshot {kept.name!r} in {there}, but"
            f" {seen or 'that file is not there'}: say where the file with the snapshot is, {HOW_TO_SAY}"
        )


def fork_with(snapshot: Snapshot, engine: EngineMaker, console: ConsoleBackend | None = None) -> Machine:
    """A fork on that very engine."""
    return replace(snapshot, setup=replace(snapshot.setup, engine=engine)).fork(console=console)
