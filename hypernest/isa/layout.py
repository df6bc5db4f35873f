"""Where each register of a hart stands in its native state, derived from the register table."""

from __future__ import annotations

from collections.abc import Iterable

from hypernest.isa.hart import Register

# What engines keep beside the ISA's own registers.
ENGINE_REGISTERS = (
    Register("remaining", doc="Steps (instructions, trapping ones included) left in this run."),
    Register("clock_end", doc="The clock, in nanoseconds, when `remaining` reaches 0; now is clock_end - remaining."),
    Register("retired", doc="Instructions completed without a trap, as minstret counts them."),
    Register("stop", doc="Set by a device, `reschedule` or the host: leave the run after this instruction."),
    Register("waiting", width=1, doc="Set by wfi: leave the run unless an interrupt is pending."),
)


class Layout:
    """Where each register is: index of its first 64-bit word, width, count."""

    def __init__(self, registers: Iterable[Register]) -> None:
        self.registers: dict[str, Register] = {}
        self.index: dict[str, int] = {}
        self.words = 0
        # x first: native code reaches the integer registers without an offset.
        for register in (*registers, *ENGINE_REGISTERS):
            if register.name in self.registers:
                raise ValueError(f"register {register.name} is described twice")
            self.registers[register.name] = register
            self.index[register.name] = self.words
            self.words += register.count
