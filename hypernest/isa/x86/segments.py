"""Segment registers: accesses through them, and what loading one checks and remembers (volume 3, chapters 3 and 5).

An access outside the limit or against the type of its segment is a memory trap. Linear addresses have 32 bits and wrap;
a single access that would itself wrap around the end of its segment's offsets faults.
"""

from __future__ import annotations

from dataclasses import dataclass

from hypernest.isa.hart import Access, Hart, Routine, Trap, routine
from hypernest.isa.word import Word, concat, select, word
from hypernest.isa.x86.descriptors import cpl, error_code, find, is_null, read_linear, visible
from hypernest.isa.x86.faults import Cause, Checks, raise_fault
from hypernest.isa.x86.state import ESP, Rights


@dataclass(frozen=True)
class Segment:
    """A selector (16 bits) and what its descriptor said: base and limit (32 bits), access rights (16 bits)."""

    selector: Word
    base: Word
    limit: Word
    rights: Word

    @property
    def readable(self) -> Word:
        code = self.rights.bit(Rights.CODE)
        return self.rights.bit(Rights.PRESENT) & (~code | self.rights.bit(Rights.WRITABLE))

    @property
    def writable(self) -> Word:
        return self.rights.bit(Rights.PRESENT) & ~self.rights.bit(Rights.CODE) & self.rights.bit(Rights.WRITABLE)

    def holds(self, offset: Word, size: Word | int) -> Word:
        """Are `size` bytes from an offset (32 bits) within the limit? (section 5.3)"""
        last = offset + size - 1
        down = ~self.rights.bit(Rights.CODE) & self.rights.bit(Rights.EXPAND_DOWN)
        top = select(self.rights.bit(Rights.BIG), word(0xFFFF_FFFF, 32), 0xFFFF)
        return (offset <= last) & select(down, (offset > self.limit) & (last <= top), last <= self.limit)


def segment(h: Hart, name: str) -> Segment:
    """What a segment register holds."""
    return Segment(h.read(name), h.read(f"{name}_base"), h.read(f"{name}_limit"), h.read(f"{name}_rights"))


def write_segment(h: Hart, name: str, loaded: Segment) -> None:
    """Set a segment register, the hidden part included."""
    h.write(name, loaded.selector)
    h.write(f"{name}_base", loaded.base)
    h.write(f"{name}_limit", loaded.limit)
    h.write(f"{name}_rights", loaded.rights)


# --- accesses of the program through DS ------------------------------------------------------------------------------


def _place(h: Hart, address: Word, size: int, access: Access) -> Word:
    """The linear address of an offset in DS, 32 bits; checked."""
    data, offset = segment(h, "ds"), address.trunc(32)
    allowed = data.writable if access is Access.WRITE else data.readable
    if (allowed & data.holds(offset, size)) == 0:
        raise Trap(Cause.MEMORY_SEGMENT)
    return data.base + offset


