"""A window of a machine's run in which the reference engine repeats, and checks, everything that a native engine does.

The native engine runs the machine. Each of its runs is repeated by the reference engine from the same state, on a copy
of the memory; devices are asked once, and what they answered and changed is played back to the reference.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from hypernest.devices import BusError
from hypernest.engines.coverage_map import CoverageMap
from hypernest.engines.engine import Devices, Exit
from hypernest.engines.hart_state import HartState
from hypernest.engines.interpreter import InterpreterEngine
from hypernest.engines.reference import ReferenceEngine
from hypernest.engines.watched import Interception, Kind, Watched
from hypernest.isa.riscv.riscv64 import RISCV64
from hypernest.machine import Machine
from hypernest.memory import GuestMemory
from tests.engines.equivalence import LAYOUT, differing_registers

_CHUNK = 1 << 20


@dataclass
class _Access:
    """What the native engine asked of a device, and what came of it."""

    question: tuple[int, ...]  # address, size, and the value if it was a write
    answer: int | None = None  # None: nothing answered
    changed: dict[int, int] = field(default_factory=dict)  # words of the hart that the device changed
    written: list[tuple[int, bytes]] = field(default_factory=list)  # memory that it wrote


class _Recorder:
    """Stands between the native engine and the bus."""

    def __init__(self, devices: Devices) -> None:
        self.devices = devices
        self.accesses: list[_Access] = []
        self.present: _Access | None = None
        self.hart: HartState | None = None

    def read(self, address: int, size: int) -> int:
        return self._do(address, size)

    def write(self, address: int, size: int, value: int) -> None:
        self._do(address, size, value)

    def _do(self, address: int, size: int, *value: int) -> int:
        assert self.hart is not None
        access = self.present = _Access((address, size, *value))
        self.accesses.append(access)
        before = self.hart.words[: LAYOUT.words]
        try:
            if value:
                self.devices.write(address, size, *value)
                access.answer = 0
            else:
                access.answer = self.devices.read(address, size)
        finally:
            self.present = None
            after = self.hart.words[: LAYOUT.words]
            access.changed = {at: new for at, (old, new) in enumerate(zip(before, after, strict=True)) if old != new}
        return access.answer


class _Player:
    """Answers the reference engine as the devices answered the native one, which must have asked the same."""

    def __init__(self, memory: GuestMemory) -> None:
        self.memory = memory
        self.accesses: list[_Access] = []
        self.hart: HartState | None = None

    def read(self, address: int, size: int) -> int:
        return self._do(address, size)

    def write(self, address: int, size: int, value: int) -> None:
        self._do(address, size, value)

    def _do(self, *question: int) -> int:
        assert self.hart is not None
        access = self.accesses.pop(0) if self.accesses else None
        assert access is not None and access.question == question, f"reference asks {question}, native engine {access}"
        for at, value in access.changed.items():
            self.hart.words[at] = value
        for address, data in access.written:
            self.memory.write(address, data)
        if access.answer is None:
            raise BusError("as before")
        return access.answer


class _Lockstep:
    """An engine that is two."""

    def __init__(self, machine: Machine) -> None:
        board = machine._board
        assert isinstance(board.engine, InterpreterEngine)
        self.native, self.memory = board.engine, board.memory
        self.recorder = _Recorder(board.bus)
        self.copy = GuestMemory(self.memory.base, self.memory.size)
        self.player = _Player(self.copy)
        self.reference = ReferenceEngine(RISCV64, self.copy, self.player)
        self.hart = self.reference.new_hart()
        self.active = True
        self.memory.on_write(self._mirror)
        for at in self._chunks():
            data = self.memory.read(at, _CHUNK)
            if data.count(0) != _CHUNK:
                self.copy.write(at, data)

    def _chunks(self) -> Iterator[int]:
        return iter(range(self.memory.base, self.memory.end, _CHUNK))

    def _mirror(self, address: int, count: int) -> None:
        """The host, or a device, wrote memory."""
        if not self.active:
            return
        data = self.memory.read(address, count)
        if self.recorder.present is not None:
            self.recorder.present.written.append((address, data))
        else:
            self.copy.write(address, data)

    def watch(self, watched: Watched) -> None:
        self.native.watch(watched)
        self.reference.watch(watched)

    def cover(self, maps: Sequence[CoverageMap]) -> None:
        self.native.cover(maps)

    def interception(self, hart: HartState) -> Interception:
        what = self.native.interception(hart)
        assert what == self.reference.interception(self.hart)
        return what

    def run(self, hart: HartState, steps: int, passing: Kind = Kind.NONE) -> Exit:
        before = hart.snapshot()
        self.recorder.hart, self.recorder.accesses = hart, []
        why = self.native.run(hart, steps, passing)
        self.hart.restore(before)
        self.player.hart, self.player.accesses = self.hart, self.recorder.accesses
        again = self.reference.run(self.hart, steps, passing)
        about = f"{steps} steps from pc {int.from_bytes(before[8 * LAYOUT.index['pc'] :][:8], 'little'):#x}"
        assert (why, hart["remaining"]) == (again, self.hart["remaining"]), about
        differences = list(differing_registers(hart, self.hart))
        assert not differences, f"{about}: native != reference\n  " + "\n  ".join(differences)
        assert not self.player.accesses, about
        return why

    @property
    def traps(self) -> dict[str, int]:
        return self.native.traps

    @property
    def translation(self) -> Mapping[str, float]:
        return self.native.translation

    @property
    def problem(self) -> str | None:
        return self.native.problem

    def close(self) -> None:
        self.native.close()

    def new_hart(self) -> HartState:
        return self.native.new_hart()

    def invalidate(self, address: int, count: int) -> None:
        self.native.invalidate(address, count)

    def flush_translations(self, hart: HartState) -> None:
        self.native.flush_translations(hart)

    def leave_memory_file(self) -> None:
        self.native.leave_memory_file()

    def check_memory(self) -> None:
        for at in self._chunks():
            mine, theirs = self.memory.read(at, _CHUNK), self.copy.read(at, _CHUNK)
            if mine != theirs:
                first = next(i for i in range(_CHUNK) if mine[i] != theirs[i])
                raise AssertionError(f"memory differs at {at + first:#x}")


@contextmanager
def lockstep(machine: Machine) -> Iterator[Counter[str]]:
    """Runs of `machine`, which has a native engine, are checked inside. Gives the traps that were taken, by cause."""
    both = _Lockstep(machine)
    scheduler, engine = machine._board.scheduler, both.native
    devices, traps = engine._devices, Counter(engine.traps)
    taken: Counter[str] = Counter()
    scheduler._engine, engine._devices = both, both.recorder
    try:
        yield taken
        both.check_memory()
        taken.update(Counter(engine.traps) - traps)
    finally:
        both.active = False
        scheduler._engine, engine._devices = engine, devices
        both.copy.close()
