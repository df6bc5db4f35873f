"""What callbacks of hooks are told: what is about to happen, or has happened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from hypernest.engines.watched import Kind
from hypernest.errors import HypernestError
from hypernest.isa.riscv.riscv64 import RISCV64
from hypernest.machine.outcome import StopKind, StopReason

if TYPE_CHECKING:
    from hypernest.machine.harts import MachineHart
    from hypernest.machine.machine import Machine


class HookError(HypernestError):
    """A hook's callback raised; its exception is the `__cause__`. The machine can go on."""


class BadHook(HypernestError):
    """A hook cannot be attached as asked."""

    exit_status = 2


class EventKind(StrEnum):
    """What is about to happen, or (the last two) has happened."""

    EXECUTE = "execute"
    READ = "read"
    WRITE = "write"
    TRAP = "trap"
    INTERRUPT = "interrupt"
    CSR = "csr"
    SYSCALL = "syscall"
    SYSCALL_RETURN = "syscall return"
    CONSOLE = "console"


KINDS = {kind: EventKind[str(kind.name)] for kind in Kind if kind}
"""What the interceptions of engines are to hooks."""

_ONGOING = {
    EventKind.EXECUTE: "before the instruction at {address:#x}",
    EventKind.READ: "before {size} bytes at {address:#x} are read",
    EventKind.WRITE: "before {size} bytes at {address:#x} are written",
    EventKind.TRAP: "before a trap ({cause_name}) at {address:#x}",
    EventKind.INTERRUPT: "before the {cause_name} at {address:#x}",
    EventKind.CSR: "before CSR {address:#x} is written",
    EventKind.SYSCALL: "before system call {number}",
    EventKind.SYSCALL_RETURN: "after system call {number}",
    EventKind.CONSOLE: "after console output",
}


@dataclass(slots=True)
class HookEvent:
    """What a callback is called for. What does not belong to the kind of event is 0 or empty."""

    machine: Machine
    hart: MachineHart
    kind: EventKind
    address: int = 0
    """Virtual address of the instruction or, of an access, of the data; the number of a CSR."""
    size: int = 0
    """Bytes that are read or written."""
    value: int = 0
    """What is about to be written; of an exception, what goes to mtval or stval."""
    physical: int = 0
    """Guest-physical address of the data."""
    cause: int = 0
    """Of a trap; interrupts have bit 63 set."""
    number: int = 0
    """Of a system call."""
    arguments: tuple[int, ...] = ()
    """Of a system call: a0 to a5, as they were when it was made."""
    result: int = 0
    """Of a system call that returns: a0, signed."""
    data: bytes = b""
    """What was printed."""
    _stop: Callable[[StopReason], None] = field(default=lambda reason: None, repr=False)

    @property
    def cause_name(self) -> str:
        """The cause in words."""
        return RISCV64.causes.get(self.cause, f"cause {self.cause:#x}")

    def stop(self, message: str = "") -> None:
        """End the run here; `Machine.run` returns a reason of the kind `BREAK` that says where, or `message`."""
        self._stop(StopReason(StopKind.BREAK, message=message or f"stopped by a hook {self.where}"))

    @property
    def where(self) -> str:
        """When it is, in words: before, or after, what happens."""
        return _ONGOING[self.kind].format(
            address=self.address, size=self.size, number=self.number, cause_name=self.cause_name
        )


Callback = Callable[[HookEvent], object]
