"""RISC-V as the paper's machine: S-mode or M-mode software run in a lower mode.

RISC-V has no relocation register: the location is the address map (`Memory.MAPPED`). Everything that only privileged
software may set is a resource. What programs own is x, f, the program counter, the rounding mode and flags, the
reservation, and FS: a monitor gives the virtual machine's FS to the hart as it is and takes it back, so that hardware's
marking it dirty happens to the right one.
"""

from __future__ import annotations

from hypernest.analysis.concrete import PAGE, ConcreteState
from hypernest.analysis.construction.kits.riscv64 import KIT
from hypernest.analysis.model import MachineModel, Memory, Setting
from hypernest.isa.riscv.legal_states import BITS, RULES
from hypernest.isa.riscv.riscv64 import RISCV64
from hypernest.isa.riscv.state import Environment, Privilege, Status
from hypernest.isa.riscv.translation import A, D, R, U, V, W, X
from hypernest.isa.riscv.traps import Cause
from hypernest.isa.trace import Bits

_ALL = (1 << 64) - 1
_OWN = frozenset({"x", "f", "pc", "fflags", "frm", "reservation", "reservation_valid"})
_BOARD = frozenset({"hosted", "monitor_call"})
_FS = 3 << Status.FS

_RESOURCES = {
    register.name: (1 << register.width) - 1 & ~(_FS if register.name == "mstatus" else 0)
    for register in RISCV64.registers
    if register.name not in _OWN | _BOARD | {"priv"}
}

_MEMORY_TRAPS = frozenset(
    int(cause) for cause in Cause if cause.name.endswith(("PAGE_FAULT", "ACCESS_FAULT", "ADDRESS_MISALIGNED"))
)

_ENTRY = 0x1F  # a PMP entry that opens all addresses (NAPOT, R, W, X)
_ADDRESSES = BITS["pmpaddr"]
_OPEN = {"pmpcfg": Bits(_ALL, _ENTRY), "pmpaddr": Bits(_ADDRESSES, _ADDRESSES)}


def _status(**fields: int) -> Bits:
    """Bits of mstatus; MPRV is 0, as it is in every mode but M, where the monitor may not let it stand."""
    mask, value = 1 << Status.MPRV, 0
    for name, bit in fields.items():
        mask |= 1 << Status[name]
        value |= bit << Status[name]
    return Bits(mask, value)


_STCE = {"menvcfg": Bits(1 << Environment.STCE, 1 << Environment.STCE)}
_COUNTERS = Bits((1 << 32) - 1, (1 << 32) - 1)
_NO_COUNTERS = Bits((1 << 32) - 1, 0)
_PLAIN = _OPEN | _STCE | {"mstatus": _status(TVM=0, TW=0, TSR=0), "mcounteren": _COUNTERS}
_TRAPPING = _OPEN | {"mstatus": _status(TVM=1, TW=1, TSR=1), "mcounteren": _NO_COUNTERS}
_LENT = _OPEN | {"mstatus": _status(TVM=0, TW=0, TSR=0), "mcounteren": _COUNTERS, "scounteren": _COUNTERS}

SETTINGS = (
    Setting(
        name="s-in-u",
        title="S-mode software run in U-mode",
        summary="as a monitor sets it: scounteren is 0, translation structures are out of the program's reach",
        supervisor="S",
        user="U",
        fixed=_PLAIN | {"scounteren": _NO_COUNTERS},
        expected="virtualizable: RISC-V without the hypervisor extension is held to be classically virtualizable",
    ),
    Setting(
        name="s-in-u-counters",
        title="S-mode software run in U-mode, counters lent",
        summary="scounteren lets U-mode read cycle, time and instret",
        supervisor="S",
        user="U",
        fixed=_PLAIN | {"scounteren": _COUNTERS},
        expected="counters trap only while their enable bits are clear, so they break theorems 1 and 2",
    ),
    Setting(
        name="s-in-u-tables",
        title="S-mode software run in U-mode, translation structures within reach",
        summary="the map in force lets the program read and write the tables that make it",
        supervisor="S",
        user="U",
        fixed=_PLAIN | {"scounteren": _NO_COUNTERS},
        tables_guarded=False,
        expected="a monitor must shadow the tables and keep the true ones out of reach (Adams and Agesen 2006)",
    ),
    Setting(
        name="m-in-u",
        title="M-mode software run in U-mode",
        summary="as a monitor sets it: mcounteren is 0",
        supervisor="M",
        user="U",
        fixed=_TRAPPING,
        expected="virtualizable",
    ),
    Setting(
        name="m-in-s",
        title="M-mode software run in S-mode, TVM, TW and TSR set",
        summary="as a monitor sets it: satp, fences, sret and wfi trap; other S-mode CSRs have no such bit",
        supervisor="M",
        user="S",
        fixed=_TRAPPING,
        expected="S-mode CSRs other than satp cannot be made to trap in S-mode",
    ),
    Setting(
        name="m-in-s-lax",
        title="M-mode software run in S-mode, TVM, TW and TSR clear, counters lent",
        summary="what TVM, TW, TSR and the counter enables are for",
        supervisor="M",
        user="S",
        fixed=_LENT,
        expected="not virtualizable: sret, wfi, sfence.vma and satp run in S-mode",
    ),
)

