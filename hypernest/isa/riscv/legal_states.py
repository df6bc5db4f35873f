"""Which values the registers of a hart can have: what a state that comes from elsewhere is measured by.

Engines count on these, native code most of all: it goes from the program counter to a slot, from the mode of satp to a
shift. No instruction can set a bit that is not listed here, so a state that has one was not made by running.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, reduce
from operator import or_
from typing import Any

from hypernest.isa.layout import Layout
from hypernest.isa.riscv.csrs import (
    DELEGABLE,
    INHIBITABLE,
    INTERRUPTS,
    MENVCFG,
    MSTATUS,
    SATP_MODES,
    SENVCFG,
)
from hypernest.isa.riscv.interrupts import SOFTWARE_WRITABLE
from hypernest.isa.riscv.pmp import ADDRESS_BITS, R, W
from hypernest.isa.riscv.state import REGISTERS, Environment, Interrupt, Status

_ALL = (1 << 64) - 1
_EACH_BYTE = 0x0101_0101_0101_0101
_LINES = (
    1 << Interrupt.MACHINE_SOFTWARE
    | 1 << Interrupt.MACHINE_TIMER
    | 1 << Interrupt.MACHINE_EXTERNAL
    | 1 << Interrupt.SUPERVISOR_EXTERNAL
)

BITS = {
    "pc": _ALL ^ 1,
    "monitor_call": 0,  # it is answered before a run ends
    "lines": _LINES,
    "mstatus": MSTATUS,
    "medeleg": DELEGABLE,
    "mideleg": SOFTWARE_WRITABLE,
    "mie": INTERRUPTS,
    "mip": SOFTWARE_WRITABLE,
    "mtvec": _ALL ^ 2,
    "stvec": _ALL ^ 2,
    "mepc": _ALL ^ 1,
    "sepc": _ALL ^ 1,
    "mcountinhibit": INHIBITABLE,
    "menvcfg": MENVCFG,
    "senvcfg": SENVCFG,
    "pmpcfg": _EACH_BYTE * 0x9F,
    "pmpaddr": ADDRESS_BITS,
}
"""The bits that can be set in each of a register's words; all of its width where it is not listed."""

Rule = Callable[[Any], Any]
_RESERVED = 2  # of a two-bit privilege mode, and of CBIE

RULES: dict[str, Rule] = {
    "priv": lambda value: value != _RESERVED,
    "mstatus": lambda value: (value >> Status.MPP & 3) != _RESERVED,
    "menvcfg": lambda value: (value >> Environment.CBIE & 3) != _RESERVED,
    "senvcfg": lambda value: (value >> Environment.CBIE & 3) != _RESERVED,
    "satp": lambda value: reduce(or_, (value >> 60 == mode for mode in SATP_MODES)),
    "pmpcfg": lambda value: (value >> W & ~(value >> R) & _EACH_BYTE) == 0,
}
"""What else must hold of each word, an int or a `Word`: fields have reserved values."""


def illegal_register(state: bytes) -> str | None:
    """The name of a register whose value no hart can have; `state` are a hart's words in layout order."""
    words = memoryview(state).cast("Q")
    layout, forbidden, places = _tables()
    if int.from_bytes(state, "little") & forbidden:
        for name, index in layout.index.items():
            for at in range(index, index + layout.registers[name].count):
                if words[at] & forbidden >> 64 * at:
                    return name
    return next((name for name, at, rule in places if not rule(words[at])), None)


@cache
def _tables() -> tuple[Layout, int, tuple[tuple[str, int, Rule], ...]]:
    """The layout, the bits that cannot be set in all words as one number, and where which rule holds."""
    layout, forbidden = Layout(REGISTERS), 0
    for name, register in layout.registers.items():
        every = (1 << register.width) - 1
        for at in range(layout.index[name], layout.index[name] + register.count):
            forbidden |= (~(BITS.get(name, every) & every) & _ALL) << 64 * at
    forbidden |= _ALL << 64 * layout.index["x"]  # the number 0 of them is never written
    places = tuple(
        (name, at, rule)
        for name, rule in RULES.items()
        for at in range(layout.index[name], layout.index[name] + layout.registers[name].count)
    )
    return layout, forbidden, places
