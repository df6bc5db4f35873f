"""Guests of a few instructions, written in the tests and assembled by hypernest's own assembler."""

from __future__ import annotations

from typing import Any

import pytest

from hypernest.isa.assembler import assemble
from hypernest.isa.riscv.riscv64 import RISCV64
from hypernest.machine import Machine

KERNEL, FIRMWARE = 0x8020_0000, 0x8000_0000
FINISHER, UART, CLINT = 0x10_0000, 0x1000_0000, 0x200_0000

_CSRS = {row.name: number for number, row in RISCV64.csrs.items()}

on_every_engine = pytest.mark.parametrize("engine", ["reference", "interpreter"])


def assembled(text: str, origin: int = KERNEL) -> bytes:
    """The bytes of a guest."""
    return assemble(text, origin, RISCV64.rows, _CSRS)


def hosted(text: str, **options: Any) -> Machine:
    """A machine on which `text` runs in S-mode, above the SBI."""
    return Machine(kernel=assembled(text), **{"memory": "16M", **options})


def bare(text: str, **options: Any) -> Machine:
    """A machine on which `text` runs in M-mode, on all harts."""
    return Machine(firmware=assembled(text, FIRMWARE), **{"memory": "16M", **options})
