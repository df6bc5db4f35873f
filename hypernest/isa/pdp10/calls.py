"""Unimplemented user operations: calls of a routine of the program's own, and of the monitor.

Codes 001 to 037 are for the program: the instruction is stored in 40 and the one in 41 executed, both at the program's
own addresses; it is taken to be a JSR, as in traps.py. Codes 000 and 040 to 077 do the same at the physical addresses
and in executive mode: they are traps.
"""

from __future__ import annotations

from hypernest.isa.hart import Access, Hart, Trap
from hypernest.isa.pdp10.addressing import ADDRESS, FORMAT, effective_address, right
from hypernest.isa.pdp10.state import ADDRESSES, FIRST_PART_DONE, program_counter_word
from hypernest.isa.pdp10.traps import CALL, Cause, called
from hypernest.isa.row import Extension
from hypernest.isa.word import Word, word

CALLS = Extension("unimplemented operations", FORMAT)


def _code(h: Hart, first: int) -> Word:
    """The code and accumulator of this instruction, 13 bits in 64."""
    return (h.operand("uuo") + first) << 4 | h.operand("ac")


@CALLS.row("luuo uuo, ac, @y(x)", f"0000 uuo!=0 ac {ADDRESS}")
def luuo(h: Hart) -> None:
    """Call of the program's own routine."""
    stored = called(_code(h, 0), effective_address(h)).trunc(36)
    target = right(h.load(word(CALL + 1), 36))
    h.locate(word(CALL), Access.WRITE)  # traps come before any change
    h.locate(target, Access.WRITE)
    h.store(word(CALL), stored)
    h.store(target, program_counter_word(h, h.next_pc))
    h.write("flags", h.flags & ~FIRST_PART_DONE)
    h.jump(target + 1 & ADDRESSES)


@CALLS.row("muuo uuo, ac, @y(x)", f"0001 uuo ac {ADDRESS}", system=True)
def muuo(h: Hart) -> None:
    """Monitor call."""
    raise Trap(Cause.MONITOR_CALL, called(_code(h, 0o40), effective_address(h)))


@CALLS.row("zero ac, @y(x)", f"000000000 ac {ADDRESS}", system=True)
def zero(h: Hart) -> None:
    """Code 000, mostly a word of data that was jumped to."""
    raise Trap(Cause.MONITOR_CALL, called(h.operand("ac"), effective_address(h)))
