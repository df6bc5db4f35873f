"""What a gdb session needs of a machine: the protocol through which it sees one, and the ways a run can end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Protocol

from hypernest.debug.gdb.registers import GdbRegister
from hypernest.errors import HypernestError

Poll = Callable[[], bool]
"""Asked often while the machine runs: does gdb want it to stop?"""


NOWHERE = range(0)
"""No addresses."""


class TargetError(HypernestError):
    """What gdb asked for cannot be done; `code` is the number that it is told."""

    def __init__(self, message: str, code: int = 0x01) -> None:
        super().__init__(message)
        self.code = code


class BadAddress(TargetError):
    """Memory that is not mapped, or no RAM."""

    def __init__(self, message: str) -> None:
        super().__init__(message, 0x14)


class Point(IntEnum):
    """Kinds of break- and watchpoints, as the packets Z and z number them."""

    SOFTWARE = 0
    HARDWARE = 1
    WRITE = 2
    READ = 3
    ACCESS = 4


class Go(Enum):
    """Ways to resume."""

    STEP = "s"
    CONTINUE = "c"
    STEP_BACK = "bs"
    CONTINUE_BACK = "bc"


class Cause(Enum):
    """Why the machine stopped."""

    STEPPED = "a step was done"
    INTERRUPTED = "gdb asked for it"
    BREAKPOINT = "an instruction with a breakpoint comes next"
    WATCHPOINT = "watched memory is accessed, forwards or backwards, by the next step"
    HISTORY_BEGIN = "there is nothing before"
    HISTORY_END = "the machine has stopped for good"
    HALTED = "a hook that is not gdb's stopped the run"
    TROUBLE = "something went wrong outside the guest"


@dataclass(frozen=True, slots=True)
class Stop:
    """The end of a run, on hart number `hart`. `point` and `address` say which break- or watchpoint it was."""

    cause: Cause
    hart: int
    point: Point | None = None
    address: int = 0
    message: str = ""
    """A sentence for the user, if there is more to say."""


class GuestFile(Protocol):
    """A file to read."""

    @property
    def size(self) -> int: ...

    def read(self, offset: int, count: int) -> bytes:
        """The bytes from `offset` on, fewer at the end of the file."""


class Target(Protocol):
    """A machine that does not run, but while `resume` does not return. All raise `TargetError` for what cannot be."""

    @property
    def harts(self) -> int:
        """How many harts there are."""

    @property
    def current(self) -> int:
        """The hart that executed last, or would next."""

    @property
    def ended(self) -> int | None:
        """The exit status of a machine that has stopped for good."""

    def read_register(self, hart: int, register: GdbRegister) -> int | None:
        """The value; None if it cannot be read now."""

    def write_register(self, hart: int, register: GdbRegister, value: int) -> None:
        """Set a register."""

    def read_memory(self, hart: int, address: int, count: int) -> bytes:
        """As many bytes from a virtual address as are mapped, `count` at most; raises if there is none."""

    def write_memory(self, hart: int, address: int, data: bytes) -> None:
        """Store all of `data` at a virtual address, or nothing."""

    def insert(self, point: Point, address: int, length: int) -> None:
        """Stop there from now on; harmless when repeated."""

    def remove(self, point: Point, address: int, length: int) -> None:
        """Stop there no more; harmless when repeated."""

    def remove_all(self) -> None:
        """Stop nowhere any more."""

    def resume(self, go: Go, hart: int, poll: Poll, within: range = NOWHERE) -> Stop:
        """Run until something stops the machine, or `poll` says so.

        A step is one of `hart`, and more as long as that one is at an address that is `within`.
        """

    def attend(self) -> None:
        """Called several times a second while the machine stands still and gdb says nothing."""

    def describe(self, hart: int) -> str:
        """A few words on what the hart is doing."""

    def program(self) -> GuestFile | None:
        """An ELF program with the symbols of what runs, if there is any."""

    def monitor(self, command: str, hart: int, poll: Poll) -> str:
        """Execute one of gdb's `monitor` commands; what it prints. `poll` is asked if it takes long."""
