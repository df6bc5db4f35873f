"""Instruction rows: assembly syntax, encoding as the manual prints it, and what it means.

A row is written in an extension's module:

    I = Extension("I")

    @I.row("addi rd, rs1, imm", "imm[11:0] rs1 000 rd 0010011")
    def addi(h): h.rd = h.rs1 + h.imm

The pattern is read from the most significant bit. A token is a string of 0 and 1, or a field: `rd`, `rs1`, `rs2`,
`rs3` (5 bits), the same with a prime (3 bits: registers 8 to 15), `rm`, `aq`, `rl`, `csr`, `fm`, `pred`, `succ`, or
an immediate with the bits it holds, `imm[12|10:5]` (signed) or `uimm[5:0]` (unsigned). A constraint follows the field:
`rd!=0`, `rd!=0,2`; one on an immediate (`imm!=0`) stands on any of its pieces and covers the whole.

The words of the syntax say how an operand is written (`syntax.py` has the table): `rd`, `rs1`, ... are integer
registers; `fd`, `fs1`, `fs2`, `fs3` the floating-point registers in the fields rd, rs1, rs2, rs3; `imm` and `uimm` are
decimal, `shamt` is uimm in hexadecimal, `target` is imm added to the pc, `imm20` is imm without its 12 zeros. A
rounding mode, `rm`, comes last and is left out when it is dynamic; the bits aq and rl are a suffix of the name.

Compressed instructions are rows that expand: the pattern is theirs, the meaning another row's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from hypernest.isa.hart import Hart
from hypernest.isa.word import signed

Semantics = Callable[[Hart], None]
F = TypeVar("F", bound=Semantics)

FIELD_WIDTHS = {"rd": 5, "rs1": 5, "rs2": 5, "rs3": 5, "rm": 3, "aq": 1, "rl": 1, "csr": 12, "fm": 4, "pred": 4,
                "succ": 4}  # fmt: skip


@dataclass(frozen=True)
class Format:
    """How the encodings of an ISA are written: what a pattern's tokens are, and which sizes come out."""

    fields: Mapping[str, int]  # widths of the fields that are written without their bits
    sizes: frozenset[int]  # bits of a whole instruction
    unit: int = 8  # bits between one address and the next: more than a byte where words are addressed
    bytewise: bool = False  # the pattern lists bytes as they stand in memory, each from its most significant bit

    def places(self, low: int, width: int, size: int) -> Iterable[tuple[int, int, int]]:
        """(lowest bit, width, bit of the token) of each piece of a token that is written `low` bits from the end."""
        if not self.bytewise:
            yield low, width, 0
            return
        end = low + width
        while low < end:
            count = min(end, (low // 8 + 1) * 8) - low
            yield size - 8 - low // 8 * 8 + low % 8, count, low - (end - width)
            low += count


RISCV = Format(FIELD_WIDTHS, frozenset({16, 32}))


@dataclass(frozen=True)
class Piece:
    """`width` bits of the instruction from bit `low` are bits `at` and up of a field."""

    low: int
    width: int
    at: int


@dataclass(frozen=True)
class Field:
    """A field of an encoding: where its bits are, how its value is made of them, what it may not be."""

    name: str
    pieces: tuple[Piece, ...]
    signed: bool
    offset: int  # added to the encoded bits: 8 for the three-bit register fields
    excluded: frozenset[int]

    @property
    def width(self) -> int:
        """Bits from bit 0 of the value to the highest encoded one."""
        return max(piece.at + piece.width for piece in self.pieces)

    def extract(self, code: int) -> int:
        """The value of this field in an instruction; negative for signed fields with the top bit set."""
        value = sum((code >> p.low & (1 << p.width) - 1) << p.at for p in self.pieces)
        return (signed(value, self.width) if self.signed else value) + self.offset

    def insert(self, value: int) -> int:
        """The instruction bits that say `value`; ValueError if it cannot be said."""
        bits = value - self.offset
        code = sum((bits >> p.at & (1 << p.width) - 1) << p.low for p in self.pieces)
        if self.extract(code) != value or value in self.excluded:
            raise ValueError(f"{self.name} cannot be {value}")
        return code


@dataclass(frozen=True)
class Row:
    """One instruction. `operands` gives each operand of `semantics` as a field's name or a constant."""

    name: str
    syntax: str
    pattern: str
    extension: str
    semantics: Semantics
    operands: Mapping[str, str | int]
    meaning: str  # the name of the row whose semantics this is: its own, or what it expands to
    system: bool = False  # may change privilege, interrupts, translation: engines look again after it
    fields: Mapping[str, Field] = field(default_factory=dict)
    mask: int = 0
    match: int = 0
    length: int = 4  # in addresses: bytes, unless words are addressed

    def matches(self, code: int) -> bool:
        """Does this row describe the instruction `code` (its low `length` bytes)?"""
        return code & self.mask == self.match and all(
            f.extract(code) not in f.excluded for f in self.fields.values() if f.excluded
        )

    def encode(self, **values: int) -> int:
        """The instruction with these field values; missing rounding modes are 7, other missing fields 0."""
        code = self.match
        for name, each in self.fields.items():
            code |= each.insert(values.pop(name, 7 if name == "rm" else 0))
        if values:
            raise ValueError(f"{self.name} has no operand {', '.join(values)}")
        return code

    def operand_values(self, code: int) -> dict[str, int]:
        """What each operand of the semantics is in `code`."""
        return {
            name: source if isinstance(source, int) else self.fields[source].extract(code)
            for name, source in self.operands.items()
        }


def parse_pattern(pattern: str, written: Format = RISCV) -> tuple[dict[str, Field], int, int, int]:
    """(fields, mask, match, length in addresses) of an encoding pattern. ValueError if it is not one of the format."""
    tokens = []
    for text in pattern.split():
        found = re.fullmatch(r"(?:([01]+)|([a-z]+\d?)('?)(?:\[([\d:|]+)\])?(?:!=([\d,]+))?)", text)
        if not found:
            raise ValueError(f"cannot read {text!r} in encoding {pattern!r}")
        tokens.append(found.groups())
    for _, name, prime, at, _ in tokens:
        if name and not (at or prime or name in written.fields):
            raise ValueError(f"encoding {pattern!r} does not say which bits {name!r} has")
    size = sum(len(bits) if bits else _token_width(name, prime, at, written) for bits, name, prime, at, _ in tokens)
    if size not in written.sizes:
        raise ValueError(f"encoding {pattern!r} has {size} bits, not {' or '.join(map(str, sorted(written.sizes)))}")
    low, mask, match = size, 0, 0
    pieces: dict[str, list[Piece]] = {}
    excluded: dict[str, set[int]] = {}
    primed = set()
    for bits, name, prime, at, unequal in tokens:
        if bits:
            low -= len(bits)
            for place, width, from_bit in written.places(low, len(bits), size):
                mask |= ((1 << width) - 1) << place
                match |= (int(bits, 2) >> from_bit & (1 << width) - 1) << place
            continue
        for high, end in _ranges(at) if at else [(_token_width(name, prime, at, written) - 1, 0)]:
            low -= high - end + 1
            pieces.setdefault(name, []).extend(
                Piece(place, width, end + from_bit)
                for place, width, from_bit in written.places(low, high - end + 1, size)
            )
        if prime:
            primed.add(name)
        if unequal:
            excluded.setdefault(name, set()).update(int(value) for value in unequal.split(","))
    fields = {
        name: Field(name, tuple(where), name == "imm", 8 if name in primed else 0, frozenset(excluded.get(name, ())))
        for name, where in pieces.items()
    }
    return fields, mask, match, size // written.unit


def _ranges(text: str) -> Iterable[tuple[int, int]]:
    for part in text.split("|"):
        high, _, end = part.partition(":")
        yield int(high), int(end or high)


def _token_width(name: str, prime: str, at: str | None, written: Format) -> int:
    return sum(high - end + 1 for high, end in _ranges(at)) if at else 3 if prime else written.fields[name]


class Extension:
    """The rows of one extension, in the order they are written."""

    def __init__(self, name: str, written: Format = RISCV) -> None:
        self.name = name
        self.written = written
        self.rows: dict[str, Row] = {}

    def row(self, syntax: str, pattern: str, *, system: bool = False) -> Callable[[F], F]:
        """Declare an instruction by its semantics. The first word of `syntax` is its name."""

        def declare(semantics: F) -> F:
            self.add(syntax, pattern, semantics, system=system)
            return semantics

        return declare

    def add(self, syntax: str, pattern: str, semantics: Semantics, *, system: bool = False) -> None:
        """The same without a decorator, for families of instructions made in a loop."""
        name = syntax.split()[0]
        fields, mask, match, length = self._parse(name, pattern)
        self._insert(Row(name, syntax, pattern, self.name, semantics, {f: f for f in fields}, name, system,
                         fields, mask, match, length))  # fmt: skip

    def expands(self, syntax: str, pattern: str, base: Row, **operands: str | int) -> None:
        """Declare an instruction that means `base` with its operands taken from fields or constants here."""
        name = syntax.split()[0]
        fields, mask, match, length = self._parse(name, pattern)
        given = {operand: operands.get(operand, operand if operand in fields else 0) for operand in base.fields}
        self._insert(Row(name, syntax, pattern, self.name, base.semantics, given, base.name, base.system,
                         fields, mask, match, length))  # fmt: skip

    def _parse(self, name: str, pattern: str) -> tuple[dict[str, Field], int, int, int]:
        try:
            return parse_pattern(pattern, self.written)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None

    def _insert(self, row: Row) -> None:
        if row.name in self.rows:
            raise ValueError(f"{row.name} is described twice")
        self.rows[row.name] = row

    def __getitem__(self, name: str) -> Row:
        return self.rows[name]
