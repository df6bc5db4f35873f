"""Which interrupts are pending: mip is composed of what software wrote, what devices assert, and the timer of Sstc."""

from __future__ import annotations

from hypernest.isa.hart import Hart, bit, routine
from hypernest.isa.riscv.state import Environment, Interrupt
from hypernest.isa.word import Word

NANOSECONDS_PER_TICK = 100  # `time` runs at 10 MHz, as on QEMU's virt board

SOFTWARE_WRITABLE = (
    1 << Interrupt.SUPERVISOR_SOFTWARE | 1 << Interrupt.SUPERVISOR_TIMER | 1 << Interrupt.SUPERVISOR_EXTERNAL
)


def time(h: Hart) -> Word:
    """mtime, in ticks of 100 ns."""
    return h.clock().udiv(NANOSECONDS_PER_TICK) + h.time_offset


def software_writable(h: Hart) -> Word:
    """The bits of mip that writes change. STIP is not among them while stimecmp drives it (Sstc, menvcfg.STCE)."""
    return ~(bit(h.menvcfg.bit(Environment.STCE)) << Interrupt.SUPERVISOR_TIMER) & SOFTWARE_WRITABLE


def pending(h: Hart) -> Word:
    """The value of mip."""
    timer = h.menvcfg.bit(Environment.STCE) & (time(h) >= h.stimecmp)
    return h.mip & software_writable(h) | h.lines | bit(timer) << Interrupt.SUPERVISOR_TIMER


@routine(results=(1,))
def interrupt_pending(h: Hart) -> Word:
    """Would wfi wake up? Global and delegation bits play no part in that (section 3.3.3)."""
    return (pending(h) & h.mie) != 0
