"""The supervisor binary interface: the firmware that an operating system in S-mode expects below it.

RISC-V SBI Specification 2.0: base, timer, IPI, remote fence, hart state management, system reset, debug console,
and the legacy extensions. The harts it serves are *hosted*: a trap to M-mode leaves them as it would leave hardware,
and instead of code at mtvec this monitor runs, which ends with what mret does.

All arguments are the guest's and are checked; an error goes back to it as a code, never as a Python exception.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum

from hypernest.engines.hart_state import HartState
from hypernest.isa.hart import Trap
from hypernest.isa.riscv.state import Environment, Interrupt, Privilege, Status
from hypernest.isa.riscv.traps import Cause, return_from_machine, take_trap
from hypernest.isa.word import word
from hypernest.machine.board import Board
from hypernest.machine.console import SBI
from hypernest.machine.harts import Csrs
from hypernest.machine.outcome import POWERED_OFF, RESET, failure, stuck

SPECIFICATION_VERSION = 2 << 24
IMPLEMENTATION_ID = 0x68_6E  # not in the list of the specification, which only names others
IMPLEMENTATION_VERSION = 1

_A0, _A1 = 10, 11
_ALL_ONES = (1 << 64) - 1
_LONGEST_TEXT = 1 << 16  # bytes of one debug console call; the guest calls again for the rest
_ECALL_SIZE = 4
_REMEMBERED_RETURNS = 64


class Error(IntEnum):
    """Error codes (table 1 of the specification)."""

    SUCCESS = 0
    FAILED = -1
    NOT_SUPPORTED = -2
    INVALID_PARAM = -3
    DENIED = -4
    INVALID_ADDRESS = -5
    ALREADY_AVAILABLE = -6
    ALREADY_STARTED = -7
    ALREADY_STOPPED = -8


class HartStatus(IntEnum):
    """States of hart state management (section 9) that can be seen from outside here."""

    STARTED = 0
    STOPPED = 1
    SUSPENDED = 4


class Refused(Exception):
    """A call that fails; the argument is the code that the guest gets."""

    def __init__(self, error: Error) -> None:
        super().__init__(error)
        self.error = error


@dataclass(frozen=True, slots=True)
class Call:
    """A call: the hart that makes it and its arguments a0 to a5."""

    hart: int
    state: HartState
    a: tuple[int, ...]


Function = Callable[[Call], int | None]
"""Carries a call out. Its result goes to a1; None if the hart does not return from the call."""


@dataclass(frozen=True, slots=True)
class Extension:
    """An extension of the interface, its functions by number. Legacy ones have one function whatever a6 says."""

    name: str
    functions: Mapping[int, Function]
    legacy: bool = False

    def function(self, number: int) -> Function | None:
        return self.functions.get(0 if self.legacy else number)


class Sbi:
    """The monitor of the hosted harts of `board`."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._a0 = board.harts[0].layout.index["x"] + _A0
        self._returns: dict[int, tuple[int, int]] = {}  # mstatus before mret -> mstatus and privilege after it
        self._suspended = board.suspended
        self.calls: Counter[str] = Counter()
        """How often each function was called."""
        self.extensions: dict[int, Extension] = {
            0x10: Extension(
                "base",
                {
                    0: lambda call: SPECIFICATION_VERSION,
                    1: lambda call: IMPLEMENTATION_ID,
                    2: lambda call: IMPLEMENTATION_VERSION,
                    3: self._probe_extension,
                    4: lambda call: self._csr(call, 0xF11),
                    5: lambda call: self._csr(call, 0xF12),
                    6: lambda call: self._csr(call, 0xF13),
                },
            ),
            0x5449_4D45: Extension("time", {0: self._set_timer}),
            0x0073_5049: Extension("ipi", {0: self._send_ipi}),
            0x5246_4E43: Extension(
                "rfence", {0: self._remote_fence_i, 1: self._remote_sfence_vma, 2: self._remote_sfence_vma}
            ),
            0x0048_534D: Extension(
                "hsm", {0: self._hart_start, 1: self._hart_stop, 2: self._hart_status, 3: self._hart_suspend}
            ),
            0x5352_5354: Extension("srst", {0: self._system_reset}),
            0x4442_434E: Extension(
                "dbcn", {0: self._console_write, 1: self._console_read, 2: self._console_write_byte}
            ),
            0: Extension("legacy_set_timer", {0: self._set_timer}, legacy=True),
            1: Extension("legacy_console_putchar", {0: self._console_write_byte}, legacy=True),
            2: Extension("legacy_console_getchar", {0: self._console_getchar}, legacy=True),
            3: Extension("legacy_clear_ipi", {0: self._clear_ipi}, legacy=True),
            4: Extension("legacy_send_ipi", {0: self._legacy_send_ipi}, legacy=True),
            5: Extension("legacy_remote_fence_i", {0: self._legacy_fence}, legacy=True),
            6: Extension("legacy_remote_sfence_vma", {0: self._legacy_fence}, legacy=True),
            7: Extension("legacy_remote_sfence_vma_asid", {0: self._legacy_fence}, legacy=True),
            8: Extension("legacy_shutdown", {0: self._shutdown}, legacy=True),
        }
        board.scheduler.answer = self.answer
        for hart in range(len(board.harts)):
            self._set_up(hart)
            board.scheduler.turns.stop(hart)

    # --- machine mode's part ---------------------------------------------------------------------------------------

    def _set_up(self, hart: int) -> None:
        """What firmware sets before it leaves M-mode: everything that S-mode can handle is delegated to it."""
        self._board.harts[hart]["hosted"] = 1
        csr = Csrs(self._board.isa, lambda: self._board.view(hart))
        csr["medeleg"] = ~(1 << Cause.SUPERVISOR_ECALL) & _ALL_ONES
        csr["mideleg"] = (
            1 << Interrupt.SUPERVISOR_SOFTWARE | 1 << Interrupt.SUPERVISOR_TIMER | 1 << Interrupt.SUPERVISOR_EXTERNAL
        )
        csr["mcounteren"] = _ALL_ONES
        csr["scounteren"] = 7  # as OpenSBI does: Linux reads the time in user mode and counts on it
        csr["menvcfg"] = (
            1 << Environment.STCE | 1 << Environment.ADUE
            | 3 << Environment.CBIE | 1 << Environment.CBCFE | 1 << Environment.CBZE
        )  # fmt: skip
        csr["pmpaddr0"] = _ALL_ONES
        csr["pmpcfg0"] = 0x1F  # all of memory, read, write and execute

    def start(self, hart: int, address: int, argument: int) -> None:
        """Let a stopped hart begin at `address` in S-mode, as section 9.1 says; `argument` goes to a1."""
        self._enter(hart, address, argument)
        self._board.harts[hart]["mip"] = 0
        self._board.scheduler.turns.start(hart)

    def _enter(self, hart: int, address: int, argument: int) -> None:
        state = self._board.harts[hart]
        state["pc"] = address
        state["priv"] = Privilege.SUPERVISOR
        state["x", _A0], state["x", _A1] = hart, argument
        state["mstatus"] &= ~(1 << Status.SIE)
        state["satp"] = 0
        state["waiting"] = state["reservation_valid"] = state["monitor_call"] = 0
        self._board.engine.flush_translations(state)

    def answer(self, hart: int) -> None:
        """A trap of `hart` has reached M-mode: do what firmware would do, up to and including mret."""
        state = self._board.harts[hart]
        if state["mcause"] != Cause.SUPERVISOR_ECALL:
            self._redirect(hart, state["mcause"], state["mtval"])
            return
        *arguments, number, extension_id = state.words[self._a0 : self._a0 + 8]
        call = Call(hart, state, tuple(arguments))
        extension = self.extensions.get(extension_id)
        function = extension.function(number) if extension is not None else None
        if extension is None or function is None:
            self.calls["unsupported"] += 1
            self._return(call, Error.NOT_SUPPORTED, 0)
            return
        self.calls[extension.name if extension.legacy else f"{extension.name}.{number}"] += 1
        try:
            value = function(call)
        except Refused as refusal:
            self._return(call, refusal.error, 0, extension.legacy)
        except Trap as trap:
            self._redirect(hart, trap.cause, int(trap.value))
        else:
            if value is not None:
                self._return(call, Error.SUCCESS, value, extension.legacy)

    def _return(self, call: Call, error: Error, value: int, legacy: bool = False) -> None:
        """Legacy functions have one result, in a0, and keep a1."""
        state = call.state
        if legacy:
            state["x", _A0] = value if error is Error.SUCCESS else error
        else:
            state["x", _A0], state["x", _A1] = error, value
        state["mepc"] += _ECALL_SIZE
        self._leave(call.hart)

    def _leave(self, hart: int) -> None:
        """What mret does. Where it goes is mepc; the rest follows from mstatus, so it is worked out once for each."""
        state = self._board.harts[hart]
        before = state["mstatus"]
        known = self._returns.get(before)
        if known is not None:
            state["mstatus"], state["priv"] = known
            state["pc"] = state["mepc"]
            return
        view = self._board.view(hart)
        return_from_machine(view)
        view.finish_jump()
        if len(self._returns) < _REMEMBERED_RETURNS:
            self._returns[before] = state["mstatus"], state["priv"]

    def _redirect(self, hart: int, cause: int, value: int) -> None:
        """Let S-mode handle an exception after all, as if it had been delegated; if it is not its, nobody can."""
        state = self._board.harts[hart]
        address = state["mepc"]
        self._leave(hart)
        if cause < 64:
            take_trap(self._board.view(hart), cause, value)
        if cause >= 64 or state["monitor_call"]:
            state["monitor_call"] = 0
            why = f"hart {hart} trapped to machine mode with cause {cause:#x} at {address:#x}, which nobody handles"
            self._board.scheduler.finish(stuck(why))

    # --- arguments -------------------------------------------------------------------------------------------------

    def _selected(self, mask: int, base: int) -> list[int]:
        """The harts of a hart mask (section 3.1); a base of all ones selects all."""
        count = len(self._board.harts)
        if base == _ALL_ONES:
            return list(range(count))
        selected = [base + bit for bit in range(64) if mask >> bit & 1]
        if base >= count or any(hart >= count for hart in selected):
            raise Refused(Error.INVALID_PARAM)
        return selected

    def _legacy_mask(self, call: Call) -> list[int]:
        """The harts of a mask in memory, at a virtual address of the caller; address 0 selects all."""
        if call.a[0] == 0:
            return self._selected(0, _ALL_ONES)
        state = call.state
        state["priv"] = Privilege.SUPERVISOR
        try:
            mask = int(self._board.view(call.hart).load(word(call.a[0]), 64))
        finally:
            state["priv"] = Privilege.MACHINE
        return self._selected(mask & (1 << len(self._board.harts)) - 1, 0)

    def _text(self, call: Call) -> tuple[int, int]:
        """Address and number of the bytes that a debug console call is about."""
        count, low, high = call.a[:3]
        if high or not self._board.memory.contains(low, count):
            raise Refused(Error.INVALID_PARAM)
        return low, min(count, _LONGEST_TEXT)

    # --- base, timer, interrupts, fences ---------------------------------------------------------------------------

    def _probe_extension(self, call: Call) -> int:
        return int(call.a[0] in self.extensions)

    def _csr(self, call: Call, number: int) -> int:
        return int(self._board.view(call.hart).csr_read(word(number)))

    def _set_timer(self, call: Call) -> int:
        call.state["stimecmp"] = call.a[0]
        return 0

    def _send_ipi(self, call: Call) -> int:
        self._interrupt(self._selected(call.a[0], call.a[1]))
        return 0

    def _interrupt(self, harts: Iterable[int]) -> None:
        for hart in harts:
            if not self._board.scheduler.turns.is_stopped(hart):
                self._board.harts[hart]["mip"] |= 1 << Interrupt.SUPERVISOR_SOFTWARE
                self._board.scheduler.notice(hart)

    def _clear_ipi(self, call: Call) -> int:
        call.state["mip"] &= ~(1 << Interrupt.SUPERVISOR_SOFTWARE)
        return 0

    def _legacy_send_ipi(self, call: Call) -> int:
        self._interrupt(self._legacy_mask(call))
        return 0

    def _remote_fence_i(self, call: Call) -> int:
        """Engines see every write to code by themselves."""
        self._selected(call.a[0], call.a[1])
        return 0

    def _remote_sfence_vma(self, call: Call) -> int:
        """Forgets all translations, whatever range and address space are named."""
        self._fence(self._selected(call.a[0], call.a[1]))
        return 0

    def _fence(self, harts: Iterable[int]) -> None:
        for hart in harts:
            self._board.engine.flush_translations(self._board.harts[hart])

    def _legacy_fence(self, call: Call) -> int:
        self._fence(self._legacy_mask(call))
        return 0

    # --- hart state management -------------------------------------------------------------------------------------

    def _known(self, hart: int) -> int:
        if hart >= len(self._board.harts):
            raise Refused(Error.INVALID_PARAM)
        return hart

    def _code(self, address: int) -> int:
        if address % 2 or not self._board.memory.contains(address, 2):
            raise Refused(Error.INVALID_ADDRESS)
        return address

    def _hart_start(self, call: Call) -> int:
        hart, address, argument = call.a[:3]
        if not self._board.scheduler.turns.is_stopped(self._known(hart)):
            raise Refused(Error.ALREADY_AVAILABLE)
        self.start(hart, self._code(address), argument)
        return 0

    def _hart_stop(self, call: Call) -> None:
        self._board.scheduler.turns.stop(call.hart)

    def _hart_status(self, call: Call) -> int:
        hart, scheduler = self._known(call.a[0]), self._board.scheduler
        if scheduler.turns.is_stopped(hart):
            return HartStatus.STOPPED
        asleep = scheduler.turns.is_waiting(hart) and self._suspended.get(hart) == self._board.harts[hart]["retired"]
        return HartStatus.SUSPENDED if asleep else HartStatus.STARTED

    def _hart_suspend(self, call: Call) -> None:
        kind, address, argument = call.a[0] & 0xFFFF_FFFF, call.a[1], call.a[2]
        if kind == 0:
            self._return(call, Error.SUCCESS, 0)
        elif kind == 1 << 31:
            self._enter(call.hart, self._code(address), argument)
        elif 0x1000_0000 <= kind < 1 << 31 or kind >= 0x9000_0000:
            raise Refused(Error.NOT_SUPPORTED)  # a platform's own
        else:
            raise Refused(Error.INVALID_PARAM)
        call.state["waiting"] = 1
        self._suspended[call.hart] = call.state["retired"]
        self._board.scheduler.turns.suspend(call.hart)

    # --- system reset ----------------------------------------------------------------------------------------------

    def _system_reset(self, call: Call) -> None:
        kind, why = call.a[0] & 0xFFFF_FFFF, call.a[1] & 0xFFFF_FFFF
        if kind >= 0xF000_0000:
            raise Refused(Error.NOT_SUPPORTED)  # a vendor's own
        if kind > 2 or 1 < why < 0xE000_0000:
            raise Refused(Error.INVALID_PARAM)
        if kind:
            self._board.scheduler.finish(RESET)
        else:
            self._board.scheduler.finish(failure(1) if why == 1 else POWERED_OFF)

    def _shutdown(self, call: Call) -> None:
        self._board.scheduler.finish(POWERED_OFF)

    # --- console ---------------------------------------------------------------------------------------------------

    def _console_write(self, call: Call) -> int:
        address, count = self._text(call)
        self._write(self._board.memory.read(address, count))
        return count

    def _write(self, data: bytes) -> None:
        self._board.console.touched(SBI)
        self._board.console.output(data)

    def _console_read(self, call: Call) -> int:
        address, count = self._text(call)
        data = self._board.console.take_input(count)
        self._board.memory.write(address, data)
        return len(data)

    def _console_write_byte(self, call: Call) -> int:
        self._write(bytes((call.a[0] & 0xFF,)))
        return 0

    def _console_getchar(self, call: Call) -> int:
        data = self._board.console.take_input(1)
        return data[0] if data else -1
