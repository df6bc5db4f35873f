"""The image `hello`: a guest of our own that is assembled when it is asked for and needs nothing from outside.

It is the smallest proof that the machine works, and an example of a guest written for it.
"""

from __future__ import annotations

from importlib.resources import files

NAME = "hello"
ORIGIN = "built in"


def kernel() -> bytes:
    """The guest as a flat binary for S-mode."""
    from hypernest.isa.riscv.assembly import assemble

    return assemble(files(__package__).joinpath("guest", "hello.S").read_text("ascii"))
