"""What one must know about the host to read a measurement."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hypernest.benchmark.qemu import QemuProgram


@dataclass(frozen=True)
class HostFacts:
    """The host as it was when the suite started."""

    cpu: str
    cpus: int
    memory_bytes: int
    kernel: str
    python: str
    # Version by path; empty when QEMU does not take part.
    qemus: Mapping[str, str]
    # Mean number of runnable processes over 1, 5 and 15 minutes: much above zero, and times mean little.
    load_average: tuple[float, float, float]


def cpu_model(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name as Linux gives it, else the machine's architecture."""
    try:
        lines = cpuinfo.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def host_facts(qemus: Sequence[QemuProgram]) -> HostFacts:
    return HostFacts(
        cpu=cpu_model(),
        cpus=os.cpu_count() or 1,
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        kernel=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        qemus={str(program.path): program.version for program in qemus},
        load_average=os.getloadavg(),
    )
