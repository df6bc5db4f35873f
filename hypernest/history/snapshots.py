"""Snapshots of machines in archives: what of one is written down, and what of that is believed.

What a snapshot says about the machine is checked as if a user had asked for that machine, and its state again when a
machine takes it. Names of files on the host are not written down, so that no archive can make a machine read one; so a
machine that began with a loaded snapshot ends when the guest asks for a reset.
"""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypernest.cache import cache_folder
from hypernest.disks import SECTOR, DiskVersion, OverlayDisk, VersionedDisk, data_clusters
from hypernest.errors import BadConfiguration
from hypernest.history.archive import (
    BLOCK,
    Archive,
    BadSnapshot,
    Blocks,
    Entry,
    Expansions,
    Saved,
    SavedStream,
    file_blocks,
)
from hypernest.machine.board import MAXIMUM_DISKS
from hypernest.machine.boot import Loaded
from hypernest.machine.boot_files import Source
from hypernest.machine.configuration import memory_size, number_of_harts
from hypernest.machine.custom_devices import DeviceMaker
from hypernest.machine.engines import EngineMaker
from hypernest.machine.outcome import StopReason
from hypernest.machine.setup import Setup
from hypernest.machine.snapshot import Kept, Snapshot
from hypernest.machine.state import BadState, BoardState, decode_state, encode_state
from hypernest.memory import MemoryImage
from hypernest.memory.image import FrozenFile

FORMAT = 1
"""Of `SavedMachine`; the board's state has no number of its own, so every change of a device's state is a new one."""

_RAM = "ram"
_ELF = b"\x7fELF"
_LARGEST_PROGRAM = 16 << 20
_NO_PROGRAM = b"\0"  # stands for a file that has no symbols anyway


@dataclass(frozen=True, slots=True)
class SavedProgram:
    """A program that was loaded; what it is made of is a stream of its own, for the sake of its symbols."""

    what: str
    address: int
    size: int


@dataclass(frozen=True, slots=True)
class SavedDisk:
    """What a guest is told about a disk; its content is a stream."""

    sectors: int
    readonly: bool


@dataclass(frozen=True, slots=True)
class SavedMachine:
    """All of a `Snapshot` but memory and the content of disks."""

    format: int
    memory_size: int
    harts: int
    seed: int
    epoch: int
    reboot: bool
    hosted: bool
    title: str
    board: BoardState
    boot: int
    past: int
    reason: StopReason | None
    programs: list[SavedProgram]
    disks: list[SavedDisk]


@dataclass(frozen=True, slots=True)
class _AnyFormat:
    format: int


def default_path() -> Path:
    """The user's archive: `hypernest/snapshots` in `$XDG_DATA_HOME` or in `~/.local/share`; it need not exist yet."""
    if (base := os.environ.get("XDG_DATA_HOME", "")).startswith("/"):
        return Path(base, "hypernest", "snapshots")
    try:
        return Path.home() / ".local" / "share" / "hypernest" / "snapshots"
    except RuntimeError as error:
        raise BadConfiguration("no home folder is known for snapshots: name a file for them") from error


def open_archive(where: Archive | str | os.PathLike[str] | None = None, *, writable: bool = False) -> Archive:
    """The user's archive or the one in the file `where`, whose snapshots are unpacked in the cache folder when loaded.

    An open one stays as it is.
    """
    if isinstance(where, Archive):
        return where
    path = default_path() if where is None else where
    return Archive(path, writable=writable, expansions=Expansions(cache_folder() / "snapshots"))


# --- saving --------------------------------------------------------------------------------------------------------


