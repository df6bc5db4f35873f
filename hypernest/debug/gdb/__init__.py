"""The gdb remote protocol: a machine debugged from gdb, backwards too (docs/gdb.md).

`packets` frames bytes, `commands` is the table of what gdb may ask, `session` is one conversation, `server` its socket.
They see the machine as a `target.Target`; `machine_target.MachineTarget` is the one there is.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hypernest.machine.machine import Machine
    from hypernest.machine.outcome import StopReason


def serve(machine: Machine, port: int, wait: bool) -> StopReason | None:
    """What `Machine.serve_gdb` does."""
    from hypernest.debug.gdb.machine_target import MachineTarget
    from hypernest.debug.gdb.server import GdbServer
    from hypernest.debug.gdb.session import Departure

    target = MachineTarget(machine)
    with GdbServer(target, target.registers, port) as server:
        print(f"hypernest: gdb can connect: {how_to_connect(server.port)}", file=sys.stderr, flush=True)
        departure = server.serve(wait)
    return machine.run(0) if departure is Departure.ENDED else None


def how_to_connect(port: int, file: str = "") -> str:
    """The command line for it; `file` has the symbols."""
    return " ".join(filter(None, (f"gdb-multiarch -ex 'target remote :{port}'", file)))
