"""JRST in all its variants, subroutine calls, and JFCL: the instructions that save, restore and test the flags.

JRST's accumulator field is four requests in one, bit by bit: 10 dismiss the interrupt being handled, 4 halt, 2 restore
the flags, 1 enter user mode. Popek and Goldberg's counterexample is JRST 1, return to user mode: in executive mode it
changes M, in user mode it is a jump that does not trap (their reason for hybrid virtual machines, theorem 3).

JSR, JSP and PUSHJ save the mode with the PC, so what they leave depends on it. XCT is left out: it executes the word at
E, and so is of the class of whatever that word is.
"""

from __future__ import annotations

from hypernest.isa.hart import Hart
from hypernest.isa.pdp10.addressing import (
    ADDRESS,
    FORMAT,
    accumulator,
    address_word,
    effective_address,
    encoding,
    jump_if,
    right,
    set_accumulator,
)
from hypernest.isa.pdp10.state import (
    ADDRESSES,
    FIRST_PART_DONE,
    PROGRAM_FLAGS,
    USER_BIT,
    USER_IO_BIT,
    program_counter_word,
)
from hypernest.isa.pdp10.traps import check_privileged
from hypernest.isa.row import Extension, Semantics
from hypernest.isa.word import Word, select, word

JUMPS = Extension("program control", FORMAT)

DISMISS, HALT, RESTORE, ENTER_USER = 0o10, 0o4, 0o2, 0o1
JRST = 0o254
NAMES = {0: "jrst", RESTORE: "jrstf", HALT: "halt", DISMISS | RESTORE: "jen"}


def without_most_urgent(channels: Word) -> Word:
    """The channels but for the leftmost."""
    wide = channels.zext(64)
    return wide.trunc(7) & ~(select(channels == 0, word(0), word(1 << 63) >> wide.clz()).trunc(7))


def _jrst(requests: int) -> Semantics:
    code = JRST << 4 | requests

    def execute(h: Hart) -> None:
        found = address_word(h, left=code << 5)
        if requests & (DISMISS | HALT):
            check_privileged(h, code, right(found))
        user = h.user
        if requests & DISMISS:
            h.write("pi_held", without_most_urgent(h.pi_held))
        if requests & RESTORE:
            left = found.bits(35, 18)
            h.write("flags", left & PROGRAM_FLAGS)
            # User mode cannot be left in this way, and in it User In-out can be cleared but not set.
            h.write("user_io", left.bit(USER_IO_BIT) & (h.user_io | ~user))
            user = user | left.bit(USER_BIT)
        if requests & ENTER_USER:
            user = word(1, 1)
        h.write("user", user)
        if requests & HALT:
            h.wait()
        h.jump(right(found))

    return execute


for requests in range(16):
    name = NAMES.get(requests, f"jrst.{requests:o}")
    JUMPS.add(f"{name} @y(x)", f"{JRST:09b} {requests:04b} {ADDRESS}", _jrst(requests), system=requests != 0)


@JUMPS.row("jfcl ac, @y(x)", encoding(0o255))
def jfcl(h: Hart) -> None:
    """Jump if any of overflow, carry 0, carry 1 and floating overflow is set that AC's bits select, and clear these."""
    selected = h.operand("ac").trunc(18) << 14
    target, flags = effective_address(h), h.flags
    h.write("flags", flags & ~selected)
    jump_if(h, (flags & selected) != 0, target)


@JUMPS.row("jsr @y(x)", f"{0o264:09b} 0000 {ADDRESS}")
def jsr(h: Hart) -> None:
    """Jump to subroutine: the PC word goes to E, execution to E + 1."""
    address = effective_address(h)
    h.store(address, program_counter_word(h, h.next_pc))
    h.write("flags", h.flags & ~FIRST_PART_DONE)
    h.jump(address + 1 & ADDRESSES)


@JUMPS.row("jsp ac, @y(x)", encoding(0o265))
def jsp(h: Hart) -> None:
    """Jump and save PC in AC."""
    target, saved = effective_address(h), program_counter_word(h, h.next_pc)
    set_accumulator(h, saved)
    h.write("flags", h.flags & ~FIRST_PART_DONE)
    h.jump(target)


BOTH_HALVES = 0o000001_000001  # a pushdown pointer counts in its left half what its right half has moved


@JUMPS.row("pushj ac, @y(x)", encoding(0o260))
def pushj(h: Hart) -> None:
    """Push the PC word down and jump. The pushdown-overflow interrupt is left out, as interrupts are."""
    target, pointer = effective_address(h), accumulator(h) + BOTH_HALVES
    h.store(right(pointer), program_counter_word(h, h.next_pc))
    set_accumulator(h, pointer)
    h.write("flags", h.flags & ~FIRST_PART_DONE)
    h.jump(target)


@JUMPS.row("popj ac, @y(x)", encoding(0o263))
def popj(h: Hart) -> None:
    """Pop up the PC, without flags. E is calculated, and not used."""
    effective_address(h)
    pointer = accumulator(h)
    saved = h.load(right(pointer), 36)
    set_accumulator(h, pointer - BOTH_HALVES)
    h.jump(right(saved))
