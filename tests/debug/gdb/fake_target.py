"""A machine of two harts that is nothing but tables, for tests of the protocol."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from hypernest.debug.gdb.registers import GdbRegister
from hypernest.debug.gdb.target import NOWHERE, BadAddress, Cause, Go, Point, Poll, Stop, TargetError
from hypernest.machine.boot_files import BootFile

BASE, SIZE = 0x8000_0000, 0x2000


@dataclass
class FakeTarget:
    """Memory of 8 KiB at 0x80000000; registers that hold what was written; runs that end as `stops` says."""

    harts: int = 2
    current: int = 0
    ended: int | None = None
    memory: bytearray = field(default_factory=lambda: bytearray(SIZE))
    values: dict[tuple[int, int], int] = field(default_factory=dict)
    unreadable: set[int] = field(default_factory=set)
    points: set[tuple[Point, int, int]] = field(default_factory=set)
    stops: deque[Stop] = field(default_factory=deque)
    resumed: list[tuple[Go, int]] = field(default_factory=list)
    within: range = NOWHERE
    attended: int = 0
    file: bytes = b""
    trouble: Exception | None = None

    def read_register(self, hart: int, register: GdbRegister) -> int | None:
        return None if register.number in self.unreadable else self.values.get((hart, register.number), 0)

    def write_register(self, hart: int, register: GdbRegister, value: int) -> None:
        if register.number in self.unreadable:
            raise TargetError("not now")
        self.values[hart, register.number] = value

    def read_memory(self, hart: int, address: int, count: int) -> bytes:
        data = bytes(self.memory[address - BASE : address - BASE + count]) if address >= BASE else b""
        if not data:
            raise BadAddress("nothing there")
        return data

    def write_memory(self, hart: int, address: int, data: bytes) -> None:
        if not BASE <= address <= address + len(data) <= BASE + SIZE:
            raise BadAddress("nothing there")
        self.memory[address - BASE : address - BASE + len(data)] = data

    def insert(self, point: Point, address: int, length: int) -> None:
        self.points.add((point, address, length))

    def remove(self, point: Point, address: int, length: int) -> None:
        self.points.discard((point, address, length))

    def remove_all(self) -> None:
        self.points.clear()

    def resume(self, go: Go, hart: int, poll: Poll, within: range = NOWHERE) -> Stop:
        self.resumed.append((go, hart))
        self.within = within
        if self.trouble:
            raise self.trouble
        if self.stops:
            return self.stops.popleft()
        if go in (Go.STEP, Go.STEP_BACK):
            return Stop(Cause.STEPPED, hart)
        while not poll():
            pass
        return Stop(Cause.INTERRUPTED, self.current)

    def attend(self) -> None:
        self.attended += 1

    def describe(self, hart: int) -> str:
        return f"hart {hart}, machine mode"

    def program(self) -> BootFile | None:
        return BootFile(self.file, "file") if self.file else None

    def monitor(self, command: str, hart: int, poll: Poll) -> str:
        if command == "fail":
            raise TargetError("that failed")
        return f"{hart}: {command}\n"
