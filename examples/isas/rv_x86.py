"""RISC-V with the mistake of x86: user mode may read sstatus, and sees the machine's instead of a trap.

    hypernest classify examples/isas/rv_x86.py

On x86 SMSW, PUSHF, SGDT and others read privileged state in any mode (Robin and Irvine 2000). Here the instructions
that read a CSR without writing it do not ask who reads sstatus. All else is the built-in description.
"""

from __future__ import annotations

from dataclasses import replace

from hypernest.analysis.models.riscv64 import MODEL as RISCV
from hypernest.isa.hart import Hart
from hypernest.isa.riscv.riscv64 import RISCV64
from hypernest.isa.row import Semantics
from hypernest.isa.word import word

SSTATUS = 0x100
READERS = {"csrrs": "rs1", "csrrc": "rs1", "csrrsi": "uimm", "csrrci": "uimm"}  # they only read where this field is 0


def reads_status(usual: Semantics, field: str) -> Semantics:
    """The instruction without the check of privilege where it reads sstatus."""

    def execute(h: Hart) -> None:
        if (h.operand("csr") == SSTATUS) & (h.operand(field) == 0):
            h.rd = h.csr_read(word(SSTATUS))
            return
        usual(h)

    return execute


CHANGED = {
    name: replace(RISCV64.rows[name], semantics=reads_status(RISCV64.rows[name].semantics, field))
    for name, field in READERS.items()
}

MODEL = replace(
    RISCV,
    isa=replace(RISCV64, name="rv-x86", rows={**RISCV64.rows, **CHANGED}),
    title="RISC-V with a sstatus that user mode can read",
    settings=tuple(
        replace(each, expected="no monitor and no hybrid one: reading sstatus is user sensitive and does not trap")
        for each in RISCV.settings
        if each.name == "s-in-u"
    ),
)
