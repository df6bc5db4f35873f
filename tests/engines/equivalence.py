"""The reference engine and a native one side by side: equal states in, the same steps, equal states out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from zlib import crc32

from hypernest.devices import BusError
from hypernest.engines.engine import Devices, Engine, Exit
from hypernest.engines.hart_state import HartState
from hypernest.engines.interpreter import InterpreterEngine
from hypernest.engines.reference import ReferenceEngine
from hypernest.isa.isa import NativeIsa
from hypernest.isa.layout import Layout
from hypernest.isa.riscv.riscv64 import RISCV64
from hypernest.isa.riscv.state import SINK
from hypernest.memory import GuestMemory

RAM = 0x8000_0000
DEVICE, DEVICE_SIZE = 0x1000_0000, 0x100
PAGE = 4096

MakeEngine = Callable[[NativeIsa, GuestMemory, Devices], Engine]

LAYOUT = Layout(RISCV64.registers)
_SINK_WORD = LAYOUT.index["x"] + SINK  # native code's own: writes to x0 go there


@dataclass
class Recorder:
    """A device whose answers depend on every access before, so that a missing or repeated one is noticed."""

    accesses: list[tuple[int, ...]] = field(default_factory=list)

    def _note(self, *access: int) -> int:
        address, size = access[:2]
        if not DEVICE <= address <= DEVICE + DEVICE_SIZE - size:
            raise BusError(f"nothing at {address:#x}")
        self.accesses.append(access)
        return crc32(repr(self.accesses[-8:]).encode()) * 0x1_0000_0001

    def read(self, address: int, size: int) -> int:
        return self._note(address, size) & ((1 << 8 * size) - 1)

    def write(self, address: int, size: int, value: int) -> None:
        self._note(address, size, value)


@dataclass
class Side:
    """One engine with a hart, a memory and a device of its own."""

    engine: Engine
    hart: HartState
    memory: GuestMemory
    device: Recorder


class Pair:
    """A hart on the reference and on a native engine. Everything is done to both; `run` checks that they stay equal."""

    def __init__(self, size: int = 1 << 18, native: MakeEngine = InterpreterEngine) -> None:
        self.sides = (self._side(ReferenceEngine, size), self._side(native, size))
        self.reference, self.native = self.sides
        self.size = size
        self.now = 0
        """Nanoseconds of guest time."""

    @staticmethod
    def _side(kind: MakeEngine, size: int) -> Side:
        memory, device = GuestMemory(RAM, size), Recorder()
        engine = kind(RISCV64, memory, device)
        memory.on_write(engine.invalidate)
        return Side(engine, engine.new_hart(), memory, device)

    def set_state(self, words: list[int] | bytes) -> None:
        """All registers, in layout order, as words or as a snapshot."""
        for side in self.sides:
            if isinstance(words, bytes):
                side.hart.restore(words)
            else:
                side.hart.words[: LAYOUT.words] = [*words]
            side.engine.flush_translations(side.hart)
            side.device.accesses.clear()

    def __setitem__(self, register: str | tuple[str, int], value: int) -> None:
        for side in self.sides:
            side.hart[register] = value

    def __getitem__(self, register: str | tuple[str, int]) -> int:
        return self.reference.hart[register]

    def write(self, address: int, data: bytes) -> None:
        """Guest-physical memory, written by the host."""
        for side in self.sides:
            side.memory.write(address, data)

    def run(self, steps: int, *, pieces: tuple[int, ...] = (), about: str = "") -> Exit:
        """Run both for `steps` steps, the native engine in pieces of these sizes (the last repeats), and compare.

        Ends before that if the run ends with another exit than BUDGET. `about` is put into the failure's message.
        """
        end = self.now + steps
        left, why = _run(self.reference, end, steps)
        done, sizes = 0, iter(pieces)
        size = next(sizes, steps)
        while True:
            size = min(size, steps - done)
            rest, again = _run(self.native, self.now + done + size, size)
            done += size - rest
            if again is not Exit.BUDGET or done >= steps:
                break
            size = next(sizes, size)
        # Where the last piece began is no part of the comparison.
        self.native.hart["remaining"], self.native.hart["clock_end"] = steps - done, end
        assert (again, steps - done) == (why, left), f"{about}: (exit, steps left) native != reference"
        self.now += done
        self.check(about)
        return why

    def check(self, about: str = "") -> None:
        """Compare registers, memory and what the devices saw. AssertionError names what differs."""
        differences = [*differing_registers(self.native.hart, self.reference.hart), *self._differing_memory()]
        if self.native.device.accesses != self.reference.device.accesses:
            differences.append(f"device: {self.native.device.accesses} != {self.reference.device.accesses}")
        assert not differences, f"{about}: native != reference\n  " + "\n  ".join(differences)

    def _differing_memory(self) -> Iterator[str]:
        mine, theirs = (side.memory.read(RAM, self.size) for side in (self.native, self.reference))
        if mine == theirs:
            return
        for at in range(0, self.size, 8):
            if mine[at : at + 8] != theirs[at : at + 8]:
                yield f"memory {RAM + at:#x}: {mine[at : at + 8].hex()} != {theirs[at : at + 8].hex()}"


def _run(side: Side, clock_end: int, steps: int) -> tuple[int, Exit]:
    side.hart["clock_end"] = clock_end
    why = side.engine.run(side.hart, steps)
    return side.hart["remaining"], why


def differing_registers(one: HartState, other: HartState) -> Iterator[str]:
    """`name: value != value` of each register that differs; the place for writes to x0 is not a register."""
    mine, theirs = one.words[: LAYOUT.words], other.words[: LAYOUT.words]
    mine[_SINK_WORD] = theirs[_SINK_WORD] = 0
    if mine == theirs:
        return
    for name, register in LAYOUT.registers.items():
        for index in range(register.count):
            at = LAYOUT.index[name] + index
            if mine[at] != theirs[at]:
                place = f"{name}[{index}]" if register.count > 1 else name
                yield f"{place}: {mine[at]:#x} != {theirs[at]:#x}"
