"""The state of an IA-32 processor in protected mode as a table, and the bits of its registers that have a meaning.

Described is 32-bit protected mode (SDM volume 3, chapters 2 to 6): CR0.PE is 1 and EFLAGS.VM is 0. Paging, alignment
checks, single-stepping and breakpoints, task switches, 16-bit operands, gates and stacks, the I/O permission bitmap and
external interrupts are left out; what would need them ends in an operand fault (`faults.py`) or says what it does
instead. CR3 and the bits of CR0, CR4 and EFLAGS that control what is left out can be written and read all the same.

The mode is the current privilege level, CPL: bits 1:0 of the selector in CS, and of that in SS, which are always
equal. It is kept nowhere else; the descriptor privilege levels in the hidden parts of CS and SS decide nothing.
"""

from __future__ import annotations

from enum import IntEnum

from hypernest.isa.hart import Register

ESP = 4  # the number of the stack pointer among the general registers

SEGMENTS = ("es", "cs", "ss", "ds", "fs", "gs")  # in the order of their numbers in instructions
DATA_SEGMENTS = ("es", "ds", "fs", "gs")


class Flag(IntEnum):
    """Bits of EFLAGS (volume 1, section 3.4.3)."""

    CF = 0
    ONE = 1  # reads as 1
    PF = 2
    AF = 4
    ZF = 6
    SF = 7
    TF = 8
    IF = 9
    DF = 10
    OF = 11
    IOPL = 12  # two bits
    NT = 14
    RF = 16
    VM = 17
    AC = 18
    VIF = 19
    VIP = 20
    ID = 21


EFLAGS = sum(1 << flag for flag in Flag) | 2 << Flag.IOPL
"""The bits of EFLAGS that exist. ONE is always set, VM never."""

ARITHMETIC = 1 << Flag.CF | 1 << Flag.PF | 1 << Flag.AF | 1 << Flag.ZF | 1 << Flag.SF | 1 << Flag.OF


class Cr0(IntEnum):
    """Bits of CR0 (volume 3, section 2.5)."""

    PE = 0
    MP = 1
    EM = 2
    TS = 3
    ET = 4  # always 1
    NE = 5
    WP = 16
    AM = 18
    NW = 29
    CD = 30
    PG = 31


CR0 = sum(1 << bit for bit in Cr0)
"""The bits of CR0 that exist. PE and ET are always set."""


class Cr4(IntEnum):
    """The bits of CR4 that this processor has (volume 3, section 2.5)."""

    VME = 0
    PVI = 1
    TSD = 2
    DE = 3
    PSE = 4
    PAE = 5
    MCE = 6
    PGE = 7
    PCE = 8
    UMIP = 11


CR4 = sum(1 << bit for bit in Cr4)
"""The bits of CR4 that exist."""


class Rights(IntEnum):
    """Bits of the access rights of a segment: a descriptor's bits 55:40 without the limit."""

    WRITABLE = 1  # of a data segment; of a code segment: readable
    EXPAND_DOWN = 2  # of a data segment; of a code segment: conforming
    CODE = 3
    SEGMENT = 4  # S: code or data, not a system descriptor
    DPL = 5  # two bits
    PRESENT = 7
    BIG = 14  # D/B
    GRANULARITY = 15


RIGHTS = 0xF0FF
"""The bits of access rights that exist. All are 0 in a register that holds a null selector: it cannot be used."""

FLAT = 0xFFFF_FFFF
_CODE, _DATA = 0xC09B, 0xC093  # present, DPL 0, 32 bits, limit in units of 4 KiB


def _segment(name: str, selector: int, rights: int) -> tuple[Register, ...]:
    return (
        Register(name, 16, reset=selector, doc=f"selector in {name.upper()}"),
        Register(f"{name}_base", 32, doc="hidden part: the linear address of offset 0"),
        Register(f"{name}_limit", 32, reset=FLAT if rights else 0, doc="hidden part: limit in bytes"),
        Register(f"{name}_rights", 16, reset=rights, doc="hidden part: access rights, as `Rights`"),
    )


REGISTERS: tuple[Register, ...] = (
    Register("r", 32, 8, doc="eax, ecx, edx, ebx, esp, ebp, esi, edi"),
    Register("pc", doc="eip, never above 32 bits"),
    Register("eflags", 32, reset=1 << Flag.ONE),
    *_segment("es", 0x10, _DATA),
    *_segment("cs", 0x08, _CODE),
    *_segment("ss", 0x10, _DATA),
    *_segment("ds", 0x10, _DATA),
    *_segment("fs", 0x10, _DATA),
    *_segment("gs", 0x10, _DATA),
    Register("gdtr_base", 32),
    Register("gdtr_limit", 16, reset=0xFFFF),
    Register("idtr_base", 32),
    Register("idtr_limit", 16, reset=0xFFFF),
    *_segment("ldtr", 0, 0),
    *_segment("tr", 0, 0),
    Register("cr0", 32, reset=1 << Cr0.PE | 1 << Cr0.ET),
    Register("cr2", 32),
    Register("cr3", 32),
    Register("cr4", 32),
    Register("dr", 32, 8, doc="debug registers; 4 and 5 are never used. Breakpoints do not occur"),
    Register("sysenter", 64, 3, doc="the model-specific registers IA32_SYSENTER_CS, _ESP and _EIP"),
    Register("shutdown", 1, doc="an exception could not be delivered: the processor has stopped"),
)
"""As a simple loader leaves it: flat segments at CPL 0, descriptor tables at 0 still to be made."""
