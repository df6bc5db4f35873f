"""Which QEMUs the host has: the suite compares with the fastest of them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hypernest.benchmark.build import MissingTool
from hypernest.errors import HypernestError

EMULATOR = "qemu-system-riscv64"
PACKAGES = "qemu-system-misc opensbi"
ANSWER_TIMEOUT_SECONDS = 20


class NoQemu(HypernestError):
    """A file named as a QEMU that is none."""

    exit_status = 2


@dataclass(frozen=True)
class QemuProgram:
    """An emulator of the host and its version, such as 7.2.22."""

    path: Path
    version: str


def find_qemus(named: Sequence[Path] = ()) -> list[QemuProgram]:
    """Every QEMU for RISC-V in the folders of PATH, and those `named`; each once, however many names it has.

    Raises `NoQemu` for a named file that is none, `MissingTool` when there is no QEMU at all.
    """
    on_path = (shutil.which(EMULATOR, path=folder) for folder in os.get_exec_path())
    candidates = [*(Path(path) for path in on_path if path is not None), *(path.absolute() for path in named)]
    programs = [QemuProgram(path, _version(path)) for path in {path.resolve(): path for path in candidates}.values()]
    if not programs:
        raise MissingTool(f"{EMULATOR} is not installed: apt-get install {PACKAGES} (Debian, Ubuntu).")
    return programs


def names_of(programs: Sequence[QemuProgram]) -> list[str]:
    """What to call each: `qemu` where there is only one, else by version too; no two alike."""
    if len(programs) == 1:
        return ["qemu"]
    names: list[str] = []
    for program in programs:
        name = f"qemu {program.version}"
        again = sum(other == name or other.startswith(f"{name} (") for other in names)
        names.append(f"{name} ({again + 1})" if again else name)
    return names


def _version(path: Path) -> str:
    try:
        done = subprocess.run(
            [path, "--version"],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=ANSWER_TIMEOUT_SECONDS,
        )
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise NoQemu(f"{path} cannot be run as a QEMU: {error}.") from error
    found = re.match(r"QEMU emulator version ([0-9][0-9A-Za-z.+~-]{0,40})", done.stdout)
    if found is None:
        raise NoQemu(f"{path} is not QEMU's system emulator: name a {EMULATOR}.")
    return found[1]
