"""The registers of a KA10, as much of it as the instructions here use.

Memory: word `a` is the low 36 bits of the 64 at bytes 8a to 8a + 7; the upper 28 are read as nothing and written as
zeros. Bits are numbered from the right here; the manuals number them from the left, 0 to 35.

The 16 accumulators are a register file only: addresses 0 to 17 (octal) are storage like any other. On the real machine
they are the accumulators under a second name, never relocated, which would only say everything twice here.
"""

from __future__ import annotations

from hypernest.isa.hart import Hart, Register
from hypernest.isa.word import Word, concat

WORD = 8  # bytes in memory of a word
ADDRESSES = 0o777777
BLOCK_BITS = 10  # relocation and protection count blocks of 1024 words

# The left half of a PC word. The user bits of it are the registers `user` and `user_io`.
OVERFLOW, CARRY_0, CARRY_1 = 0o400000, 0o200000, 0o100000
FLOATING_OVERFLOW, FIRST_PART_DONE = 0o040000, 0o020000
FLOATING_UNDERFLOW, NO_DIVIDE = 0o000100, 0o000040
PROGRAM_FLAGS = OVERFLOW | CARRY_0 | CARRY_1 | FLOATING_OVERFLOW | FIRST_PART_DONE | FLOATING_UNDERFLOW | NO_DIVIDE
USER_BIT, USER_IO_BIT = 12, 11

# The conditions of the processor as a device (CONI APR), those that the register `apr` holds.
PROTECTION_FLAG, NONEXISTENT_FLAG, APR_CHANNEL = 0o020000, 0o010000, 0o7
APR_USER_IO = 15  # bit that shows `user_io`

REGISTERS: tuple[Register, ...] = (
    Register("ac", 36, 16, doc="accumulators; 1 to 15 are index registers too"),
    Register("pc", doc="PC: 18 bits; after the last word of storage 2^18 stands for 0"),
    Register("user", 1, doc="mode: 0 executive, 1 user"),
    Register("user_io", 1, doc="User In-out: user mode is allowed input-output, HALT and JRST 10"),
    Register("flags", 18, doc="program flags, in their places in the left half of a PC word (PROGRAM_FLAGS)"),
    Register("relocation", 8, doc="physical block of the program's block 0"),
    Register("protection", 8, doc="the last block that the program may address"),
    Register("relocates_executive", 1, doc="strap: relocation and protection hold in executive mode too (storage.py)"),
    Register("apr", 18, doc="arithmetic processor: memory protection and nonexistent memory flag, interrupt channel"),
    Register("pi_on", 1, doc="priority interrupt: the system is active"),
    Register("pi_channels", 7, doc="priority interrupt: channels that are on, channel 1 leftmost"),
    Register("pi_held", 7, doc="priority interrupt: channels whose interrupts are being handled"),
    Register("switches", 36, doc="data switches of the console"),
)


def program_counter_word(h: Hart, pc: Word) -> Word:
    """What JSR, JSP, PUSHJ and traps save: flags, mode and a PC (64 bits)."""
    left = h.flags | h.user.zext(18) << USER_BIT | h.user_io.zext(18) << USER_IO_BIT
    return concat(left, pc.trunc(18))
