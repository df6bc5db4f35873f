"""A page of guest code as the translator sees it: bytes, what was executed, and its instructions, decoded on demand."""

from __future__ import annotations

from dataclasses import dataclass

from hypernest.engines.translator.meaning import Meaning, Meanings
from hypernest.isa.decoder import Decoder
from hypernest.isa.isa import NativeIsa
from hypernest.isa.row import Row
from hypernest.isa.word import word

PAGE_BYTES = 4096
PARCEL = 2


@dataclass(frozen=True, eq=False)
class Instruction:
    """An instruction at a byte offset in its page."""

    offset: int
    length: int
    row: Row
    operands: dict[str, int]
    meaning: Meaning

    @property
    def following(self) -> int:
        return self.offset + self.length


class Translations:
    """What decoding needs, made once for all pages."""

    def __init__(self, isa: NativeIsa) -> None:
        self.isa = isa
        self.decoder = Decoder(isa.rows.values())
        self.meanings = Meanings(isa)


class CodePage:
    """`code` is the whole page; bit n of `executed` says that an instruction at halfword n was executed, bit n of
    `left_out` that the one there is none of ours."""

    def __init__(self, tables: Translations, code: bytes, executed: int, left_out: int = 0) -> None:
        if len(code) != PAGE_BYTES:
            raise ValueError(f"a page has {PAGE_BYTES} bytes, not {len(code)}")
        self._tables, self.code, self._executed = tables, code, executed
        self._known: dict[int, Instruction | None] = {}
        self._left_out = left_out
        self.counts = self._count()
        """For each halfword how many instructions follow up to the end of the page, itself included."""

    def _count(self) -> list[int]:
        length = self._tables.isa.instruction_length
        wide = [int(length(word(low, 32))) == 4 for low in range(256)]  # by the first byte
        counts = [0] * (PAGE_BYTES // PARCEL + 2)
        for at in reversed(range(PAGE_BYTES // PARCEL)):
            counts[at] = 1 + counts[at + (2 if wide[self.code[2 * at]] else 1)]
        return counts

    def cost(self, source: int, target: int) -> int:
        """What a jump from one offset to another adds to the budget (see `interpreter/fast.py`)."""
        return self.counts[source // PARCEL] - self.counts[target // PARCEL] - 1

    def was_executed(self, offset: int) -> bool:
        """Was the instruction at this offset executed?"""
        return bool(self._executed >> (offset // PARCEL) & 1)

    def at(self, offset: int) -> Instruction | None:
        """The instruction at an even offset; None if it is illegal, goes beyond the page or is left out."""
        if offset not in self._known:
            self._known[offset] = self._decode(offset)
        return self._known[offset]

    def _decode(self, offset: int) -> Instruction | None:
        raw = int.from_bytes(self.code[offset : offset + 4], "little")
        row = self._tables.decoder.decode(raw)
        if row is None or self._left_out >> (offset // PARCEL) & 1 or offset + row.length > PAGE_BYTES:
            return None
        raw &= (1 << 8 * row.length) - 1
        operands = row.operand_values(raw)
        return Instruction(offset, row.length, row, operands, self._tables.meanings(row, operands))
