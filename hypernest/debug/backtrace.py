"""Who called whom: the stack of a hart, read from its registers and memory.

A frame's caller is found by what the compiler tells (DWARF call frame information), or else by what the function's own
instructions do, or else by the chain of frame pointers. Where Linux has entered itself through a trap, it goes on with
the registers that were saved there. The stack is the guest's: what cannot be ends the list, and nothing is believed
that is not a place behind a call.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from hypernest.debug.dwarf.frames import Unwound
from hypernest.debug.dwarf.lines import SourceLine
from hypernest.debug.stack_code import (
    FP,
    RA,
    SP,
    Caller,
    by_epilogue,
    by_frame_pointer,
    by_prologue,
    is_behind_call,
    prologue,
)
from hypernest.debug.symbols import SymbolOffset
from hypernest.errors import BadValue, OutOfRange

if TYPE_CHECKING:
    from hypernest.machine.harts import MachineHart
    from hypernest.machine.machine import Machine

MOST_FRAMES = 256
_LARGEST_FRAME = 1 << 24
_ADDRESSES = (1 << 64) - 1

# arch/riscv/kernel/entry.S and include/asm/ptrace.h of Linux: where exceptions come in, and what lies on the stack.
_TRAP_ENTRIES = frozenset(("handle_exception", "ret_from_exception"))
_STACK_SWITCHES = frozenset(("call_on_irq_stack",))
_SAVED_STATUS = 32 * 8
_FROM_SUPERVISOR = 1 << 8  # in sstatus


class Frame(NamedTuple):
    """A function that has not returned yet. `pc` is where it goes on, the innermost one's the next instruction.

    `symbol` and `line` are those of the instruction that is executed, for callers that of the call; None if they are
    not known. `cfa` is what sp was before the call of the function (canonical frame address), None if unknown.
    """

    pc: int
    symbol: SymbolOffset | None
    line: SourceLine | None
    cfa: int | None

    def __str__(self) -> str:
        name = str(self.symbol) if self.symbol else "?"
        return f"{self.pc:#x} in {name}" + (f" at {self.line}" if self.line else "")


class Backtrace(list[Frame]):
    """Frames, the innermost first; prints as one a line."""

    def __repr__(self) -> str:
        return "\n".join(f"#{number:<3} {frame}" for number, frame in enumerate(self))


@dataclass(slots=True)
class _State:
    """A frame on the way out: where it goes on and its registers, as far as they are known."""

    pc: int
    registers: Mapping[int, int]
    is_interrupted: bool
    """pc is an instruction that is not executed yet, and not one behind a call."""

    @property
    def looked_up(self) -> int:
        """An address inside the instruction that is meant. What never returns may be called last in a function."""
        return self.pc if self.is_interrupted else self.pc - 1 & _ADDRESSES


def backtrace(machine: Machine, hart: int = 0, limit: int = MOST_FRAMES) -> Backtrace:
    """The frames of a hart, at most `limit` of them. Raises `BadImage` if a program's debug information is damaged."""
    if limit < 1:
        raise BadValue(f"{limit} frames cannot be shown: give a positive number")
    return _Walk(machine, machine.harts[hart]).frames(min(limit, MOST_FRAMES))


