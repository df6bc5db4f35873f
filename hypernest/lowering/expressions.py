"""Words as LLVM IR: every operation of `isa/word.py`, printed as text where it is first needed.

The text form is used because it is several times quicker to produce than an in-memory builder, and easier to read.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Self

from hypernest.isa.word import COMPARE, Word


class FunctionText:
    """The text of one LLVM function under construction: lines, fresh names, and what each word is called.

    Words are emitted on first use. `fork` gives a copy for one side of a branch, whose names the other cannot see.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.label = "entry"
        self._names: dict[Word, str] = {}
        self._late: dict[Word, Callable[[Any], str]] = {}
        self._limits: dict[Word, int] = {}
        self._count = [0]

    def fork(self) -> Self:
        """The same function, seen from inside one of its branches."""
        inside = copy.copy(self)
        inside._names = dict(self._names)
        return inside

    def forget_names(self) -> None:
        """Words that were given names have none any more: another instruction begins."""
        self._names, self._late, self._limits = {}, {}, {}

    def fresh(self, prefix: str = "v") -> str:
        """A name no other value or label of the function has."""
        self._count[0] += 1
        return f"{prefix}{self._count[0]}"

    def emit(self, line: str) -> None:
        self.lines.append("  " + line)

    def define(self, code: str) -> str:
        """Emit an instruction that yields a value; returns its name."""
        name = "%" + self.fresh()
        self.lines.append(f"  {name} = {code}")
        return name

    def start(self, label: str) -> None:
        """Begin a basic block."""
        self.lines.append(f"{label}:")
        self.label = label

    def bind(self, word: Word, name: str) -> None:
        """From here on, `word` is the LLVM value `name`."""
        self._names[word] = name

    def bind_late(self, word: Word, load: Callable[[Any], str], limit: int | None = None) -> None:
        """Let `load(text)` print how to get `word`, which never exceeds `limit`, where it is first needed."""
        self._late[word] = load
        if limit is not None:
            self._limits[word] = limit

    def upper_bound(self, word: Word) -> int:
        """A number that the word never exceeds, as far as its form shows."""
        if word.value is not None:
            return word.value
        full = (1 << word.width) - 1
        words = [arg for arg in word.args if isinstance(arg, Word)]
        match word.op:
            case "and":
                return min(map(self.upper_bound, words))
            case "zext" | "trunc":
                return min(full, self.upper_bound(words[0]))
            case "clz" | "ctz" | "popcount":
                return min(full, word.width)
            case "lshr" if words[1].value is not None:
                return self.upper_bound(words[0]) >> words[1].value
            case "select":
                return max(map(self.upper_bound, words[1:]))
        return self._limits.get(word, full)

    def value(self, word: Word) -> str:
        """The LLVM value of `word`, of type i<width>, computed here if it was not yet."""
        if word.value is not None:
            value = word.value
            return str(value - (1 << word.width) if value >> (word.width - 1) and word.width > 1 else value)
        name = self._names.get(word)
        if name is None:
            name = self._names[word] = self._compute(word)
        return name

    def _compute(self, word: Word) -> str:
        if word in self._late:
            return self._late[word](self)
        emitter = _EMITTERS.get(word.op)
        if emitter is None:
            raise ValueError(f"no value was given to {word!r}")
        return emitter(self, word)


def _operands(text: FunctionText, word: Word) -> tuple[str, ...]:
    return tuple(text.value(arg) for arg in word.args if isinstance(arg, Word))


def _binary(op: str) -> Callable[[FunctionText, Word], str]:
    def emit(text: FunctionText, word: Word) -> str:
        a, b = _operands(text, word)
        return text.define(f"{op} i{word.width} {a}, {b}")

    return emit


def _shift(op: str) -> Callable[[FunctionText, Word], str]:
    """LLVM leaves shifts by the width or more undefined; ours are not, unless the amount is seen to be smaller."""

    def emit(text: FunctionText, word: Word) -> str:
        value, amount = word.args
        assert isinstance(value, Word) and isinstance(amount, Word)
        width = word.width
        a, b = text.value(value), text.value(amount)
        if text.upper_bound(amount) < width:
            return text.define(f"{op} i{width} {a}, {b}")
        small = text.define(f"icmp ult i{width} {b}, {width}")
        if op == "ashr":
            clamped = text.define(f"select i1 {small}, i{width} {b}, i{width} {width - 1}")
            return text.define(f"ashr i{width} {a}, {clamped}")
        safe = text.define(f"select i1 {small}, i{width} {b}, i{width} 0")
        shifted = text.define(f"{op} i{width} {a}, {safe}")
        return text.define(f"select i1 {small}, i{width} {shifted}, i{width} 0")

    return emit


def _compare(op: str) -> Callable[[FunctionText, Word], str]:
    def emit(text: FunctionText, word: Word) -> str:
        first = word.args[0]
        assert isinstance(first, Word)
        a, b = _operands(text, word)
        return text.define(f"icmp {op} i{first.width} {a}, {b}")

    return emit


def _resize(op: str) -> Callable[[FunctionText, Word], str]:
    def emit(text: FunctionText, word: Word) -> str:
        (source,) = word.args
        assert isinstance(source, Word)
        return text.define(f"{op} i{source.width} {text.value(source)} to i{word.width}")

    return emit


def _intrinsic(name: str, suffix: str = "") -> Callable[[FunctionText, Word], str]:
    def emit(text: FunctionText, word: Word) -> str:
        (a,) = _operands(text, word)
        return text.define(f"call i{word.width} @llvm.{name}.i{word.width}(i{word.width} {a}{suffix})")

    return emit


def _select(text: FunctionText, word: Word) -> str:
    condition, yes, no = _operands(text, word)
    return text.define(f"select i1 {condition}, i{word.width} {yes}, i{word.width} {no}")


_EMITTERS: dict[str, Callable[[FunctionText, Word], str]] = {
    **{op: _binary(op) for op in ("add", "sub", "mul", "and", "or", "xor", "udiv", "urem", "sdiv", "srem")},
    **{op: _shift(op) for op in ("shl", "lshr", "ashr")},
    **{op: _compare(op) for op in COMPARE},
    **{op: _resize(op) for op in ("zext", "sext", "trunc")},
    "clz": _intrinsic("ctlz", ", i1 false"),
    "ctz": _intrinsic("cttz", ", i1 false"),
    "popcount": _intrinsic("ctpop"),
    "bswap": _intrinsic("bswap"),
    "select": _select,
}
