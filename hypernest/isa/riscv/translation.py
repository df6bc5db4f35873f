"""Address translation: bare, Sv39, Sv48 and Sv57, with permissions, accessed/dirty bits and physical protection.

The three schemes are one walk: the mode in satp (8, 9, 10) says at which bit the virtual page number begins. Reserved
bits of page-table entries, those of Svpbmt and Svnapot included, cause page faults. Two-stage translation (hypervisor)
will be a second walk whose table accesses pass through this one.
"""

from __future__ import annotations

from hypernest.isa.hart import Access, Hart, Trap, routine
from hypernest.isa.riscv.pmp import pmp_check
from hypernest.isa.riscv.state import Environment, Privilege, Status
from hypernest.isa.riscv.traps import Cause
from hypernest.isa.word import Word, select, word

MANAGE = 3  # an access besides `Access`: cache-block management needs load permission and faults as a store

V, R, W, X, U, G, A, D = range(8)  # bits of a page-table entry
_FRAME = (1 << 54) - (1 << 10)
_RESERVED = ((1 << 64) - 1) ^ ((1 << 54) - 1)
_LEAF = 1 << R | 1 << X
_POINTER = 1 << V  # what a pointer to the next table must be under the following mask
_POINTER_MASK = _RESERVED | 1 << V | 1 << W | 1 << U | 1 << A | 1 << D

DONE, PAGE_FAULT, ACCESS_FAULT = range(3)  # how a walk ends

_ACCESS_FAULTS = {
    Access.READ: Cause.LOAD_ACCESS_FAULT,
    Access.WRITE: Cause.STORE_ACCESS_FAULT,
    Access.EXECUTE: Cause.INSTRUCTION_ACCESS_FAULT,
}


def access_fault(access: Access, address: Word) -> Trap:
    """The exception of a physical access that fails behind a virtual address."""
    return Trap(_ACCESS_FAULTS[access], address)


def data_privilege(h: Hart) -> Word:
    """The privilege with which loads and stores are checked: MPP's while MPRV is set."""
    status = h.mstatus
    return select(status.bit(Status.MPRV), status.bits(Status.MPP + 1, Status.MPP), h.priv)


@routine((), (2,))
def data_context(h: Hart) -> Word:
    """U 0, S 1, S with SUM 2, M 3: loads and stores of equal contexts translate alike between flushes."""
    privilege = data_privilege(h)
    supervisor = privilege == Privilege.SUPERVISOR
    return privilege + (supervisor & h.mstatus.bit(Status.SUM)).zext(2)


@routine((), (2,))
def fetch_context(h: Hart) -> Word:
    """U 0, S 1, M 3."""
    return h.priv


@routine((64, 2), (64,))
def translate(h: Hart, address: Word, access: Word) -> Word:
    """The guest-physical address behind a virtual one, with protection checked at that byte.

    `access` is an `Access` or `MANAGE`. Raises the page fault or access fault of that access.
    """
    privilege = select(access == Access.EXECUTE, h.priv, data_privilege(h))
    physical, outcome = walk(h, address, access, privilege)
    if outcome == DONE:
        return physical  # type: ignore[no-any-return]
    paged = outcome == PAGE_FAULT
    if access == Access.EXECUTE:
        if paged:
            raise Trap(Cause.INSTRUCTION_PAGE_FAULT, address)
        raise Trap(Cause.INSTRUCTION_ACCESS_FAULT, address)
    if access == Access.READ:
        if paged:
            raise Trap(Cause.LOAD_PAGE_FAULT, address)
        raise Trap(Cause.LOAD_ACCESS_FAULT, address)
    if paged:
        raise Trap(Cause.STORE_PAGE_FAULT, address)
    raise Trap(Cause.STORE_ACCESS_FAULT, address)


@routine((64, 2, 2), (64, 2))
def walk(h: Hart, address: Word, access: Word, privilege: Word) -> tuple[Word, Word]:
    """(guest-physical address, how it ended) of a translation with the given privilege (section 12.3.2)."""
    mode = h.satp.bits(63, 60)
    if (privilege == Privilege.MACHINE) | (mode == 0):
        return address, _protect(h, address, access, privilege)
    shift = mode.zext(64) * 9 - 42  # the lowest bit of the topmost virtual page number: 30, 39 or 48
    if (address.sar(shift + 8) + 1) > 1:  # not the sign extension of its highest translated bit
        return _ended(PAGE_FAULT)
    table = h.satp << 20 >> 8
    for _ in range(5):
        entry_address = table + ((address >> shift & 0x1FF) << 3)
        entry, readable = table_entry(h, entry_address)
        if readable == 0:
            return _ended(ACCESS_FAULT)
        if (entry & _LEAF) != 0:
            return leaf(h, address, entry, entry_address, shift, access, privilege)  # type: ignore[no-any-return]
        if ((entry & _POINTER_MASK) != _POINTER) | (shift == 12):
            return _ended(PAGE_FAULT)
        table = (entry & _FRAME) << 2
        shift = shift - 9
    return _ended(PAGE_FAULT)


@routine((64,), (64, 1))
def table_entry(h: Hart, address: Word) -> tuple[Word, Word]:
    """(entry, 1), or 0 twice where a page table may not be: outside RAM or where S-mode may not read."""
    if (pmp_check(h, address, 8, Access.READ, Privilege.SUPERVISOR) & h.is_memory(address, 8)) == 0:
        return word(0), word(0, 1)
    return h.physical_load(address, 64)


@routine((64, 64, 64, 64, 2, 2), (64, 2))
def leaf(
    h: Hart, address: Word, entry: Word, entry_address: Word, shift: Word, access: Word, privilege: Word
) -> tuple[Word, Word]:
    """End a walk at an entry that maps 2**shift bytes: permissions, alignment, accessed and dirty bits."""
    status = h.mstatus
    writes, executes = access == Access.WRITE, access == Access.EXECUTE
    readable = entry.bit(R) | (status.bit(Status.MXR) & entry.bit(X))
    permitted = select(executes, entry.bit(X), select(writes, entry.bit(W), readable))
    reachable = select(
        privilege == Privilege.USER,
        entry.bit(U),
        ~entry.bit(U) | (status.bit(Status.SUM) & ~executes),
    )
    offset = (word(1) << shift) - 1
    frame = (entry & _FRAME) << 2
    h.note_mapping(shift)
    valid = entry.bit(V) & (entry.bit(R) | ~entry.bit(W)) & ((entry & _RESERVED) == 0) & ((frame & offset) == 0)
    if (valid & permitted & reachable) == 0:
        return _ended(PAGE_FAULT)
    physical = frame | (address & offset)
    missing = (writes.zext(64) << D | 1 << A) & ~entry
    if missing == 0:
        return physical, _protect(h, physical, access, privilege)
    if h.menvcfg.bit(Environment.ADUE) == 0:
        return _ended(PAGE_FAULT)
    # The access itself is checked first, so that one which faults leaves no mark in the table.
    may_update = pmp_check(h, entry_address, 8, Access.WRITE, Privilege.SUPERVISOR)
    if (pmp_check(h, physical, 1, access, privilege) & may_update) == 0:
        return _ended(ACCESS_FAULT)
    updated = h.physical_store(entry_address, entry | missing)
    return physical, select(updated, word(DONE, 2), ACCESS_FAULT)


def _protect(h: Hart, physical: Word, access: Word, privilege: Word) -> Word:
    return select(pmp_check(h, physical, 1, access, privilege), word(DONE, 2), ACCESS_FAULT)


def _ended(outcome: int) -> tuple[Word, Word]:
    return word(0), word(outcome, 2)
