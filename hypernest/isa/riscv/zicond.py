"""Zicond, integer conditional operations: the unprivileged manual, chapter "Zicond"."""

from __future__ import annotations

from hypernest.isa.hart import Hart
from hypernest.isa.row import Extension
from hypernest.isa.word import select, word

ZICOND = Extension("Zicond")


@ZICOND.row("czero.eqz rd, rs1, rs2", "0000111 rs2 rs1 101 rd 0110011")
def czero_eqz(h: Hart) -> None:
    h.rd = select(h.rs2 == 0, word(0), h.rs1)


@ZICOND.row("czero.nez rd, rs1, rs2", "0000111 rs2 rs1 111 rd 0110011")
def czero_nez(h: Hart) -> None:
    h.rd = select(h.rs2 != 0, word(0), h.rs1)
