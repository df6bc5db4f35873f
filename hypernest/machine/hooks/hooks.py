"""Hooks: Python functions that are called before the guest does something, free where nothing is hooked.

A callback runs between two instructions, as if the machine had been stopped there: it may read and change everything,
take snapshots, stop the run, attach and detach hooks; only running the machine is left to whoever called it. What is
intercepted happens afterwards, unless the callback moved the hart's pc. Neither instructions counted nor guest time
change. If it raises, `HookError` leaves `Machine.run`, and going on continues with that instruction.

All hooks that match are called, in the order in which they were attached. An instruction that does several things that
are hooked is intercepted for each: first for its address, then for what it is about to do.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from hypernest.engines.watched import NOTHING, Interception, Kind, Range, Watched, touches
from hypernest.isa.riscv.riscv64 import RISCV64
from hypernest.isa.riscv.traps import Cause
from hypernest.machine.coverage import Coverage, Module
from hypernest.machine.hooks.coverages import Coverages
from hypernest.machine.hooks.events import KINDS, BadHook, Callback, EventKind, HookError, HookEvent
from hypernest.machine.hooks.hook import Hook, SyscallHook
from hypernest.machine.hooks.system_calls import Call, SystemCalls
from hypernest.machine.outcome import StopReason

if TYPE_CHECKING:
    from hypernest.machine.board import Board
    from hypernest.machine.machine import Machine


_ADDRESSES = 1 << 64
_A0, _A7 = 10, 17


_AnyHook = TypeVar("_AnyHook", bound=Hook)
_Due = tuple[Callable[[HookEvent], None], HookEvent]


class Hooks:
    """The hooks of a machine: `machine.hooks`. They stay when the guest resets it; forks have their own.

    Where an address is asked for, a symbol's name will do, also with an offset: `schedule`, `schedule+0x1c`.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._board: Board | None = None
        self._hooks: list[Hook] = []
        self._console: list[Hook] = []
        self._execute: dict[int, list[Hook]] = {}
        self._causes: dict[int, list[Hook]] = {}
        self._csrs: dict[int, list[Hook]] = {}
        self._data: list[Hook] = []
        self._calls = SystemCalls()
        self._suspended = False
        self._search: tuple[frozenset[Hook], Callable[[Hook, HookEvent], None]] | None = None
        self.around: Callable[[Callable[[], None]], None] = lambda deliver: deliver()
        """Called with what calls the callbacks, to do so: for whoever must know whether they have changed the guest."""
        self._dirty = False
        self._printed = bytearray()
        self._coverages = Coverages(machine)

    # --- attaching -------------------------------------------------------------------------------------------------

    def execute(self, where: int | str, callback: Callback) -> Hook:
        """Call before the instruction at a virtual address, in every mode and address space."""
        address = self.address(where)
        if address % 2:
            raise BadHook(f"no instruction can be at the odd address {address:#x}: give an even one")
        return self._add(Hook(self, Watched(frozenset({address})), callback, f"execution at {address:#x}"))

    def read(self, start: int | str, size: int, callback: Callback, physical: bool = False) -> Hook:
        """Call before a load that touches one of the `size` bytes at a virtual (or `physical`) address.

        The program may always make the access; if it causes a page fault, it is seen when it is made again.
        """
        ranges = self._ranges(start, size, physical)
        return self._add(Hook(self, Watched(reads=ranges), callback, f"reads of {_text(ranges)}"))

    def write(self, start: int | str, size: int, callback: Callback, physical: bool = False) -> Hook:
        """The same before a store; `event.value` is what will be stored. Devices that write memory are not seen."""
        ranges = self._ranges(start, size, physical)
        return self._add(Hook(self, Watched(writes=ranges), callback, f"writes of {_text(ranges)}"))

    def access(self, start: int | str, size: int, callback: Callback, physical: bool = False) -> Hook:
        """Both; an atomic instruction that reads and writes is seen twice, before either."""
        ranges = self._ranges(start, size, physical)
        return self._add(Hook(self, Watched(reads=ranges, writes=ranges), callback, f"accesses to {_text(ranges)}"))

    def trap(self, cause: int | str, callback: Callback) -> Hook:
        """Call before a trap is taken: an exception's code, an interrupt's with bit 63 set, or a name such as
        `illegal instruction` or `supervisor timer interrupt`."""
        number = _cause(cause)
        return self._add(Hook(self, Watched(traps=frozenset({number})), callback, f"traps: {RISCV64.causes[number]}"))

    def csr(self, register: int | str, callback: Callback) -> Hook:
        """Call before a CSR instruction writes that CSR; `event.value` is what is given to it."""
        numbers = {row.name: number for number, row in RISCV64.csrs.items()}
        number = numbers.get(register, -1) if isinstance(register, str) else register
        if number not in RISCV64.csrs:
            raise BadHook(f"there is no CSR {register!r}: use a name of the privileged manual such as satp")
        about = f"writes of {RISCV64.csrs[number].name}"
        return self._add(Hook(self, Watched(csrs=frozenset({number})), callback, about))

    def syscall(self, number: int | None, callback: Callback | None, on_return: Callback | None = None) -> SyscallHook:
        """Call before a program (U-mode) makes the system call with that number, or any if it is None.

        `on_return` is called when control is back behind it, in the same address space with the same stack and thread
        pointer: `event.result` is what is in a0 then. Calls that never return (exit, execve) are never told of.
        """
        about = "system calls" if number is None else f"system call {number}"
        return self._add(SyscallHook(self, number, callback, on_return, about))

    def console(self, callback: Callback) -> Hook:
        """Call with `event.data`, what the guest has just printed, after the instruction that did so."""
        hook = self._add(Hook(self, NOTHING, callback, "console output"))
        self._console.append(hook)
        return hook

    def coverage(self, *where: tuple[int, int] | str | Module) -> Coverage:
        """Note which instructions are executed in ranges of virtual addresses: (start, end), a symbol for all of its
        function, or a `Module`. Without any, all code whose symbols are known: of programs, of a Linux kernel."""
        return self._coverages.attach(where)

    def _add(self, hook: _AnyHook) -> _AnyHook:
        self._hooks.append(hook)
        self.changed()
        return hook

    def address(self, where: int | str) -> int:
        """The address that is meant. BadHook, or NoSuchPlace for an unknown symbol."""
        if isinstance(where, str):
            return self._machine.symbols[where]
        if not 0 <= where < _ADDRESSES:
            raise BadHook(f"{where} is no address of 64 bits")
        return where

    def _ranges(self, start: int | str, size: int, physical: bool) -> tuple[Range, ...]:
        address = self.address(start)
        if size <= 0 or address + size > _ADDRESSES:
            raise BadHook(
                f"{size} bytes at {address:#x} cannot be hooked: give a size from 1 on, within 64-bit addresses"
            )
        return (Range(address, address + size, physical),)

    # --- what is attached ------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Hook]:
        return iter(tuple(self._hooks))

    def __len__(self) -> int:
        return len(self._hooks)

    def clear(self) -> None:
        """Detach all."""
        for hook in tuple(self._hooks):
            hook.detach()

    def remove(self, hook: Hook) -> None:
        """A hook was detached."""
        if hook in self._hooks:
            self._hooks.remove(hook)
            self.changed()
        if hook in self._console:
            self._console.remove(hook)

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """A `with` block in which no hook is called."""
        before, self._suspended = self._suspended, True
        self.changed()
        try:
            yield
        finally:
            self._suspended = before
            self.changed()

    @contextmanager
    def searching(self, hooks: Collection[Hook], found: Callable[[Hook, HookEvent], None]) -> Iterator[None]:
        """A `with` block in which `found` is called where callbacks of `hooks` would be, and no callback is."""
        self._search = frozenset(hooks), found
        self.changed()
        try:
            yield
        finally:
            self._search = None
            self._calls.forget()
            self.changed()

    def changed(self) -> None:
        """What must be watched is to be found out anew, before the next instruction."""
        if not self._dirty and self._board is not None:
            self._dirty = True
            self._board.scheduler.call_soon(self._apply)

    def install(self, board: Board) -> None:
        """The machine has a new board."""
        self._board, self._dirty = board, False
        self._printed.clear()
        self._calls.forget()
        board.scheduler.on_interception = self._intercepted
        self._coverages.install(board)
        if self._hooks:
            self.changed()

    def _apply(self) -> None:
        """Sort hooks by what they are for, and tell the engine."""
        self._dirty = False
        assert self._board is not None
        hooks = [] if self._suspended else [hook for hook in self._hooks if hook.active]
        if self._search is not None:
            hooks = [hook for hook in self._search[0] if hook.active]
        tables = {"execute": self._execute, "traps": self._causes, "csrs": self._csrs}
        for name, table in tables.items():
            table.clear()
            for hook in hooks:
                for each in getattr(hook.watched, name):
                    table.setdefault(each, []).append(hook)
        self._data = [hook for hook in hooks if hook.watched.reads or hook.watched.writes]
        returns = any(isinstance(hook, SyscallHook) and hook.on_return is not None for hook in hooks)
        if not returns:
            self._calls.forget()
        self._board.console.on_output = self._print if self._console and not self._suspended else None
        self._board.engine.watch(
            Watched(
                frozenset(self._execute) | self._calls.places,
                tuple(each for hook in self._data for each in hook.watched.reads),
                tuple(each for hook in self._data for each in hook.watched.writes),
                frozenset(self._causes),
                frozenset(self._csrs),
            )
        )

    # --- calling ---------------------------------------------------------------------------------------------------

    def _intercepted(self, number: int, what: Interception) -> None:
        """The engine has left hart `number` before something."""
        calls: list[_Due] = []
        hooks: Iterable[Hook] = ()
        if what.kind is Kind.EXECUTE:
            if what.address in self._calls.places:
                calls = self._system_call_returns(number)
            hooks = self._execute.get(what.address, ())
        elif what.kind in (Kind.TRAP, Kind.INTERRUPT):
            hooks = self._causes.get(what.cause, ())
            if what.cause == Cause.USER_ECALL:
                calls = self._system_call(number, [hook for hook in hooks if isinstance(hook, SyscallHook)])
                hooks = [hook for hook in hooks if not isinstance(hook, SyscallHook)]
        elif what.kind is Kind.CSR:
            hooks = self._csrs.get(what.address, ())
        else:
            hooks = [hook for hook in self._data if _touched(hook, what)]
        if hooks:
            event = HookEvent(
                self._machine,
                self._machine.harts[number],
                KINDS[what.kind],
                what.address,
                what.size,
                what.value,
                what.physical,
                what.cause,
                _stop=self._stop,
            )
            calls += [(hook.call, event) for hook in hooks]
        self._deliver(calls)

    def _system_call(self, hart: int, hooks: list[SyscallHook]) -> list[_Due]:
        assert self._board is not None
        state = self._board.harts[hart]
        number = state["x", _A7]
        wanting = tuple(hook for hook in hooks if hook.wants(number))
        if not wanting:
            return []
        call = Call(number, tuple(state["x", _A0 + each] for each in range(6)), wanting)
        if any(hook.on_return is not None for hook in wanting) and self._calls.begin(state, call):
            self.changed()
        event = self._event(EventKind.SYSCALL, hart, state["pc"], number=number, arguments=call.arguments)
        return [(hook.call, event) for hook in wanting]

    def _system_call_returns(self, hart: int) -> list[_Due]:
        assert self._board is not None
        state = self._board.harts[hart]
        call = self._calls.end(state)
        if call is None:
            return []
        result = state["x", _A0]
        event = self._event(
            EventKind.SYSCALL_RETURN,
            hart,
            state["pc"],
            number=call.number,
            arguments=call.arguments,
            result=result - (result >> 63 << 64),
        )
        return [(hook.returned, event) for hook in call.hooks]

    def _print(self, data: bytes) -> None:
        """The guest prints, in the middle of an instruction."""
        assert self._board is not None
        if not self._printed:
            self._board.scheduler.call_soon(self._tell_of_output)
        self._printed += data

    def _tell_of_output(self) -> None:
        data = bytes(self._printed)
        self._printed.clear()
        assert self._board is not None
        event = self._event(EventKind.CONSOLE, self._board.scheduler.turns.current, data=data)
        self._deliver([(hook.call, event) for hook in self._console])

    def _event(
        self,
        kind: EventKind,
        hart: int,
        address: int = 0,
        *,
        number: int = 0,
        arguments: tuple[int, ...] = (),
        result: int = 0,
        data: bytes = b"",
    ) -> HookEvent:
        return HookEvent(
            self._machine,
            self._machine.harts[hart],
            kind,
            address,
            number=number,
            arguments=arguments,
            result=result,
            data=data,
            _stop=self._stop,
        )

    def _deliver(self, calls: list[_Due]) -> None:
        if self._search is None:
            self.around(lambda: _call_all(calls))
            return
        for call, event in calls:
            hook = getattr(call, "__self__", None)
            if hook in self._search[0]:
                self._search[1](hook, event)

    def _stop(self, reason: StopReason) -> None:
        assert self._board is not None
        self._board.scheduler.halt(reason)


