"""The instructions that are asked about: rows, and where an operand makes several of a row, each of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from hypernest.analysis.expressions import Expressions
from hypernest.analysis.model import MachineModel
from hypernest.isa.row import Field, Row
from hypernest.isa.word import Word, word


@dataclass(frozen=True)
class Instance:
    """An instruction with some of its operands fixed, or kept from some values."""

    name: str
    row: Row
    fixed: dict[str, int] = field(default_factory=dict)  # fields
    excluded: dict[str, frozenset[int]] = field(default_factory=dict)


def instances(model: MachineModel) -> Iterator[Instance]:
    """All instructions of a model, in the order of its description."""
    for row in model.isa.rows.values():
        varied = next((name for name in model.variants if name in row.fields), None)
        if varied is None:
            yield Instance(row.name, row)
            continue
        values = model.variants[varied]
        for value, name in values.items():
            yield Instance(f"{row.name} {name}", row, {varied: value})
        if len(values) < 1 << row.fields[varied].width:
            yield Instance(f"{row.name} (any other)", row, {}, {varied: frozenset(values)})


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
            for excluded in each.excluded | instance.excluded.get(name, frozenset()):
                constraints.append(value != excluded)
        words = {
            name: word(source) if isinstance(source, int) else fields[source] for name, source in row.operands.items()
        }
        words["instruction"] = expressions.input("instruction", 64)
        return cls(fields, words, tuple(constraints))


def _value(each: Field, expressions: Expressions) -> Word:
    covered = sum(((1 << piece.width) - 1) << piece.at for piece in each.pieces)
    bits = expressions.input(f"field {each.name}", each.width) & covered
    return (bits.sext(64) if each.signed else bits.zext(64)) + each.offset
