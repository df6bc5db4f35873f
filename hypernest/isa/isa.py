"""An instruction-set architecture: all that engines and analyses need to know of a processor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from hypernest.isa.csr import Csr
from hypernest.isa.hart import Pure, Register, Routine
from hypernest.isa.row import Row
from hypernest.isa.trace import Bits


@dataclass(frozen=True)
class Isa:
    """The tables of an ISA and the routines that engines call between instructions."""

    name: str
    registers: tuple[Register, ...]
    rows: Mapping[str, Row]
    csrs: Mapping[int, Csr]
    translate: Routine  # (virtual address, access) -> guest-physical address; raises Trap
    load: Mapping[int, Routine]  # bits -> (virtual address) -> value; every alignment
    store: Mapping[int, Routine]  # bits -> (virtual address, value)
    fetch: Routine  # (virtual address) -> instruction, 32 bits (the upper half 0 for a 16-bit one)
    instruction_length: Pure  # (its first 16 bits, or all) -> bytes, 64 bits
    take_trap: Routine  # (cause, value): enter the handler for a synchronous exception
    interrupt_due: Routine  # () -> the cause of the interrupt that would be taken, 0 if there is none
    take_interrupt: Routine  # () -> enter the handler of the most urgent enabled interrupt: its cause, 0 if none
    interrupt_pending: Routine  # () -> 1 bit: would wfi wake up? If not, there is no interrupt to take
    data_context: Routine  # () -> 2 bits: loads and stores with equal contexts translate alike between flushes
    fetch_context: Routine  # () -> 2 bits: the same for instruction fetch
    causes: Mapping[int, str]  # names of traps by cause; interrupts have bit 63 set
    illegal_instruction: int  # the cause of an instruction that no row describes
    page_uniform: Routine  # (guest-physical address) -> 1 bit: is protection the same in all of its page?
    usual: Mapping[tuple[str, int], Bits]  # what hot code nearly always finds in bits of registers
    link_registers: frozenset[tuple[str, int]]  # a jump to what they hold is a return, as a rule
    floating: str  # the register file of floating-point numbers
    sink: tuple[str, int]  # the register file whose number 0 ignores writes, and the number that takes them natively

    @cached_property
    def registers_by_name(self) -> dict[str, Register]:
        """The state table, by name."""
        return {register.name: register for register in self.registers}
