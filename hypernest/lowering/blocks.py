"""Traced blocks as LLVM basic blocks. What an effect becomes is the business of the subclass, one method per kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypernest.isa.hart import Pure
from hypernest.isa.trace import Block, Branch, Effect, Returned, Trapped
from hypernest.isa.word import Word
from hypernest.lowering.expressions import FunctionText

# Branch weights of a test that nearly always passes.
LIKELY = ", !prof !0"


class BlockLowering:
    """Prints a traced tree into a function. Subclasses define `effect_<kind>`, `trapped` and `returned`."""

    def __init__(self, text: FunctionText) -> None:
        self.text = text

    def lower(self, block: Block) -> None:
        """Print `block` and everything below it, from the current position of the text."""
        for effect in block.effects:
            if not self._effect(effect):
                return
        end = block.end
        match end:
            case Trapped():
                self.trapped(end)
            case Returned():
                self.returned(end)
            case Branch():
                self._branch(end)

    def _effect(self, effect: Effect) -> bool:
        """Print one effect; False if the rest of the block cannot be reached."""
        method: Callable[..., Any] = getattr(self, f"effect_{effect.kind}")
        return method(effect, *effect.arguments) is not False

    def _branch(self, end: Branch) -> None:
        condition = self.text.value(end.condition)
        yes, no = self.text.fresh("yes"), self.text.fresh("no")
        weights = LIKELY if isinstance(end.no.end, Trapped) else ""
        if isinstance(end.yes.end, Trapped):
            condition, yes, no = self.text.define(f"xor i1 {condition}, true"), no, yes
            weights = LIKELY
            sides = ((yes, end.no), (no, end.yes))
        else:
            sides = ((yes, end.yes), (no, end.no))
        self.text.emit(f"br i1 {condition}, label %{yes}, label %{no}{weights}")
        outer = self.text
        for label, block in sides:
            self.text = outer.fork()
            self.text.start(label)
            inside = self.enter_side()
            self.lower(block)
            self.leave_side(inside)
        self.text = outer

    def enter_side(self) -> Any:
        """Called before a side of a branch is printed; what it returns is handed to `leave_side`."""

    def leave_side(self, saved: Any) -> None:
        """Called after a side of a branch was printed."""

    def trapped(self, end: Trapped) -> None:
        raise NotImplementedError

    def returned(self, end: Returned) -> None:
        raise NotImplementedError

    # --- effects that mean the same everywhere ----------------------------------------------------------------------

    def effect_pure(self, effect: Effect, called: Pure, *arguments: Word) -> None:
        result = self.text.define(self.pure_call(called, *arguments))
        bind_results(self.text, effect.results, result, result_type(called.results))

    def pure_call(self, called: Pure, *arguments: Word) -> str:
        """The instruction that calls a pure function."""
        given = ", ".join(f"i{w.width} {self.text.value(w)}" for w in arguments)
        return f"call {result_type(called.results)} @pure_{called.name}({given})"

    def effect_repeat(
        self, effect: Effect, count: int, state: tuple[Word, ...], after: tuple[Word, ...], initial: tuple[Word, ...]
    ) -> None:
        text, before = self.text, self.text.label
        start = [text.value(w) for w in initial]
        label, done = text.fresh("loop"), text.fresh("done")
        text.emit(f"br label %{label}")
        text.start(label)
        place = len(text.lines)
        counter, names = "%" + text.fresh("i"), ["%" + text.fresh("s") for _ in state]
        for word, name in zip(state, names, strict=True):
            text.bind(word, name)
        ends = [text.value(w) for w in after]
        following = text.define(f"add i32 {counter}, 1")
        again = text.define(f"icmp ult i32 {following}, {count}")
        text.emit(f"br i1 {again}, label %{label}, label %{done}")
        text.lines[place:place] = [f"  {counter} = phi i32 [ 0, %{before} ], [ {following}, %{label} ]"] + [
            f"  {name} = phi i{w.width} [ {first}, %{before} ], [ {last}, %{label} ]"
            for name, w, first, last in zip(names, initial, start, ends, strict=True)
        ]
        text.start(done)
        for word, last in zip(effect.results, ends, strict=True):
            text.bind(word, last)


def result_type(widths: tuple[int, ...]) -> str:
    """The LLVM type that holds words of these widths: one of them bare, several as a structure."""
    if not widths:
        return "void"
    return f"i{widths[0]}" if len(widths) == 1 else "{" + ", ".join(f"i{w}" for w in widths) + "}"


def bind_results(text: FunctionText, words: tuple[Word, ...], result: str, types: str, skip: int = 0) -> None:
    """Name the words that a call returned in `result`; `skip` leading members of the structure are not words."""
    if len(words) == 1 and not skip:
        text.bind(words[0], result)
        return
    for i, word in enumerate(words, start=skip):
        text.bind(word, text.define(f"extractvalue {types} {result}, {i}"))


def return_values(text: FunctionText, types: str, values: tuple[str, ...], widths: tuple[int, ...]) -> None:
    """Print `ret` for values that `result_type(widths)` describes."""
    if len(values) <= 1:
        text.emit(f"ret {types} {values[0]}" if values else "ret void")
        return
    whole = "undef"
    for i, (value, width) in enumerate(zip(values, widths, strict=True)):
        whole = text.define(f"insertvalue {types} {whole}, i{width} {value}, {i}")
    text.emit(f"ret {types} {whole}")
