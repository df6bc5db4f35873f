"""A machine that gdb takes over: what `run --gdb` and `debug` have in common."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hypernest.machine.machine import Machine
    from hypernest.machine.outcome import StopReason

_ELF = b"\x7fELF"
_LARGEST_PORT = 65535


def port(text: str) -> int:
    """A port to listen on; 0 means any."""
    if not text.isdecimal() or not text.isascii() or int(text[:6]) > _LARGEST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: give 0 to {_LARGEST_PORT}")
    return int(text)


def program_for_gdb(arguments: argparse.Namespace) -> Path | None:
    """The ELF file among what boots, which has the symbols; the kernel if there are two."""
    for path in (arguments.kernel, arguments.firmware):
        if path is not None and _begins_with(path, _ELF):
            return Path(path)
    return None


def _begins_with(path: Path, magic: bytes) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(magic)) == magic
    except OSError:
        return False


def run_debugged(machine: Machine, number: int, program: Path | None) -> StopReason | None:
    """Wait for gdb at that port, say so on standard error, and run the machine as it says.

    When gdb lets go the machine runs by itself, and another gdb may come. Returns what ended the machine, None if gdb
    did.
    """

    from hypernest.debug.gdb import how_to_connect

    def announce(listening: int) -> None:
        command = how_to_connect(listening, shlex.quote(str(program)) if program else "")
        print(
            f"hypernest: waiting for gdb; connect it with: {command}",
            file=sys.stderr,
            end="\r\n" if sys.stderr.isatty() else "\n",
            flush=True,
        )

    return serve(machine, number, announce)


def serve(
    machine: Machine, number: int, announce: Callable[[int], None], check: Callable[[], None] = lambda: None
) -> StopReason | None:
    """The same, with the port told to `announce` once it is open; `check` as for `MachineTarget`."""
    from hypernest.debug.gdb.machine_target import MachineTarget
    from hypernest.debug.gdb.server import GdbServer
    from hypernest.debug.gdb.session import Departure

    target = MachineTarget(machine, check)
    with GdbServer(target, target.registers, number) as server:
        announce(server.port)
        departure = server.serve()
        while departure is Departure.DETACHED:
            departure = server.serve(wait=False)
    return machine.run(0) if departure is Departure.ENDED else None
