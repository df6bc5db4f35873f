"""Loads, stores and instruction fetch at virtual addresses, at any alignment (misaligned ones are done in hardware).

Order of checks: where the bytes are (page faults, protection), then whether something answers there. Nothing is
written before every byte of an access has passed. A fault on the second page of an access reports the first address
of that page, as the manual asks (section 3.1.16). Devices take naturally aligned accesses only.
"""

from __future__ import annotations

from hypernest.isa.hart import Access, Hart, Routine, pure, routine
from hypernest.isa.riscv.pmp import pmp_check
from hypernest.isa.riscv.translation import access_fault, data_privilege
from hypernest.isa.word import Word, concat, select, word

PAGE = 4096


def _locate(h: Hart, address: Word, size: Word | int, access: Access) -> Word:
    """The guest-physical address of `size` bytes in one page, all of them permitted."""
    physical = h.locate(address, access)
    privilege = h.priv if access is Access.EXECUTE else data_privilege(h)
    if pmp_check(h, physical, size, access, privilege) == 0:
        raise access_fault(access, address)
    return physical


def _locate_ordinary(h: Hart, address: Word, size: int, access: Access) -> Word:
    """`_locate` for an access inside one page: aligned, or else to RAM."""
    physical = _locate(h, address, size, access)
    if size > 1 and (address & (size - 1)) != 0 and h.is_memory(physical, size) == 0:
        raise access_fault(access, address)
    return physical


def _locate_across(h: Hart, address: Word, size: int, access: Access) -> list[Word]:
    """The guest-physical address of each byte of an access that crosses into another page. Both must be RAM."""
    second = (address | (PAGE - 1)) + 1
    count = second - address  # bytes in the first page
    low = _locate(h, address, count, access)
    high = _locate(h, second, size - count, access)
    if h.is_memory(low & -PAGE, PAGE) == 0:
        raise access_fault(access, address)
    if h.is_memory(high, PAGE) == 0:
        raise access_fault(access, second)
    return [select(count > index, low + index, high + index - count) for index in range(size)]


def _crosses(address: Word, size: int) -> Word:
    return (address & (PAGE - 1)) > PAGE - size


def _load(bits: int) -> Routine:
    size = bits // 8

    def load(h: Hart, address: Word) -> Word:
        if size > 1 and _crosses(address, size):
            places = _locate_across(h, address, size, Access.READ)
            h.announce(Access.READ, address, size, word(0), places[0], places[-1])
            return concat(*(h.physical_load(place, 8)[0] for place in reversed(places)))
        physical = _locate_ordinary(h, address, size, Access.READ)
        h.announce(Access.READ, address, size, word(0), physical, physical + (size - 1))
        value, ok = h.physical_load(physical, bits)
        if ok == 0:
            raise access_fault(Access.READ, address)
        return value

    load.__name__ = f"load_{bits}"
    return routine((64,), (bits,))(load)


def _store(bits: int) -> Routine:
    size = bits // 8

    def store(h: Hart, address: Word, value: Word) -> None:
        if size > 1 and _crosses(address, size):
            places = _locate_across(h, address, size, Access.WRITE)
            h.announce(Access.WRITE, address, size, value, places[0], places[-1])
            for index, place in enumerate(places):
                h.physical_store(place, value.bits(index * 8 + 7, index * 8))
            return
        physical = _locate_ordinary(h, address, size, Access.WRITE)
        h.announce(Access.WRITE, address, size, value, physical, physical + (size - 1))
        if h.physical_store(physical, value) == 0:
            raise access_fault(Access.WRITE, address)

    store.__name__ = f"store_{bits}"
    return routine((64, bits))(store)


LOAD: dict[int, Routine] = {bits: _load(bits) for bits in (8, 16, 32, 64)}
STORE: dict[int, Routine] = {bits: _store(bits) for bits in (8, 16, 32, 64)}


@pure((32,), (64,))
def instruction_length(code: Word) -> Word:
    """Bytes of an instruction, by its first parcel (unprivileged manual, section 1.5); longer ones are illegal."""
    return select((code & 3) == 3, word(4), 2)


@routine((64,), (32,))
def fetch(h: Hart, address: Word) -> Word:
    """The instruction at an even address; a fault on its second half reports the address of that half."""
    physical = h.locate(address, Access.EXECUTE)
    low = _fetch_parcel(h, address, physical)
    if instruction_length(low.zext(32)) == 2:
        return low.zext(32)
    second = address + 2
    following = physical + 2
    if (second & (PAGE - 1)) == 0:
        following = h.locate(second, Access.EXECUTE)
    return concat(_fetch_parcel(h, second, following), low)


def _fetch_parcel(h: Hart, address: Word, physical: Word) -> Word:
    """Sixteen bits of an instruction."""
    if pmp_check(h, physical, 2, Access.EXECUTE, h.priv) == 0:
        raise access_fault(Access.EXECUTE, address)
    value, ok = h.physical_load(physical, 16)
    if ok == 0:
        raise access_fault(Access.EXECUTE, address)
    return value


def zero_block(h: Hart, address: Word, size: int) -> None:
    """Clear the aligned block of `size` bytes (at most a page) around an address. It must be RAM."""
    physical = h.locate(address, Access.WRITE) & -size
    permitted = pmp_check(h, physical, size, Access.WRITE, data_privilege(h))
    if (permitted & h.is_memory(physical, size)) == 0:
        raise access_fault(Access.WRITE, address)
    h.announce(Access.WRITE, address & -size, size, word(0), physical, physical + (size - 1))
    for offset in range(0, size, 8):
        h.physical_store(physical + offset, word(0))
