"""Physical memory protection: sixteen entries, each a range of addresses and what may be done there (section 3.7)."""

from __future__ import annotations

from collections.abc import Iterator

from hypernest.isa.hart import Access, Hart, routine
from hypernest.isa.riscv.state import PMP_ENTRIES, Privilege
from hypernest.isa.word import Word, select, word

ADDRESS_BITS = (1 << 54) - 1  # pmpaddr holds bits 55:2 of an address
R, W, X, MODE, LOCKED = 0, 1, 2, 3, 7  # bits of an entry's configuration; MODE has two
OFF, TOR, NA4, NAPOT = range(4)

_EVERYTHING = NAPOT << MODE | 1 << X | 1 << W | 1 << R  # an unlocked entry that allows all it covers
_END = 1 << 57  # the end of the largest region that an entry can cover


@routine((64, 64, 2, 2), (1,))
def pmp_check(h: Hart, address: Word, size: Word, access: Word, privilege: Word) -> Word:
    """May `size` bytes at a guest-physical address be accessed with this privilege?

    The first entry that matches any byte decides, and must match all of them. Access 3 (cache management) needs what
    a load needs.
    """
    low, high = h.read("pmpcfg", 0), h.read("pmpcfg", 1)
    if (low | high) == 0:  # all entries are off, as at reset
        return privilege == Privilege.MACHINE
    if _open(h, address):
        return word(1, 1)
    if high == 0:
        return _decide(h, PMP_ENTRIES // 2, address, size, access, privilege)
    return _decide(h, PMP_ENTRIES, address, size, access, privilege)


def _open(h: Hart, address: Word) -> Word:
    """Does the first entry allow everything everywhere, as on a hosted hart?"""
    first = (h.read("pmpcfg", 0) & 0xFF) == _EVERYTHING
    return first & (h.read("pmpaddr", 0) == ADDRESS_BITS) & (address < _END)


def _decide(h: Hart, entries: int, address: Word, size: Word, access: Word, privilege: Word) -> Word:
    end = address + (size - 1)
    machine = privilege == Privilege.MACHINE
    allowed = machine
    for configuration, active, first, last in reversed(list(_regions(h, entries))):
        permission = select(
            access == Access.EXECUTE,
            configuration.bit(X),
            select(access == Access.WRITE, configuration.bit(W), configuration.bit(R)),
        )
        granted = permission | (machine & ~configuration.bit(LOCKED))
        touched = active & (address <= last) & (end >= first)
        covered = (address >= first) & (end <= last)
        allowed = select(touched, covered & granted, allowed)
    return allowed


@routine((64,), (1,))
def pmp_page_uniform(h: Hart, address: Word) -> Word:
    """Does no active region begin or end inside the 4 KiB page of this address?

    Then what is allowed at one byte of the page is allowed at all, and a translation to it may be remembered.
    """
    if _open(h, address) | ((h.read("pmpcfg", 0) | h.read("pmpcfg", 1)) == 0):
        return word(1, 1)
    page = address & ~0xFFF
    end = page | 0xFFF
    uniform = word(1, 1)
    for _, active, first, last in _regions(h, PMP_ENTRIES):
        touched = active & (page <= last) & (end >= first)
        covered = (page >= first) & (end <= last)
        uniform = uniform & (~touched | covered)
    return uniform


def _regions(h: Hart, entries: int) -> Iterator[tuple[Word, Word, Word, Word]]:
    """(configuration, active, first byte, last byte) of each entry. Only active ones have meaningful bounds.

    Entries that are constants and off match nothing and are left out.
    """
    previous = word(0)
    for index in range(entries):
        configuration = h.read("pmpcfg", index // 8).bits(index % 8 * 8 + 7, index % 8 * 8)
        mode = configuration.bits(MODE + 1, MODE)
        address = h.read("pmpaddr", index)
        if mode.value == OFF:
            previous = address
            continue
        ones = select(mode == NAPOT, address ^ (address + 1), 0)  # the size of a NAPOT region is in its trailing ones
        top = mode == TOR
        first = select(top, previous, address & ~ones) << 2
        last = select(top, (address << 2) - 1, ((address | ones) << 2) | 3)
        active = select(top, previous < address, mode != OFF)
        yield configuration, active, first, last
        previous = address
