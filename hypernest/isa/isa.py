"""An instruction-set architecture: all that engines and analyses need to know of a processor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from hypernest.isa.csr import Csr
from hypernest.isa.hart import Hart, Pure, Register, Routine, routine
from hypernest.isa.row import Row
from hypernest.isa.trace import Bits
from hypernest.isa.word import Word, word


@routine(results=(64,))
def no_interrupt(h: Hart) -> Word:
    """What a machine without interrupts answers when one is looked for, or to be taken."""
    return word(0)


@routine(results=(1,))
def always_awake(h: Hart) -> Word:
    """What a machine without waiting answers when it is asked whether to wake up."""
    return word(1, 1)


@dataclass(frozen=True, kw_only=True)
class Isa:
    """The tables of an ISA and the routines that engines call between instructions."""

    name: str
    registers: tuple[Register, ...]
    rows: Mapping[str, Row]
    translate: Routine  # (virtual address, access) -> guest-physical address; raises Trap
    load: Mapping[int, Routine]  # bits -> (virtual address) -> value; every alignment
    store: Mapping[int, Routine]  # bits -> (virtual address, value)
    fetch: Routine  # (virtual address) -> instruction, with nothing above the bits of a short one
    take_trap: Routine  # (cause, value): enter the handler for a synchronous exception
    causes: Mapping[int, str]  # names of traps by cause; interrupts have bit 63 set
    illegal_instruction: int  # the cause of an instruction that no row describes
    csrs: Mapping[int, Csr] = field(default_factory=dict)
    interrupt_due: Routine = no_interrupt  # () -> the cause of the interrupt that would be taken, 0 if there is none
    take_interrupt: Routine = no_interrupt  # () -> enter the handler of the most urgent interrupt: its cause, or 0
    interrupt_pending: Routine = always_awake  # () -> 1 bit: would wfi wake up? If not, there is no interrupt to take
    zero: str = ""  # the register file whose number 0 ignores writes

    @cached_property
    def registers_by_name(self) -> dict[str, Register]:
        """The state table, by name."""
        return {register.name: register for register in self.registers}


@dataclass(frozen=True, kw_only=True)
class NativeIsa(Isa):
    """What engines that generate native code need to know besides. Instructions have 16 or 32 bits."""

    instruction_length: Pure  # (its first 16 bits, or all) -> bytes, 64 bits
    data_context: Routine  # () -> 2 bits: loads and stores with equal contexts translate alike between flushes
    fetch_context: Routine  # () -> 2 bits: the same for instruction fetch
    page_uniform: Routine  # (guest-physical address) -> 1 bit: is protection the same in all of its page?
    usual: Mapping[tuple[str, int], Bits]  # what hot code nearly always finds in bits of registers
    link_registers: frozenset[tuple[str, int]]  # a jump to what they hold is a return, as a rule
    floating: str  # the register file of floating-point numbers
    sink: int  # the number that takes what native code writes to number 0 of `zero`
