"""The instructions that are asked about: rows, and where an operand makes several of a row, each of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from hypernest.analysis.expressions import Expressions
from hypernest.analysis.model import MachineModel
from hypernest.isa.decoder import exclusions
from hypernest.isa.row import Field, Row
from hypernest.isa.word import Word, word


@dataclass(frozen=True)
class Instance:
    """An instruction with some of its operands fixed, or kept from some values."""

    name: str
    row: Row
    fixed: dict[str, int] = field(default_factory=dict)  # fields
    excluded: dict[str, frozenset[int]] = field(default_factory=dict)
    special: tuple[Row, ...] = ()  # rows that describe some of its encodings instead


def instances(model: MachineModel) -> Iterator[Instance]:
    """All instructions of a model, in the order of its description."""
    rows = model.isa.rows.values()
    for row in rows:
        special = tuple(other for other in rows if _special(other, row))
        varied = next((name for name in model.variants if name in row.fields), None)
        if varied is None:
            yield Instance(row.name, row, special=special)
            continue
        values = model.variants[varied]
        for value, name in values.items():
            yield Instance(f"{row.name} {name}", row, {varied: value}, special=special)
        if len(values) < 1 << row.fields[varied].width:
            yield Instance(f"{row.name} (any other)", row, {}, {varied: frozenset(values)}, special)


def _special(row: Row, general: Row) -> bool:
    """Does a row fix the bits that another does, and more, so that it is decoded first?"""
    return (
        (row.length, row.mask & general.mask) == (general.length, general.mask)
        and row.mask != general.mask
        and row.match & general.mask == general.match
    )


@dataclass(frozen=True)
class Operands:
    """The operands of all encodings of an instance."""

    fields: dict[str, Word]  # the field's value, 64 bits
    words: dict[str, Word]  # what `Hart.operand` gives
    constraints: tuple[Word, ...]

    @classmethod
    def of(cls, instance: Instance, expressions: Expressions) -> Operands:
        """Symbolic operands: every value that the encoding can hold."""
        row, fields = instance.row, {}
        constraints: list[Word] = []
        for name, each in row.fields.items():
            value = word(instance.fixed[name]) if name in instance.fixed else _value(each, expressions)
            fields[name] = value
            excluded = each.excluded | instance.excluded.get(name, frozenset())
            constraints += expressions.exclude(value, excluded) if excluded else ()
        words = {
            name: word(source) if isinstance(source, int) else fields[source] for name, source in row.operands.items()
        }
        words["instruction"] = expressions.input("instruction", 64)
        constraints += [~_is(other, row, fields) for other in instance.special]
        return cls(fields, words, tuple(constraints))


def _value(each: Field, expressions: Expressions) -> Word:
    covered = sum(((1 << piece.width) - 1) << piece.at for piece in each.pieces)
    bits = expressions.input(f"field {each.name}", each.width) & covered
    return (bits.sext(64) if each.signed else bits.zext(64)) + each.offset


def _is(other: Row, row: Row, fields: Mapping[str, Word]) -> Word:
    """Is the encoding of `row` with these fields one of `other`?"""
    found = _encoded(row, fields, other.mask, other.match)
    for mask, match in exclusions(other):
        found = found & ~_encoded(row, fields, mask, match)
    return found


def _encoded(row: Row, fields: Mapping[str, Word], mask: int, match: int) -> Word:
    """Are the bits in `mask` of an encoding those of `match`?"""
    found = word((row.match ^ match) & row.mask & mask == 0, 1)
    for name, each in row.fields.items():
        for piece in each.pieces:
            bits = (fields[name] - each.offset).bits(piece.at + piece.width - 1, piece.at)
            found = found & ((bits & (mask >> piece.low)) == (match >> piece.low & mask >> piece.low))
    return found