class _Walk:
    """One way from the innermost frame outwards."""

    def __init__(self, machine: Machine, hart: MachineHart) -> None:
        self._hart, self._symbols = hart, machine.symbols
        self._memory = hart.memory

    def frames(self, limit: int) -> Backtrace:
        found = Backtrace()
        state: _State | None = _State(self._hart.pc, {n: self._hart.x[n] for n in range(1, 32)}, is_interrupted=True)
        seen = set()
        while state is not None and len(found) < limit:
            mark = state.pc, state.registers.get(SP)
            if mark in seen:
                break
            seen.add(mark)
            try:
                cfa, following = self._leave(state)
            except OutOfRange:
                cfa, following = None, None
            symbol = self._symbols.find(state.looked_up, self._hart)
            if symbol is not None and not state.is_interrupted:
                symbol = SymbolOffset(symbol.name, symbol.offset + 1)
            found.append(Frame(state.pc, symbol, self._symbols.line(state.looked_up, self._hart), cfa))
            state = following
        return found

    def _leave(self, state: _State) -> tuple[int | None, _State | None]:
        """The frame's CFA, and its caller if it has one."""
        interrupted = self._before_trap(state)
        if interrupted is not None:
            return None, interrupted
        described = self._by_description(state)
        if described is not None:
            caller = None if described.pc is None else _State(described.pc, described.registers, is_interrupted=False)
            return described.cfa, self._checked(state, described.cfa, caller)
        found = self._by_code(state)
        if found is None:
            return None, None
        registers = {**state.registers, SP: found.cfa, FP: found.frame_pointer}
        return found.cfa, self._checked(state, found.cfa, _State(found.pc, registers, is_interrupted=False))

    def _checked(self, state: _State, cfa: int, caller: _State | None) -> _State | None:
        """The caller, if it can be one: further up the stack, and behind a call."""
        sp = state.registers.get(SP)
        if caller is None or sp is None or cfa & 7:
            return None
        smallest = 0 if state.is_interrupted else 8
        if not smallest <= cfa - sp < _LARGEST_FRAME and not self._is_in(state, _STACK_SWITCHES):
            return None
        return caller if is_behind_call(self._code, caller.pc) or self._is_in(caller, _TRAP_ENTRIES) else None

    def _by_description(self, state: _State) -> Unwound | None:
        for program in self._symbols.programs:
            found = program.unwind(state.looked_up, state.registers, self._number)
            if found is not None:
                return found
        return None

    def _by_code(self, state: _State) -> Caller | None:
        registers = state.registers
        if not registers.keys() >= {SP, FP} or (state.is_interrupted and RA not in registers):
            return None
        if state.is_interrupted and (found := by_epilogue(self._code, state.pc, registers, self._number)) is not None:
            return found
        symbol = self._symbols.find(state.looked_up, self._hart)
        if symbol is not None:
            done = prologue(self._code, state.looked_up - symbol.offset, state.looked_up)
            found = by_prologue(done, registers, self._number, is_innermost=state.is_interrupted)
            if found is not None:
                return found
        return by_frame_pointer(registers, self._number)

    # --- traps of Linux --------------------------------------------------------------------------------------------

    def _is_in(self, state: _State, names: frozenset[str]) -> bool:
        symbols = (self._symbols.find(at, self._hart) for at in (state.pc, state.looked_up))
        return any(symbol is not None and symbol.name in names for symbol in symbols)

    def _before_trap(self, state: _State) -> _State | None:
        """What was interrupted, if this frame is Linux's entry of traps: sp points to all registers."""
        sp = state.registers.get(SP)
        if state.is_interrupted or sp is None or not self._is_in(state, _TRAP_ENTRIES):
            return None
        pc = self._number(sp)
        registers = {number: self._number(sp + 8 * number & _ADDRESSES) for number in range(1, 32)}
        from_kernel = self._number(sp + _SAVED_STATUS & _ADDRESSES) & _FROM_SUPERVISOR
        if from_kernel and registers[SP] <= sp and self._symbols.find(pc, self._hart) is None:
            return None
        return _State(pc, registers, is_interrupted=True)

    # --- memory ----------------------------------------------------------------------------------------------------

    def _number(self, address: int) -> int:
        return self._memory.read_int(address, 8)

    def _code(self, address: int) -> int | None:
        try:
            code = self._memory.read(address & _ADDRESSES, 2)
            if code[0] & 3 == 3:
                code += self._memory.read(address + 2 & _ADDRESSES, 2)
        except OutOfRange:
            return None
        return int.from_bytes(code, "little")
