"""The machine as a Python program uses it."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from hypernest.disks import DiskMode, VersionedDisk
from hypernest.errors import BadConfiguration
from hypernest.machine.backend import ConsoleBackend
from hypernest.machine.boot import BootPlan
from hypernest.machine.boot_files import Source
from hypernest.machine.configuration import FilePath, choice, memory_size, number_of_harts, open_disks, whole_number
from hypernest.machine.custom_devices import DeviceChoice, device_makers
from hypernest.machine.engines import ENGINES, MEMORY_PATHS, EngineMaker
from hypernest.machine.outcome import StopReason
from hypernest.machine.remembering import RememberingMachine
from hypernest.machine.setup import Setup
from hypernest.machine.snapshot import Snapshot
from hypernest.machine.statistics import Totals

if TYPE_CHECKING:
    from hypernest.debug.backtrace import Frame
    from hypernest.debug.disassembly import Instruction
    from hypernest.debug.machine_symbols import MachineSymbols
    from hypernest.images import Image

EPOCH = 1_767_225_600 * 10**9
"""The date at which machines with a virtual clock are switched on, 2026-01-01, so that runs repeat to the bit."""

CLOCKS = ("virtual", "wall")


class Machine(RememberingMachine):
    """A RISC-V computer: one to eight harts, memory, and the devices of QEMU's `virt` board.

    What boots: an `image` (a name such as `debian`, or an `Image`), or a `kernel` (Linux Image, ELF or flat binary:
    a path or its bytes) with `initrd`s that are concatenated; both together mean the image with another kernel. The
    built-in SBI enters the kernel in S-mode; with `firmware` that program starts in M-mode instead and finds the
    kernel behind it, if there is one. `append` is put behind the image's kernel command line.

    `engine` is `auto`, `reference`, `interpreter` or `translator`; `memory_path` is how compiled code finds memory:
    a table in software (`soft`) or host pages (`host`: quicker where the guest seldom changes its page tables).
    `disks` are paths of raw disk images, or (path, mode) pairs; a mode is `readonly` (or True) or `overlay`: then the
    guest may write, but what it writes stays in memory, and is gone in the end.
    `devices` are devices of your own (docs/devices.md): classes, or functions without arguments that make one, or such
    with an address, or with an address and the number of an interrupt.
    `console` is a back end to attach a person or a pipe; without one the guest is spoken to with `Machine.console`.
    With `clock="wall"` idle time passes as outside; with `"virtual"` it is skipped, and a run follows from the
    arguments, `seed` included, to the bit. When the guest asks for a reset it restarts from its files, unless `reboot`
    is false: then the run ends. `record` names a file for a recording of the run, see `hypernest.replay`.

    Raises `BadConfiguration` or `BadImage` for what cannot be. Use it as a context manager, or `close` it.
    """

    def __init__(
        self,
        image: str | Image | None = None,
        *,
        kernel: Source | None = None,
        initrd: Sequence[Source] = (),
        append: str | None = None,
        firmware: Source | None = None,
        disks: Sequence[FilePath | tuple[FilePath, DiskMode | str | bool]] = (),
        devices: Sequence[DeviceChoice] = (),
        memory: int | str = "512M",
        harts: int = 1,
        engine: str = "auto",
        memory_path: str = "soft",
        console: ConsoleBackend | None = None,
        seed: int = 0,
        clock: str = "virtual",
        reboot: bool = True,
        record: FilePath | None = None,
    ) -> None:
        begin = time.perf_counter()
        maker = EngineMaker(choice("engine", engine, ENGINES), choice("memory path", memory_path, MEMORY_PATHS))
        follow_wall = choice("clock", clock, CLOCKS) == "wall"
        seed = whole_number(seed, "seed")
        if not 0 <= seed < 1 << 64:
            raise BadConfiguration(f"the seed {seed} is not possible: give a number of 64 bits")
        if isinstance(initrd, str | bytes | os.PathLike):
            raise BadConfiguration("initrd is one file: give a list of files, as in initrd=[path]")
        plan = _plan(image, kernel, tuple(initrd), append, firmware)
        setup = Setup(
            memory_size=memory_size(memory),
            harts=number_of_harts(harts),
            engine=maker,
            seed=seed,
            epoch=time.time_ns() if follow_wall else EPOCH,
            follow_wall=follow_wall,
            reboot=reboot,
            hosted=plan.firmware is None,
            plan=plan,
            title=_title(image, kernel, firmware),
            devices=device_makers(devices),
        )
        self._prepare(setup, open_disks(disks), console)
        self._or_close_disks(self._switch_on)
        if record is not None:
            from hypernest.history import recording

            self._or_close(lambda: recording.record(self, record, image=image, disks=disks))
        self._startup_seconds = time.perf_counter() - begin

    @classmethod
    def made_of(cls, setup: Setup, disks: list[VersionedDisk], console: ConsoleBackend | None = None) -> Machine:
        """A machine of what another one was made of, switched on. It owns the `disks`. For `history`."""
        machine = cls.__new__(cls)
        machine._prepare(setup, disks, console)
        machine._or_close_disks(machine._switch_on)
        return machine

    @classmethod
    def begin_with(
        cls,
        snapshot: Snapshot,
        *,
        engine: str | None = None,
        console: ConsoleBackend | None = None,
        clock: str = "virtual",
        record: FilePath | None = None,
    ) -> Machine:
        """A machine that goes on from `snapshot` by itself; see `Snapshot.fork`."""
        begin = time.perf_counter()
        setup = replace(snapshot.setup, follow_wall=choice("clock", clock, CLOCKS) == "wall")
        if engine is not None and choice("engine", engine, ENGINES) not in ("auto", setup.engine.name):
            setup = replace(setup, engine=EngineMaker(engine))
        machine = cls.__new__(cls)
        machine._prepare(setup, [VersionedDisk(version.fork()) for version in snapshot.disks], console)
        machine._boot, machine._past = snapshot.boot, Totals(instructions=snapshot.past)
        machine._or_close_disks(lambda: machine._begin_with(snapshot))
        if record is not None:
            from hypernest.history import recording

            machine._or_close(lambda: recording.record(machine, record, snapshot=snapshot))
        machine._startup_seconds = time.perf_counter() - begin
        return machine

    def serve_gdb(self, port: int = 0, wait: bool = True) -> StopReason | None:
        """Let gdb debug the machine, at a `port` of this computer (0: any free one) that is told on standard error.

        With `wait` the machine stands still until gdb is there, without it runs. Returns when gdb has detached or
        killed: None; or when the machine has stopped for good. `BadConfiguration` if the port cannot be had.
        """
        from hypernest.debug.gdb import serve

        self._open_board()
        return serve(self, port, wait)

    @cached_property
    def symbols(self) -> MachineSymbols:
        """Names of addresses in the guest: `symbols["panic"]`, `symbols.find(address)`, `symbols.add(path)`."""
        from hypernest.debug.machine_symbols import MachineSymbols

        return MachineSymbols(self)

    def disassemble(self, address: int | str | None = None, count: int = 8, hart: int = 0) -> Sequence[Instruction]:
        """Up to `count` instructions as `hart` would find them, from an address, a symbol, or its pc on.

        Raises `OutOfRange` or `NotMapped` if nothing is there, `NoSuchPlace` if the symbol is not known.
        """
        from hypernest.debug.disassembly import disassemble

        one = self.harts[hart]
        start = one.pc if address is None else self.symbols.resolve(address)
        return disassemble(one.memory, start, count, lambda at: self.symbols.find(at, one))

    def backtrace(self, hart: int = 0, limit: int = 256) -> Sequence[Frame]:
        """The functions in which `hart` is, the innermost first: where each goes on, its symbol, line and CFA.

        Raises `BadImage` if a program's debug information is damaged.
        """
        from hypernest.debug.backtrace import backtrace

        return backtrace(self, hart, limit)

    def __repr__(self) -> str:
        from hypernest.debug.presentation import machine_text

        return machine_text(self)

    def _repr_html_(self) -> str:
        from hypernest.debug.presentation import machine_html

        return machine_html(self)

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _title(image: str | Image | None, kernel: Source | None, firmware: Source | None) -> str:
    """What runs, in a word or two for people."""
    name = image if isinstance(image, str) else getattr(image, "name", None)
    files = (Path(os.fsdecode(each)).name for each in (kernel, firmware) if isinstance(each, str | os.PathLike))
    return " ".join(filter(None, (name, *files))) or "program"


def _plan(
    image: str | Image | None,
    kernel: Source | None,
    initrd: tuple[Source, ...],
    append: str | None,
    firmware: Source | None,
) -> BootPlan:
    """What boots, with what an image contributes in front."""
    if isinstance(image, str):
        from hypernest.images import find

        image = find(image)
    if image is not None:
        kernel = image.kernel if kernel is None else kernel
        initrd = (*image.initrds, *initrd)
        append = " ".join(filter(None, (image.append, append)))
    if kernel is None and firmware is None:
        raise BadConfiguration("there is nothing to boot: give an image, a kernel or a firmware")
    return BootPlan(kernel, initrd, append or "", firmware)
