"""Fast handlers: one per instruction and length, for the case that nothing unusual happens.

A handler works on its slot's operands, assumes that memory accesses hit the translation cache, and tail-calls the
handler of the next slot. Where an assumption fails (a trap, a miss, a device) it has changed nothing yet and leaves the
instruction to its *direct* handler, which executes it completely. Instructions that gain nothing from a fast handler
have only that one.

Instructions that are often executed in a row share a handler (see `sequences.py`): it saves dispatches, and an
instruction need not wait for a register that one before it writes.

`budget` is not the number of steps left but that number minus the instructions from this slot to the end of its page.
It does not change while execution runs straight on, so only jumps adjust it; and as long as it is not negative, the
steps cannot run out before the next jump.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypernest.engines.interpreter.direct import direct_name, dispatch, tail_call
from hypernest.engines.interpreter.quick import HANDLER, PAGE_MASK, NotFast, QuickLowering, index_shift
from hypernest.engines.interpreter.sequences import Link
from hypernest.engines.interpreter.words import CODE_ENTRIES, CODE_ENTRY_BYTES, REMAINING_AT
from hypernest.isa.trace import Block, Branch, Effect, Returned
from hypernest.isa.word import Word
from hypernest.lowering.blocks import LIKELY
from hypernest.lowering.functions import HART_ALIAS, SLOT_ALIAS, FunctionLowering, HartText, quoted
from hypernest.lowering.slots import SLOT_BYTES, slot_layout

Written = tuple[str, str] | None


class FastLowering(QuickLowering):
    """Lowers the semantics of `links[at]`, whose slot is at `op`, and after it those of the following links.

    `written` holds, for each link before, the register file and the value that it wrote to rd, if it did.
    """

    def __init__(
        self,
        functions: FunctionLowering,
        text: HartText,
        links: Sequence[Link],
        at: int = 0,
        op: str = "%op",
        written: tuple[Written, ...] = (),
    ) -> None:
        link = links[at]
        self.row = functions.rows[link.meaning]
        super().__init__(text, slot_layout(self.row), op)
        self.functions, self.links, self.at, self.op = functions, links, at, op
        self.length, self.near = link.length, link.near
        self.before = written
        self.written: Written = None
        self.ended = False

    def enter_side(self) -> Any:
        return self.committed, self.ended, self.written, dict(self.located)

    def leave_side(self, saved: Any) -> None:
        self.committed, self.ended, self.written, self.located = saved

    def run(self) -> None:
        """Print everything. `NotFast` if one of the instructions has nothing to gain."""
        row = self.row
        tracer, block = self.functions.trace(row)
        if row.system or not _worthwhile(block):
            raise NotFast
        self.text.bind_late(
            tracer.unique("next_pc", (), 64),
            lambda text: text.define(f"add i64 {program_counter(text, self.op)}, {self.length}"),
        )
        self.bind_operands(row, tracer)
        self.lower(block)

    # --- endings ---------------------------------------------------------------------------------------------------

    @property
    def slow(self) -> str:
        """The label where this instruction is left to complete execution."""
        return f"slow{self.at}"

    def returned(self, end: Returned) -> None:
        if self.ended:
            return
        following = self.text.define(f"getelementptr i8, ptr {self.op}, i64 {self.length // 2 * SLOT_BYTES}")
        if self.at + 1 == len(self.links):
            dispatch(self.text, following, "%budget")
            return
        text = self.text.fork()
        text.forget_names()
        FastLowering(self.functions, text, self.links, self.at + 1, following, (*self.before, self.written)).run()

    # --- registers -------------------------------------------------------------------------------------------------

    def read(self, register: str, index: Word | int) -> str:
        if register == "pc":
            return program_counter(self.text, self.op)
        if isinstance(index, Word) and index.op == "operand":
            link = self.links[self.at]
            distance = {"rs1": link.rs1_from, "rs2": link.rs2_from}.get(str(index.args[0]), 0)
            source = self.before[-distance] if distance else None
            if source is not None and source[0] == register:
                return source[1]
        if register == "retired":
            raise NotFast
        return super().read(register, index)

    def effect_write(self, effect: Effect, register: str, index: Word | int, value: Word) -> None:
        super().effect_write(effect, register, index, value)
        if isinstance(index, Word) and index.op == "operand" and index.args == ("rd",):
            self.written = register, self.text.value(value.zext(64))
        self.committed = True

    # --- control flow ----------------------------------------------------------------------------------------------

    def effect_branch(self, effect: Effect, offset: Word) -> None:
        self.ended = True
        text = self.text
        if not self.near:
            self._jump(text.define(f"add i64 {program_counter(text, self.op)}, {text.value(offset)}"))
            return
        # A jump within the page: predecoding replaced the immediate by (distance, what it costs the budget).
        distance = self._half(8)
        distance = text.define(f"shl i64 {distance}, 3")
        cost = self._half(10)
        target = text.define(f"getelementptr i8, ptr {self.op}, i64 {distance}")
        budget = text.define(f"add i64 %budget, {cost}")
        dispatch_checked(text, target, budget)

    def _half(self, offset: int) -> str:
        place = self.text.define(f"getelementptr i8, ptr {self.op}, i64 {offset}")
        return self.text.define(f"sext i16 {self.text.define(f'load i16, ptr {place}, align 2{SLOT_ALIAS}')} to i64")

    def effect_jump(self, effect: Effect, target: Word) -> None:
        self.ended = True
        self._jump(self.text.value(target))

    def _jump(self, target: str) -> None:
        """Go on at a virtual address: through the table of code pages, or completely if it does not know the page."""
        text = self.text
        left = text.define(f"add i64 %budget, {remaining_in_page(text, self.op)}")
        left = text.define(f"sub i64 {left}, 1")
        index = text.define(f"lshr i64 {target}, {index_shift(CODE_ENTRY_BYTES)}")
        index = text.define(f"and i64 {index}, {(CODE_ENTRIES - 1) * CODE_ENTRY_BYTES}")
        table = text.get("code_tlb", "ptr")
        entry = text.define(f"getelementptr i8, ptr {table}, i64 {index}")
        tag = text.define(f"load i64, ptr {entry}{HART_ALIAS}")
        page = text.define(f"and i64 {target}, {PAGE_MASK}")
        hit = text.define(f"icmp eq i64 {page}, {tag}")
        known, unknown = text.fresh("known"), text.fresh("unknown")
        text.emit(f"br i1 {hit}, label %{known}, label %{unknown}{LIKELY}")
        text.start(unknown)
        text.put("pc", target)
        text.put("remaining", left)
        tail_call(text, "@resume", self.op, "%budget")
        text.start(known)
        place = text.define(f"getelementptr i8, ptr {entry}, i64 8")
        slots = text.define(f"load ptr, ptr {place}{HART_ALIAS}")
        place = text.define(f"getelementptr i8, ptr {entry}, i64 16")
        bias = text.define(f"load i64, ptr {place}{HART_ALIAS}")
        text.put("slots", slots, "ptr")
        text.put("bias", bias)
        inside = text.define(f"and i64 {target}, {~PAGE_MASK & ~1}")
        at = text.define(f"shl i64 {inside}, 3")
        slot = text.define(f"getelementptr i8, ptr {slots}, i64 {at}")
        at = text.define(f"add i64 {inside}, {REMAINING_AT}")
        place = text.define(f"getelementptr i8, ptr {slots}, i64 {at}")
        count = text.define(f"load i16, ptr {place}{SLOT_ALIAS}")
        count = text.define(f"zext i16 {count} to i64")
        dispatch_checked(text, slot, text.define(f"sub i64 {left}, {count}"))


def program_counter(text: HartText, op: str) -> str:
    """The virtual address of the instruction whose slot is `op`."""
    number = text.define(f"ptrtoint ptr {op} to i64")
    return text.define(f"add i64 {text.define(f'lshr i64 {number}, 3')}, {text.get('bias')}")


def remaining_in_page(text: HartText, op: str) -> str:
    """How many instructions run from the slot `op` to the end of its page, itself included."""
    slots = text.get("slots", "ptr")
    first, this = text.define(f"ptrtoint ptr {slots} to i64"), text.define(f"ptrtoint ptr {op} to i64")
    inside = text.define(f"lshr i64 {text.define(f'sub i64 {this}, {first}')}, 3")
    place = text.define(f"getelementptr i8, ptr {slots}, i64 {text.define(f'add i64 {inside}, {REMAINING_AT}')}")
    return text.define(f"zext i16 {text.define(f'load i16, ptr {place}{SLOT_ALIAS}')} to i64")


def dispatch_checked(text: HartText, op: str, budget: str) -> None:
    """Go on with a slot that was jumped to, one careful step at a time if the steps may run out in its page."""
    enough = text.define(f"icmp sge i64 {budget}, 0")
    on, careful = text.fresh("on"), text.fresh("careful")
    text.emit(f"br i1 {enough}, label %{on}, label %{careful}{LIKELY}")
    text.start(careful)
    tail_call(text, "@careful", op, budget)
    text.start(on)
    dispatch(text, op, budget)


def branches(block: Block) -> bool:
    """Does any path jump relative to pc?"""
    if any(effect.kind == "branch" for effect in block.effects):
        return True
    return isinstance(block.end, Branch) and (branches(block.end.yes) or branches(block.end.no))


def written_register(block: Block) -> str | None:
    """The register file that operand rd indexes, if the instruction writes it."""
    for effect in block.effects:
        if effect.kind == "write":
            register, index, _ = effect.arguments
            if isinstance(index, Word) and index.op == "operand" and index.args == ("rd",):
                return str(register)
    if isinstance(block.end, Branch):
        return written_register(block.end.yes) or written_register(block.end.no)
    return None


def read_operands(block: Block) -> set[str]:
    """The operands that index registers which the instruction reads."""
    names = {
        str(index.args[0])
        for effect in block.effects
        if effect.kind == "read" and isinstance(index := effect.arguments[1], Word) and index.op == "operand"
    }
    if isinstance(block.end, Branch):
        names |= read_operands(block.end.yes) | read_operands(block.end.no)
    return names


def handler_name(links: Sequence[Link]) -> str:
    """The symbol of the handler of these instructions."""
    return quoted(
        "fast_"
        + "__".join(
            f"{link.meaning}_{link.length}{'_near' if link.near else ''}_{link.rs1_from}{link.rs2_from}"
            for link in links
        )
    )


def print_handler(functions: FunctionLowering, links: Sequence[Link]) -> tuple[str, set[tuple[str, int]]] | None:
    """The text of a fast handler and the instructions (meaning, length) whose direct handlers it needs.

    None if an instruction is better left to complete execution.
    """
    text = HartText(functions.layout, functions.engine_words)
    try:
        FastLowering(functions, text, links).run()
    except NotFast:
        return None
    distance = 0
    left = set()
    for at, link in enumerate(links):
        if any(line.endswith(f"label %slow{at}{end}") for line in text.lines for end in ("", LIKELY)):
            if link.near:
                raise ValueError(f"{link.meaning} has lost the operands that it would need when left")
            text.start(f"slow{at}")
            op = text.define(f"getelementptr i8, ptr %op, i64 {distance}")
            tail_call(text, "@" + direct_name(link.meaning, link.length), op, "%budget")
            left.add((link.meaning, link.length))
        distance += link.length // 2 * SLOT_BYTES
    body = "\n".join(text.lines)
    return f"define internal preserve_nonecc void @{handler_name(links)}({HANDLER}) {{\nentry:\n{body}\n}}\n", left


def _worthwhile(block: Block) -> bool:
    """Is there a path that a fast handler can follow to the end?"""
    left = {"call", "csr_read", "csr_write", "clock", "wait", "reschedule", "physical_load", "physical_store",
            "flush_translations", "flush_translation"}  # fmt: skip
    if any(effect.kind in left for effect in block.effects):
        return False
    end = block.end
    if isinstance(end, Branch):
        return _worthwhile(end.yes) or _worthwhile(end.no)
    return isinstance(end, Returned)
