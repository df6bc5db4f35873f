"""The state of a RISC-V hart as a table, and the bits of its status words that more than one module needs.

Engines derive their native layout from `REGISTERS`, snapshots their format, the debugger its description. Registers
hold only what software or devices can change; what a CSR shows besides (constant fields, summaries, masks) is added
by its row in `csrs.py`. The hypervisor's registers (vsstatus, hgatp, the bit V beside `priv`) and the vector ones
(v, vl, vtype, vstart) go here when those extensions come.
"""

from __future__ import annotations

from enum import IntEnum

from hypernest.isa.hart import Register

PMP_ENTRIES = 16
SINK = 32  # x[SINK] takes what native code writes to x0; x[0] itself is never written


class Privilege(IntEnum):
    """Privilege modes, as `priv`, MPP and bits 9:8 of a CSR number encode them."""

    USER = 0
    SUPERVISOR = 1
    MACHINE = 3


class Status(IntEnum):
    """The lowest bit of each writable field of mstatus (section 3.1.6 of the privileged manual)."""

    SIE = 1
    MIE = 3
    SPIE = 5
    MPIE = 7
    SPP = 8
    MPP = 11  # two bits
    FS = 13  # two bits
    MPRV = 17
    SUM = 18
    MXR = 19
    TVM = 20
    TW = 21
    TSR = 22


class Interrupt(IntEnum):
    """Interrupt numbers: bits of mip and mie, codes in mcause."""

    SUPERVISOR_SOFTWARE = 1
    MACHINE_SOFTWARE = 3
    SUPERVISOR_TIMER = 5
    MACHINE_TIMER = 7
    SUPERVISOR_EXTERNAL = 9
    MACHINE_EXTERNAL = 11


class Environment(IntEnum):
    """The lowest bit of each field of menvcfg and senvcfg; the last two exist in menvcfg only."""

    CBIE = 4  # two bits
    CBCFE = 6
    CBZE = 7
    ADUE = 61
    STCE = 63


REGISTERS: tuple[Register, ...] = (
    Register("x", 64, 33, doc="integer registers; x[0] is never written, x[32] takes writes to it"),
    Register("f", 64, 32, doc="floating-point registers; narrower values are NaN-boxed"),
    Register("pc", doc="address of the instruction being executed; the board sets it at reset"),
    Register("priv", 2, reset=Privilege.MACHINE, doc="privilege mode"),
    Register("hartid", doc="mhartid"),
    # Kept by devices, the board and the monitor; engines add `retired`, the instructions completed without a trap.
    Register("lines", doc="interrupts that devices assert, as bits of mip: MEIP, MTIP, MSIP, SEIP"),
    Register("time_offset", doc="ticks that mtime is ahead of the clock, set by writes to mtime"),
    Register("hosted", 1, doc="traps to M-mode are answered by a monitor outside the hart"),
    Register("monitor_call", 1, doc="a hosted hart has entered M-mode; the run loop answers and clears this"),
    Register("reservation", doc="guest-physical address that the last load-reserved read"),
    Register("reservation_valid", 1, doc="the reservation is still held"),
    # Floating point.
    Register("fflags", 5, doc="accrued exceptions NV DZ OF UF NX"),
    Register("frm", 3, doc="dynamic rounding mode"),
    # Machine level.
    Register("mstatus", doc="writable fields only; SD, SXL and UXL are added when read"),
    Register("medeleg"),
    Register("mideleg"),
    Register("mie", doc="sie is a view of it"),
    Register("mip", doc="bits that software writes: SSIP, STIP, SEIP; see interrupts.py for what is pending"),
    Register("mtvec"),
    Register("mscratch"),
    Register("mepc"),
    Register("mcause"),
    Register("mtval"),
    Register("mcounteren", 32),
    Register("mcountinhibit", 32),
    Register("menvcfg"),
    Register("cycle_offset", doc="mcycle minus the clock; the value of mcycle itself while it is inhibited"),
    Register("instret_offset", doc="minstret minus `retired`; the value of minstret itself while it is inhibited"),
    Register("pmpcfg", 64, PMP_ENTRIES // 8, doc="eight entries a register, the first in the lowest byte"),
    Register("pmpaddr", 64, PMP_ENTRIES, doc="bits 55:2 of an address"),
    # Supervisor level.
    Register("stvec"),
    Register("sscratch"),
    Register("sepc"),
    Register("scause"),
    Register("stval"),
    Register("scounteren", 32),
    Register("senvcfg"),
    Register("satp"),
    Register("stimecmp", reset=(1 << 64) - 1),
)
