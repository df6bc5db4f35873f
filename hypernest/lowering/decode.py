"""The decoder's decision tree as a native function that also writes the operands into a slot."""

from __future__ import annotations

from collections.abc import Mapping

from hypernest.isa.decoder import Decoder, Leaf, Switch
from hypernest.isa.row import Field, Row
from hypernest.lowering.expressions import FunctionText
from hypernest.lowering.functions import SLOT_ALIAS
from hypernest.lowering.slots import SlotLayout


class DecoderLowering:
    """Prints `i64 @decode(i32 code, ptr slot)`: the row's number, or -1 for an illegal instruction."""

    def __init__(
        self,
        decoder: Decoder,
        numbers: Mapping[str, int],
        slots: Mapping[str, SlotLayout],
        sinks: Mapping[str, int],
    ) -> None:
        """`numbers` by row name; `slots` by the name of a row's meaning; `sinks` gives, for rows whose rd is in a
        register file with a register that ignores writes, the number to use for it instead of 0."""
        self.decoder, self.numbers, self.slots, self.sinks = decoder, numbers, slots, sinks
        self.text = FunctionText()

    def print(self) -> str:
        text = self.text
        self._node(self.decoder.tree)
        text.start("illegal")
        text.emit("ret i64 -1")
        body = "\n".join(text.lines)
        return f"define internal i64 @decode(i32 %code, ptr %slot) noinline {{\nentry:\n{body}\n}}\n"

    def _node(self, node: Switch | Leaf) -> None:
        if isinstance(node, Switch):
            self._switch(node)
        else:
            self._leaf(node)

    def _switch(self, node: Switch) -> None:
        text = self.text
        field = text.define(f"lshr i32 %code, {node.low}")
        key = text.define(f"and i32 {field}, {(1 << node.width) - 1}")
        labels = [(value, text.fresh("case"), case) for value, case in enumerate(node.cases) if case]
        table = " ".join(f"i32 {value}, label %{label}" for value, label, _ in labels)
        text.emit(f"switch i32 {key}, label %illegal [{table}]")
        for _, label, case in labels:
            text.start(label)
            self._node(case)

    def _leaf(self, candidates: Leaf) -> None:
        text = self.text
        for each in candidates:
            tests = [(each.mask, each.match, "eq"), *((mask, match, "ne") for mask, match in each.excluded)]
            met = "true"
            for mask, match, relation in tests:
                if not mask and relation == "eq":
                    continue
                masked = text.define(f"and i32 %code, {_i32(mask)}")
                passed = text.define(f"icmp {relation} i32 {masked}, {_i32(match)}")
                met = passed if met == "true" else text.define(f"and i1 {met}, {passed}")
            yes, no = text.fresh("is"), text.fresh("not")
            text.emit(f"br i1 {met}, label %{yes}, label %{no}")
            text.start(yes)
            self._fill(each.row)
            text.start(no)
        text.emit("br label %illegal")

    def _fill(self, row: Row) -> None:
        text, layout = self.text, self.slots[row.meaning]
        for name, source in row.operands.items():
            place = layout[name]
            value = str(source) if isinstance(source, int) else self._extract(row.fields[source])
            sink = self.sinks.get(row.meaning)
            if name == "rd" and sink is not None:
                if isinstance(source, int):
                    value = str(source or sink)
                else:
                    zero = text.define(f"icmp eq i32 {value}, 0")
                    value = text.define(f"select i1 {zero}, i32 {sink}, i32 {value}")
            if place.bytes != 4:
                value = value if value.lstrip("-").isdigit() else text.define(f"trunc i32 {value} to {place.type}")
            pointer = text.define(f"getelementptr i8, ptr %slot, i64 {place.offset}")
            text.emit(f"store {place.type} {value}, ptr {pointer}, align {place.bytes}{SLOT_ALIAS}")
        text.emit(f"ret i64 {self.numbers[row.name]}")

    def _extract(self, field: Field) -> str:
        text, whole = self.text, ""
        for piece in field.pieces:
            part = text.define(f"lshr i32 %code, {piece.low}") if piece.low else "%code"
            part = text.define(f"and i32 {part}, {(1 << piece.width) - 1}")
            part = text.define(f"shl i32 {part}, {piece.at}") if piece.at else part
            whole = text.define(f"or i32 {whole}, {part}") if whole else part
        if field.signed and field.width < 32:
            whole = text.define(f"shl i32 {whole}, {32 - field.width}")
            whole = text.define(f"ashr i32 {whole}, {32 - field.width}")
        return text.define(f"add i32 {whole}, {field.offset}") if field.offset else whole


def _i32(value: int) -> int:
    return value - (1 << 32) if value >> 31 else value
