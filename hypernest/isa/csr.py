"""Rows of the CSR table: one for each control and status register of an ISA."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hypernest.isa.hart import Hart
from hypernest.isa.word import Word


@dataclass(frozen=True)
class Csr:
    """One CSR. `read` gives its 64 bits; `write` takes 64 bits and applies the WARL rules; None if writes do nothing.

    Both run after the access check and may raise `Trap` themselves (before changing anything).
    """

    number: int
    name: str
    read: Callable[[Hart], Word]
    write: Callable[[Hart, Word], None] | None
    doc: str = ""