def save(
    snapshot: Snapshot, name: str, archive: Archive, parent: str | None = None, about: Mapping[str, Any] | None = None
) -> Entry:
    """Keep `snapshot` in an archive under a new name, with a description of its own beside the machine's.

    Raises what `Archive.save` does.
    """
    programs = [(loaded, _program(loaded.source)) for loaded in snapshot.programs]
    machine = SavedMachine(
        format=FORMAT,
        memory_size=snapshot.memory.size,
        harts=snapshot.setup.harts,
        seed=snapshot.setup.seed,
        epoch=snapshot.setup.epoch,
        reboot=snapshot.setup.reboot,
        hosted=snapshot.setup.hosted,
        title=snapshot.setup.title,
        board=snapshot.state,
        boot=snapshot.boot,
        past=snapshot.past,
        reason=snapshot.reason,
        programs=[SavedProgram(loaded.what, loaded.address, len(content)) for loaded, content in programs],
        disks=[SavedDisk(disk.sectors, disk.readonly) for disk in snapshot.disks],
    )
    streams = {_RAM: Blocks(snapshot.memory.size, _memory_blocks(snapshot.memory))}
    for number, disk in enumerate(snapshot.disks):
        streams[f"disk{number}"] = Blocks(disk.sectors * SECTOR, data_clusters(disk))
    for number, (_, content) in enumerate(programs):
        streams[f"program{number}"] = Blocks(len(content), [(0, content)], keep_zeros=True)
    return archive.save(name, encode_state(machine), streams, {**describe(snapshot), **(about or {})}, parent)


def describe(snapshot: Snapshot) -> dict[str, Any]:
    """What a list of snapshots shows."""
    return {
        "guest": snapshot.setup.title,
        "memory": snapshot.memory.size,
        "harts": snapshot.setup.harts,
        "disks": len(snapshot.disks),
        "instructions": snapshot.instructions,
        "now": snapshot.now,
        "pc": [snapshot.hart(number)["pc"] for number in range(snapshot.setup.harts)],
    }