def _call_all(calls: Iterable[_Due]) -> None:
    """Call every callback; then raise for the first that raised."""
    trouble: Exception | None = None
    for call, event in calls:
        try:
            call(event)
        except Exception as error:
            trouble = trouble or error
    if isinstance(trouble, HookError):
        raise trouble
    if trouble is not None:
        raise HookError(f"a hook raised {type(trouble).__name__}: {trouble}") from trouble


def _touched(hook: Hook, what: Interception) -> bool:
    ranges = hook.watched.writes if what.kind is Kind.WRITE else hook.watched.reads
    return touches(ranges, what.address, what.size, what.physical, what.last)


def _text(ranges: tuple[Range, ...]) -> str:
    return ", ".join(f"{'physical ' if each.physical else ''}{each.start:#x} to {each.end:#x}" for each in ranges)


def _cause(cause: int | str) -> int:
    if isinstance(cause, str):
        wanted = cause.lower().replace("_", " ")
        found = next((number for number, name in RISCV64.causes.items() if name == wanted), None)
        if found is None:
            raise BadHook(f"there is no trap {cause!r}: use one of {', '.join(RISCV64.causes.values())}")
        return found
    if cause not in RISCV64.causes:
        raise BadHook(f"there is no trap with cause {cause:#x}: use a code of mcause, with bit 63 for interrupts")
    return cause
