"""EFLAGS: what arithmetic leaves there, and who may change which of its system flags."""

from __future__ import annotations

from hypernest.isa.hart import Hart
from hypernest.isa.word import Word, select, word
from hypernest.isa.x86.descriptors import cpl
from hypernest.isa.x86.state import EFLAGS, Flag

_IOPL = 3 << Flag.IOPL
_IF = 1 << Flag.IF
_VIRTUAL = 1 << Flag.VIF | 1 << Flag.VIP
_PROTECTED = _IOPL | _IF | _VIRTUAL | 1 << Flag.VM | 1 << Flag.RF | 1 << Flag.ONE
FREE = EFLAGS & ~_PROTECTED
"""What POPF and IRET change at every privilege level, RF aside."""


def iopl(h: Hart) -> Word:
    """The I/O privilege level, 2 bits."""
    return h.eflags.bits(Flag.IOPL + 1, Flag.IOPL)


def changeable(h: Hart, supervisor_only: int) -> Word:
    """The mask of flags that POPF or IRET changes now: IF within IOPL, IOPL and `supervisor_only` at CPL 0.

    The others keep their values silently (volume 2, POPF, table 4-15).
    """
    level = cpl(h)
    mask = select(level <= iopl(h), word(FREE | _IF, 32), FREE)
    return mask | select(level == 0, word(_IOPL | supervisor_only, 32), 0)


def popped(h: Hart, value: Word) -> Word:
    """EFLAGS after POPF of a value: RF is cleared; VIF, VIP and VM stay."""
    mask = changeable(h, 0)
    return (h.eflags & ~mask | value & mask) & ~(1 << Flag.RF)


def returned(h: Hart, value: Word) -> Word:
    """EFLAGS after IRET to a value whose VM is 0."""
    mask = changeable(h, _VIRTUAL) | 1 << Flag.RF
    return h.eflags & ~mask | value & mask


def _with(flags: Word, **values: Word) -> Word:
    for name, value in values.items():
        flags = flags.insert(Flag[name], value)
    return flags


def of_result(flags: Word, result: Word) -> Word:
    """ZF, SF and PF of a 32-bit result."""
    parity = (result & 0xFF).popcount().bit(0) ^ 1
    return _with(flags, ZF=result == 0, SF=result.bit(31), PF=parity)


def of_sum(flags: Word, a: Word, b: Word, result: Word) -> Word:
    """All six flags of result = a + b."""
    overflow = ((a ^ result) & (b ^ result)).bit(31)
    return _with(of_result(flags, result), CF=result < a, OF=overflow, AF=(a ^ b ^ result).bit(4))


def of_difference(flags: Word, a: Word, b: Word, result: Word) -> Word:
    """All six flags of result = a - b."""
    overflow = ((a ^ b) & (a ^ result)).bit(31)
    return _with(of_result(flags, result), CF=a < b, OF=overflow, AF=(a ^ b ^ result).bit(4))


def of_logic(flags: Word, a: Word, b: Word, result: Word) -> Word:
    """Those of a bitwise operation: CF and OF are 0; AF, which the manual leaves undefined, too."""
    zero = word(0, 1)
    return _with(of_result(flags, result), CF=zero, OF=zero, AF=zero)
