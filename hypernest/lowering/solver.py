"""Words as terms of a solver for bit vectors (SMT-LIB's QF_UFBV), and questions put to it.

Every operation of `isa/word.py` has its meaning here, as in `expressions.py` for LLVM. What a word reads from the state
(a register, a byte of memory) is a constant or an uninterpreted function of the solver: equal arguments, equal values,
and nothing else is assumed. bitwuzla is imported on first use: it is in the extra `analysis`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from hypernest.errors import HypernestError
from hypernest.isa.word import Word

_SAME_NAME = {
    "add": "BV_ADD", "sub": "BV_SUB", "mul": "BV_MUL", "and": "BV_AND", "or": "BV_OR", "xor": "BV_XOR",
    "shl": "BV_SHL", "lshr": "BV_SHR", "ashr": "BV_ASHR",
    "udiv": "BV_UDIV", "urem": "BV_UREM", "sdiv": "BV_SDIV", "srem": "BV_SREM",
}  # fmt: skip
_COMPARISONS = {"eq": "EQUAL", "ne": "DISTINCT", "ult": "BV_ULT", "ule": "BV_ULE", "slt": "BV_SLT", "sle": "BV_SLE"}
_OTHERS = frozenset({"zext", "sext", "trunc", "select", "clz", "ctz", "popcount", "bswap"})

_LONGEST = 1e9  # seconds: the solver counts milliseconds in an integer

KNOWN_OPERATIONS: frozenset[str] = frozenset(_SAME_NAME) | frozenset(_COMPARISONS) | _OTHERS
"""The operations of words that a solver understands."""


class SolverMissing(HypernestError):
    """The solver is not installed."""


class Satisfiable(Enum):
    """What the solver says of constraints."""

    YES = "sat"
    NO = "unsat"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Reply:
    """The solver's answer; with YES, the value of a word of width 1 to 64 or wider in the model it found."""

    satisfiable: Satisfiable
    value: Callable[[Word], int]


