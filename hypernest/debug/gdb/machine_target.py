"""A machine as gdb sees it: hooks are its breakpoints, the machine's own history is its way back.

The guest's code is never patched, and nothing that gdb does counts as an instruction: a session that only looks leaves
the machine's course as it would have been.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from hypernest.debug.gdb.attention import AttentiveBackend, Interrupted
from hypernest.debug.gdb.monitor import Monitor
from hypernest.debug.gdb.registers import File, GdbRegister, gdb_registers
from hypernest.debug.gdb.symbol_program import guest_program
from hypernest.debug.gdb.target import NOWHERE, BadAddress, Cause, Go, GuestFile, Point, Poll, Stop, TargetError
from hypernest.errors import OutOfRange
from hypernest.history.timeline import NoHistory, Timeline
from hypernest.isa.riscv.riscv64 import RISCV64
from hypernest.machine.boot import ResetRom
from hypernest.machine.outcome import LIMIT_REACHED, StopKind, StopReason
from hypernest.machine.registers import NoSuchRegister

if TYPE_CHECKING:
    from hypernest.machine.hooks import Hook, HookEvent
    from hypernest.machine.machine import Machine

_PAGE = 4096
_MOST_POINTS = 4096
_LARGEST_WATCH = 1 << 30
_FIRST_SLICE, _LARGEST_SLICE = 20_000, 1 << 32  # instructions between two looks at gdb's socket
_SLICE_SECONDS = 0.02
_LARGE_SLICE = 5_000_000
_WAITING_STEPS, _WAITING_SECONDS = 10_000_000, 1.0  # how long a step of a hart that waits may take
_MOST_STOPS = 16  # hooks of different kinds before one instruction
_MOST_TURNS = 64
_GOING_ON = (StopKind.LIMIT, StopKind.BREAK)
_BREAKPOINTS = (Point.SOFTWARE, Point.HARDWARE)
_MODES = {0: "user", 1: "supervisor", 3: "machine"}


@dataclass(slots=True)
class _Hit:
    """A break- or watchpoint that stopped the run, before the instruction."""

    point: Point
    address: int
    hart: int


class MachineTarget:
    """`machine` for a `GdbServer`; `registers` are its registers. While it is debugged nobody else should run it.

    `check` is called several times a second, whether it runs or not; what it raises ends the server's work.
    """

    def __init__(self, machine: Machine, check: Callable[[], None] = lambda: None) -> None:
        self.registers = gdb_registers(RISCV64)
        self._machine, self._check = machine, check
        self._monitor = Monitor(machine, self._go_to)
        self._hooks: dict[tuple[Point, int, int], Hook] = {}
        self._hits: list[_Hit] = []
        self._reason: StopReason | None = None
        self._poll: Poll = lambda: False
        _known_past(machine)
        self._backend = AttentiveBackend(machine.console.backend, lambda: self._poll())

    @property
    def harts(self) -> int:
        return len(self._machine.harts)

    @property
    def current(self) -> int:
        return self._machine.scheduler.current if self._machine.instructions else 0

    @property
    def ended(self) -> int | None:
        match self._reason:
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

    # --- break- and watchpoints --------------------------------------------------------------------------------------

    def insert(self, point: Point, address: int, length: int) -> None:
        key = (point, address, length)
        if key in self._hooks:
            return
        if len(self._hooks) >= _MOST_POINTS:
            raise TargetError(f"there are {_MOST_POINTS} break- and watchpoints already")
        if address + length > 1 << 64 or length > _LARGEST_WATCH or (point > Point.HARDWARE and not length):
            raise TargetError(f"{length} bytes at {address:#x} cannot be watched")
        hooks = self._machine.hooks
        callback = partial(self._note, point, address)
        match point:
            case Point.SOFTWARE | Point.HARDWARE:
                self._hooks[key] = hooks.execute(address, callback)
            case Point.WRITE:
                self._hooks[key] = hooks.write(address, length, callback)
            case Point.READ:
                self._hooks[key] = hooks.read(address, length, callback)
            case Point.ACCESS:
                self._hooks[key] = hooks.access(address, length, callback)

    def remove(self, point: Point, address: int, length: int) -> None:
        hook = self._hooks.pop((point, address, length), None)
        if hook is not None:
            hook.detach()

    def remove_all(self) -> None:
        for key in list(self._hooks):
            self.remove(*key)

    def _note(self, point: Point, address: int, event: HookEvent) -> None:
        """A hook of ours is about to be passed: stop before it. gdb wants the address that it gave."""
        self._hits.append(_Hit(point, address, event.hart.number))
        event.stop()

    # --- running -----------------------------------------------------------------------------------------------------

    def resume(self, go: Go, hart: int, poll: Poll, within: range = NOWHERE) -> Stop:
        ways: dict[Go, Callable[[int], Stop]] = {
            Go.STEP: partial(self._step_range, within=within),
            Go.CONTINUE: self._continue,
            Go.STEP_BACK: self._step_back,
            Go.CONTINUE_BACK: self._continue_back,
        }
        with self._listening(poll):
            try:
                return ways[go](hart)
            except Interrupted:
                return Stop(Cause.INTERRUPTED, self.current)

    @contextmanager
    def _listening(self, poll: Poll) -> Iterator[None]:
        """A `with` block in which the machine runs: gdb can interrupt it even while it sleeps."""
        console = self._machine.console

        def ask() -> bool:
            self._check()
            return poll()

        self._poll, self._reason = ask, None
        self._hits.clear()
        before, console.backend = console.backend, self._backend
        try:
            yield
        finally:
            console.backend = before
            self._poll = lambda: False
            self._machine.scheduler.await_turn(None)
            console.exchange(listen=False)  # what the guest has written is to be seen when gdb prompts

    def _continue(self, hart: int) -> Stop:
        size = _FIRST_SLICE
        while not self._poll():
            begin = time.monotonic()
            stop = self._stop(self._machine.run(size))
            if stop is not None:
                return stop
            fitting = int(size * _SLICE_SECONDS / max(time.monotonic() - begin, 1e-6))
            size = min(max(fitting, _FIRST_SLICE), 4 * size, _LARGEST_SLICE)
        return Stop(Cause.INTERRUPTED, self.current)

    def _step_range(self, hart: int, within: range) -> Stop:
        """Step, and go on while the hart is at one of these addresses and nothing else happens."""
        each, scheduler = self._machine.harts[hart], self._machine.scheduler
        breakpoints = {address for point, address, _ in self._hooks if point in _BREAKPOINTS}
        stop = self._step(hart)
        while stop.cause is Cause.STEPPED and each.pc in within and not scheduler.is_waiting(hart):
            if each.pc in breakpoints:
                return Stop(Cause.BREAKPOINT, hart, Point.SOFTWARE, each.pc)
            if self._poll():
                return Stop(Cause.INTERRUPTED, hart)
            stop = self._step(hart)
        return stop

    def _step(self, hart: int) -> Stop:
        """Other harts run until it is this one's turn, then it executes one instruction.

        One that waits or is stopped may never execute any: then the others run for a while, and it has not moved.
        """
        machine, poll = self._machine, self._poll
        idle = machine.scheduler.is_waiting(hart) or machine.scheduler.is_stopped(hart)
        deadline = time.monotonic() + _WAITING_SECONDS if idle else float("inf")
        if idle:
            self._poll = lambda: poll() or time.monotonic() >= deadline
        last = machine.instructions + _WAITING_STEPS if idle else None
        try:
            while not self._poll():
                machine.scheduler.await_turn(hart)
                begin = machine.instructions
                stop = self._stop(machine.run(_FIRST_SLICE))
                if stop is not None:
                    return stop
                if machine.instructions < begin + _FIRST_SLICE:
                    machine.scheduler.await_turn(None)
                    return self._finish_step(hart)
                if last is not None and machine.instructions >= last:
                    return Stop(Cause.STEPPED, hart)
        except Interrupted:
            pass
        return Stop(Cause.STEPPED if time.monotonic() >= deadline else Cause.INTERRUPTED, hart)

    def _finish_step(self, hart: int) -> Stop:
        """Execute the next instruction. A breakpoint on it does not count, an access that is watched does."""
        before = self._machine.instructions
        for _ in range(_MOST_STOPS):
            reason = self._machine.run(1)
            if reason.kind not in _GOING_ON:
                return self._end(reason)
            if self._machine.instructions != before:
                break
            self._hits = [hit for hit in self._hits if hit.point not in _BREAKPOINTS]
            if stop := self._stop(reason if self._hits else LIMIT_REACHED):
                return stop
        return Stop(Cause.STEPPED, hart)

    def _stop(self, reason: StopReason) -> Stop | None:
        """What ended a run forward, if anything did.

        Nothing of what is watched has happened yet: gdb takes that for granted on RISC-V, and does the step itself.
        """
        if self._hits:
            hit = self._hits[0]
            cause = Cause.BREAKPOINT if hit.point in _BREAKPOINTS else Cause.WATCHPOINT
            return Stop(cause, hit.hart, hit.point, hit.address)
        if reason.kind is StopKind.BREAK:
            return Stop(Cause.HALTED, self.current, message=f"hypernest: {reason}")
        return None if reason.kind is StopKind.LIMIT else self._end(reason)

    def _end(self, reason: StopReason) -> Stop:
        self._reason = reason
        return Stop(Cause.HISTORY_END, self.current, message=f"hypernest: {reason}")

    # --- backwards ---------------------------------------------------------------------------------------------------

    def _step_back(self, hart: int) -> Stop:
        """Undo the last instruction of the hart, with all that the others have done since.

        If it has executed none for long, undo the last one of whichever hart.
        """
        machine = self._machine
        here, beginning = machine.instructions, machine.history.beginning
        for _ in range(_MOST_TURNS):
            scheduler = machine.scheduler
            start = max(machine.instructions - scheduler.steps + scheduler.turn_start, beginning)
            if scheduler.current == hart or start == machine.instructions:
                break
            machine.goto(start)
        if machine.scheduler.current != hart:
            machine.goto(here)
        reason = machine.reverse_step()
        return Stop(Cause.STEPPED if reason.kind is StopKind.LIMIT else Cause.HISTORY_BEGIN, hart)

    def _continue_back(self, hart: int) -> Stop:
        """To the last instruction with a break- or watchpoint: before it, or, as forwards, to where a step does it."""
        machine = self._machine
        if not self._hooks:
            machine.goto(machine.history.beginning)
            return Stop(Cause.HISTORY_BEGIN, self.current)
        points = {hook: key for key, hook in self._hooks.items()}
        machine.reverse_run(points)
        found = [_Hit(*points[hook][:2], number) for hook, number in machine.history.found]
        watched = next((hit for hit in found if hit.point not in _BREAKPOINTS), None)
        if watched is not None:
            machine.goto(machine.instructions + 1)
            return Stop(Cause.WATCHPOINT, watched.hart, watched.point, watched.address)
        for hit in found:
            return Stop(Cause.BREAKPOINT, hit.hart, hit.point, hit.address)
        return Stop(Cause.HISTORY_BEGIN, self.current)

    # --- the rest ----------------------------------------------------------------------------------------------------

    def attend(self) -> None:
        self._check()
        self._backend.attend()

    def describe(self, hart: int) -> str:
        each, scheduler = self._machine.harts[hart], self._machine.scheduler
        doing = (
            "waits for an interrupt" if scheduler.is_waiting(hart)
            else "stopped" if scheduler.is_stopped(hart)
            else "running" if hart == scheduler.current
            else "ready"
        )  # fmt: skip
        return f"hart {hart}, {_MODES[each.privilege]} mode, {doing}"

    def program(self) -> GuestFile | None:
        return guest_program(self._machine)

    def monitor(self, command: str, hart: int, poll: Poll) -> str:
        before, reason = self._machine.instructions, self._reason
        with self._listening(poll):
            text = self._monitor.execute(command, hart)
        if self._machine.instructions == before:
            self._reason = reason
        return text

    def _go_to(self, count: int) -> None:
        """There, or as far as the machine comes before gdb interrupts it. No break- or watchpoint counts."""
        machine = self._machine
        machine.goto(min(count, machine.history.end))
        with machine.hooks.suspended(), suppress(Interrupted):
            while (left := count - machine.instructions) > 0 and not self._poll():
                if machine.run(min(left, _LARGE_SLICE)).kind not in _GOING_ON:
                    break


def _known_past(machine: Machine) -> Timeline:
    """The past of the machine, which is kept from here on if it was not before."""
    try:
        return machine.history
    except NoHistory:
        return machine.keep_history()
