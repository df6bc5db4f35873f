"""RISC-V with the mistake of the PDP-10: in user mode sret does not trap but does nothing.

    hypernest classify examples/isas/rv_pdp10.py

JRST 1 of the PDP-10 returns to user mode; in user mode it is a jump and no trap (Popek and Goldberg, section 5). So a
supervisor that a monitor runs in user mode never returns to its programs, and the monitor does not hear of it. Only
instructions of the virtual supervisor are concerned, so a hybrid monitor, which interprets those, can do.
"""

from __future__ import annotations

from dataclasses import replace

from hypernest.analysis.models.riscv64 import MODEL as RISCV
from hypernest.isa.hart import Hart
from hypernest.isa.riscv.riscv64 import RISCV64
from hypernest.isa.riscv.state import Privilege

SRET = RISCV64.rows["sret"]


def sret(h: Hart) -> None:
    """As it is, but silent in user mode."""
    if h.priv == Privilege.USER:
        return
    SRET.semantics(h)


MODEL = replace(
    RISCV,
    isa=replace(RISCV64, name="rv-pdp10", rows={**RISCV64.rows, "sret": replace(SRET, semantics=sret)}),
    title="RISC-V with a sret that is silent in user mode",
    settings=tuple(
        replace(each, expected="no monitor because of sret, but a hybrid one")
        for each in RISCV.settings
        if each.name == "s-in-u"
    ),
)
