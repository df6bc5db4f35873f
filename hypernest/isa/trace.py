"""The tracer: from a semantic function to a decision tree of what it does.

The function is run once per path, on expressions instead of constants. Each `if` on an expression asks here which
way to go; the answers of earlier runs are a script, and the paths fold into a tree of blocks. A block lists its
effects in order (registers read and written, memory, calls) and ends in a branch, a trap or a return. Lowerings walk
this tree and nothing else, so no rule is written twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hypernest.isa.hart import Access, Hart, Pure, Register, Routine, Trap
from hypernest.isa.word import Word, word

Argument = Word | int | str | Routine | Pure


@dataclass(eq=False)
class Effect:
    """Something that happens at its place in the path. `kind` is the name of the `Hart` primitive."""

    kind: str
    arguments: tuple[Any, ...]
    results: tuple[Word, ...] = ()


@dataclass(eq=False)
class Branch:
    """The path forks on a word of width 1."""

    condition: Word
    yes: Block
    no: Block


@dataclass(eq=False)
class Trapped:
    """The function raised `Trap`."""

    cause: int
    value: Word


@dataclass(eq=False)
class Returned:
    """The function ended; a routine's results."""

    values: tuple[Word, ...]


@dataclass(eq=False)
class Block:
    """Effects in order, then how the block ends."""

    effects: list[Effect]
    end: Branch | Trapped | Returned

    def paths(self) -> int:
        """How many ways lead through the tree."""
        return self.end.yes.paths() + self.end.no.paths() if isinstance(self.end, Branch) else 1


class Bits(NamedTuple):
    """Bits of a word that are known: those in `mask` are as in `value`."""

    mask: int
    value: int


class TraceError(Exception):
    """A semantic function broke a rule of `hart.py`: a mistake in the description."""


@dataclass(eq=False)
class _Decision:
    condition: Word
    taken: bool


class Tracer:
    """Makes the inputs and expressions of one function and explores its paths."""

    def __init__(
        self,
        registers: Mapping[str, Register],
        operands: Mapping[str, int] | None = None,
        assumed: Mapping[tuple[str, int], Bits] | None = None,
    ) -> None:
        """`operands` that are known become constants; the others stay symbolic. Bits of registers may be `assumed`;
        those whose assumption was used are in `relied_on`."""
        self.registers, self.operands, self.assumed = registers, operands or {}, assumed or {}
        self.relied_on: set[tuple[str, int]] = set()
        self._bits: dict[int, Bits] = {}
        self._unique: dict[tuple[Any, ...], Word] = {}
        self._path: _Path | None = None

    def routine(self, called: Routine) -> tuple[Block, tuple[Word, ...]]:
        """(tree, parameters) of a routine."""
        parameters = tuple(self.unique("parameter", (i,), width) for i, width in enumerate(called.arguments))

        def run(hart: Hart) -> tuple[Word, ...]:
            return _as_words(called.function(hart, *parameters), called.results, called.name)

        return self._explore(run), parameters

    def pure(self, called: Pure) -> tuple[Block, tuple[Word, ...]]:
        """(tree, parameters) of a pure function."""
        parameters = tuple(self.unique("parameter", (i,), width) for i, width in enumerate(called.arguments))

        def run(hart: Hart) -> tuple[Word, ...]:
            return _as_words(called.function(*parameters), called.results, called.name)

        return self._explore(run), parameters

    def semantics(self, function: Callable[[Hart], Any]) -> Block:
        """The tree of an instruction's semantic function (or a CSR's read function, whose word is returned)."""

        def run(hart: Hart) -> tuple[Word, ...]:
            result = function(hart)
            return (result,) if isinstance(result, Word) else ()

        return self._explore(run)

    def _explore(self, run: Callable[[Hart], tuple[Word, ...]]) -> Block:
        def grow(prefix: list[Effect | _Decision]) -> Block:
            path = self._path = _Path(self, prefix)
            end: Branch | Trapped | Returned
            try:
                values = run(path)
                path.commit()
                end = Returned(values)
            except Trap as trap:
                if path.committed:
                    raise TraceError(f"trap {trap.cause} after registers were written") from None
                end = Trapped(trap.cause, trap.value)
            finally:
                self._path = None
            effects: list[Effect] = []
            for at in reversed(range(len(prefix), len(path.events))):
                event = path.events[at]
                if isinstance(event, Effect):
                    effects.insert(0, event)
                    continue
                other = grow([*path.events[:at], _Decision(event.condition, False)])
                end = Branch(event.condition, Block(effects, end), other)
                effects = []
            return Block(effects, end)

        return grow([])

    # --- what expressions ask (word.Decider) ---------------------------------------------------------------------

    def decide(self, condition: Word) -> bool:
        return self._here().decide(condition)

    def unique(self, op: str, args: tuple[Word | int | str, ...], width: int) -> Word:
        """One word for equal expressions, so that nothing is computed twice; a constant if its bits are known."""
        if self._bits:
            simpler = self._simplify(op, args, width)
            if simpler is not None:
                return simpler
        return self._make(op, args, width)

    def _make(self, op: str, args: tuple[Word | int | str, ...], width: int) -> Word:
        key = (op, width, *((id(a) if a.value is None else (a.value, a.width)) if isinstance(a, Word) else a
                            for a in args))  # fmt: skip
        found = self._unique.get(key)
        if found is None:
            found = self._unique[key] = Word(None, width, op, args, self)
        return found

    def _simplify(self, op: str, args: tuple[Word | int | str, ...], width: int) -> Word | None:
        """What `and`, `or` and comparisons with known bits come to."""
        words = [arg for arg in args if isinstance(arg, Word)]
        if len(words) != 2:
            return None
        (a_mask, a), (b_mask, b) = (self.bits(each) for each in words)
        if op == "and":
            mask = a_mask & b_mask | a_mask & ~a | b_mask & ~b
            return self._known(op, args, width, Bits(mask, a & b & mask))
        if op == "or":
            full = (1 << width) - 1
            for kept, ones, other_mask, other in ((words[0], a_mask & a, b_mask, b), (words[1], b_mask & b, a_mask, a)):
                if other_mask == full and not other & ~ones:
                    return kept  # sets only what is set
            return self._known(op, args, width, Bits(a_mask & b_mask | a | b, a | b))
        if op in ("eq", "ne") and (a ^ b) & a_mask & b_mask:
            return word(op == "ne", 1)
        return None

    def _known(self, op: str, args: tuple[Word | int | str, ...], width: int, bits: Bits) -> Word | None:
        if bits.mask == (1 << width) - 1:
            return word(bits.value, width)
        if bits.mask:
            made = self._make(op, args, width)
            self._bits[id(made)] = bits
            return made
        return None

    def bits(self, value: Word) -> Bits:
        """The bits of a word that are known."""
        if value.value is not None:
            return Bits((1 << value.width) - 1, value.value)
        return self._bits.get(id(value), Bits(0, 0))

    def assume(self, register: str, index: object, value: Word) -> Word:
        """A register was read: its word, or the constant that it is assumed to be."""
        if not isinstance(index, int) or (register, index) not in self.assumed:
            return value
        bits = self.assumed[register, index]
        self.relied_on.add((register, index))
        if bits.mask == (1 << value.width) - 1:
            return word(bits.value, value.width)
        self._bits[id(value)] = bits
        return value

    def call_pure(self, called: Pure, arguments: tuple[Word, ...]) -> Any:
        return _unpack(self._here().effect("pure", (called, *arguments), called.results))

    def repeat(self, count: int, body: Callable[..., tuple[Word, ...]], initial: tuple[Word, ...]) -> tuple[Word, ...]:
        state = tuple(self.unique("state", (id(body), i), w.width) for i, w in enumerate(initial))
        after = body(*state)
        return self._here().effect("repeat", (count, state, after, initial), tuple(w.width for w in initial))

    def _here(self) -> _Path:
        if self._path is None:
            raise TraceError("an expression outlived the run that made it")
        return self._path


