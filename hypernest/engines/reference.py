"""The reference engine: the description itself, run in plain Python.

It is the oracle for every other engine and the place to single-step an instruction in a debugger. It keeps nothing
beyond the hart's state: no decoded code, no translations.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Protocol

from hypernest.devices.device import BusError
from hypernest.engines.coverage_map import CoverageMap
from hypernest.engines.engine import Devices, Exit, Untranslated
from hypernest.engines.hart_state import HartState
from hypernest.engines.watched import NOTHING, Interception, Kind, Watched, touches
from hypernest.isa.decoder import Decoder
from hypernest.isa.hart import Access, Hart, Routine, Trap
from hypernest.isa.isa import Isa
from hypernest.isa.layout import Layout
from hypernest.isa.row import Row
from hypernest.isa.word import Word, word
from hypernest.memory import GuestMemory

_ANSWERED = Word(1, 1)
_ADDRESSES = (1 << 64) - 1


class Memory(Protocol):
    """What a `ReferenceHart` needs of RAM: integers of 1 to 8 bytes, little-endian, where `contains` says yes."""

    def contains(self, address: int, size: int, /) -> bool: ...

    def read_integer(self, address: int, size: int, /) -> int: ...

    def write_integer(self, address: int, size: int, value: int, /) -> None: ...


class _Intercepted(Exception):
    """An instruction must wait, because the host watches what it is about to do."""

    def __init__(self, what: Interception) -> None:
        self.what = what


class ReferenceHart(Hart):
    """A `Hart` of constants over a `HartState`. Usable by itself to read CSRs or translate addresses."""

    def __init__(self, isa: Isa, state: HartState, memory: Memory, devices: Devices) -> None:
        self._isa, self._state, self._memory, self._devices = isa, state, memory, devices
        self._words, index = state.words, state.layout.index
        self._places = {name: (index[name], each.count, each.width) for name, each in state.layout.registers.items()}
        self._zero = isa.zero
        self._operands: dict[str, int] = {}
        self._next_pc = 0
        self._target: Word | None = None
        self._attention = False
        self.trap_cause: int | None = None
        """The cause of the trap that the last step ended in, if it did."""
        self.watched = NOTHING
        self.coverage: tuple[CoverageMap, ...] = ()
        self.passing = Kind.NONE
        """What does not end the next step although it is watched."""
        self.interception: Interception | None = None
        """Why the last step was not done."""

    def step(self, decoder: Decoder) -> bool:
        """One instruction at pc, or its trap. True if interrupts must be looked at before the next.

        If something watched is in the way nothing happens, and `interception` says what it is.
        """
        self._attention, self.trap_cause = False, None
        try:
            if self._state["pc"] in self.watched.execute:
                self._intercept(Interception(Kind.EXECUTE, self._state["pc"]))
            code = int(self._isa.fetch(self, self.pc))
            for each in self.coverage:
                each.note(self._state["pc"], code & 0xFFFF)
            self._operands = {"instruction": code}
            self.execute(decoder.decode(code), code)
            self._state["retired"] += 1
        except _Intercepted as intercepted:
            self.interception = intercepted.what
        except Trap as trap:
            if trap.cause in self.watched.traps and not self.passing & Kind.TRAP:
                self.interception = Interception(
                    Kind.TRAP, self._state["pc"], value=int(trap.value), cause=int(trap.cause)
                )
                return self._attention
            self._isa.take_trap(self, trap.cause, trap.value)
            self._attention, self.trap_cause = True, trap.cause
        return self._attention

    def _intercept(self, what: Interception) -> None:
        if not what.kind & self.passing:
            raise _Intercepted(what)

    def execute(self, row: Row | None, code: int) -> None:
        """Run the semantics of an instruction that was decoded; pc moves on. Raises `Trap`."""
        if row is None:
            raise Trap(self._isa.illegal_instruction, code)
        self._operands = {"instruction": code} | row.operand_values(code)
        self._next_pc = self._state["pc"] + row.length & _ADDRESSES
        self._target = None
        row.semantics(self)
        self._attention |= row.system
        self._state["pc"] = self._next_pc if self._target is None else int(self._target)

    # --- Hart ------------------------------------------------------------------------------------------------------

    def read(self, register: str, index: Word | int = 0) -> Word:
        place, count, width = self._places[register]
        number = index if isinstance(index, int) else int(index)
        if not 0 <= number < count:
            raise IndexError(f"{register} has {count} registers, no number {number}")
        return Word(self._words[place + number], width)

    def __getattr__(self, name: str) -> Word:
        if name not in self._places:
            raise AttributeError(name)
        return self.read(name)

    def write(self, register: str, value: Word | int, index: Word | int = 0) -> None:
        if register == self._zero and int(index) == 0:
            return
        place, count, width = self._places[register]
        number = int(index)
        if not 0 <= number < count:
            raise IndexError(f"{register} has {count} registers, no number {number}")
        self._words[place + number] = int(word(value, width))

    def operand(self, name: str) -> Word:
        return word(self._operands[name], 64)

    def call(self, called: Routine, arguments: tuple[Word, ...]) -> Any:
        return called.function(self, *arguments)

    def load(self, address: Word, bits: int) -> Word:
        value: Word = self._isa.load[bits](self, address)
        return value

    def store(self, address: Word, value: Word) -> None:
        self._isa.store[value.width](self, address, value)

    def locate(self, address: Word, access: Access) -> Word:
        found: Word = self._isa.translate(self, address, int(access))
        return found

    def physical_load(self, address: Word, bits: int) -> tuple[Word, Word]:
        at, size = int(address), bits // 8
        if self._memory.contains(at, size):
            return Word(self._memory.read_integer(at, size), bits), _ANSWERED
        self._attention = True
        try:
            return word(self._devices.read(at, size), bits), _ANSWERED
        except BusError:
            return word(0, bits), word(0, 1)

    def physical_store(self, address: Word, value: Word) -> Word:
        at, size = int(address), value.width // 8
        if self._memory.contains(at, size):
            self._memory.write_integer(at, size, int(value))
            return _ANSWERED
        self._attention = True
        try:
            self._devices.write(at, size, int(value))
        except BusError:
            return word(0, 1)
        return _ANSWERED

    def is_memory(self, address: Word, size: int) -> Word:
        return word(int(self._memory.contains(int(address), size)), 1)

    def announce(self, access: Access, address: Word, size: int, value: Word, first: Word, last: Word) -> None:
        kind, ranges = (Kind.WRITE, self.watched.writes) if access is Access.WRITE else (Kind.READ, self.watched.reads)
        if ranges and touches(ranges, int(address), size, int(first), int(last)):
            self._intercept(Interception(kind, int(address), size, int(value), int(first), int(last)))

    def csr_read(self, number: Word) -> Word:
        row = self._isa.csrs.get(int(number))
        if row is None:
            raise Trap(self._isa.illegal_instruction, self._operands.get("instruction", 0))
        return row.read(self)

    def csr_write(self, number: Word, value: Word) -> None:
        row = self._isa.csrs.get(int(number))
        if row is None:
            raise Trap(self._isa.illegal_instruction, self._operands.get("instruction", 0))
        if int(number) in self.watched.csrs:
            self._intercept(Interception(Kind.CSR, int(number), value=int(value)))
        if row.write is not None:
            row.write(self, value)

    def clock(self) -> Word:
        return word(self._state["clock_end"] - self._state["remaining"], 64)

    def flush_translations(self) -> None:
        """Nothing is remembered here."""

    def flush_translation(self, address: Word) -> None:
        """Nothing is remembered here."""

    def note_mapping(self, shift: Word) -> None:
        """Nothing is remembered here."""

    def flush_instructions(self) -> None:
        """Nothing is remembered here."""

    def reschedule(self) -> None:
        self._state["stop"] = 1

    def wait(self) -> None:
        self._state["waiting"] = 1

    @property
    def next_pc(self) -> Word:
        return word(self._next_pc, 64)

    def branch(self, offset: Word) -> None:
        self._target = self.pc + offset

    def jump(self, target: Word) -> None:
        self._target = target


class ReferenceEngine(Untranslated):
    """Runs harts one instruction at a time through `ReferenceHart`. See `engine.Engine` for the contract."""

    def __init__(self, isa: Isa, memory: GuestMemory, devices: Devices) -> None:
        self._isa, self._memory, self._devices = isa, memory, devices
        self._layout = Layout(isa.registers)
        self._decoder = Decoder(isa.rows.values())
        self._traps: Counter[str] = Counter()
        self._watched = NOTHING
        self._coverage: tuple[CoverageMap, ...] = ()
        self._interceptions: dict[int, Interception] = {}

    def new_hart(self) -> HartState:
        return HartState(self._layout)

    def view(self, state: HartState) -> ReferenceHart:
        """A hart of constants over `state`, to call semantic functions and routines on."""
        return ReferenceHart(self._isa, state, self._memory, self._devices)

    def watch(self, watched: Watched) -> None:
        self._watched = watched

    def cover(self, maps: Sequence[CoverageMap]) -> None:
        self._coverage = tuple(maps)

    def interception(self, state: HartState) -> Interception:
        return self._interceptions[state.address]

    def run(self, state: HartState, steps: int, passing: Kind = Kind.NONE) -> Exit:
        hart = self.view(state)
        hart.watched, hart.passing, hart.coverage = self._watched, passing, self._coverage
        state["remaining"] = steps
        attention = True
        while True:
            if attention or state["stop"]:  # the latter may be set at any time, by a signal
                if state["monitor_call"]:
                    return Exit.MONITOR
                if state["waiting"]:
                    if not self._isa.interrupt_pending(hart):
                        return Exit.WAIT
                    state["waiting"] = 0
                if state["stop"]:
                    state["stop"] = 0
                    return Exit.STOP
                due = int(self._isa.interrupt_due(hart))
                if due and due in self._watched.traps and not hart.passing & Kind.INTERRUPT:
                    self._interceptions[state.address] = Interception(Kind.INTERRUPT, state["pc"], cause=due)
                    return Exit.HOOK
                if due:
                    self._isa.take_interrupt(hart)
                    self._count(due)
                    hart.passing = Kind.NONE
                if state["monitor_call"]:
                    return Exit.MONITOR
            if not state["remaining"]:
                return Exit.BUDGET
            attention = hart.step(self._decoder)
            if hart.interception is not None:
                self._interceptions[state.address] = hart.interception
                return Exit.HOOK
            hart.passing = Kind.NONE
            state["remaining"] -= 1
            if hart.trap_cause is not None:
                self._count(hart.trap_cause)

    @property
    def traps(self) -> dict[str, int]:
        """How many traps of each cause were taken since the engine was made."""
        return dict(self._traps)

    def _count(self, cause: int) -> None:
        self._traps[self._isa.causes.get(cause, f"cause {cause}")] += 1

    def invalidate(self, address: int, count: int) -> None:
        """Nothing is remembered here."""

    def flush_translations(self, state: HartState) -> None:
        """Nothing is remembered here."""
