"""The instruction format and the effective address, common to all instructions.

From the left: a code of 9 bits, accumulator (4), indirect bit, index register (4), address Y (18). The effective
address E is Y plus the right half of the index register, if that is not 0; with the indirect bit it is found by the
same rule from the word there. The KA10 follows indirect words without end, here one is followed (Cause.ADDRESS_CHAIN).
"""

from __future__ import annotations

from hypernest.isa.hart import Hart, Trap, routine
from hypernest.isa.pdp10.state import ADDRESSES
from hypernest.isa.pdp10.traps import Cause
from hypernest.isa.row import Format
from hypernest.isa.word import Word, concat, select, word

FORMAT = Format(fields={"ac": 4, "i": 1, "x": 4, "y": 18, "uuo": 5, "device": 7}, sizes=frozenset({36}), unit=36)
ADDRESS = "i x y"
INDIRECT = 22


def encoding(code: int) -> str:
    """The pattern of the instruction with a code of 9 bits."""
    return f"{code:09b} ac {ADDRESS}"


def right(value: Word) -> Word:
    """The right half of a word, as an address (64 bits)."""
    return value.trunc(18).zext(64)


def _indexed(h: Hart, address_word: Word, index: Word, address: Word) -> Word:
    """The word with an index register taken into account: its left half is then the register's."""
    register = h.read("ac", index)
    sum_of_halves = address.trunc(18) + register.trunc(18)
    return select(index == 0, address_word, concat(register.bits(35, 18), sum_of_halves))


@routine((64, 64, 64, 64), (36,))
def address_calculation(h: Hart, left: Word, indirect: Word, index: Word, address: Word) -> Word:
    """The effective address in the right half; the left half is that of the last word it was made of, which is the
    instruction's (`left`) if there was neither index nor indirection: JRSTF takes flags from there."""
    found = _indexed(h, concat(left.trunc(18), address.trunc(18)), index, address)
    if indirect == 0:
        return found
    pointer = h.load(right(found), 36)
    if pointer.bit(INDIRECT):
        raise Trap(Cause.ADDRESS_CHAIN, right(found))
    return _indexed(h, pointer, pointer.bits(21, 18).zext(64), right(pointer))


def address_word(h: Hart, left: int = 0) -> Word:
    """The result of `address_calculation` for this instruction, 36 bits."""
    found: Word = address_calculation(h, word(left), h.operand("i"), h.operand("x"), h.operand("y"))
    return found


def effective_address(h: Hart) -> Word:
    """E, 64 bits."""
    return right(address_word(h))


def accumulator(h: Hart) -> Word:
    """The word in AC."""
    return h.read("ac", h.operand("ac"))


def set_accumulator(h: Hart, value: Word) -> None:
    """Set AC (to 36 bits)."""
    h.write("ac", value, h.operand("ac"))


def skip_if(h: Hart, condition: Word) -> None:
    """Go on two words further instead of one."""
    h.jump(select(condition, h.next_pc + 1, h.next_pc) & ADDRESSES)


def jump_if(h: Hart, condition: Word, target: Word) -> None:
    """Go on at `target` instead of the next word."""
    h.jump(select(condition, target, h.next_pc & ADDRESSES))
