"""Instructions about the machine itself: calls, returns, waiting, fences of memory, instructions and translations.

Harts take turns, so fences of memory order nothing. Translations are forgotten for all address spaces,
whichever of them sfence.vma names.
"""

from __future__ import annotations

from hypernest.isa.hart import Hart, Trap
from hypernest.isa.riscv.state import Privilege, Status
from hypernest.isa.riscv.traps import Cause, illegal, return_from_machine, return_from_supervisor
from hypernest.isa.row import Extension
from hypernest.isa.word import Word

SYSTEM = Extension("I")
ZIFENCEI = Extension("Zifencei")
ZIHINTPAUSE = Extension("Zihintpause")
PRIVILEGED = Extension("S")
SVINVAL = Extension("Svinval")
ZAWRS = Extension("Zawrs")


# --- the base: fences and calls --------------------------------------------------------------------------------------


@SYSTEM.row("fence pred, succ", "fm pred succ rs1 000 rd 0001111")
def fence(h: Hart) -> None:
    """Reserved values of fm, rs1 and rd are ordinary fences, as the manual asks."""


@SYSTEM.row("fence.tso", "1000 0011 0011 00000 000 00000 0001111")
def fence_tso(h: Hart) -> None:
    pass


@ZIHINTPAUSE.row("pause", "0000 0001 0000 00000 000 00000 0001111")
def pause(h: Hart) -> None:
    pass


@ZIFENCEI.row("fence.i", "imm[11:0] rs1 001 rd 0001111")
def fence_i(h: Hart) -> None:
    h.flush_instructions()


@SYSTEM.row("ecall", "000000000000 00000 000 00000 1110011", system=True)
def ecall(h: Hart) -> None:
    if h.priv == Privilege.USER:
        raise Trap(Cause.USER_ECALL)
    if h.priv == Privilege.SUPERVISOR:
        raise Trap(Cause.SUPERVISOR_ECALL)
    raise Trap(Cause.MACHINE_ECALL)


@SYSTEM.row("ebreak", "000000000001 00000 000 00000 1110011", system=True)
def ebreak(h: Hart) -> None:
    raise Trap(Cause.BREAKPOINT, h.pc)


# --- returns and waiting (section 3.3) ------------------------------------------------------------------------------


def _trapped_by(h: Hart, field: Status) -> Word:
    """Is this S-mode, and has M-mode set TVM, TW or TSR to see such instructions?"""
    return (h.priv == Privilege.SUPERVISOR) & h.mstatus.bit(field)


@PRIVILEGED.row("mret", "0011000 00010 00000 000 00000 1110011", system=True)
def mret(h: Hart) -> None:
    if h.priv != Privilege.MACHINE:
        raise illegal(h)
    return_from_machine(h)


@PRIVILEGED.row("sret", "0001000 00010 00000 000 00000 1110011", system=True)
def sret(h: Hart) -> None:
    if (h.priv == Privilege.USER) | _trapped_by(h, Status.TSR):
        raise illegal(h)
    return_from_supervisor(h)


@PRIVILEGED.row("wfi", "0001000 00101 00000 000 00000 1110011", system=True)
def wfi(h: Hart) -> None:
    """The time that TW and U-mode grant before the trap is none."""
    if (h.priv == Privilege.USER) | _trapped_by(h, Status.TW):
        raise illegal(h)
    h.wait()


@ZAWRS.row("wrs.nto", "000000001101 00000 000 00000 1110011")
def wrs_nto(h: Hart) -> None:
    """Ends at once, as it may; TW sees it all the same."""
    if (h.priv != Privilege.MACHINE) & h.mstatus.bit(Status.TW):
        raise illegal(h)


@ZAWRS.row("wrs.sto", "000000011101 00000 000 00000 1110011")
def wrs_sto(h: Hart) -> None:
    pass


# --- fences of translations (section 12.2.1, Svinval) ---------------------------------------------------------------


def _flush(h: Hart) -> None:
    if (h.priv == Privilege.USER) | _trapped_by(h, Status.TVM):
        raise illegal(h)
    if h.operand("rs1") == 0:
        h.flush_translations()
    else:
        h.flush_translation(h.rs1)


def _order(h: Hart) -> None:
    """sinval.vma has done it already; these order it, and TVM does not concern them."""
    if h.priv == Privilege.USER:
        raise illegal(h)


PRIVILEGED.add("sfence.vma rs1, rs2", "0001001 rs2 rs1 000 00000 1110011", _flush, system=True)
SVINVAL.add("sinval.vma rs1, rs2", "0001011 rs2 rs1 000 00000 1110011", _flush, system=True)
SVINVAL.add("sfence.w.inval", "0001100 00000 00000 000 00000 1110011", _order, system=True)
SVINVAL.add("sfence.inval.ir", "0001100 00001 00000 000 00000 1110011", _order, system=True)
