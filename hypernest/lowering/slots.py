"""Predecoded slots: where each operand of an instruction stands in its 16 bytes.

A slot holds the address of its handler (8 bytes) and the operands. Register numbers have fixed places, so that
handlers of different instructions look alike; everything else takes what is free.
"""

from __future__ import annotations

from dataclasses import dataclass

from hypernest.isa.row import Row

SLOT_BYTES = 16
REGISTERS_AT = {"rd": 12, "rs1": 13, "rs2": 14, "rs3": 15}


@dataclass(frozen=True)
class Place:
    """An operand's place in the slot: byte offset, size in bytes, sign."""

    offset: int
    bytes: int
    signed: bool

    @property
    def type(self) -> str:
        return f"i{self.bytes * 8}"


SlotLayout = dict[str, Place]


def slot_layout(row: Row) -> SlotLayout:
    """The places of all operands of `row`, the same for every instruction with its semantics."""
    layout: SlotLayout = {}
    free = list(range(8, 16))
    for name in row.fields:
        if name in REGISTERS_AT:
            layout[name] = Place(REGISTERS_AT[name], 1, False)
            free.remove(REGISTERS_AT[name])
    for name, field in sorted(row.fields.items(), key=lambda item: -item[1].width):
        if name in layout:
            continue
        if field.signed or field.width > 8:
            layout[name] = Place(8, 4, True)
            free = [at for at in free if at >= 12]
        else:
            layout[name] = Place(free.pop(0), 1, False)
    return layout
