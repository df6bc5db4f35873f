"""Zicbom and Zicboz: management of cache blocks of 64 bytes. There is no cache, but the checks and zeroing are real."""

from __future__ import annotations

from hypernest.isa.hart import Hart, Trap
from hypernest.isa.riscv.memory_access import zero_block
from hypernest.isa.riscv.state import Environment, Privilege
from hypernest.isa.riscv.translation import MANAGE, translate
from hypernest.isa.riscv.traps import Cause, illegal
from hypernest.isa.row import Extension, Semantics

BLOCK = 64  # bytes

ZICBOM = Extension("Zicbom")
ZICBOZ = Extension("Zicboz")


def _check_enabled(h: Hart, field: Environment, width: int) -> None:
    """Illegal instruction unless each higher mode's environment configuration allows it."""
    by_machine = (h.priv == Privilege.MACHINE) | (h.menvcfg.bits(field + width - 1, field) != 0)
    by_supervisor = (h.priv != Privilege.USER) | (h.senvcfg.bits(field + width - 1, field) != 0)
    if (by_machine & by_supervisor) == 0:
        raise illegal(h)


def _manage(field: Environment, width: int) -> Semantics:
    def execute(h: Hart) -> None:
        _check_enabled(h, field, width)
        if h.is_memory(translate(h, h.rs1, MANAGE), 1) == 0:
            raise Trap(Cause.STORE_ACCESS_FAULT, h.rs1)

    return execute


ZICBOM.add("cbo.inval (rs1)", "000000000000 rs1 010 00000 0001111", _manage(Environment.CBIE, 2))
ZICBOM.add("cbo.clean (rs1)", "000000000001 rs1 010 00000 0001111", _manage(Environment.CBCFE, 1))
ZICBOM.add("cbo.flush (rs1)", "000000000010 rs1 010 00000 0001111", _manage(Environment.CBCFE, 1))


@ZICBOZ.row("cbo.zero (rs1)", "000000000100 rs1 010 00000 0001111")
def cbo_zero(h: Hart) -> None:
    _check_enabled(h, Environment.CBZE, 1)
    zero_block(h, h.rs1, BLOCK)
