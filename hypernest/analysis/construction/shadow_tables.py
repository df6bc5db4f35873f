"""f where the map is page tables: shadow tables for RISC-V, a cache of the composed map (Adams and Agesen 2006, 2.4).

The machine below runs on Sv39 tables of the monitor's own, empty at first. A page fault there makes the monitor walk
the virtual machine's tables by the description itself, on the control block; if that succeeds the fault was hidden from
the program, and a leaf of 4 KiB goes into the shadow. It permits the kind of access that was tried and no other, so
that accessed and dirty bits are set when the bare machine would.

The bare machine of the description remembers no translations. So the pages that were walked are traced: no shadow maps
them for writing, stores to them are interpreted, and then all of the shadow is dropped. It is also dropped when the
virtual mode, satp, the status bits that matter or the protection (PMP) change. Under a setting that does not guard
translation structures nothing is traced: what is then written to them goes unseen.
"""

from __future__ import annotations

from hypernest.analysis.construction.embedding import Embedding, Place
from hypernest.engines.hart_state import HartState
from hypernest.isa.hart import Access, Trap
from hypernest.isa.isa import NativeIsa
from hypernest.isa.riscv.state import Environment, Privilege, Status
from hypernest.isa.riscv.traps import Cause
from hypernest.isa.word import word

PAGE = 4096
_V, _R, _W, _X, _U, _A, _D = 1, 2, 4, 8, 16, 64, 128
_ENTRIES = 512
_SV39 = 8 << 60
_EVERYTHING = 0x1F  # a PMP entry: NAPOT, readable, writable, executable
_ADDRESSES = (1 << 54) - 1
_TRANSLATING = 3 << Status.MPP | 1 << Status.MPRV | 1 << Status.SUM | 1 << Status.MXR

_ACCESSES = {
    Cause.INSTRUCTION_PAGE_FAULT: Access.EXECUTE,
    Cause.LOAD_PAGE_FAULT: Access.READ,
    Cause.STORE_PAGE_FAULT: Access.WRITE,
}
_PERMISSIONS = {Access.EXECUTE: _X, Access.READ: _R, Access.WRITE: _R | _W}


class ShadowTables:
    """The embedding of a RISC-V machine, in whatever mode the setting runs it. The region begins at a page."""

    def __init__(self, place: Place) -> None:
        if not isinstance(place.model.isa, NativeIsa):
            raise ValueError(f"{place.model.isa.name} does not say how protection divides pages")
        self._isa, self._machine = place.model.isa, place.machine
        self._block, self._state, self._own = place.block, place.block.state, place.own
        self._base = place.block.memory.base
        self._guarded = place.setting.tables_guarded
        self._user = place.model.modes[place.setting.user]["priv"].value == Privilege.USER
        self._key: tuple[int, ...] = ()
        self._next = 0  # the first free page of the monitor's own
        self._leaves: dict[int, int] = {}  # address of the entry -> page of the virtual machine's memory
        self._traced: set[int] = set()
        self._block.hart.forget = self._drop
        self._block.hart.wrote = self._written
        self._drop()

    def configure(self, real: HartState) -> None:
        for index in range(real.layout.registers["pmpcfg"].count):
            real["pmpcfg", index] = 0
        real["pmpcfg", 0], real["pmpaddr", 0] = _EVERYTHING, _ADDRESSES
        real["satp"] = _SV39 | self._own.base // PAGE

    def enter(self, real: HartState) -> None:
        state = self._state
        key = (state["priv"], state["satp"], state["mstatus"] & _TRANSLATING, state["menvcfg"] >> Environment.ADUE & 1)
        if key != self._key:
            self._drop()
            self._key = key
        real["reservation"] = state["reservation"] + self._base

    def leave(self, real: HartState) -> None:
        self._state["reservation"] = real["reservation"] - self._base

    def repair(self, trap: Trap) -> bool:
        access = _ACCESSES.get(Cause(trap.cause))
        if access is None:
            return False
        if self._next + 2 * PAGE > self._own.size:
            self._drop()
        hart, address = self._block.hart, int(trap.value)
        hart.read_from = set()
        try:
            physical = int(self._isa.translate(hart, address, access))
        except Trap:
            return False
        finally:
            walked, hart.read_from = {each // PAGE for each in hart.read_from}, None
        if self._guarded:
            self._trace(walked)
        page = physical & -PAGE
        whole = self._block.memory.contains(page, PAGE) and int(self._isa.page_uniform(hart, word(physical)))
        reachable = address >> 38 in (0, (1 << 26) - 1)  # Sv39 is what the machine below has
        if not whole or not reachable or (access is Access.WRITE and page // PAGE in self._traced):
            return False
        self._map(address, page, _PERMISSIONS[access])
        self._machine.flush()
        return True

    def flush(self) -> None:
        self._drop()

    # --- the tables ------------------------------------------------------------------------------------------------

    def _map(self, address: int, page: int, permissions: int) -> None:
        table = 0
        for shift in (30, 21):
            entry = table + (address >> shift) % _ENTRIES * 8
            if not self._own.read_integer(entry, 8):
                self._own.view(self._next, PAGE)[:] = bytes(PAGE)
                self._own.write_integer(entry, 8, (self._own.base + self._next) >> 2 | _V)
                self._next += PAGE
            table = (self._own.read_integer(entry, 8) >> 10 << 12) - self._own.base
        entry = table + (address >> 12) % _ENTRIES * 8
        before = self._own.read_integer(entry, 8) & (_R | _W | _X)
        leaf = (self._base + page) >> 2 | _V | _A | _D | (_U if self._user else 0)
        self._own.write_integer(entry, 8, leaf | before | permissions)
        self._leaves[entry] = page // PAGE

    def _drop(self) -> None:
        if self._next != PAGE or self._leaves:
            self._own.view(0, PAGE)[:] = bytes(PAGE)
            self._next = PAGE
            self._leaves.clear()
            self._traced.clear()
            self._machine.flush()

    def _trace(self, pages: set[int]) -> None:
        """Let nothing be written to these pages unseen."""
        for entry, page in self._leaves.items():
            if page in pages - self._traced:
                self._own.write_integer(entry, 8, self._own.read_integer(entry, 8) & ~_W)
                self._machine.flush()
        self._traced |= pages

    def _written(self, address: int) -> None:
        walking = self._block.hart.read_from is not None  # what a walk marks in a leaf makes no shadow of it wrong
        if address // PAGE in self._traced and not walking:
            self._drop()


def shadow_tables(place: Place) -> Embedding:
    """`ShadowTables` as an `EmbeddingFactory`."""
    return ShadowTables(place)
