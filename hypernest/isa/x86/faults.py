"""Exceptions, and how a description with many checks finds the first that fails.

Popek and Goldberg tell traps of the mode apart from memory traps, the processor does not: nearly everything is a
general-protection exception, vector 13. So causes have two bits above the vector, which entering a handler drops:

* plain: privilege. CPL, RPL, DPL or IOPL do not allow it, or there is no such instruction;
* `MEMORY`: an access was outside its segment's limit or against its type: the paper's memory trap;
* `OPERAND`: privilege aside, an operand is wrong: a selector outside its table, a descriptor of the wrong type or not
  present, a reserved bit; or what it asks for is left out of this description (see `state.py`).
"""

from __future__ import annotations

from enum import IntEnum

from hypernest.isa.hart import Trap
from hypernest.isa.word import Word, select, word

MEMORY = 0x100
OPERAND = 0x200


class Vector(IntEnum):
    """Vectors of the exceptions that occur here (volume 3, table 6-1)."""

    DEBUG = 1
    INVALID_OPCODE = 6
    DOUBLE_FAULT = 8
    INVALID_TSS = 10
    SEGMENT_NOT_PRESENT = 11
    STACK_FAULT = 12
    GENERAL_PROTECTION = 13
    PAGE_FAULT = 14
    ALIGNMENT_CHECK = 17


class Cause(IntEnum):
    """Every cause of a `Trap`. Its value is the error code that the handler finds on its stack."""

    DEBUG_REGISTER_ACCESS = Vector.DEBUG
    INVALID_OPCODE = Vector.INVALID_OPCODE
    PRIVILEGE = Vector.GENERAL_PROTECTION
    MEMORY_STACK = MEMORY | Vector.STACK_FAULT
    MEMORY_SEGMENT = MEMORY | Vector.GENERAL_PROTECTION
    OPERAND_TSS = OPERAND | Vector.INVALID_TSS
    OPERAND_NOT_PRESENT = OPERAND | Vector.SEGMENT_NOT_PRESENT
    OPERAND_STACK = OPERAND | Vector.STACK_FAULT
    OPERAND_PROTECTION = OPERAND | Vector.GENERAL_PROTECTION


MEMORY_TRAPS = frozenset({Cause.MEMORY_STACK, Cause.MEMORY_SEGMENT})
OPERAND_FAULTS = frozenset(cause for cause in Cause if cause & OPERAND)

WITH_ERROR_CODE = frozenset({8, 10, 11, 12, 13, 14, 17})
"""Vectors whose handlers find an error code on the stack (volume 3, section 6.13)."""

IN_IDT = 2  # the bits of an error code besides the selector's index and table
EXTERNAL = 1


class Checks:
    """Faults in the order in which the processor looks for them, as data: one path through all of them."""

    def __init__(self) -> None:
        self._checks: list[tuple[Word, int, Word]] = []

    def fault(self, applies: Word, cause: int, error: Word | int = 0) -> None:
        """Unless an earlier check fails: is this the fault? `applies` has 1 bit, `error` 16."""
        self._checks.append((applies, cause, word(error, 16)))

    def first(self) -> tuple[Word, Word]:
        """(cause, error code), 16 bits each, of the first fault; the cause is 0 if there is none."""
        cause, error = word(0, 16), word(0, 16)
        for applies, its_cause, its_error in reversed(self._checks):
            cause, error = select(applies, word(its_cause, 16), cause), select(applies, its_error, error)
        return cause, error


def raise_fault(cause: Word, error: Word, *possible: Cause) -> None:
    """Raise the trap that `Checks.first` found, one of the `possible`, if there was one."""
    if cause == 0:
        return
    for each in possible[:-1]:
        if cause == each:
            raise Trap(each, error.zext(64))
    raise Trap(possible[-1], error.zext(64))


def require(condition: Word) -> None:
    """General protection with error code 0, by privilege, unless the condition holds."""
    if condition == 0:
        raise Trap(Cause.PRIVILEGE)