def _as_words(result: Any, widths: tuple[int, ...], name: str) -> tuple[Word, ...]:
    results = () if result is None else result if isinstance(result, tuple) else (result,)
    if len(results) != len(widths):
        raise TraceError(f"{name} returned {len(results)} words, declared {len(widths)}")
    return tuple(word(value, width) for value, width in zip(results, widths, strict=True))


def _unpack(results: tuple[Word, ...]) -> Any:
    return None if not results else results[0] if len(results) == 1 else results


@dataclass(eq=False)
class _Write:
    register: str
    index: Word | int
    value: Word


@dataclass(eq=False)
class _Known:
    """What this path knows: registers read or written since the last call, and answers given."""

    reads: dict[tuple[str, object], Word] = field(default_factory=dict)
    writes: dict[tuple[str, object], _Write] = field(default_factory=dict)


class _Path(Hart):
    """One run of the function: replays the events it shares with the path it forked from, then makes new ones."""

    def __init__(self, tracer: Tracer, prefix: list[Effect | _Decision]) -> None:
        self.tracer, self.prefix = tracer, prefix
        self.events: list[Effect | _Decision] = []
        self.known = _Known()
        self.answers: dict[int, bool] = {}
        self.committed = False

    def decide(self, condition: Word) -> bool:
        answer = self.answers.get(id(condition))
        if answer is None:
            at = len(self.events)
            event = self.prefix[at] if at < len(self.prefix) else _Decision(condition, True)
            if not isinstance(event, _Decision) or event.condition is not condition:
                raise TraceError("the function does not do the same on every run")
            self.events.append(event)
            answer = event.taken
            self.answers[id(condition)] = answer
            if condition.op == "xor":  # its negation is answered too
                negated, by = condition.args
                if isinstance(negated, Word) and isinstance(by, Word) and by.value == 1:
                    self.answers[id(negated)] = not answer
            self.answers[id(condition ^ 1)] = not answer
        return answer

    def effect(self, kind: str, arguments: tuple[Any, ...], widths: tuple[int, ...] = ()) -> tuple[Word, ...]:
        at = len(self.events)
        if at < len(self.prefix):
            event = self.prefix[at]
            if not isinstance(event, Effect) or event.kind != kind:
                raise TraceError("the function does not do the same on every run")
        else:
            event = Effect(kind, arguments)
            event.results = tuple(Word(None, w, "result", (id(event), i), self.tracer) for i, w in enumerate(widths))
        self.events.append(event)
        return event.results

    def commit(self) -> None:
        """Let the buffered register writes happen."""
        for each in self.known.writes.values():
            self.effect("write", (each.register, each.index, each.value))
            self.committed = True
        self.known = _Known()

    def _before_memory(self) -> None:
        if self.known.writes:
            raise TraceError("memory was accessed after a register was written")

    # --- Hart ------------------------------------------------------------------------------------------------------

    def _key(self, register: str, index: Word | int) -> tuple[str, object]:
        if register not in self.tracer.registers:
            raise TraceError(f"there is no register {register!r}")
        if isinstance(index, Word):
            return register, index.value if index.value is not None else index
        return register, index

    def read(self, register: str, index: Word | int = 0) -> Word:
        key = self._key(register, index)
        if self._blurred(key):
            raise TraceError(f"{register} was read after it was written at an index that may be the same")
        if key in self.known.writes:
            return self.known.writes[key].value
        if key not in self.known.reads:
            width = self.tracer.registers[register].width
            (value,) = self.effect("read", (register, index), (width,))
            self.known.reads[key] = self.tracer.assume(register, key[1], value)
        return self.known.reads[key]

    def write(self, register: str, value: Word | int, index: Word | int = 0) -> None:
        key = self._key(register, index)
        value = word(value, self.tracer.registers[register].width)
        if key in self.known.writes or self._blurred(key) or self.known.reads.get(key) is not value:
            # Otherwise it is what the register holds. It happens last, whatever was written there before.
            self.known.writes.pop(key, None)
            self.known.writes[key] = _Write(register, index, value)

    def _blurred(self, key: tuple[str, object]) -> bool:
        """May a write since that of `key` have been one of the same register, at an index that may be the same?"""
        register, index = key
        for name, at in reversed(self.known.writes):
            if name == register and (at is index or not (isinstance(at, int) and isinstance(index, int))):
                return at is not index
        return False

    def operand(self, name: str) -> Word:
        if name in self.tracer.operands:
            return word(self.tracer.operands[name], 64)
        return self.tracer.unique("operand", (name,), 64)

    def call(self, called: Routine, arguments: tuple[Word, ...]) -> Any:
        self.commit()
        return _unpack(self.effect("call", (called, *arguments), called.results))

    def load(self, address: Word, bits: int) -> Word:
        self._before_memory()
        return self.effect("load", (address, bits), (bits,))[0]

    def store(self, address: Word, value: Word) -> None:
        self._before_memory()
        self.effect("store", (address, value))

    def locate(self, address: Word, access: Access) -> Word:
        self._before_memory()
        return self.effect("locate", (address, int(access)), (64,))[0]

    def physical_load(self, address: Word, bits: int) -> tuple[Word, Word]:
        value, ok = self.effect("physical_load", (address, bits), (bits, 1))
        return value, ok

    def physical_store(self, address: Word, value: Word) -> Word:
        return self.effect("physical_store", (address, value), (1,))[0]

    def is_memory(self, address: Word, size: int) -> Word:
        return self.effect("is_memory", (address, size), (1,))[0]

    def announce(self, access: Access, address: Word, size: int, value: Word, first: Word, last: Word) -> None:
        self._before_memory()
        self.effect("announce", (int(access), address, size, value, first, last))

    def csr_read(self, number: Word) -> Word:
        self.commit()
        return self.effect("csr_read", (number,), (64,))[0]

    def csr_write(self, number: Word, value: Word) -> None:
        self.commit()
        self.effect("csr_write", (number, value))

    def clock(self) -> Word:
        return self.effect("clock", (), (64,))[0]

    def flush_translations(self) -> None:
        self.effect("flush_translations", ())

    def flush_translation(self, address: Word) -> None:
        self.effect("flush_translation", (address,))

    def note_mapping(self, shift: Word) -> None:
        self.effect("note_mapping", (shift,))

    def flush_instructions(self) -> None:
        self.effect("flush_instructions", ())

    def reschedule(self) -> None:
        self.effect("reschedule", ())

    def wait(self) -> None:
        self.effect("wait", ())

    @property
    def next_pc(self) -> Word:
        return self.tracer.unique("next_pc", (), 64)

    def branch(self, offset: Word) -> None:
        self.commit()
        self.effect("branch", (offset,))

    def jump(self, target: Word) -> None:
        self.commit()
        self.effect("jump", (target,))
