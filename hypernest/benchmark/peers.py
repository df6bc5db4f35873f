"""Who takes part: how each peer runs a program."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from hypernest.benchmark.build import find_tool

MEMORY = "512M"


@dataclass(frozen=True)
class BareProgram:
    """An ELF file entered in M-mode at 0x8000_0000, and the same sources built for this host."""

    elf: Path
    native: Path | None = None


@dataclass(frozen=True)
class LinuxProgram:
    """A kernel whose initial file system runs the workload and powers off."""

    kernel: Path
    initrd: Path
    append: str


Program = BareProgram | LinuxProgram


@dataclass(frozen=True)
class Job:
    """One run that a peer is asked for.

    The peer may leave its counters in the JSON file `stats` (keys as `hypernest run --stats` writes them). With
    `empty_cache` it must keep what it generates there and use nothing generated before.
    """

    program: Program
    stats: Path
    empty_cache: Path | None = None


@dataclass(frozen=True)
class Invocation:
    """A command line, and what it needs in its environment besides the usual."""

    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


class Peer(Protocol):
    """Somebody who can run programs."""

    @property
    def name(self) -> str: ...

    def invocation(self, job: Job, /) -> Invocation | None:
        """How to run the program to its end; `None` when this peer does not take part."""
        ...


@dataclass(frozen=True)
class Qemu:
    """QEMU's system emulator with its translator, one hart."""

    name: str = "qemu"

    def invocation(self, job: Job, /) -> Invocation | None:
        if job.empty_cache is not None:
            return None
        qemu = find_tool("qemu-system-riscv64", "qemu-system-misc opensbi")
        machine = (qemu, "-M", "virt", "-m", MEMORY, "-nographic", "-no-reboot")
        match job.program:
            case BareProgram():
                return Invocation((*machine, "-bios", "none", "-kernel", str(job.program.elf)))
            case LinuxProgram():
                files = ("-kernel", str(job.program.kernel), "-initrd", str(job.program.initrd))
                return Invocation((*machine, "-bios", "default", *files, "-append", job.program.append))


@dataclass(frozen=True)
class Hypernest:
    """This hypernest, run as a user runs it."""

    engine: str = "auto"
    name: str = "hypernest"

    def invocation(self, job: Job, /) -> Invocation | None:
        options = ("--memory", MEMORY, "--engine", self.engine, "--stats", str(job.stats))
        run = (sys.executable, "-m", "hypernest", "run", *options)
        environment = {} if job.empty_cache is None else {"HYPERNEST_CACHE": str(job.empty_cache)}
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

    def invocation(self, job: Job, /) -> Invocation | None:
        match job:
            case Job(program=BareProgram(native=Path() as native), empty_cache=None):
                return Invocation((str(native),))
        return None
