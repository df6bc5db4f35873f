"""The privileged instructions: those that change or show M and R, and the one that gives up the processor.

Each traps in user mode and in supervisor mode does not, which is the paper's definition (section 3). All that is
sensitive is here, so the machine meets the condition of theorem 1.
"""

from __future__ import annotations

from hypernest.isa.hart import Hart
from hypernest.isa.row import Extension
from hypernest.isa.third_generation.instructions import FORMAT, NO_IMMEDIATE, REST, address, general
from hypernest.isa.third_generation.state import ADDRESS_BITS, Status
from hypernest.isa.third_generation.traps import check_supervisor

PRIVILEGED = Extension("privileged", FORMAT)


@PRIVILEGED.row("lpsw imm(rb)", f"10000000 000 rb 000 {REST}", system=True)
def lpsw(h: Hart) -> None:
    """Load PSW: M, P and R become what the word at a virtual address says."""
    check_supervisor(h)
    status = Status.unpacked(h.load(address(h), 64))
    status.enter(h)
    h.jump(status.pc.zext(64))


@PRIVILEGED.row("spsw imm(rb)", f"10000001 000 rb 000 {REST}")
def spsw(h: Hart) -> None:
    """Store PSW, with the following instruction's P, at a virtual address."""
    check_supervisor(h)
    h.store(address(h), Status.current(h, h.next_pc).packed())


@PRIVILEGED.row("lrb ra, rb", f"10000010 ra rb 000 {NO_IMMEDIATE}", system=True)
def lrb(h: Hart) -> None:
    """Load relocation-bounds: l becomes ra, b becomes rb (their low 20 bits)."""
    check_supervisor(h)
    location, bound = general(h, "ra").trunc(ADDRESS_BITS), general(h, "rb").trunc(ADDRESS_BITS)
    h.write("location", location)
    h.write("bound", bound)


@PRIVILEGED.row("srb ra, rb", f"10000011 ra rb 000 {NO_IMMEDIATE}")
def srb(h: Hart) -> None:
    """Store relocation-bounds: ra becomes l, then rb becomes b."""
    check_supervisor(h)
    location, bound = h.location.zext(64), h.bound.zext(64)
    h.write("r", location, h.operand("ra"))
    h.write("r", bound, h.operand("rb"))


@PRIVILEGED.row("rmode ra", f"10000100 ra 000 000 {NO_IMMEDIATE}")
def rmode(h: Hart) -> None:
    """Read the mode: 0 wherever this does not trap."""
    check_supervisor(h)
    h.write("r", h.mode.zext(64), h.operand("ra"))


@PRIVILEGED.row("halt", f"10000101 000 000 000 {NO_IMMEDIATE}", system=True)
def halt(h: Hart) -> None:
    """Stop after this instruction. There are no interrupts: it is the last one."""
    check_supervisor(h)
    h.wait()
