"""Entering and leaving trap handlers: causes, delegation, vectors, the stack of privileges, interrupt priority.

A *hosted* hart has no machine-mode software: a monitor outside it plays that part. Its traps to M-mode change the
state as on any hart and set `monitor_call`, so that the run loop asks the monitor instead of fetching from mtvec.
"""

from __future__ import annotations

from enum import IntEnum

from hypernest.isa.hart import Hart, Trap, bit, routine
from hypernest.isa.riscv.interrupts import pending
from hypernest.isa.riscv.state import Interrupt, Privilege, Status
from hypernest.isa.word import Word, select, word

INTERRUPT = 1 << 63  # set in mcause and scause for interrupts

# Most urgent first (section 3.1.9), within one destination mode.
PRIORITY = (
    Interrupt.MACHINE_EXTERNAL,
    Interrupt.MACHINE_SOFTWARE,
    Interrupt.MACHINE_TIMER,
    Interrupt.SUPERVISOR_EXTERNAL,
    Interrupt.SUPERVISOR_SOFTWARE,
    Interrupt.SUPERVISOR_TIMER,
)


class Cause(IntEnum):
    """Codes of synchronous exceptions (table 14)."""

    INSTRUCTION_ADDRESS_MISALIGNED = 0
    INSTRUCTION_ACCESS_FAULT = 1
    ILLEGAL_INSTRUCTION = 2
    BREAKPOINT = 3
    LOAD_ADDRESS_MISALIGNED = 4
    LOAD_ACCESS_FAULT = 5
    STORE_ADDRESS_MISALIGNED = 6
    STORE_ACCESS_FAULT = 7
    USER_ECALL = 8
    SUPERVISOR_ECALL = 9
    MACHINE_ECALL = 11
    INSTRUCTION_PAGE_FAULT = 12
    LOAD_PAGE_FAULT = 13
    STORE_PAGE_FAULT = 15


def illegal(h: Hart) -> Trap:
    """The illegal-instruction exception; its value is the instruction (16 or 32 bits)."""
    return Trap(Cause.ILLEGAL_INSTRUCTION, h.operand("instruction"))


@routine((64, 64))
def take_trap(h: Hart, cause: Word, value: Word) -> None:
    """Enter the handler for a synchronous exception of the instruction at pc."""
    if (h.priv <= Privilege.SUPERVISOR) & (h.medeleg >> cause).bit(0):
        _enter_supervisor(h, cause, value, word(0))
    else:
        _enter_machine(h, cause, value, word(0))


@routine(results=(64,))
def interrupt_due(h: Hart) -> Word:
    """The cause of the most urgent interrupt that is pending and enabled, 0 if there is none."""
    ready = pending(h) & h.mie
    if ready == 0:
        return word(0)
    machine_on = (h.priv < Privilege.MACHINE) | h.mstatus.bit(Status.MIE)
    to_machine = ready & ~h.mideleg & -bit(machine_on)
    if to_machine != 0:
        return _most_urgent(to_machine) | INTERRUPT
    supervisor_on = (h.priv == Privilege.USER) | ((h.priv == Privilege.SUPERVISOR) & h.mstatus.bit(Status.SIE))
    to_supervisor = ready & h.mideleg & -bit(supervisor_on)
    if to_supervisor != 0:
        return _most_urgent(to_supervisor) | INTERRUPT
    return word(0)


@routine(results=(64,))
def take_interrupt(h: Hart) -> Word:
    """Enter the handler of the interrupt that is due: its cause, 0 if there is none."""
    cause: Word = interrupt_due(h)
    if cause == 0:
        return cause
    code = cause ^ INTERRUPT
    if (h.mideleg >> code).bit(0):
        _enter_supervisor(h, cause, word(0), code << 2)
    else:
        _enter_machine(h, cause, word(0), code << 2)
    return cause


def _most_urgent(candidates: Word) -> Word:
    code = word(PRIORITY[-1])
    for number in reversed(PRIORITY[:-1]):
        code = select(candidates.bit(number), word(number), code)
    return code


def _enter_supervisor(h: Hart, cause: Word, value: Word, vector: Word) -> None:
    status = h.mstatus
    status = status.insert(Status.SPIE, status.bit(Status.SIE)).insert(Status.SIE, word(0, 1))
    h.write("mstatus", status.insert(Status.SPP, h.priv.bit(0)))
    h.write("sepc", h.pc)
    h.write("scause", cause)
    h.write("stval", value)
    h.write("pc", _handler(h.stvec, vector))
    h.write("priv", word(Privilege.SUPERVISOR, 2))


def _enter_machine(h: Hart, cause: Word, value: Word, vector: Word) -> None:
    status = h.mstatus
    status = status.insert(Status.MPIE, status.bit(Status.MIE)).insert(Status.MIE, word(0, 1))
    h.write("mstatus", status.insert(Status.MPP, h.priv))
    h.write("mepc", h.pc)
    h.write("mcause", cause)
    h.write("mtval", value)
    h.write("monitor_call", h.hosted)
    h.write("pc", _handler(h.mtvec, vector))
    h.write("priv", word(Privilege.MACHINE, 2))


def _handler(tvec: Word, vector: Word) -> Word:
    """The address in mtvec or stvec; mode 1 (bit 0) adds four bytes a code for interrupts."""
    return (tvec & ~3) + select(tvec.bit(0), vector, 0)


def return_from_machine(h: Hart) -> None:
    """What mret does to the state (section 3.3.2)."""
    status, privilege = h.mstatus, h.mstatus.bits(Status.MPP + 1, Status.MPP)
    status = status.insert(Status.MIE, status.bit(Status.MPIE)).insert(Status.MPIE, word(1, 1))
    status = status.insert(Status.MPP, word(Privilege.USER, 2))
    keeps = privilege == Privilege.MACHINE
    h.write("mstatus", status.insert(Status.MPRV, status.bit(Status.MPRV) & keeps))
    h.write("priv", privilege)
    h.jump(h.mepc)


def return_from_supervisor(h: Hart) -> None:
    """What sret does to the state; it never ends in M-mode, so MPRV is cleared."""
    status, privilege = h.mstatus, h.mstatus.bit(Status.SPP)
    status = status.insert(Status.SIE, status.bit(Status.SPIE)).insert(Status.SPIE, word(1, 1))
    status = status.insert(Status.SPP, word(0, 1))
    h.write("mstatus", status.insert(Status.MPRV, word(0, 1)))
    h.write("priv", privilege.zext(2))
    h.jump(h.sepc)
