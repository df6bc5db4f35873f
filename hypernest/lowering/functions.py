"""Complete lowering: a whole instruction, routine or CSR access as one function, with every trap and slow path.

A function that can trap returns i1 first: true means that `trap_cause` and `trap_value` were set and nothing else was
changed. The hart's pc and its count of remaining steps are up to date while such a function runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from hypernest.isa.hart import Pure, Routine
from hypernest.isa.layout import Layout
from hypernest.isa.row import Row
from hypernest.isa.trace import Block, Branch, Effect, Returned, Tracer, Trapped
from hypernest.isa.word import Word, word
from hypernest.lowering.blocks import LIKELY, BlockLowering, bind_results, result_type, return_values
from hypernest.lowering.expressions import FunctionText
from hypernest.lowering.footprint import registers
from hypernest.lowering.slots import SlotLayout

HART = "ptr %hart, ptr %ram"
HART_ALIAS, RAM_ALIAS, SLOT_ALIAS = ", !tbaa !4", ", !tbaa !5", ", !tbaa !6"
METADATA = """
!0 = !{!"branch_weights", i32 100000, i32 1}
!1 = !{!"hypernest"}
!2 = !{!"hart", !1}
!3 = !{!"ram", !1}
!7 = !{!"slot", !1}
!4 = !{!2, !2, i64 0}
!5 = !{!3, !3, i64 0}
!6 = !{!7, !7, i64 0}
"""

# Lines from which a function stays one. Pure functions have many callers, routines few.
_WORTH_A_CALL = 20
_ROUTINE_WORTH_A_CALL = 40


class HartText(FunctionText):
    """A function that has the hart at %hart: its registers by name."""

    def __init__(self, layout: Layout, engine_words: Mapping[str, int]) -> None:
        super().__init__()
        self.layout, self.engine_words = layout, engine_words

    def offset(self, name: str) -> int:
        """Byte offset of a register or an engine word."""
        index = self.engine_words.get(name)
        return 8 * (self.layout.index[name] if index is None else index)

    def at(self, name: str, index: Word | int = 0) -> str:
        """A pointer to a register."""
        if isinstance(index, Word) and index.value is not None:
            index = index.value
        if isinstance(index, int):
            return self.define(f"getelementptr i8, ptr %hart, i64 {self.offset(name) + 8 * index}")
        wide = self.value(index.zext(64))
        base = "%hart" if not self.offset(name) else self.at(name)
        return self.define(f"getelementptr i64, ptr {base}, i64 {wide}")

    def get(self, name: str, type_: str = "i64") -> str:
        """The 64 bits of a register or an engine word."""
        return self.define(f"load {type_}, ptr {self.at(name)}{HART_ALIAS}")

    def put(self, name: str, value: str, type_: str = "i64") -> None:
        self.emit(f"store {type_} {value}, ptr {self.at(name)}{HART_ALIAS}")


class HartLowering(BlockLowering):
    """What reading and writing registers and operands means in every function that has a hart."""

    text: HartText

    def __init__(self, text: HartText, slots: SlotLayout | None, op: str = "%op") -> None:
        """`op` is where the slot is, if there is one."""
        super().__init__(text)
        self.slots, self.op = slots, op

    def bind_operands(self, row: Row, tracer: Tracer) -> None:
        """Make the operands that the slot holds available, each loaded where it is first used."""
        for name, each in row.fields.items():
            limit = None if each.signed else (1 << each.width) - 1 + each.offset
            self.text.bind_late(tracer.unique("operand", (name,), 64), partial(self._operand, name), limit)

    def _operand(self, name: str, text: FunctionText) -> str:
        assert self.slots is not None
        place = self.slots[name]
        pointer = text.define(f"getelementptr i8, ptr {self.op}, i64 {place.offset}")
        narrow = text.define(f"load {place.type}, ptr {pointer}, align {place.bytes}{SLOT_ALIAS}")
        return text.define(f"{'sext' if place.signed else 'zext'} {place.type} {narrow} to i64")

    def effect_read(self, effect: Effect, register: str, index: Word | int) -> None:
        (result,) = effect.results
        value = self.read(register, index)
        self.text.bind(result, self.narrow(value, result.width))

    def read(self, register: str, index: Word | int) -> str:
        return self.text.define(f"load i64, ptr {self.text.at(register, index)}{HART_ALIAS}")

    def narrow(self, value: str, width: int) -> str:
        return value if width == 64 else self.text.define(f"trunc i64 {value} to i{width}")

    def effect_write(self, effect: Effect, register: str, index: Word | int, value: Word) -> None:
        wide = self.text.value(value.zext(64))
        self.text.emit(f"store i64 {wide}, ptr {self.text.at(register, index)}{HART_ALIAS}")

    def effect_is_memory(self, effect: Effect, address: Word, size: int) -> None:
        offset = self.text.define(f"sub i64 {self.text.value(address)}, {self.text.get('ram_base')}")
        last = self.text.define(f"sub i64 {self.text.get('ram_size')}, {size}")
        self.text.bind(effect.results[0], self.text.define(f"icmp ule i64 {offset}, {last}"))


class CompleteLowering(HartLowering):
    """Lowers one function completely; `results` are the widths a routine returns, None for an instruction."""

    def __init__(self, text: HartText, slots: SlotLayout | None, results: tuple[int, ...] | None) -> None:
        super().__init__(text, slots)
        self.results = results
        self.jumped = False

    def enter_side(self) -> Any:
        return self.jumped

    def leave_side(self, saved: Any) -> None:
        self.jumped = saved

    # --- endings ---------------------------------------------------------------------------------------------------

    def _widths(self) -> tuple[int, ...]:
        return (1, *(self.results or ()))

    def _return_trapped(self) -> None:
        widths = self._widths()
        return_values(self.text, result_type(widths), ("true", *("undef" for _ in widths[1:])), widths)

    def trapped(self, end: Trapped) -> None:
        self.text.put("trap_value", self.text.value(end.value))
        self.text.put("trap_cause", str(end.cause))
        self._return_trapped()

    def returned(self, end: Returned) -> None:
        if self.results is None and not self.jumped:
            self.text.put("pc", self.text.get("next_pc"))
        widths = self._widths()
        values = tuple(self.text.value(w) for w in end.values) if self.results is not None else ()
        return_values(self.text, result_type(widths), ("false", *values), widths)

    def _checked(self, effect: Effect, called: str, widths: tuple[int, ...], arguments: str = "") -> None:
        """Call a function that may trap, leave if it did, else name its results."""
        types = result_type((1, *widths))
        result = self.text.define(f"call {types} @{called}({HART}{arguments})")
        trapped = self.text.define(f"extractvalue {types} {result}, 0") if widths else result
        left, on = self.text.fresh("trapped"), self.text.fresh("on")
        fine = self.text.define(f"xor i1 {trapped}, true")
        self.text.emit(f"br i1 {fine}, label %{on}, label %{left}{LIKELY}")
        self.text.start(left)
        self._return_trapped()
        self.text.start(on)
        bind_results(self.text, effect.results, result, types, skip=1)

    def _arguments(self, *words: Word) -> str:
        return "".join(f", i{w.width} {self.text.value(w)}" for w in words)

    # --- effects ---------------------------------------------------------------------------------------------------

    def read(self, register: str, index: Word | int) -> str:
        if register == "retired":  # kept ahead of the truth by what remains of the run
            return self.text.define(f"sub i64 {self.text.get('retired')}, {self.text.get('remaining')}")
        return super().read(register, index)

    def effect_call(self, effect: Effect, called: Routine, *arguments: Word) -> None:
        self._checked(effect, f"routine_{called.name}", called.results, self._arguments(*arguments))

    def effect_load(self, effect: Effect, address: Word, bits: int) -> None:
        self._checked(effect, f"routine_load_{bits}", (bits,), self._arguments(address))

    def effect_store(self, effect: Effect, address: Word, value: Word) -> None:
        self._checked(effect, f"routine_store_{value.width}", (), self._arguments(address, value))

    def effect_locate(self, effect: Effect, address: Word, access: int) -> None:
        self._checked(effect, f"locate_{access}", (64,), self._arguments(address))

    def effect_csr_read(self, effect: Effect, number: Word) -> None:
        self._checked(effect, "csr_read", (64,), self._arguments(number))

    def effect_csr_write(self, effect: Effect, number: Word, value: Word) -> None:
        self._checked(effect, "csr_write", (), self._arguments(number, value))

    def effect_physical_load(self, effect: Effect, address: Word, bits: int) -> None:
        types = f"{{i{bits}, i1}}"
        result = self.text.define(f"call {types} @physical_load_{bits}({HART}{self._arguments(address)})")
        bind_results(self.text, effect.results, result, types)

    def effect_physical_store(self, effect: Effect, address: Word, value: Word) -> None:
        called = f"physical_store_{value.width}"
        result = self.text.define(f"call i1 @{called}({HART}{self._arguments(address, value)})")
        self.text.bind(effect.results[0], result)

    def effect_announce(
        self, effect: Effect, access: int, address: Word, size: int, value: Word, first: Word, last: Word
    ) -> None:
        """If the host watches anything, the instruction may have to be left as if it had trapped."""
        text = self.text
        ask, left, on = (text.fresh(name) for name in ("ask", "left", "on"))
        given = self._arguments(address, word(size), value.zext(64), first, last)
        free = text.define(f"icmp eq i64 {text.get('watching')}, 0")
        text.emit(f"br i1 {free}, label %{on}, label %{ask}{LIKELY}")
        text.start(ask)
        waits = text.define(f"call i1 @announced_{access}(ptr %hart{given})")
        text.emit(f"br i1 {waits}, label %{left}, label %{on}")
        text.start(left)
        self._return_trapped()
        text.start(on)

    def effect_clock(self, effect: Effect) -> None:
        value = self.text.define(f"sub i64 {self.text.get('clock_end')}, {self.text.get('remaining')}")
        self.text.bind(effect.results[0], value)

    def effect_flush_translations(self, effect: Effect) -> None:
        self.text.emit("call void @flush_translations(ptr %hart)")

    def effect_flush_translation(self, effect: Effect, address: Word) -> None:
        self.text.emit(f"call void @flush_translation(ptr %hart, i64 {self.text.value(address)})")

    def effect_note_mapping(self, effect: Effect, shift: Word) -> None:
        self.text.put("mapping_shift", self.text.value(shift))

    def effect_flush_instructions(self, effect: Effect) -> None:
        """Writes to predecoded code are seen as they happen."""

    def effect_reschedule(self, effect: Effect) -> None:
        self.text.put("stop", "1")
        self.text.put("attention", "1")

    def effect_wait(self, effect: Effect) -> None:
        self.text.put("waiting", "1")
        self.text.put("attention", "1")

    def effect_branch(self, effect: Effect, offset: Word) -> None:
        self.jumped = True
        self.text.put("pc", self.text.define(f"add i64 {self.text.get('pc')}, {self.text.value(offset)}"))

    def effect_jump(self, effect: Effect, target: Word) -> None:
        self.jumped = True
        self.text.put("pc", self.text.value(target))


class FunctionLowering:
    """Names the functions of a module and prints them from traces."""

    def __init__(self, layout: Layout, engine_words: Mapping[str, int], rows: Mapping[str, Row]) -> None:
        self.layout, self.engine_words, self.rows = layout, engine_words, rows
        self.called: dict[str, Routine | Pure] = {}
        self.watched: frozenset[str] = frozenset()
        """Registers that decide what happens between instructions: whoever may write them asks for attention."""
        self._traces: dict[str, tuple[Tracer, Block]] = {}

    def collect(self, block: Block) -> Block:
        """Remember what `block` calls, so that it is printed, too."""
        for effect in block.effects:
            if effect.kind in ("call", "pure"):
                called = effect.arguments[0]
                if self.called.setdefault(called.name, called) is not called:
                    raise ValueError(f"two functions are called {called.name}")
        if isinstance(block.end, Branch):
            self.collect(block.end.yes)
            self.collect(block.end.no)
        return block

    def print_called(self) -> Iterator[str]:
        """The text of everything that was called so far, and of what that calls."""
        printed: set[str] = set()
        while waiting := [name for name in self.called if name not in printed]:
            for name in waiting:
                printed.add(name)
                called = self.called[name]
                yield self.pure(called) if isinstance(called, Pure) else self.routine(called)

    def declare_pures(self) -> Iterator[str]:
        """Declarations of the pure functions that were called so far, for a module that does not hold them."""
        for called in self.called.values():
            if isinstance(called, Pure):
                taken = ", ".join(f"i{width}" for width in called.arguments)
                yield f"declare {result_type(called.results)} @pure_{called.name}({taken})\n"

    def trace(self, row: Row) -> tuple[Tracer, Block]:
        """What an instruction does, and the tracer that holds its words: one for all that it is printed in."""
        if row.name not in self._traces:
            tracer = self.tracer()
            self._traces[row.name] = tracer, self.collect(tracer.semantics(row.semantics))
        return self._traces[row.name]

    def tracer(self) -> Tracer:
        return Tracer(self.layout.registers)

    def hart_text(self, tracer: Tracer) -> HartText:
        """A new function with the inputs that every one with a hart has."""
        text = HartText(self.layout, self.engine_words)
        text.bind_late(tracer.unique("operand", ("instruction",), 64), lambda t: str(t.get("instruction")))
        text.bind_late(tracer.unique("next_pc", (), 64), lambda t: str(t.get("next_pc")))
        return text

    def pure(self, called: Pure) -> str:
        """The text of `@pure_<name>`."""
        tracer = self.tracer()
        block, parameters = tracer.pure(called)
        self.collect(block)
        text = HartText(self.layout, self.engine_words)
        for i, parameter in enumerate(parameters):
            text.bind(parameter, f"%p{i}")
        lowering = _PureLowering(text, called.results)
        lowering.lower(block)
        given = ", ".join(f"i{w} %p{i}" for i, w in enumerate(called.arguments))
        head = f"dso_local {result_type(called.results)} @pure_{called.name}({given})"
        return _function(head + (" noinline" if len(text.lines) > _WORTH_A_CALL else ""), text)

    def routine(self, called: Routine, name: str = "") -> str:
        """The text of `@routine_<name>`."""
        tracer = self.tracer()
        block, parameters = tracer.routine(called)
        self.collect(block)
        text = self.hart_text(tracer)
        for i, parameter in enumerate(parameters):
            text.bind(parameter, f"%p{i}")
        CompleteLowering(text, None, called.results).lower(block)
        given = "".join(f", i{w} %p{i}" for i, w in enumerate(called.arguments))
        head = f"internal {result_type((1, *called.results))} @routine_{name or called.name}({HART}{given})"
        return _function(head + (" noinline" if len(text.lines) > _ROUTINE_WORTH_A_CALL else " alwaysinline"), text)

    def instruction(self, row: Row, slots: SlotLayout) -> str:
        """The text of `@complete_<name>(slot, hart, ram)`, i1: trapped."""
        tracer, block = self.trace(row)
        text = self.hart_text(tracer)
        lowering = CompleteLowering(text, slots, None)
        lowering.bind_operands(row, tracer)
        if row.system:
            self._watch(block, text)
        lowering.lower(block)
        return _function(f"internal i1 @{quoted('complete_' + row.name)}(ptr %op, {HART})", text)

    def _watch(self, block: Block, text: HartText) -> None:
        if registers("write", block, self.tracer) & self.watched:
            text.put("attention", "1")

    def csr_access(self, name: str, function: Callable[..., Any], *, write: bool) -> str:
        """The text of `@csr_read_<name>` or `@csr_write_<name>`."""
        tracer = self.tracer()
        value = tracer.unique("parameter", (0,), 64)
        block = self.collect(tracer.semantics((lambda hart: function(hart, value)) if write else function))
        text = self.hart_text(tracer)
        text.bind(value, "%value")
        results = () if write else (64,)
        self._watch(block, text)
        CompleteLowering(text, None, results).lower(block)
        head = f"csr_write_{name}({HART}, i64 %value)" if write else f"csr_read_{name}({HART})"
        # Alone the switch over all CSRs calls it.
        return _function(f"internal {result_type((1, *results))} @{head} alwaysinline", text)


class _PureLowering(BlockLowering):
    """Lowers a function of words."""

    def __init__(self, text: FunctionText, results: tuple[int, ...]) -> None:
        super().__init__(text)
        self.results = results

    def returned(self, end: Returned) -> None:
        values = tuple(self.text.value(w) for w in end.values)
        return_values(self.text, result_type(self.results), values, self.results)


def quoted(name: str) -> str:
    """A symbol's name, quoted because instruction names have dots."""
    return f'"{name}"'


def _function(head: str, text: FunctionText) -> str:
    return f"define {head} {{\nentry:\n" + "\n".join(text.lines) + "\n}\n"
