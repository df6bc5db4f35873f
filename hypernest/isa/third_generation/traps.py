"""Traps: section 2 of the paper.

A trap stores the current PSW in E[0] and goes on with the (M, P, R) that the PSW in E[1] holds. Both are physical
addresses. The paper changes nothing else of E and does not say how the routine there learns which trap it was; here
E[2] becomes the cause and E[3] the trap's value, the one departure from the letter of section 2.

The P that is stored is the trapping instruction's own, so that reloading E[0] repeats it; a supervisor call has done
its work, and P is the following instruction's.
"""

from __future__ import annotations

from enum import IntEnum

from hypernest.isa.hart import Hart, Trap, bit, routine
from hypernest.isa.third_generation.state import WORD, Mode, Status
from hypernest.isa.word import Word, word

OLD_STATUS, NEW_STATUS, CAUSE, VALUE = 0, 1, 2, 3  # words of E, at physical addresses


class Cause(IntEnum):
    """Why an instruction trapped, as E[2] tells."""

    MEMORY = 1  # the paper's memory trap: a >= b, or a + l is outside storage; the value is a
    PRIVILEGED_INSTRUCTION = 2  # the value is the instruction
    ILLEGAL_INSTRUCTION = 3  # there is none of this encoding; the value is the word that was fetched
    SUPERVISOR_CALL = 4  # the value is the call's operand


def check_supervisor(h: Hart) -> None:
    """What a privileged instruction begins with: the privileged-instruction trap in user mode (section 2)."""
    if h.mode == Mode.USER:
        raise Trap(Cause.PRIVILEGED_INSTRUCTION, h.operand("instruction"))


@routine((64, 64))
def take_trap(h: Hart, cause: Word, value: Word) -> None:
    """Swap the PSW for the one in E[1]."""
    resume = h.pc + bit(cause == Cause.SUPERVISOR_CALL)
    old = Status.current(h, resume).packed()
    new = Status.unpacked(h.physical_load(word(NEW_STATUS * WORD), 64)[0])
    for place, content in ((OLD_STATUS, old), (CAUSE, cause), (VALUE, value)):
        h.physical_store(word(place * WORD), content)
    new.enter(h)
    h.write("pc", new.pc.zext(64))