def _load(bits: int) -> Routine:
    def load(h: Hart, address: Word) -> Word:
        linear = _place(h, address, bits // 8, Access.READ)
        h.announce(Access.READ, address, bits // 8, word(0), linear.zext(64), linear.zext(64) + (bits // 8 - 1))
        return read_linear(h, linear, bits)

    load.__name__ = f"load_{bits}"
    return routine((64,), (bits,))(load)


def _store(bits: int) -> Routine:
    def store(h: Hart, address: Word, value: Word) -> None:
        linear = _place(h, address, bits // 8, Access.WRITE)
        h.announce(Access.WRITE, address, bits // 8, value, linear.zext(64), linear.zext(64) + (bits // 8 - 1))
        h.physical_store(linear.zext(64), value)

    store.__name__ = f"store_{bits}"
    return routine((64, bits))(store)


WIDTHS = (8, 16, 32, 48)  # 48: a far pointer, or the contents of a descriptor-table register
LOAD: dict[int, Routine] = {bits: _load(bits) for bits in WIDTHS}
STORE: dict[int, Routine] = {bits: _store(bits) for bits in WIDTHS}


@routine((64, 2), (64,))
def translate(h: Hart, address: Word, access: Word) -> Word:
    """The physical address of a byte: of code through CS, of data through DS. Raises the memory trap of that access."""
    offset, code, data = address.trunc(32), segment(h, "cs"), segment(h, "ds")
    if access == Access.EXECUTE:
        if (code.holds(offset, 1) & (address.bits(63, 32) == 0)) == 0:
            raise Trap(Cause.MEMORY_SEGMENT)
        return (code.base + offset).zext(64)
    allowed = select(access == Access.WRITE, data.writable, data.readable)
    if (allowed & data.holds(offset, 1)) == 0:
        raise Trap(Cause.MEMORY_SEGMENT)
    return (data.base + offset).zext(64)


# --- the stack (always 32 bits wide, pointer and operands) --------------------------------------------------------


def store_frame(h: Hart, base: Word, top: Word, values: tuple[Word, ...]) -> None:
    """Store 32-bit values below offset `top` of the segment at `base`, the first one highest. No checks."""
    for number, value in enumerate(values, 1):
        h.physical_store((base + top - 4 * number).zext(64), value)


def push(h: Hart, *values: Word) -> None:
    """Push 32-bit values through SS, or raise the memory trap before any; then nothing may trap any more."""
    stack, top = segment(h, "ss"), h.read("r", ESP)
    if (stack.writable & stack.holds(top - 4 * len(values), 4 * len(values))) == 0:
        raise Trap(Cause.MEMORY_STACK)
    store_frame(h, stack.base, top, values)
    h.write("r", top - 4 * len(values), ESP)


def peek(h: Hart, count: int) -> tuple[Word, ...]:
    """The top `count` 32-bit values of the stack, or the memory trap. The pointer stays where it is."""
    stack, top = segment(h, "ss"), h.read("r", ESP)
    if (stack.readable & stack.holds(top, 4 * count)) == 0:
        raise Trap(Cause.MEMORY_STACK)
    return tuple(read_linear(h, stack.base + top + 4 * number, 32) for number in range(count))


# --- loading segment registers (volume 2, MOV; volume 3, section 5.6) ----------------------------------------------


@routine((16,), (16, 32, 32, 16))
def data_segment(h: Hart, selector: Word) -> tuple[Word, Word, Word, Word]:
    """(cause, base, limit, rights) of loading DS, ES, FS or GS: a null selector always can be, and is of no use."""
    descriptor, exists = find(h, selector)
    checks = Checks()
    checks.fault(~exists | ~descriptor.readable, Cause.OPERAND_PROTECTION)
    checks.fault(~visible(h, selector, descriptor), Cause.PRIVILEGE)
    checks.fault(~descriptor.present, Cause.OPERAND_NOT_PRESENT)
    null, (cause, _) = is_null(selector), checks.first()
    parts = cause, descriptor.base, descriptor.limit, descriptor.rights
    a, b, c, d = (select(null, word(0, part.width), part) for part in parts)
    return a, b, c, d


@routine((16,), (16, 32, 32, 16))
def stack_segment(h: Hart, selector: Word) -> tuple[Word, Word, Word, Word]:
    """(cause, base, limit, rights) of loading SS: writable data of exactly this privilege level."""
    descriptor, exists = find(h, selector)
    level = cpl(h)
    checks = Checks()
    checks.fault(is_null(selector) | ~exists | ~descriptor.writable, Cause.OPERAND_PROTECTION)
    checks.fault((selector.bits(1, 0) != level) | (descriptor.dpl != level), Cause.PRIVILEGE)
    checks.fault(~descriptor.present, Cause.OPERAND_STACK)
    cause, _ = checks.first()
    return cause, descriptor.base, descriptor.limit, descriptor.rights


def checked_segment(h: Hart, name: str, selector: Word) -> Segment:
    """What `name`, any but CS, would hold after loading a selector. Raises the fault of doing so."""
    cause, base, limit, rights = (stack_segment if name == "ss" else data_segment)(h, selector)
    absent = Cause.OPERAND_STACK if name == "ss" else Cause.OPERAND_NOT_PRESENT
    raise_fault(cause, error_code(selector), Cause.PRIVILEGE, absent, Cause.OPERAND_PROTECTION)
    return Segment(selector, base, limit, rights)


# --- far pointers in memory ----------------------------------------------------------------------------------------


def far_pointer(value: Word) -> tuple[Word, Word]:
    """(selector, offset) in 48 bits of memory."""
    return value.bits(47, 32), value.bits(31, 0)


def table_register(base: Word, limit: Word) -> Word:
    """48 bits of memory that LGDT and the like read and SGDT and the like write."""
    return concat(base, limit)
