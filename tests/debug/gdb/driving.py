"""Debian's gdb, driven in batch mode against a machine in this process; and the small program that it debugs."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from hypernest.debug.gdb.machine_target import MachineTarget
from hypernest.debug.gdb.server import GdbServer
from hypernest.debug.gdb.session import Departure
from hypernest.machine import Machine

DEADLINE_SECONDS = 240  # generous: the machine may be busy
on_every_engine = pytest.mark.parametrize("engine", ["reference", "interpreter", "translator"])
SOURCE = Path(__file__).parent / "program.c"

_COMPILER = (
    *("riscv64-linux-gnu-gcc", "-g", "-O0", "-nostdlib", "-nostartfiles", "-static"),
    *("-fno-pic", "-no-pie", "-march=rv64gc", "-mabi=lp64d", "-mcmodel=medany", "-Wl,--build-id=none"),
    *("-Wl,--no-warn-rwx-segments", "-Wl,--no-relax", "-Wl,-Ttext=0x80000000", "-Wl,-n"),
)


class GdbGone(Exception):
    """gdb has ended without saying goodbye."""


def compile_program(folder: Path, *options: str) -> Path:
    """The program, linked to run in M-mode at the start of RAM."""
    program = folder / "program.elf"
    subprocess.run([*_COMPILER, *options, "-o", program, SOURCE], check=True, timeout=DEADLINE_SECONDS)
    return program


def debug(machine: Machine, script: str, *files: Path, departure: Departure = Departure.DETACHED) -> str:
    """What gdb prints, errors included, when it executes `script` connected to `machine`."""
    process: subprocess.Popen[str] | None = None

    def check() -> None:
        if process is not None and process.poll() is not None:
            raise GdbGone(process.communicate()[0])

    target = MachineTarget(machine, check)
    with GdbServer(target, target.registers) as server:
        lines = [
            *("set confirm off", "set pagination off", "set width 0", "set debuginfod enabled off"),
            *("set remotetimeout 60", f"target remote :{server.port}", *script.strip().splitlines()),
        ]
        arguments = [argument for line in lines for argument in ("-ex", line.strip())]
        process = subprocess.Popen(
            ["gdb-multiarch", "-nx", "-batch", *arguments, *files],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            assert server.serve() is departure
            return process.communicate(timeout=DEADLINE_SECONDS)[0]
        finally:
            process.kill()
            process.wait()


def session(program: Path, script: str, harts: int = 1, engine: str = "interpreter") -> str:
    """What gdb prints, debugging the program from its beginning."""
    with Machine(firmware=program, memory="16M", harts=harts, engine=engine) as machine:
        return debug(machine, script, program)


def in_order(text: str, *expected: str) -> None:
    """Each of the patterns is found in `text`, behind the one before."""
    at = 0
    for pattern in expected:
        found = re.compile(pattern, re.MULTILINE).search(text, at)
        assert found, f"{pattern!r} is not in {text[at:]}"
        at = found.end()
