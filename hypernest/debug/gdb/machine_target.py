"""A machine as gdb sees it: hooks are its breakpoints, the machine's own history is its way back.

Nothing that gdb does counts as an instruction: a session that only looks leaves the machine's course as it would have
been.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from hypernest.debug.gdb.monitor import Monitor
from hypernest.debug.gdb.points import Points
from hypernest.debug.gdb.registers import File, GdbRegister, gdb_registers
from hypernest.debug.gdb.running import Runner
from hypernest.debug.gdb.symbol_program import guest_program
from hypernest.debug.gdb.target import NOWHERE, BadAddress, Go, GuestFile, Point, Poll, Stop
from hypernest.errors import OutOfRange
from hypernest.isa.riscv.riscv64 import RISCV64
from hypernest.machine.boot import ResetRom
from hypernest.machine.outcome import StopKind, StopReason
from hypernest.machine.registers import NoSuchRegister

if TYPE_CHECKING:
    from hypernest.machine.machine import Machine

_PAGE = 4096
_MODES = {0: "user", 1: "supervisor", 3: "machine"}


class MachineTarget:
    """`machine` for a `GdbServer`; `registers` are its registers. While it is debugged nobody else should run it.

    `check` is called several times a second, whether it runs or not; what it raises ends the server's work.
    """

    def __init__(self, machine: Machine, check: Callable[[], None] = lambda: None) -> None:
        self.registers = gdb_registers(RISCV64)
        self._machine = machine
        self._points = Points(machine)
        self._runner = Runner(machine, self._points, check)
        self._monitor = Monitor(machine, self._runner.go_to)

    @property
    def harts(self) -> int:
        return len(self._machine.harts)

    @property
    def current(self) -> int:
        return self._runner.current

    @property
    def ended(self) -> int | None:
        match self._runner.reason:
            case None:
                return None
            case StopReason(StopKind.POWER_OFF):
                return 0
            case StopReason(StopKind.FAILURE, code):
                return min(max(code, 1), 255)
        return 1

    # --- registers and memory ----------------------------------------------------------------------------------------

    def read_register(self, hart: int, register: GdbRegister) -> int | None:
        each = self._machine.harts[hart]
        match register.file:
            case File.INTEGER:
                return each.x[register.index]
            case File.FLOAT:
                return each.f[register.index]
            case File.PC:
                return each.pc
            case File.PRIVILEGE:
                return each.privilege
        try:
            return each.csr[register.index]
        except NoSuchRegister:
            return None

    def write_register(self, hart: int, register: GdbRegister, value: int) -> None:
        each = self._machine.harts[hart]
        match register.file:
            case File.INTEGER if register.index:
                each.x[register.index] = value
            case File.FLOAT:
                each.f[register.index] = value
            case File.PC:
                each.pc = value
            case File.PRIVILEGE:
                each.privilege = value
            case File.CSR:
                each.csr[register.index] = value

    def read_memory(self, hart: int, address: int, count: int) -> bytes:
        memory = self._machine.harts[hart].memory
        data = b""
        try:
            while len(data) < count:
                here = address + len(data)
                data += memory.read(here, min(count - len(data), _PAGE - here % _PAGE))
        except OutOfRange as error:
            data = data or self._read_rom(hart, address, count)
            if not data:
                raise BadAddress(str(error)) from error
        return data

    def _read_rom(self, hart: int, address: int, count: int) -> bytes:
        """The reset code, where harts begin, is no RAM; unlike devices, to read it does nothing."""
        physical = self._machine.harts[hart].translate(address)
        for each in self._machine.bus.attachments:
            if physical is not None and each.base <= physical < each.end and isinstance(each.device, ResetRom):
                image = each.device.state.contents.ljust(each.device.size, b"\0")
                return image[physical - each.base :][:count]
        return b""

    def write_memory(self, hart: int, address: int, data: bytes) -> None:
        try:
            self._machine.harts[hart].memory.write(address, data)
        except OutOfRange as error:
            raise BadAddress(str(error)) from error

    # --- break- and watchpoints, running -----------------------------------------------------------------------------

    def insert(self, point: Point, address: int, length: int) -> None:
        self._points.insert(point, address, length)

    def remove(self, point: Point, address: int, length: int) -> None:
        self._points.remove(point, address, length)

    def remove_all(self) -> None:
        self._points.remove_all()

    def resume(self, go: Go, hart: int, poll: Poll, within: range = NOWHERE) -> Stop:
        return self._runner.resume(go, hart, poll, within)

    def attend(self) -> None:
        self._runner.attend()

    # --- the rest ----------------------------------------------------------------------------------------------------

    def describe(self, hart: int) -> str:
        each, scheduler = self._machine.harts[hart], self._machine.scheduler
        doing = (
            "waits for an interrupt" if scheduler.turns.is_waiting(hart)
            else "stopped" if scheduler.turns.is_stopped(hart)
            else "running" if hart == scheduler.turns.current
            else "ready"
        )  # fmt: skip
        return f"hart {hart}, {_MODES[each.privilege]} mode, {doing}"

    def program(self) -> GuestFile | None:
        return guest_program(self._machine)

    def monitor(self, command: str, hart: int, poll: Poll) -> str:
        runner, before = self._runner, self._machine.instructions
        reason = runner.reason
        with runner.listening(poll):
            text = self._monitor.execute(command, hart)
        if self._machine.instructions == before:
            runner.reason = reason
        return text
