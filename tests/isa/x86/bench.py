"""A processor in protected mode on a work bench: flat memory, descriptor tables, a TSS, handlers for all vectors.

Everything is flat: every segment has base 0 unless a test makes another. `Bench.run` puts instructions at the program
counter and steps through them.
"""

from __future__ import annotations

from dataclasses import dataclass

from hypernest.devices.device import BusError
from hypernest.engines.hart_state import HartState
from hypernest.engines.reference import ReferenceHart
from hypernest.isa.decoder import Decoder
from hypernest.isa.layout import Layout
from hypernest.isa.x86.x86 import X86

SIZE = 0x1_0000
GDT, IDT, LDT, TSS = 0x1000, 0x2000, 0x3000, 0x3800
CODE, HANDLERS = 0x4000, 0x6000  # handler of vector n at HANDLERS + 16 * n
STACK, KERNEL_STACK, DATA = 0x8000, 0x9000, 0xA000
ESP = 4
CODE_SEGMENT, DATA_SEGMENT = 0xC0_9A, 0xC0_92  # flat, 32 bits, present, DPL 0
CONFORMING, READABLE, WRITABLE, PRESENT = 4, 2, 2, 0x80
KERNEL_CODE, KERNEL_DATA, USER_CODE, USER_DATA, TASK, LOCAL = 0x08, 0x10, 0x1B, 0x23, 0x28, 0x30
FREE = 0x40  # the first selector that a test can use

DECODER = Decoder(X86.rows.values())
LAYOUT = Layout(X86.registers)


def descriptor(base: int, limit: int, access: int) -> int:
    """Eight bytes; `access` is bits 55:40 without the limit, whose unit its bit 15 says."""
    low = (base & 0xFFFFFF) << 16 | limit & 0xFFFF
    return low | (access | (limit >> 16 & 0xF) << 8) << 40 | (base >> 24) << 56


def gate(selector: int, offset: int, access: int) -> int:
    """A gate to an entry point; `access` has P, DPL and type."""
    return offset & 0xFFFF | selector << 16 | access << 40 | (offset >> 16) << 48


def level(access: int, dpl: int) -> int:
    """The access rights with a descriptor privilege level."""
    return access & ~0x60 | dpl << 5


class Ram:
    """Memory from 0 on."""

    def __init__(self) -> None:
        self.bytes = bytearray(SIZE)

    def contains(self, address: int, size: int) -> bool:
        return 0 <= address <= SIZE - size

    def read_integer(self, address: int, size: int) -> int:
        return int.from_bytes(self.bytes[address : address + size], "little")

    def write_integer(self, address: int, size: int, value: int) -> None:
        self.bytes[address : address + size] = value.to_bytes(size, "little")


class Nowhere:
    """No device answers, but what is written to ports is remembered."""

    def __init__(self) -> None:
        self.written: list[tuple[int, int, int]] = []

    def read(self, address: int, size: int) -> int:
        raise BusError(f"nothing at {address:#x}")

    def write(self, address: int, size: int, value: int) -> None:
        self.written.append((address, size, value))


@dataclass(frozen=True)
class Raised:
    """A trap: its internal cause and the vector whose handler was entered (None: the processor shut down)."""

    cause: int
    vector: int | None


class Bench:
    """State by name (`bench["cs"]`, `bench["r", 0]`), words of memory by `load` and `store`."""

    def __init__(self, cpl: int = 0, iopl: int = 0) -> None:
        self.memory, self.devices, self.state = Ram(), Nowhere(), HartState(LAYOUT)
        self.hart = ReferenceHart(X86, self.state, self.memory, self.devices)
        for selector, entry in (
            (KERNEL_CODE, descriptor(0, 0xFFFFF, CODE_SEGMENT)),
            (KERNEL_DATA, descriptor(0, 0xFFFFF, DATA_SEGMENT)),
            (USER_CODE, descriptor(0, 0xFFFFF, level(CODE_SEGMENT, 3))),
            (USER_DATA, descriptor(0, 0xFFFFF, level(DATA_SEGMENT, 3))),
            (TASK, descriptor(TSS, 0x67, 0x8B)),
            (LOCAL, descriptor(LDT, 0xFF, 0x82)),
        ):
            self.describe(selector, entry)
        for vector in range(256):
            self.store(IDT + 8 * vector, 8, gate(KERNEL_CODE, HANDLERS + 16 * vector, 0x8E))
        self.store(TSS + 4, 4, KERNEL_STACK)
        self.store(TSS + 8, 4, KERNEL_DATA)
        self["gdtr_base"], self["gdtr_limit"], self["idtr_base"], self["idtr_limit"] = GDT, 0xFF, IDT, 0x7FF
        for name, value in (("", TASK), ("_base", TSS), ("_limit", 0x67), ("_rights", 0x8B)):
            self[f"tr{name}"] = value
        self["cs"] = KERNEL_CODE
        if cpl:
            self["cs"], self["cs_rights"] = USER_CODE, level(CODE_SEGMENT, 3)
            for name in ("ss", "ds", "es", "fs", "gs"):
                self[name], self[f"{name}_rights"] = USER_DATA, level(DATA_SEGMENT, 3)
        self["eflags"] = 2 | iopl << 12
        self["pc"] = CODE
        self["r", ESP] = STACK

    def __getitem__(self, key: str | tuple[str, int]) -> int:
        return self.state[key]

    def __setitem__(self, key: str | tuple[str, int], value: int) -> None:
        self.state[key] = value

    @property
    def cpl(self) -> int:
        assert self["cs"] & 3 == self["ss"] & 3
        return self["cs"] & 3

    def load(self, address: int, size: int = 4) -> int:
        return self.memory.read_integer(address, size)

    def store(self, address: int, size: int, value: int) -> None:
        self.memory.write_integer(address, size, value)

    def describe(self, selector: int, entry: int) -> None:
        """Put a descriptor into the table that the selector means."""
        self.store((LDT if selector & 4 else GDT) + (selector & ~7), 8, entry)

    def use_ldt(self) -> None:
        self["ldtr"], self["ldtr_base"], self["ldtr_limit"], self["ldtr_rights"] = LOCAL, LDT, 0xFF, 0x82

    def stack(self, *values: int) -> None:
        """Put 32-bit values on top of the stack, the first one highest."""
        for value in values:
            self["r", ESP] -= 4
            self.store(self["r", ESP], 4, value)

    def top(self, count: int) -> list[int]:
        """The values on top of the stack, the top first."""
        return [self.load(self["r", ESP] + 4 * number) for number in range(count)]

    def run(self, name: str, **fields: int) -> Raised | None:
        """Run one instruction at the program counter. The trap it ended in, if it did."""
        row = X86.rows[name]
        self.store(self["cs_base"] + self["pc"], row.length, row.encode(**fields))
        return self.step()

    def step(self) -> Raised | None:
        self.hart.step(DECODER)
        if self.hart.trap_cause is None:
            return None
        if self["shutdown"]:
            return Raised(self.hart.trap_cause, None)
        return Raised(self.hart.trap_cause, (self["pc"] - HANDLERS) // 16)