# --- states with page tables ----------------------------------------------------------------------------------------

_TABLES = 1 << 48  # where page tables stand in witnesses
_POINTER = 1 << V
_LEAF = 1 << V | 1 << R | 1 << W | 1 << X | 1 << A | 1 << D | 1 << U
_SV39 = 8 << 60


def realize(state: ConcreteState) -> None:
    """Put `seen` and `tables` behind the map: Sv39 tables that map those pages, for U-mode, with SUM set for S-mode.

    M-mode does not translate: there, addresses are physical, and every state is at the same place. It has the tables
    all the same, so that states that differ in the mode do not differ in `satp`. A state whose program sees nothing is
    left alone.
    """
    if not state.seen and not state.tables:
        return
    translated = state.registers["priv", 0] != Privilege.MACHINE
    if not translated:
        state.registers["reservation", 0] = state.registers["reservation", 0] - state.shift & _ALL
        state.shift = 0
    state.registers["mstatus", 0] |= 1 << Status.SUM
    tables = _Tables(state.memory, _TABLES + (state.shift & -PAGE))
    pages = {address & -PAGE for address in state.seen} | set(state.frames)
    mapped = {page: state.frames.get(page, page + (state.shift & -PAGE)) for page in sorted(pages)}
    spares = {page: tables.spare(state.frames.get(page)) for page in {address & -PAGE for address in state.tables}}
    state.places |= (mapped if translated else {page: page for page in pages}) | spares
    state.table_pages = frozenset(spares.values())
    for address, byte in (state.seen | state.tables).items():
        state.memory[state.places[address & -PAGE] | address & PAGE - 1] = byte
    for page, physical in (mapped | spares).items():
        tables.map(page, physical)
    state.registers["satp", 0] = _SV39 | tables.root >> 12


class _Tables:
    """Sv39 page tables under construction."""

    def __init__(self, memory: dict[int, int], root: int) -> None:
        self.memory, self.root, self._next, self._spares = memory, root, root + PAGE, 0

    def map(self, virtual: int, physical: int) -> None:
        table = self.root
        for shift in (30, 21):
            table = self._below(table + (virtual >> shift & 0x1FF) * 8)
        self._write(table + (virtual >> 12 & 0x1FF) * 8, physical >> 2 | _LEAF)

    def spare(self, physical: int | None) -> int:
        """The address of a last-level table for virtual addresses that no witness uses; it can be prescribed."""
        self._spares += 1
        middle = self._below(self.root + (0x1FF - self._spares) * 8)
        if physical is None:
            return self._below(middle)
        self._write(middle, physical >> 2 | _POINTER)
        return physical

    def _below(self, entry: int) -> int:
        present = int.from_bytes(bytes(self.memory.get(entry + at, 0) for at in range(8)), "little")
        if present:
            return present >> 10 << 12
        self._next += PAGE
        self._write(entry, (self._next - PAGE) >> 2 | _POINTER)
        return self._next - PAGE

    def _write(self, address: int, entry: int) -> None:
        for at, byte in enumerate(entry.to_bytes(8, "little")):
            self.memory[address + at] = byte


MODEL = MachineModel(
    isa=RISCV64,
    title="RISC-V, RV64GC with the privileged architecture",
    summary="without the hypervisor extension; memory protection (PMP) opened by the firmware",
    modes={"U": {"priv": Bits(3, 0)}, "S": {"priv": Bits(3, 1)}, "M": {"priv": Bits(3, 3)}},
    resources=_RESOURCES,
    configuration=_RESOURCES,
    shifted=frozenset({"reservation"}),
    granule=PAGE,
    memory=Memory.MAPPED,
    memory_size=1 << 56,
    memory_traps=_MEMORY_TRAPS,
    legal=BITS | {"hosted": 0},
    rules=RULES,
    variants={"csr": {number: csr.name for number, csr in RISCV64.csrs.items()}},
    ignored=_BOARD,
    settings=SETTINGS,
    realize=realize,
    kit=KIT,
)
