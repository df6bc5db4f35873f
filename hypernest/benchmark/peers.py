"""Who takes part: how each peer runs a program."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from hypernest.benchmark.qemu import QemuProgram

MEMORY = "512M"


@dataclass(frozen=True)
class BareProgram:
    """An ELF file entered in M-mode at 0x8000_0000, and the same sources built for this host."""

    elf: Path
    native: Path | None = None


@dataclass(frozen=True)
class LinuxProgram:
    """A kernel whose initial file system runs the workload and powers off, and the same as a command of this host."""

    kernel: Path
    initrd: Path
    append: str
    native: tuple[str, ...] | None = None


Program = BareProgram | LinuxProgram


@dataclass(frozen=True)
class Job:
    """One run that a peer is asked for.

    The peer may leave its counters in the JSON file `stats` (keys as `hypernest run --stats` writes them), and must
    keep what it generates in the folder `cache` (which need not exist) and use nothing generated elsewhere.
    """

    program: Program
    stats: Path
    cache: Path


@dataclass(frozen=True)
class Invocation:
    """A command line, and what it needs in its environment besides the usual."""

    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


class Peer(Protocol):
    """Somebody who can run programs."""

    @property
    def name(self) -> str: ...

    @property
    def generates(self) -> bool:
        """Whether it keeps generated code in the cache, so that a first run is slower than the second."""
        ...

    def invocation(self, job: Job, /) -> Invocation | None:
        """How to run the program to its end; `None` when this peer does not take part."""
        ...


@dataclass(frozen=True)
class Qemu:
    """QEMU's system emulator with its translator, one hart."""

    program: QemuProgram
    name: str = "qemu"
    generates: bool = False

    def invocation(self, job: Job, /) -> Invocation | None:
        machine = (str(self.program.path), "-M", "virt", "-m", MEMORY, "-nographic", "-no-reboot")
        match job.program:
            case BareProgram():
                return Invocation((*machine, "-bios", "none", "-kernel", str(job.program.elf)))
            case LinuxProgram():
                files = ("-kernel", str(job.program.kernel), "-initrd", str(job.program.initrd))
                return Invocation((*machine, "-bios", "default", *files, "-append", job.program.append))


@dataclass(frozen=True)
class Hypernest:
    """This hypernest, run as a user runs it, with a cache of the suite's own; `options` go to `hypernest run`."""

    engine: str = "auto"
    options: tuple[str, ...] = ()
    name: str = "hypernest"
    generates: bool = True

    def invocation(self, job: Job, /) -> Invocation | None:
        options = ("--memory", MEMORY, "--engine", self.engine, "--stats", str(job.stats), *self.options)
        run = (sys.executable, "-m", "hypernest", "run", *options)
        # The guest's files are named by their paths, so that images are found wherever they are.
        environment = {"HYPERNEST_CACHE": str(job.cache)}
        match job.program:
            case BareProgram():
                return Invocation((*run, "--firmware", str(job.program.elf)), environment)
            case LinuxProgram():
                files = ("--kernel", str(job.program.kernel), "--initrd", str(job.program.initrd))
                return Invocation((*run, *files, "--append", job.program.append), environment)


@dataclass(frozen=True)
class Native:
    """The host itself: the bound that no emulation reaches on the same sources."""

    name: str = "native"
    generates: bool = False

    def invocation(self, job: Job, /) -> Invocation | None:
        match job.program:
            case BareProgram(native=Path() as program):
                return Invocation((str(program),))
            case LinuxProgram(native=(_, *_) as command):
                return Invocation(tuple(command))
        return None