class Solver:
    """Lowers words to terms, each once, and asks. Not to be shared between processes."""

    def __init__(self, functions: frozenset[str]) -> None:
        """`functions` are the operations that are functions of the state: first a name is given, then words.

        Raises SolverMissing if bitwuzla is not installed.
        """
        try:
            import bitwuzla
        except ImportError:
            raise SolverMissing(
                "the classifier needs the solver bitwuzla: install it with `pip install 'hypernest[analysis]'`"
            ) from None
        self._library: Any = bitwuzla
        self._manager: Any = bitwuzla.TermManager()
        self._functions = functions
        self._terms: dict[int, Any] = {}
        self._words: list[Word] = []  # kept, because terms go by identity
        self._symbols: dict[tuple[Any, ...], Any] = {}

    def check(self, constraints: Sequence[Word], seconds: float) -> Reply:
        """Can all of these words of width 1 be 1? UNKNOWN if that takes longer."""
        options = self._library.Options()
        options.set(self._library.Option.PRODUCE_MODELS, True)
        options.set(self._library.Option.TIME_LIMIT_PER, max(1, round(min(seconds, _LONGEST) * 1000)))
        solver = self._library.Bitwuzla(self._manager, options)
        for each in constraints:
            solver.assert_formula(self._kind("EQUAL", self.term(each), self._constant(1, 1)))
        result = str(solver.check_sat()).rpartition(".")[2].lower()
        return Reply(Satisfiable(result), lambda word: int(str(solver.get_value(self.term(word)).value(2)), 2))

    def text(self, constraints: Sequence[Word]) -> str:
        """The question in SMT-LIB, for other solvers."""
        solver = self._library.Bitwuzla(self._manager, self._library.Options())
        for each in constraints:
            solver.assert_formula(self._kind("EQUAL", self.term(each), self._constant(1, 1)))
        return str(solver.print_formula("smt2"))

    # --- lowering ----------------------------------------------------------------------------------------------------

    def term(self, word: Word) -> Any:
        """The term of a word."""
        stack = [word]
        while stack:
            each = stack[-1]
            if id(each) in self._terms:
                stack.pop()
                continue
            missing = [arg for arg in each.args if isinstance(arg, Word) and id(arg) not in self._terms]
            if missing:
                stack.extend(missing)
                continue
            self._terms[id(each)] = self._lower(each)
            self._words.append(each)
            stack.pop()
        return self._terms[id(word)]

    def _lower(self, word: Word) -> Any:
        if word.value is not None:
            return self._constant(word.value, word.width)
        op, width = word.op, word.width
        terms = [self._terms[id(arg)] for arg in word.args if isinstance(arg, Word)]
        if op in self._functions:
            return self._apply(word, terms)
        if op in _SAME_NAME:
            return self._kind(_SAME_NAME[op], *terms)
        if op in _COMPARISONS:
            return self._bit(self._kind(_COMPARISONS[op], *terms))
        if op == "select":
            condition, yes, no = terms
            return self._kind("ITE", self._kind("EQUAL", condition, self._constant(1, 1)), yes, no)
        first = word.args[0]
        if not isinstance(first, Word) or op not in _OTHERS:
            raise TypeError(f"the operation {op!r} has no meaning to the solver")
        if op == "trunc":
            return self._extract(terms[0], width - 1, 0)
        if op in ("zext", "sext"):
            kind = self._library.Kind.BV_ZERO_EXTEND if op == "zext" else self._library.Kind.BV_SIGN_EXTEND
            return self._manager.mk_term(kind, terms, [width - first.width])
        return _COUNTING[op](self, terms[0], width)

    def _apply(self, word: Word, terms: list[Any]) -> Any:
        names = tuple(arg for arg in word.args if not isinstance(arg, Word))
        widths = tuple(arg.width for arg in word.args if isinstance(arg, Word))
        key = (word.op, *names, *widths, word.width)
        symbol = self._symbols.get(key)
        if symbol is None:
            sort = self._manager.mk_bv_sort(word.width)
            if widths:
                sort = self._manager.mk_fun_sort([self._manager.mk_bv_sort(width) for width in widths], sort)
            label = ".".join(str(name) for name in names).replace(" ", "_")
            symbol = self._symbols[key] = self._manager.mk_const(sort, f"{word.op}.{label}")
        return self._kind("APPLY", symbol, *terms) if terms else symbol

    def _kind(self, kind: str, *terms: Any) -> Any:
        return self._manager.mk_term(getattr(self._library.Kind, kind), list(terms))

    def _constant(self, value: int, width: int) -> Any:
        return self._manager.mk_bv_value(self._manager.mk_bv_sort(width), value)

    def _bit(self, condition: Any) -> Any:
        return self._kind("ITE", condition, self._constant(1, 1), self._constant(0, 1))

    def _extract(self, term: Any, high: int, low: int) -> Any:
        return self._manager.mk_term(self._library.Kind.BV_EXTRACT, [term], [high, low])

    def _is_set(self, term: Any, bit: int) -> Any:
        return self._kind("EQUAL", self._extract(term, bit, bit), self._constant(1, 1))

    def _leading(self, term: Any, width: int, upwards: bool) -> Any:
        """Zeros before the first one: from bit 0 upwards or from the highest downwards."""
        count = self._constant(width, width)
        for bit in range(width - 1, -1, -1) if upwards else range(width):
            count = self._kind(
                "ITE", self._is_set(term, bit), self._constant(bit if upwards else width - 1 - bit, width), count
            )
        return count

    def _clz(self, term: Any, width: int) -> Any:
        return self._leading(term, width, False)

    def _ctz(self, term: Any, width: int) -> Any:
        return self._leading(term, width, True)

    def _popcount(self, term: Any, width: int) -> Any:
        total = self._constant(0, width)
        for bit in range(width):
            one = self._extract(term, bit, bit)
            wide = self._manager.mk_term(self._library.Kind.BV_ZERO_EXTEND, [one], [width - 1]) if width > 1 else one
            total = self._kind("BV_ADD", total, wide)
        return total

    def _bswap(self, term: Any, width: int) -> Any:
        parts = [self._extract(term, low + 7, low) for low in range(0, width, 8)]
        return self._kind("BV_CONCAT", *parts) if len(parts) > 1 else term


_COUNTING: Mapping[str, Callable[[Solver, Any, int], Any]] = {
    "clz": Solver._clz,
    "ctz": Solver._ctz,
    "popcount": Solver._popcount,
    "bswap": Solver._bswap,
}