def _memory_blocks(image: MemoryImage) -> Iterator[tuple[int, bytes]]:
    """What is in the image's file, unless it was changed, and then what was changed."""
    changed = image.changed
    for first, data in file_blocks(image.file.descriptor, image.size):
        begin = 0
        for index in range(len(data) // BLOCK):
            if first + index in changed:
                if begin < index:
                    yield first + begin, data[begin * BLOCK : index * BLOCK]
                begin = index + 1
        if begin * BLOCK < len(data):
            yield first + begin, data[begin * BLOCK :] if begin else data
    yield from sorted(changed.items())


def _program(source: Source) -> bytes:
    """An ELF program, which may have symbols; next to nothing for others, and for what is not there any more."""
    try:
        if isinstance(source, bytes):
            data = source
        else:
            with open(source, "rb") as file:
                data = file.read(4)
                if data == _ELF:
                    data += file.read(_LARGEST_PROGRAM)
    except OSError:
        return _NO_PROGRAM
    return data if data.startswith(_ELF) and len(data) <= _LARGEST_PROGRAM else _NO_PROGRAM


# --- loading -------------------------------------------------------------------------------------------------------


def load(name: str, archive: Archive, devices: tuple[DeviceMaker, ...] = ()) -> Snapshot:
    """The snapshot `name`, to be forked; memory and disks are loaded as they are looked at, see `SavedStream.image`.

    Raises what `Archive.load` does, `BadSnapshot` if it is of another version or damaged, `SnapshotTooLarge`.
    """
    with archive.load(name) as saved:
        try:
            machine = _machine(saved.state)
            _check(machine)
            return Snapshot(
                setup=Setup(
                    memory_size=machine.memory_size,
                    harts=machine.harts,
                    engine=EngineMaker("auto"),
                    seed=machine.seed,
                    epoch=machine.epoch,
                    follow_wall=False,
                    reboot=machine.reboot,
                    hosted=machine.hosted,
                    plan=None,
                    title=machine.title,
                    devices=devices,
                ),
                state=machine.board,
                memory=_memory(saved, machine.memory_size),
                disks=tuple(_disk(saved, number, disk) for number, disk in enumerate(machine.disks)),
                boot=machine.boot,
                past=machine.past,
                reason=machine.reason,
                programs=tuple(_loaded(saved, number, program) for number, program in enumerate(machine.programs)),
                kept=Kept(archive.path.absolute(), name, saved.digest),
            )
        except (BadState, BadConfiguration) as error:
            raise BadSnapshot(f"the snapshot {name!r} in {archive.path} cannot be used: {error}") from error


def _machine(state: bytes) -> SavedMachine:
    found = decode_state(state, _AnyFormat).format
    if found != FORMAT:
        raise BadState(f"its state has format {found} and this version of hypernest knows {FORMAT}: use the other one")
    return decode_state(state, SavedMachine)


def _check(machine: SavedMachine) -> None:
    memory_size(machine.memory_size)
    number_of_harts(machine.harts)
    sensible = (
        len(machine.board.harts) == machine.harts
        and len(machine.disks) <= MAXIMUM_DISKS
        and len(machine.programs) <= 2
        and machine.seed < 1 << 64
        and max(machine.epoch, machine.past, machine.boot) < 1 << 63
        and len(machine.title) <= 1000
        and machine.title.isprintable()
    )
    if not sensible:
        raise BadState("it says what cannot be: it is damaged")
    _check_harts(machine.board.harts)


def _check_harts(harts: list[bytes]) -> None:
    from hypernest.engines.hart_state import HartState
    from hypernest.isa.layout import Layout
    from hypernest.isa.riscv.riscv64 import RISCV64

    like = HartState(Layout(RISCV64.registers))
    for hart in harts:
        if problem := like.problem(hart):
            raise BadState(f"{problem}: it is damaged or of another version")


def _memory(saved: Saved, size: int) -> MemoryImage:
    stream = saved.open(_RAM)
    if stream.size != size:
        raise BadState("its memory has another size than it says: it is damaged")
    return MemoryImage(FrozenFile(stream.image(), size), {})


def _disk(saved: Saved, number: int, disk: SavedDisk) -> DiskVersion:
    stream = saved.open(f"disk{number}")
    if not disk.sectors or stream.size != disk.sectors * SECTOR:
        raise BadState("a disk has another size than it says: it is damaged")
    return VersionedDisk(OverlayDisk(SavedContent(stream, disk.readonly), readonly=disk.readonly)).freeze()


def _loaded(saved: Saved, number: int, program: SavedProgram) -> Loaded:
    stream = saved.open(f"program{number}")
    if program.what not in ("kernel", "firmware") or not 0 < stream.size == program.size <= _LARGEST_PROGRAM:
        raise BadState("a program makes no sense: it is damaged")
    content = bytearray(stream.size)
    for block, data in stream.all_blocks():
        content[block * BLOCK : (block + 1) * BLOCK] = data[: stream.size - block * BLOCK]
    return Loaded(bytes(content), program.what, program.address)


class SavedContent:
    """What a disk held, from an archive: a `Content` in a file that nobody writes."""

    def __init__(self, stream: SavedStream, readonly: bool) -> None:
        self.sectors, self.readonly = stream.size // SECTOR, readonly
        self._identity = "saved", stream.content_digest()
        self._file = FrozenFile(stream.image(), stream.size)

    def read(self, offset: int, count: int) -> bytes:
        """See `Content`."""
        data = b""
        while len(data) < count and (part := os.pread(self._file.descriptor, count - len(data), offset + len(data))):
            data = data + part if data else part
        if len(data) != count or offset < 0:
            raise OSError("outside the disk")
        return data

    def data_ranges(self, offset: int, count: int) -> Iterator[tuple[int, int]]:
        """See `Content`."""
        from hypernest.memory.image import data_runs

        for first, end in data_runs(self._file.descriptor, self._file.size):
            begin, stop = max(first * BLOCK, offset), min(end * BLOCK, offset + count)
            if begin < stop:
                yield begin, stop - begin

    def identity(self) -> Hashable | None:
        """See `Content`."""
        return self._identity
