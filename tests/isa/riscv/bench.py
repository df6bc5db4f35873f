"""A hart of constants on a work bench: a little RAM, a device that records what reaches it, one step at a time."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypernest.devices.device import BusError
from hypernest.engines.hart_state import HartState
from hypernest.engines.reference import ReferenceHart
from hypernest.isa.decoder import Decoder
from hypernest.isa.hart import Access, Trap
from hypernest.isa.layout import Layout
from hypernest.isa.riscv.riscv64 import RISCV64
from hypernest.isa.riscv.state import Privilege
from hypernest.isa.word import Word, word
from hypernest.memory import GuestMemory

RAM, RAM_SIZE = 0x8000_0000, 0x4_0000
CODE = RAM + 0x1000  # where `step` puts its instruction
MACHINE_HANDLER, SUPERVISOR_HANDLER = RAM + 0x2000, RAM + 0x3000
DEVICE, DEVICE_SIZE = 0x1000_0000, 0x100
OPEN_PMP = (0x1F, (1 << 54) - 1)  # pmpcfg0 and pmpaddr0 that allow everything
USER, SUPERVISOR, MACHINE = Privilege.USER, Privilege.SUPERVISOR, Privilege.MACHINE

DECODER = Decoder(RISCV64.rows.values())
LAYOUT = Layout(RISCV64.registers)


@dataclass
class FakeDevice:
    """Reads as its offset; remembers every access."""

    accesses: list[tuple[str, int, int]] = field(default_factory=list)

    def _check(self, kind: str, address: int, size: int) -> None:
        if not DEVICE <= address <= DEVICE + DEVICE_SIZE - size:
            raise BusError(f"nothing at {address:#x}")
        self.accesses.append((kind, address, size))

    def read(self, address: int, size: int) -> int:
        self._check("read", address, size)
        return address - DEVICE

    def write(self, address: int, size: int, value: int) -> None:
        self._check("write", address, size)


@dataclass(frozen=True)
class Raised:
    """A trap: cause and the value that goes to mtval."""

    cause: int
    value: int


class BenchHart(ReferenceHart):
    """Counts what an engine would be told."""

    flushes = 0
    instruction_flushes = 0
    flushed_address: int | None = None

    def flush_translations(self) -> None:
        self.flushes += 1

    def flush_translation(self, address: Word) -> None:
        self.flushed_address = int(address)

    def flush_instructions(self) -> None:
        self.instruction_flushes += 1


class Bench:
    """The hart, its state by name (`bench["mstatus"]`), and instructions by row name."""

    def __init__(self, privilege: int = MACHINE, **registers: int) -> None:
        self.memory = GuestMemory(RAM, RAM_SIZE)
        self.device = FakeDevice()
        self.state = HartState(LAYOUT)
        self.hart = BenchHart(RISCV64, self.state, self.memory, self.device)
        self["pmpcfg"], self["pmpaddr"] = OPEN_PMP
        self["mtvec"], self["stvec"], self["pc"] = MACHINE_HANDLER, SUPERVISOR_HANDLER, CODE
        self["priv"] = privilege
        for name, value in registers.items():
            self[name] = value

    def __getitem__(self, key: str | tuple[str, int]) -> int:
        return self.state[key]

    def __setitem__(self, key: str | tuple[str, int], value: int) -> None:
        self.state[key] = value

    @property
    def clock(self) -> int:
        return self["clock_end"] - self["remaining"]

    @clock.setter
    def clock(self, nanoseconds: int) -> None:
        self["clock_end"], self["remaining"] = nanoseconds, 0

    def step(self, name: str, **fields: int) -> Raised | None:
        """Run one instruction at CODE, untranslated; what it raised to M-mode (nothing may be delegated)."""
        self["pc"] = CODE
        self.memory.write_integer(CODE, 4, RISCV64.rows[name].encode(**fields))
        self.hart.step(DECODER)
        return Raised(self["mcause"], self["mtval"]) if self["pc"] == MACHINE_HANDLER else None

    def csr(self, number: int) -> int:
        """What the CSR shows, without access checks."""
        return int(RISCV64.csrs[number].read(self.hart))

    def set_csr(self, number: int, value: int) -> None:
        """Write the CSR, without access checks."""
        self.hart.csr_write(word(number), word(value))

    def raised(self, call: str, *arguments: int | Access) -> Raised | int | None:
        """The result of a routine of the ISA (`translate`, `fetch`, `load 32`, ...), or the trap it raised."""
        name, _, bits = call.partition(" ")
        routine = getattr(RISCV64, name)
        try:
            result = (routine[int(bits)] if bits else routine)(self.hart, *map(int, arguments))
        except Trap as trap:
            return Raised(trap.cause, int(trap.value))
        return None if result is None else int(result)
