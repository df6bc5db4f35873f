"""RV64GC with the privileged architecture: the tables and routines of all modules, as one `NativeIsa`."""

from __future__ import annotations

from hypernest.isa.isa import NativeIsa
from hypernest.isa.riscv import a, b, c, cache_blocks, d, f, i, m, system, zicond, zicsr
from hypernest.isa.riscv.csrs import CSRS
from hypernest.isa.riscv.float_rows import FS
from hypernest.isa.riscv.interrupts import interrupt_pending
from hypernest.isa.riscv.memory_access import LOAD, STORE, fetch, instruction_length
from hypernest.isa.riscv.pmp import pmp_page_uniform
from hypernest.isa.riscv.state import REGISTERS, SINK, Interrupt
from hypernest.isa.riscv.translation import data_context, fetch_context, translate
from hypernest.isa.riscv.traps import INTERRUPT, Cause, interrupt_due, take_interrupt, take_trap
from hypernest.isa.row import Extension, Row
from hypernest.isa.trace import Bits

EXTENSIONS: tuple[Extension, ...] = (
    *(i.I, system.SYSTEM, m.M, a.A, f.F, d.D, c.C),
    *(b.ZBA, b.ZBB, b.ZBS, zicond.ZICOND),
    *(zicsr.ZICSR, system.ZIFENCEI, system.ZIHINTPAUSE, system.ZAWRS, cache_blocks.ZICBOM, cache_blocks.ZICBOZ),
    *(system.PRIVILEGED, system.SVINVAL),
)

# For the device tree: the single letters of riscv,isa and the names of the rest, in canonical order.
BASE_ISA = "rv64imafdc"
EXTENSION_NAMES = (
    *("zicbom", "zicboz", "zicntr", "zicond", "zicsr", "zifencei", "zihintpause", "zihpm", "zawrs"),
    *("zba", "zbb", "zbs", "sstc", "svadu", "svinval"),
)
ISA_STRING = "_".join((BASE_ISA, *EXTENSION_NAMES))


def _rows() -> dict[str, Row]:
    rows: dict[str, Row] = {}
    for extension in EXTENSIONS:
        for name, row in extension.rows.items():
            if name in rows:
                raise ValueError(f"{name} is described in {rows[name].extension} and in {extension.name}")
            rows[name] = row
    return rows


def _causes() -> dict[int, str]:
    """Names of all traps, such as `illegal instruction` and `supervisor timer interrupt`."""
    names = {int(cause): cause.name.lower().replace("_", " ") for cause in Cause}
    for number in Interrupt:
        names[INTERRUPT | number] = f"{number.name.lower().replace('_', ' ')} interrupt"
    return names


RISCV64 = NativeIsa(
    name="riscv64",
    registers=REGISTERS,
    rows=_rows(),
    csrs=CSRS,
    translate=translate,
    load=LOAD,
    store=STORE,
    fetch=fetch,
    instruction_length=instruction_length,
    take_trap=take_trap,
    interrupt_due=interrupt_due,
    take_interrupt=take_interrupt,
    interrupt_pending=interrupt_pending,
    data_context=data_context,
    fetch_context=fetch_context,
    causes=_causes(),
    illegal_instruction=Cause.ILLEGAL_INSTRUCTION,
    page_uniform=pmp_page_uniform,
    usual={("frm", 0): Bits(7, 0), ("fflags", 0): Bits(1, 1), ("mstatus", 0): Bits(FS, FS)},
    link_registers=frozenset(
        {("x", 1), ("x", 5)}
    ),  # unprivileged manual, table "Return-address stack prediction hints"
    floating="f",
    zero="x",
    sink=SINK,
)
