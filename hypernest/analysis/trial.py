"""Tracing the functions of a description that nobody has checked: within bounds, and with sentences for what is wrong.

The tracer trusts descriptions. Here a function may be anything that a user wrote: it may raise, loop for ever, compute
with Python's numbers, or use what an analysis cannot follow.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from types import FrameType
from typing import Any

import hypernest.engines.reference
import hypernest.isa.hart
import hypernest.isa.trace
import hypernest.isa.word
from hypernest.isa.hart import Hart, Pure, Routine
from hypernest.isa.isa import Isa
from hypernest.isa.layout import ENGINE_REGISTERS
from hypernest.isa.trace import Block, Branch, Effect, Returned, TraceError, Tracer, Trapped
from hypernest.isa.word import Word
from hypernest.lowering.solver import KNOWN_OPERATIONS

STEPS = 1_000_000
"""How many of Python's instructions the tracing of one function may take; RISC-V's longest takes some 2,000."""

PATHS = 256
"""How many ways may lead through one function; at most a dozen in the built-in ISAs."""

_INPUTS = frozenset({"const", "parameter", "operand", "next_pc", "result", "state"})
_CORE = frozenset({hypernest.isa.hart.__file__, hypernest.isa.trace.__file__, hypernest.isa.word.__file__})
_TEXT = 240  # characters of a message that came from elsewhere


@dataclass
class Traced:
    """What a function was found to do."""

    faults: list[str] = field(default_factory=list)
    operands: set[str] = field(default_factory=set)
    indices: set[tuple[str, str]] = field(default_factory=set)  # (operand, register file) that it numbers
    called: list[Routine | Pure] = field(default_factory=list)


class _Endless(BaseException):
    """The bound was reached. No `Exception`, so that no function of a description catches it."""


class _Recorder(Tracer):
    """Notes which operands are asked for, whether or not the answer is used."""

    operands_asked: set[str]

    def unique(self, op: str, args: tuple[Word | int | str, ...], width: int) -> Word:
        if op == "operand":
            self.operands_asked.add(str(args[0]))
        return super().unique(op, args, width)


class Trials:
    """Traces functions of one ISA, each once."""

    def __init__(self, isa: Isa) -> None:
        self._isa = isa
        self._registers = {each.name: each for each in (*isa.registers, *ENGINE_REGISTERS)}
        self._done: dict[int, Traced] = {}
        self._kept: list[object] = []  # because the above goes by identity

    def semantics(self, function: Callable[[Hart], Any]) -> Traced:
        """What an instruction does."""
        return self._once(function, lambda tracer: tracer.semantics(_watched(function)))

    def routine(self, called: Routine) -> Traced:
        """What a routine does."""
        watched = Routine(_watched(called.function), called.arguments, called.results)
        return self._once(called, lambda tracer: tracer.routine(watched)[0])

    def pure(self, called: Pure) -> Traced:
        """What a function of words does."""
        return self._once(called, lambda tracer: tracer.pure(called)[0], pure=True)

    def access(self, function: Callable[..., Any], arguments: tuple[int, ...], results: tuple[int, ...]) -> Traced:
        """What reading or writing a CSR does."""
        watched = Routine(_watched(function), arguments, results)
        return self._once(function, lambda tracer: tracer.routine(watched)[0])

    def _once(self, function: object, trace: Callable[[Tracer], Block], pure: bool = False) -> Traced:
        if id(function) not in self._done:
            self._kept.append(function)
            self._done[id(function)] = self._trace(trace, pure)
        return self._done[id(function)]

    def _trace(self, trace: Callable[[Tracer], Block], pure: bool) -> Traced:
        traced = Traced()
        tracer = _Recorder(self._registers)
        tracer.operands_asked = traced.operands
        try:
            tree = _bounded(lambda: trace(tracer))
        except _Endless:
            traced.faults.append("it never ends, or has too many paths: loop a fixed number of times, use `select` for"
                                 " data and `if` for traps")  # fmt: skip
        except (Exception, SystemExit) as error:
            traced.faults.append(reason(error))
        else:
            if tree.paths() > PATHS:
                traced.faults.append(f"{tree.paths()} paths lead through it: use `select` for data, `if` for traps")
            _Reader(self._isa, traced, pure).block(tree)
        return traced


def _bounded(run: Callable[[], Block]) -> Block:
    """Run it for so many of Python's instructions. Counted, not timed: the answer is the same on every computer."""
    left = STEPS

    def count(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise _Endless
        if frame.f_code.co_filename in _CORE:
            return None
        frame.f_trace_opcodes = True  # a loop on one line has no line events
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        return run()
    except RecursionError:
        raise _Endless from None  # one decision after another, or a function that calls itself
    finally:
        sys.settrace(before)


def _watched(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, refusing what would have no effect."""

    @wraps(function)
    def run(hart: Hart, *arguments: Word) -> Any:
        before = set(vars(hart))
        result = function(hart, *arguments)
        for name in sorted(set(vars(hart)) - before):
            raise TraceError(f"it sets the attribute h.{name}, which changes nothing: say h.write({name!r}, ...)")
        if hasattr(result, "send"):
            raise TraceError(
                "it is a generator or a coroutine, which does nothing when called: make it a plain function"
            )
        return result

    return run


def reason(error: BaseException) -> str:
    """What was raised, and on which line of the description."""
    if isinstance(error, TypeError) and "an expression has no value yet" in str(error):
        what = (
            "it computes with Python's numbers (int, float, range, an index) where the value depends on the state:"
            " compute with words"
        )
    elif isinstance(error, TraceError) or type(error).__module__ == "hypernest.isa.word":
        what = str(error)
    elif isinstance(error, SystemExit):
        what = "it ends Python by itself (SystemExit)"
    else:
        what = f"it raises {type(error).__name__}: {error}" if str(error) else f"it raises {type(error).__name__}"
    what = " ".join(what.split())
    what = what if len(what) <= _TEXT else f"{what[:_TEXT]}…"
    own = _CORE | {__file__, hypernest.engines.reference.__file__}
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        if frame.f_code.co_filename not in own:
            return f"{what} ({Path(frame.f_code.co_filename).name}, line {line})"
    return what


class _Reader:
    """Looks through a tree for what the symbolic executor, the solver or the reference engine cannot do."""

    def __init__(self, isa: Isa, traced: Traced, pure: bool) -> None:
        self._isa, self._traced, self._pure = isa, traced, pure
        self._seen: set[int] = set()
        self._registers = {each.name: each for each in (*isa.registers, *ENGINE_REGISTERS)}

    def block(self, block: Block) -> None:
        blocks = [block]
        while blocks:
            each = blocks.pop()
            for effect in each.effects:
                self._effect(effect)
            match each.end:
                case Branch(condition, yes, no):
                    self._word(condition)
                    blocks += [no, yes]
                case Trapped() if self._pure:
                    self._fault("it raises a Trap, which a function of words alone cannot: make it a @routine")
                case Trapped(cause, value):
                    self._cause(cause)
                    self._word(value)
                case Returned(values):
                    for value in values:
                        self._word(value)

    def _fault(self, text: str) -> None:
        if text not in self._traced.faults:
            self._traced.faults.append(text)

    def _cause(self, cause: object) -> None:
        if not isinstance(cause, int):
            self._fault("it raises a Trap whose cause is no number: the cause of a trap must not depend on the state")
        elif cause not in self._isa.causes:
            self._fault(f"it raises the trap {cause}, which `causes` does not name")

    def _effect(self, effect: Effect) -> None:
        for value in _words(effect.arguments):
            self._word(value)
        check = _EFFECTS.get(effect.kind)
        if check is not None:
            check(self, *effect.arguments)

    def _word(self, value: Word) -> None:
        stack = [value]
        while stack:
            each = stack.pop()
            if id(each) in self._seen or each.value is not None:
                continue
            self._seen.add(id(each))
            if each.op not in KNOWN_OPERATIONS | _INPUTS:
                self._fault(f"it uses the operation {each.op!r}, which has no meaning to a solver")
            elif each.op == "bswap" and each.width % 8:
                self._fault(f"it swaps the bytes of {each.width} bits, which are no whole bytes")
            if each.op not in _INPUTS:
                stack += [arg for arg in each.args if isinstance(arg, Word)]

    def _wide(self, what: str, value: object, width: int = 64) -> bool:
        if not isinstance(value, Word):
            self._fault(f"{what} is {value!r}: make it a word of {width} bits, word({value!r}, {width})")
            return False
        if value.width != width:
            self._fault(f"{what} has {value.width} bits, not {width}")
        return True

    def _register(self, name: str, index: Word | int, value: Word | None = None) -> None:
        count = self._registers[name].count
        number = index.value if isinstance(index, Word) else index
        if number is not None and not 0 <= number < count:
            self._fault(f"{name} has {count} registers, no number {number}")
        if isinstance(index, Word) and index.op == "operand":
            self._traced.indices.add((str(index.args[0]), name))

    def _load(self, address: object, bits: int) -> None:
        self._wide("the address of a load", address)
        if bits not in self._isa.load:
            self._fault(f"it loads {bits} bits, for which `load` has no routine")

    def _store(self, address: object, value: object) -> None:
        self._wide("the address of a store", address)
        if not isinstance(value, Word):
            self._fault(f"it stores {value!r}, which has no width: say word({value!r}, bits)")
        elif value.width not in self._isa.store:
            self._fault(f"it stores {value.width} bits, for which `store` has no routine")

    def _physical_load(self, address: object, bits: int) -> None:
        self._wide("the address of a physical load", address)
        self._bytes(bits)

    def _physical_store(self, address: object, value: object) -> None:
        self._wide("the address of a physical store", address)
        if isinstance(value, Word):
            self._bytes(value.width)
        else:
            self._fault(f"it stores {value!r}, which has no width: say word({value!r}, bits)")

    def _bytes(self, bits: int) -> None:
        if bits % 8 or not 8 <= bits <= 64:
            self._fault(f"it accesses {bits} bits of physical memory: whole bytes are possible, at most 64 bits")

    def _call(self, called: Routine | Pure, *arguments: Word) -> None:
        self._traced.called.append(called)


_EFFECTS: Mapping[str, Callable[..., object]] = {
    "read": _Reader._register,
    "write": _Reader._register,
    "load": _Reader._load,
    "store": _Reader._store,
    "physical_load": _Reader._physical_load,
    "physical_store": _Reader._physical_store,
    "is_memory": lambda reader, address, size: reader._wide("the address asked about", address),
    "locate": lambda reader, address, access: reader._wide("the address to locate", address),
    "jump": lambda reader, target: reader._wide("the target of a jump", target),
    "branch": lambda reader, offset: reader._wide("the offset of a branch", offset),
    "csr_read": lambda reader, number: reader._wide("the number of a CSR", number),
    "csr_write": lambda reader, number, value: (
        reader._wide("the number of a CSR", number),
        reader._wide("the value of a CSR", value),
    ),
    "call": _Reader._call,
    "pure": _Reader._call,
}


def _words(arguments: tuple[Any, ...]) -> Iterator[Word]:
    for each in arguments:
        if isinstance(each, Word):
            yield each
        elif isinstance(each, tuple):
            yield from _words(each)
