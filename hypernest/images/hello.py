"""The image `hello`: a guest of our own that is assembled when it is asked for and needs nothing from outside.

It is the smallest proof that the machine works, and an example of a guest written for it.
"""

from __future__ import annotations

from importlib.resources import files

NAME = "hello"
ORIGIN = "built in"

_ADDRESS = 0x8020_0000  # where flat kernels go on this board; this one would run anywhere


def kernel() -> bytes:
    """The guest as a flat binary for S-mode."""
    from hypernest.isa.assembler import assemble
    from hypernest.isa.riscv.riscv64 import RISCV64

    source = files(__package__).joinpath("guest", "hello.S").read_text("ascii")
    return assemble(source, _ADDRESS, RISCV64.rows, {row.name: number for number, row in RISCV64.csrs.items()})
