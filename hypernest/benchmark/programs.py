"""From a workload to what the peers run: compiled guests, and a kernel with an initial file system."""

from __future__ import annotations

from hypernest.benchmark.build import BARE, GUESTS, LINUX, Toolchain
from hypernest.benchmark.peers import BareProgram, LinuxProgram, Program
from hypernest.benchmark.workloads import Kind, Workload


def build_program(workload: Workload, native: Toolchain | None) -> Program:
    """Builds `workload`, or finds it built; raises `HypernestError` when a tool or the Debian image is missing."""
    match workload.kind:
        case Kind.BARE:
            return build_bare(workload, native)
        case Kind.LINUX:
            return build_linux(workload)


def build_bare(workload: Workload, native: Toolchain | None) -> BareProgram:
    sources = [GUESTS / f"{workload.program}.c"]
    defines = {"ITERS": workload.count}
    elf = BARE.build(sources, defines)
    return BareProgram(elf, None if native is None else native.build(sources, defines))


def build_linux(workload: Workload) -> LinuxProgram:
    raise NotImplementedError(LINUX)
