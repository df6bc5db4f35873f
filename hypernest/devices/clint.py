"""The core-local interruptor: software interrupts between harts, and the machine timer of each.

Registers as in the SiFive CLINT, which the RISC-V ACLINT specification 1.0 keeps in its sections 2 and 3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hypernest.devices.device import NEVER, Access, Clock, Device, InterruptLine, Register
from hypernest.devices.tree import Phandle, Value, hart_controller

NANOSECONDS_PER_TICK = 100
_ALL_ONES = (1 << 64) - 1
_SOFTWARE_INTERRUPT, _TIMER_INTERRUPT = 3, 7


@dataclass(slots=True)
class ClintState:
    """`time_offset` is what the guest has added to mtime by writing it, in ticks modulo 2**64."""

    msip: list[int]
    mtimecmp: list[int]
    time_offset: int = 0


class Clint(Device):
    """Drives one software and one timer line for each hart; mtime counts guest time at 10 MHz.

    The owner calls `update` when guest time has reached `next_deadline()`. mtimecmp starts at its largest value, so
    that no timer interrupt is pending before the guest asks for one.
    """

    size = 0x10000
    tree_name = "clint"
    compatible = ("sifive,clint0", "riscv,clint0")

    state: ClintState

    def __init__(
        self, clock: Clock, software_lines: Sequence[InterruptLine], timer_lines: Sequence[InterruptLine]
    ) -> None:
        assert len(software_lines) == len(timer_lines)
        harts = len(timer_lines)
        self.state = ClintState([0] * harts, [_ALL_ONES] * harts)
        self._clock = clock
        self._software_lines = software_lines
        self._timer_lines = timer_lines
        self.registers = (
            Register(
                0x0000, "msip", (4,), Access.READ_WRITE, "bit 0: software interrupt of a hart", count=harts, stride=4
            ),
            Register(
                0x4000,
                "mtimecmp",
                (4, 8),
                Access.READ_WRITE,
                "the timer interrupt of a hart is pending while mtime is at least this",
                reset=_ALL_ONES,
                count=harts,
                stride=8,
            ),
            Register(0xBFF8, "mtime", (4, 8), Access.READ_WRITE, "ticks of 100 ns"),
        )
        super().__init__()

    def write_msip(self, hart: int, value: int) -> None:
        self.state.msip[hart] = value & 1
        self._software_lines[hart].set(bool(value & 1))

    def write_mtimecmp(self, hart: int, value: int) -> None:
        self.state.mtimecmp[hart] = value
        self._timer_lines[hart].set(self.read_mtime() >= value)

    def read_mtime(self) -> int:
        return (self._clock.now() // NANOSECONDS_PER_TICK + self.state.time_offset) & _ALL_ONES

    def write_mtime(self, value: int) -> None:
        self.state.time_offset = (value - self._clock.now() // NANOSECONDS_PER_TICK) & _ALL_ONES
        self.update()

    def update(self) -> None:
        now = self.read_mtime()
        for line, pending in zip(self._software_lines, self.state.msip, strict=True):
            line.set(bool(pending))
        for line, deadline in zip(self._timer_lines, self.state.mtimecmp, strict=True):
            line.set(now >= deadline)

    def next_deadline(self) -> int | None:
        """Nanoseconds at which the next timer line rises; None if there is none before `NEVER`."""
        now = self.read_mtime()
        future = [deadline - now for deadline in self.state.mtimecmp if deadline > now]
        if not future:
            return None
        deadline = (self._clock.now() // NANOSECONDS_PER_TICK + min(future)) * NANOSECONDS_PER_TICK
        return deadline if deadline < NEVER else None

    def tree_properties(self) -> Mapping[str, Value]:
        return {
            "interrupts-extended": [
                part
                for hart in range(len(self._timer_lines))
                for number in (_SOFTWARE_INTERRUPT, _TIMER_INTERRUPT)
                for part in (Phandle(hart_controller(hart)), number)
            ]
        }
