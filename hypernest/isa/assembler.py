"""A text assembler made of the rows' syntax, for guests that are built at hand: tests, the `hello` image.

One statement a line, `#` starts a comment. A line may begin with labels (`loop:`, or numbers, `1:`, which are referred
to as `1b` and `1f`). Registers have their numeric or ABI names. Immediates are expressions of numbers, characters
(`'A'`), labels, `.` (the address of the statement) and `%hi(...)`, `%lo(...)`. Directives: `.byte .half .word .dword`
with expressions, `.ascii .asciz` with a string, `.zero` with a count, `.align` with a power of two (fills with zeros),
`.equ name, value`. Pseudo-instructions: `li` (of a value known so far) and those of `PSEUDO_INSTRUCTIONS`. Nothing is
compressed behind the author's back.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from hypernest.errors import HypernestError
from hypernest.isa.riscv.abi import FLOAT_NUMBERS, INTEGER_NUMBERS
from hypernest.isa.row import Row
from hypernest.isa.syntax import FENCE_LETTERS, OPERANDS, ORDERINGS, ROUNDING_MODES, Kind, Slot, slots
from hypernest.isa.word import signed

DATA_SIZES = {".byte": 1, ".half": 2, ".word": 4, ".dword": 8}

# (name, number of operands) -> the instructions it stands for.
PSEUDO_INSTRUCTIONS: Mapping[tuple[str, int], tuple[str, ...]] = {
    ("nop", 0): ("addi x0, x0, 0",),
    ("la", 2): ("auipc {0}, %hi({1} - .)", "addi {0}, {0}, %lo({1} - . + 4)"),
    ("mv", 2): ("addi {0}, {1}, 0",),
    ("not", 2): ("xori {0}, {1}, -1",),
    ("neg", 2): ("sub {0}, x0, {1}",),
    ("negw", 2): ("subw {0}, x0, {1}",),
    ("sext.w", 2): ("addiw {0}, {1}, 0",),
    ("seqz", 2): ("sltiu {0}, {1}, 1",),
    ("snez", 2): ("sltu {0}, x0, {1}",),
    ("sltz", 2): ("slt {0}, {1}, x0",),
    ("sgtz", 2): ("slt {0}, x0, {1}",),
    ("beqz", 2): ("beq {0}, x0, {1}",),
    ("bnez", 2): ("bne {0}, x0, {1}",),
    ("blez", 2): ("bge x0, {0}, {1}",),
    ("bgez", 2): ("bge {0}, x0, {1}",),
    ("bltz", 2): ("blt {0}, x0, {1}",),
    ("bgtz", 2): ("blt x0, {0}, {1}",),
    ("bgt", 3): ("blt {1}, {0}, {2}",),
    ("ble", 3): ("bge {1}, {0}, {2}",),
    ("bgtu", 3): ("bltu {1}, {0}, {2}",),
    ("bleu", 3): ("bgeu {1}, {0}, {2}",),
    ("j", 1): ("jal x0, {0}",),
    ("jal", 1): ("jal x1, {0}",),
    ("call", 1): ("jal x1, {0}",),
    ("jr", 1): ("jalr x0, 0({0})",),
    ("jalr", 1): ("jalr x1, 0({0})",),
    ("ret", 0): ("jalr x0, 0(x1)",),
    ("fence", 0): ("fence iorw, iorw",),
    ("sfence.vma", 0): ("sfence.vma x0, x0",),
    ("csrr", 2): ("csrrs {0}, {1}, x0",),
    ("csrw", 2): ("csrrw x0, {0}, {1}",),
    ("csrs", 2): ("csrrs x0, {0}, {1}",),
    ("csrc", 2): ("csrrc x0, {0}, {1}",),
    ("csrwi", 2): ("csrrwi x0, {0}, {1}",),
    ("csrsi", 2): ("csrrsi x0, {0}, {1}",),
    ("csrci", 2): ("csrrci x0, {0}, {1}",),
    ("fmv.s", 2): ("fsgnj.s {0}, {1}, {1}",),
    ("fmv.d", 2): ("fsgnj.d {0}, {1}, {1}",),
}


class AssemblyError(HypernestError):
    """Text that cannot be assembled; the message begins with the number of the line."""


def assemble(text: str, origin: int, rows: Mapping[str, Row], csrs: Mapping[str, int] | None = None) -> bytes:
    """The bytes that the program `text` is at address `origin`, with the instructions of `rows`.

    `csrs` gives the numbers of control and status registers by name. Raises AssemblyError.
    """
    return _Assembly(origin, rows, csrs or {}).assemble(text)


@dataclass(frozen=True)
class _Piece:
    """Something whose size is known in the first pass and whose bytes are made in the second."""

    line: int
    address: int
    size: int
    make: Callable[[_Place], bytes]


@dataclass(frozen=True)
class _Place:
    """What an expression may refer to, and where it stands."""

    line: int
    address: int
    symbols: Mapping[str, int]
    numbered: Mapping[str, list[tuple[int, int]]]  # label -> (line, address) of each definition, in order


class _Assembly:
    """One run of the assembler: first pass in `_statement`, second in `assemble`."""

    def __init__(self, origin: int, rows: Mapping[str, Row], csrs: Mapping[str, int]) -> None:
        self.address, self.origin = origin, origin
        self.rows, self.csrs = rows, csrs
        self.symbols: dict[str, int] = {}
        self.numbered: dict[str, list[tuple[int, int]]] = {}
        self.pieces: list[_Piece] = []
        self.line = 0

    def assemble(self, text: str) -> bytes:
        try:
            for self.line, line in enumerate(text.splitlines(), 1):
                self._statement(line)
            output = bytearray()
            for piece in self.pieces:
                self.line = piece.line
                output += piece.make(self._place(piece.address))
        except ValueError as error:
            raise AssemblyError(f"line {self.line}: {error}") from None
        return bytes(output)

    def _place(self, address: int) -> _Place:
        return _Place(self.line, address, self.symbols, self.numbered)

    def _add(self, size: int, make: Callable[[_Place], bytes]) -> None:
        self.pieces.append(_Piece(self.line, self.address, size, make))
        self.address += size

    def _now(self, text: str) -> int:
        """The value of an expression that the first pass needs."""
        return evaluate(text, self._place(self.address))

    # --- first pass -----------------------------------------------------------------------------------------------

    def _statement(self, line: str) -> None:
        text = _without_comment(line).strip()
        while found := re.match(r"(\w+):\s*", text):
            self._label(found[1])
            text = text[found.end() :]
        if not text:
            return
        name, _, rest = text.partition(" ") if " " in text else text.partition("\t")
        operands = list(_split(rest))
        if name.startswith("."):
            self._directive(name, rest.strip(), operands)
        else:
            for each in self._expand(name, operands):
                self._instruction(*each)

    def _label(self, name: str) -> None:
        if name.isdigit():
            self.numbered.setdefault(name, []).append((self.line, self.address))
        else:
            self._define(name, self.address)

    def _define(self, name: str, value: int) -> None:
        if not name.isidentifier():
            raise ValueError(f"{name!r} cannot be the name of a symbol")
        if name in self.symbols:
            raise ValueError(f"{name} is defined twice")
        self.symbols[name] = value

    def _directive(self, name: str, rest: str, operands: list[str]) -> None:
        if name in DATA_SIZES:
            size = DATA_SIZES[name]
            for text in operands:
                self._add(size, lambda place, text=text: _data(evaluate(text, place), size))  # type: ignore[misc]
        elif name in (".ascii", ".asciz"):
            data = _string(rest) + (b"\0" if name == ".asciz" else b"")
            self._add(len(data), lambda _: data)
        elif name == ".equ" and len(operands) == 2:
            self._define(operands[0], self._now(operands[1]))
        elif name in (".zero", ".align") and len(operands) == 1:
            count = self._now(operands[0])
            if not 0 <= count <= (1 << 30 if name == ".zero" else 16):
                raise ValueError(f"{name} of {count} is out of range")
            size = count if name == ".zero" else -self.address % (1 << count)
            self._add(size, lambda _: bytes(size))
        else:
            raise ValueError(f"{name} {rest}".strip() + " is not a directive of this assembler")

    def _expand(self, name: str, operands: list[str]) -> Iterator[tuple[str, list[str]]]:
        """The instructions that a pseudo-instruction stands for, or the instruction itself."""
        if name == "li" and len(operands) == 2:
            texts = tuple(load_immediate(operands[0], self._now(operands[1])))
        elif (name, len(operands)) in PSEUDO_INSTRUCTIONS:
            texts = tuple(each.format(*operands) for each in PSEUDO_INSTRUCTIONS[name, len(operands)])
        else:
            yield name, operands
            return
        for text in texts:
            real, _, rest = text.partition(" ")
            yield real, list(_split(rest))

    def _instruction(self, name: str, operands: list[str]) -> None:
        row, ordering = self._row(name)

        def make(place: _Place) -> bytes:
            return row.encode(**self._values(row, operands, place), **ordering).to_bytes(row.length, "little")

        self._add(row.length, make)

    def _row(self, name: str) -> tuple[Row, dict[str, int]]:
        if name in self.rows:
            return self.rows[name], {}
        for (aq, rl), suffix in ORDERINGS.items():
            row = self.rows.get(name.removesuffix(suffix)) if suffix and name.endswith(suffix) else None
            if row and "aq" in row.fields:
                return row, {"aq": aq, "rl": rl}
        raise ValueError(f"there is no instruction {name}")

    # --- second pass ----------------------------------------------------------------------------------------------

    def _values(self, row: Row, operands: list[str], place: _Place) -> dict[str, int]:
        """The value of each field that the operands give."""
        expected = slots(row.syntax)
        values: dict[str, int] = {}
        if "rm" in row.fields and len(operands) == len(expected) + 1:
            values["rm"] = _rounding_mode(operands[-1])
        elif len(operands) != len(expected):
            raise ValueError(f"{row.syntax!r} has {len(expected)} operands, not {len(operands)}")
        for slot, text in zip(expected, operands, strict=False):
            for word, part in _parts(slot, text, row):
                if word in OPERANDS:
                    values[OPERANDS[word].field] = self._value(OPERANDS[word].kind, part, place)
                elif INTEGER_NUMBERS.get(part) != INTEGER_NUMBERS[word]:
                    raise ValueError(f"{row.syntax!r} needs {word}, not {part}")
        return values

    def _value(self, kind: Kind, text: str, place: _Place) -> int:
        match kind:
            case Kind.INTEGER_REGISTER | Kind.FLOAT_REGISTER:
                numbers = INTEGER_NUMBERS if kind is Kind.INTEGER_REGISTER else FLOAT_NUMBERS
                if text not in numbers:
                    raise ValueError(f"{text!r} is not {_REGISTER_KINDS[kind]}")
                return numbers[text]
            case Kind.CSR if text in self.csrs:
                return self.csrs[text]
            case Kind.FENCE:
                if text != "0" and not re.fullmatch(r"i?o?r?w?", text):
                    raise ValueError(f"{text!r} is not a set of accesses such as rw or iorw")
                return sum(1 << FENCE_LETTERS.index(letter) for letter in text if letter != "0")
            case Kind.UPPER:
                value = evaluate(text, place)
                if not -0x80000 <= value <= 0xFFFFF:
                    raise ValueError(f"{value:#x} does not fit into 20 bits")
                return signed(value, 20) << 12
            case Kind.TARGET:
                return signed(evaluate(text, place) - place.address, 64)
            case _:
                return evaluate(text, place)


_REGISTER_KINDS = {Kind.INTEGER_REGISTER: "an integer register", Kind.FLOAT_REGISTER: "a floating-point register"}


# --- text -----------------------------------------------------------------------------------------------------------

_QUOTED = r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)\''


def _without_comment(line: str) -> str:
    found = re.match(rf"(?:{_QUOTED}|[^#])*", line)
    return found[0] if found else ""


def _split(text: str) -> Iterator[str]:
    """The operands between commas that are not in quotes or parentheses."""
    depth, operand = 0, ""
    for token in re.findall(rf"{_QUOTED}|.", text.strip()):
        depth += (token == "(") - (token == ")")
        if token == "," and depth == 0:
            yield operand.strip()
            operand = ""
        else:
            operand += token
    if operand or text.strip():
        yield operand.strip()


def _parts(slot: Slot, text: str, row: Row) -> Iterator[tuple[str, str]]:
    """(word of the syntax, text) of one operand."""
    if slot.base is None:
        assert slot.word is not None
        yield slot.word, text
        return
    found = re.fullmatch(r"(.*)\(\s*(\w+)\s*\)", text)
    if not found or (found[1].strip() and slot.word is None):
        raise ValueError(f"{text!r} does not fit {row.syntax!r}")
    if slot.word is not None:
        yield slot.word, found[1].strip() or "0"
    yield slot.base, found[2]


def _rounding_mode(text: str) -> int:
    for value, name in ROUNDING_MODES.items():
        if name == text:
            return value
    raise ValueError(f"{text!r} is not a rounding mode: {', '.join(ROUNDING_MODES.values())}")


def _string(text: str) -> bytes:
    try:
        value = ast.literal_eval(text)
    except (SyntaxError, ValueError):
        value = None
    if not isinstance(value, str):
        raise ValueError(f"{text} is not a string in double quotes")
    return value.encode()


def _data(value: int, size: int) -> bytes:
    if not -(1 << 8 * size - 1) <= value < 1 << 8 * size:
        raise ValueError(f"{value} does not fit into {size} bytes")
    return (value % (1 << 8 * size)).to_bytes(size, "little")


def load_immediate(register: str, value: int) -> Iterator[str]:
    """The instructions that set `register` to the 64-bit `value`. ValueError if it has more bits."""
    if not -(1 << 63) <= value < 1 << 64:
        raise ValueError(f"{value} does not fit into 64 bits")
    value = signed(value, 64)
    low = signed(value, 12)
    if value == low:
        yield f"addi {register}, x0, {low}"
        return
    if value == signed(value, 32):
        yield f"lui {register}, {value + 0x800 >> 12 & 0xFFFFF}"
        add = "addiw"
    else:
        upper = signed(value - low, 64) >> 12
        zeros = (upper & -upper).bit_length() - 1
        yield from load_immediate(register, upper >> zeros)
        yield f"slli {register}, {register}, {12 + zeros}"
        add = "addi"
    if low:
        yield f"{add} {register}, {register}, {low}"


# --- expressions ----------------------------------------------------------------------------------------------------

_BINARY: Mapping[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
}
_UNARY: Mapping[type[ast.unaryop], Callable[[int], int]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
    ast.Invert: operator.invert,
}
_FUNCTIONS: Mapping[str, Callable[[int], int]] = {
    "hi": lambda value: value + 0x800 >> 12 & 0xFFFFF,
    "lo": lambda value: signed(value, 12),
}
_HERE = "__here__"


def evaluate(text: str, place: _Place) -> int:
    """The value of an expression. ValueError if it cannot be read or names something undefined.

    Python's grammar is the grammar of expressions; what differs (`.`, `%hi`, `1b`, characters) is rewritten first.
    """
    rewritten = re.sub(_QUOTED, lambda found: str(ord(ast.literal_eval(found[0]))) if found[0][0] == "'" else "?", text)
    rewritten = re.sub(r"\b(\d+)([bf])\b", lambda found: str(_numbered(found[1], found[2], place)), rewritten)
    rewritten = re.sub(r"(?<![\w.])\.(?![\w.])", _HERE, rewritten)
    rewritten = re.sub(r"%(?=[a-z]+\()", "", rewritten)
    try:
        return _value_of(ast.parse(rewritten.strip(), mode="eval").body, place)
    except (SyntaxError, RecursionError, MemoryError, OverflowError, ZeroDivisionError):
        raise ValueError(f"cannot read the expression {text!r}") from None


def _numbered(label: str, direction: str, place: _Place) -> int:
    addresses = [
        address for line, address in place.numbered.get(label, ()) if (line <= place.line) == (direction == "b")
    ]
    if not addresses:
        raise ValueError(f"there is no label {label} {'before' if direction == 'b' else 'after'} this line")
    return addresses[-1 if direction == "b" else 0]


def _value_of(node: ast.expr, place: _Place) -> int:
    match node:
        case ast.Constant(value=int(value)):
            return value
        case ast.Name(id=name):
            if name == _HERE:
                return place.address
            if name not in place.symbols:
                raise ValueError(f"{name} is not defined")
            return place.symbols[name]
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
            return _UNARY[type(op)](_value_of(operand, place))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return _BINARY[type(op)](_value_of(left, place), _value_of(right, place))
        case ast.Call(func=ast.Name(id=name), args=[argument]) if name in _FUNCTIONS:
            return _FUNCTIONS[name](_value_of(argument, place))
    raise SyntaxError
