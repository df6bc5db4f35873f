"""From a workload to what the peers run: compiled guests, and a kernel with an initial file system."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from hypernest.benchmark.build import BARE, GUESTS, LINUX, LINUX_SOURCES, BuildFailed, Toolchain
from hypernest.benchmark.peers import BareProgram, LinuxProgram, Program
from hypernest.benchmark.workloads import Kind, Workload
from hypernest.images import cpio, initramfs
from hypernest.images.cache import cache_folder, make_private

IMAGE = "debian"
GUEST_PATH = "bin/linux_workloads"
ONLY_BOOT = "echo bench: begin; echo bench: end 0x0000000000000000"


class BootableImage(Protocol):
    """What is needed of an image: see `hypernest.images`."""

    @property
    def kernel(self) -> Path: ...

    @property
    def initrds(self) -> Sequence[Path]: ...

    @property
    def append(self) -> str: ...


def build_program(workload: Workload, native: Mapping[Kind, Toolchain]) -> Program:
    """Builds `workload`, or finds it built, and with the toolchains `native` for this host too.

    Raises `HypernestError` when a tool or the Debian image cannot be had.
    """
    match workload.kind:
        case Kind.BARE:
            return build_bare(workload, native.get(Kind.BARE))
        case Kind.LINUX:
            from hypernest import images

            return build_linux(workload, images.pull(IMAGE), native.get(Kind.LINUX))


def build_bare(workload: Workload, native: Toolchain | None) -> BareProgram:
    """An ELF file, and with the toolchain `native` the same for this host."""
    sources = [GUESTS / f"{workload.program}.c"]
    defines = {"ITERS": workload.count}
    return BareProgram(BARE.build(sources, defines), None if native is None else native.build(sources, defines))


def build_linux(workload: Workload, image: BootableImage, native: Toolchain | None) -> LinuxProgram:
    """The image with one more layer over its initial file system: our program, and the command to run it.

    With the toolchain `native` also the same program for this host, where there is one to run.
    """
    arguments = (workload.program, str(workload.count)) if workload.program else ()
    command = " ".join((f"/{GUEST_PATH}", *arguments)) if arguments else ONLY_BOOT
    program = LINUX.build(LINUX_SOURCES)
    try:
        layers = [*(path.read_bytes() for path in image.initrds), initramfs.exec_overlay(command)]
        layers.insert(-1, cpio.archive([cpio.file(GUEST_PATH, program.read_bytes(), 0o755)]))
        initrd = _keep(b"".join(layers), workload.name)
    except OSError as error:
        raise BuildFailed(f"cannot make the initial file system of {workload.name}: {error}.") from error
    on_host = (str(native.build(LINUX_SOURCES)), *arguments) if native and arguments else None
    return LinuxProgram(image.kernel, initrd, image.append, on_host)


def _keep(content: bytes, name: str) -> Path:
    """Writes `content` to the cache folder, whole or not at all; one file that all peers boot from."""
    path = cache_folder() / "guests" / f"{name}-{hashlib.sha256(content).hexdigest()[:20]}.cpio"
    if not path.exists():
        make_private(path.parent)
        with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
            unfinished = Path(scratch) / path.name
            unfinished.write_bytes(content)
            os.replace(unfinished, path)
    return path
