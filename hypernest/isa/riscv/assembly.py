"""Programs as text: the assembler with RISC-V's instructions and CSRs, for guests that need no cross compiler."""

from __future__ import annotations

KERNEL_ADDRESS = 0x8020_0000
"""Where a machine puts a flat kernel."""


def assemble(text: str, address: int = KERNEL_ADDRESS) -> bytes:
    """The bytes of the program `text` when it is at `address`; `hypernest.isa.assembler` describes the language.

    Raises `AssemblyError`, whose message begins with the number of the line.
    """
    from hypernest.isa import assembler
    from hypernest.isa.riscv.riscv64 import RISCV64

    return assembler.assemble(text, address, RISCV64.rows, {row.name: number for number, row in RISCV64.csrs.items()})
