"""What one must know about the host to read a measurement."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class HostFacts:
    """The host as it was when the suite started."""

    cpu: str
    cpus: int
    memory_bytes: int
    kernel: str
    python: str
    qemu: str
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


def qemu_version() -> str:
    """The version line of QEMU, or `not installed`."""
    qemu = shutil.which("qemu-system-riscv64")
    if qemu is None:
        return "not installed"
    done = subprocess.run([qemu, "--version"], capture_output=True, text=True, errors="replace", check=False)
    return next(iter(done.stdout.splitlines()), "unknown version")


def host_facts() -> HostFacts:
    return HostFacts(
        cpu=cpu_model(),
        cpus=os.cpu_count() or 1,
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        kernel=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        qemu=qemu_version(),
        load_average=os.getloadavg(),
    )
