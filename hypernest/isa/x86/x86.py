"""IA-32 in protected mode: the tables and routines of all modules, as one `Isa`, and instruction fetch."""

from __future__ import annotations

from collections.abc import Mapping

from hypernest.isa.hart import Hart, Trap, pure, routine
from hypernest.isa.isa import Isa
from hypernest.isa.row import Extension, Row
from hypernest.isa.word import Word, concat, select, word
from hypernest.isa.x86 import base, selectors, system, transfers
from hypernest.isa.x86.descriptors import read_linear
from hypernest.isa.x86.faults import Cause
from hypernest.isa.x86.segments import LOAD, STORE, segment, translate
from hypernest.isa.x86.state import REGISTERS
from hypernest.isa.x86.transfers import take_trap

EXTENSIONS: tuple[Extension, ...] = (base.BASE, selectors.SELECTORS, transfers.TRANSFERS, system.SYSTEM)
ROWS: dict[str, Row] = {name: row for each in EXTENSIONS for name, row in each.rows.items()}
LONGEST = 7
ESCAPE = 0x0F


def _place(start: int) -> int:
    """Where the table of lengths has an instruction: escape, opcode, mod, together 11 bits."""
    escape = start & 0xFF == ESCAPE
    start >>= 8 * escape
    return escape << 10 | (start & 0xFF) << 2 | start >> 14 & 3


def _lengths(rows: Mapping[str, Row]) -> int:
    """The length at each place as four bits, those of place 0 lowest; 0 where there is no row."""
    table: dict[int, int] = {}
    for row in rows.values():
        first = _place(row.match)
        fixed = row.mask >> 8 if first >> 10 else row.mask
        free = ~((fixed & 0xFF) << 2 | fixed >> 14 & 3) & 0x3FF
        part = free
        while True:  # all combinations of the free bits
            if table.setdefault(first | part, row.length) != row.length:
                raise ValueError(f"{row.name} has {row.length} bytes, others that begin alike {table[first | part]}")
            if not part:
                break
            part = (part - 1) & free
    return sum(length << 4 * place for place, length in table.items())


_LENGTHS = _lengths(ROWS)


@pure((64,), (64,))
def instruction_length(code: Word) -> Word:
    """Bytes of the instruction that begins `code`, 0 if no row is like it."""
    escape = code.bits(7, 0) == ESCAPE
    start = select(escape, code >> 8, code)
    place = concat(escape.zext(1), start.bits(7, 0), start.bits(15, 14))
    return (word(_LENGTHS, 8192) >> (place.zext(8192) << 2)).trunc(4).zext(64)


@routine((64,), (64,))
def fetch(h: Hart, address: Word) -> Word:
    """The instruction at an offset in CS; a memory trap if it is not all within the limit."""
    code, offset = segment(h, "cs"), address.trunc(32)
    if (code.holds(offset, 1) & (address.bits(63, 32) == 0)) == 0:
        raise Trap(Cause.MEMORY_SEGMENT)
    bytes_ = [read_linear(h, code.base + offset + number, 8) for number in range(LONGEST)]
    found = concat(word(0, 8), *reversed(bytes_))
    length: Word = instruction_length(found)
    if code.holds(offset, select(length == 0, word(1), length).trunc(32)) == 0:
        raise Trap(Cause.MEMORY_SEGMENT)
    return found & ~(word(-1) << (length << 3))


X86 = Isa(
    name="x86",
    registers=REGISTERS,
    rows=ROWS,
    translate=translate,
    load=LOAD,
    store=STORE,
    fetch=fetch,
    take_trap=take_trap,
    causes={int(cause): cause.name.lower().replace("_", " ") for cause in Cause},
    illegal_instruction=Cause.INVALID_OPCODE,
)
