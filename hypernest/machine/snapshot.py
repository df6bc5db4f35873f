"""A machine at one moment, kept: to go back to, and to begin any number of other machines with.

Taking one costs by what the machine has written since the last one, and so does going back. Machines that begin with
one share its memory, page by page, until they write it, and its disks, cluster by cluster.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypernest.disks import DiskVersion
from hypernest.engines.hart_state import HartState
from hypernest.machine.boot import Loaded
from hypernest.machine.custom_devices import DeviceChoice, device_makers
from hypernest.machine.outcome import StopReason
from hypernest.machine.setup import Setup
from hypernest.machine.state import BoardState
from hypernest.memory import MemoryImage

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from hypernest.history.archive import Archive, Entry
    from hypernest.machine.backend import ConsoleBackend
    from hypernest.machine.journal import Journal
    from hypernest.machine.machine import Machine


@dataclass(frozen=True, slots=True)
class Kept:
    """Where a snapshot that was loaded is: the file of its archive, its name there, and a digest of all of it."""

    archive: Path
    name: str
    digest: bytes


@dataclass(frozen=True, eq=False)
class Snapshot:
    """What a machine was made of and the state that it had: nothing of it changes. Made by `Machine.snapshot`.

    `boot` counts the machine's resets before, and `past` the instructions of those boots. `position` is how much of the
    machine's `journal` had happened. `kept` is where it was loaded from.
    """

    setup: Setup
    state: BoardState
    memory: MemoryImage = field(repr=False)
    disks: tuple[DiskVersion, ...]
    boot: int = 0
    past: int = 0
    reason: StopReason | None = None
    programs: tuple[Loaded, ...] = ()
    journal: Journal | None = field(default=None, repr=False)
    position: int = 0
    kept: Kept | None = None

    @property
    def instructions(self) -> int:
        """Instructions that all harts had executed since the machine was made, trapping ones included."""
        return self.past + self.state.scheduler.steps

    @property
    def now(self) -> int:
        """Guest time in nanoseconds since the machine was last switched on."""
        return self.state.scheduler.time

    def hart(self, number: int) -> HartState:
        """The registers of a hart, to read."""
        from hypernest.isa.layout import Layout
        from hypernest.isa.riscv.riscv64 import RISCV64

        hart = HartState(Layout(RISCV64.registers))
        hart.restore(self.state.harts[number])
        return hart

    def fork(
        self,
        *,
        engine: str | None = None,
        console: ConsoleBackend | None = None,
        clock: str = "virtual",
        record: str | os.PathLike[str] | None = None,
    ) -> Machine:
        """A machine of its own that goes on from here, on another `engine` if one is named.

        It knows nothing of what others do, and nobody of what it does: what it writes to memory and disks is its own
        and gone when it is closed. It skips idle time, whatever clock the machine of the snapshot followed, unless its
        `clock` is `wall`. `record` names a file for a recording of the run, for which this must be a snapshot that was
        loaded.
        """
        from hypernest.machine.machine import Machine

        return Machine.begin_with(self, engine=engine, console=console, clock=clock, record=record)

    def save(
        self,
        name: str,
        archive: Archive | str | os.PathLike[str] | None = None,
        *,
        parent: str | None = None,
        about: Mapping[str, Any] | None = None,
    ) -> Entry:
        """Keep it on disk under a new name: in the user's archive, or another one or the file of one, made if need be.

        `parent` names the snapshot there that this one was made from, `about` may describe it with plain data. Raises
        `SnapshotExists` or `SnapshotNotKept`, and then the file is as it was; see `hypernest.history.archive`.
        """
        # On disk it is a matter of the floor above.
        from hypernest.history import snapshots

        return snapshots.save(self, name, snapshots.open_archive(archive, writable=True), parent, about)

    @staticmethod
    def load(
        name: str, archive: Archive | str | os.PathLike[str] | None = None, *, devices: Sequence[DeviceChoice] = ()
    ) -> Snapshot:
        """The snapshot of that name in the user's archive, or another one or the file of one; any engine may go on.

        Memory and disks are loaded as they are looked at. A machine that goes on from it ends when the guest asks for a
        reset. If devices were added to the machine, `devices` must say the same as then. Raises `SnapshotMissing`,
        `BadSnapshot` if it is damaged or of another version, `SnapshotTooLarge`.
        """
        from hypernest.history import snapshots

        return snapshots.load(name, snapshots.open_archive(archive), device_makers(devices))

    def __repr__(self) -> str:
        harts = ", ".join(f"{self.hart(number)['pc']:#x}" for number in range(len(self.state.harts)))
        return f"<Snapshot at {self.instructions:,} instructions, {self.now / 1e9:.6f} s of guest time, pc {harts}>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))
