"""Traps: PDP-10 reference manual (KA10), unimplemented operations, and priority interrupt.

The machine executes an instruction from a fixed physical address: 41 (octal) for monitor calls and what user mode may
not do, 61 for codes that are not assigned, after the instruction has been stored in 40 or 60 with its effective address
in the right half; and 42 for memory traps. It is taken to be a JSR, as in every monitor: the PC word is saved at its
address Y, which is not indexed, and execution goes on at Y + 1, in executive mode. User In-out stays, as on the KA10.

A reference that memory refuses asks for an interrupt on the channel that the program has assigned. There are no
interrupts in the paper's machine; so it is a trap here, as if channel 1 were assigned, and the PC saved is that of the
instruction it stopped. The other reasons for interrupts (overflow, pushdown overflow, clock, devices) are left out.
"""

from __future__ import annotations

from enum import IntEnum

from hypernest.isa.hart import Hart, Trap, bit, routine
from hypernest.isa.pdp10.state import (
    ADDRESSES,
    FIRST_PART_DONE,
    NONEXISTENT_FLAG,
    PROTECTION_FLAG,
    WORD,
    program_counter_word,
)
from hypernest.isa.word import Word, concat, select, word

CALL, UNASSIGNED, INTERRUPT = 0o40, 0o60, 0o42
CHANNEL_1 = 0o100


class Cause(IntEnum):
    """Why. The KA10 tells apart the places above and the flags of `apr`; the paper's definitions need more."""

    MONITOR_CALL = 1  # codes 000 and 040 to 077, in either mode
    PRIVILEGED_INSTRUCTION = 2  # user mode may not; to the program the same as a monitor call
    UNASSIGNED_CODE = 3  # stored without an effective address
    PROTECTION = 4  # memory trap: beyond the protection register
    NONEXISTENT_MEMORY = 5  # memory trap: outside storage
    ADDRESS_CHAIN = 6  # memory trap: an indirect word that is indirect; the description ends here, the KA10 goes on


MEMORY_TRAPS = frozenset({Cause.PROTECTION, Cause.NONEXISTENT_MEMORY, Cause.ADDRESS_CHAIN})


def called(code: Word | int, address: Word) -> Word:
    """What is stored in 40: the 13 bits of an instruction's code and accumulator, and its effective address."""
    left = code if isinstance(code, Word) else word(code, 13)
    return concat(left.trunc(13), word(0, 5), address.trunc(18)).zext(64)


def check_privileged(h: Hart, code: Word | int, address: Word) -> None:
    """Trap where input-output, HALT and JRST 10 do: in user mode without User In-out."""
    if h.user & ~h.user_io:
        raise Trap(Cause.PRIVILEGED_INSTRUCTION, called(code, address))


@routine((64, 64))
def take_trap(h: Hart, cause: Word, value: Word) -> None:
    """Store what is stored, save the PC word, go on in executive mode."""
    refused = cause >= Cause.PROTECTION
    at = select(refused, word(INTERRUPT), select(cause == Cause.UNASSIGNED_CODE, word(UNASSIGNED + 1), CALL + 1))
    target = h.physical_load(at * WORD, 64)[0] & ADDRESSES
    saved = program_counter_word(h, h.pc + bit(~refused))
    if ~refused:
        h.physical_store((at - 1) * WORD, value.trunc(36).zext(64))
    h.physical_store(target * WORD, saved.zext(64))
    _enter_executive(h, cause)
    h.write("pc", target + 1 & ADDRESSES)


def _enter_executive(h: Hart, cause: Word) -> None:
    """Mode, flags and, where the executive is relocated, all of storage from 0: its new R, as the paper asks."""
    protection, nonexistent = bit(cause == Cause.PROTECTION, 18), bit(cause == Cause.NONEXISTENT_MEMORY, 18)
    h.write("apr", h.apr | protection * PROTECTION_FLAG | nonexistent * NONEXISTENT_FLAG)
    h.write("pi_held", select(cause >= Cause.PROTECTION, h.pi_held | CHANNEL_1, h.pi_held))
    h.write("relocation", select(h.relocates_executive, word(0, 8), h.relocation))
    h.write("protection", select(h.relocates_executive, word(0xFF, 8), h.protection))
    h.write("flags", h.flags & ~FIRST_PART_DONE)
    h.write("user", 0)
