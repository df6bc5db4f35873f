"""Direct handlers: an instruction executed completely on the operands in its slot, then on with the next slot.

Fast handlers leave to them what is not as they assume, and instructions that gain nothing from a fast handler have only
this one. They are part of the module that holds the complete functions, fast handlers are in another.
"""

from __future__ import annotations

from hypernest.engines.interpreter.quick import HANDLER
from hypernest.isa.row import Row
from hypernest.isa.trace import Block, Branch, Trapped
from hypernest.lowering.blocks import LIKELY
from hypernest.lowering.footprint import effects
from hypernest.lowering.functions import SLOT_ALIAS, FunctionLowering, HartText, quoted
from hypernest.lowering.slots import SLOT_BYTES

# Effects that a fast handler always has an answer to.
_PLAIN = {"read", "write", "pure", "repeat", "branch", "jump", "is_memory", "flush_instructions"}


def direct_name(meaning: str, length: int) -> str:
    """The symbol of the handler that executes an instruction completely."""
    return quoted(f"direct_{meaning}_{length}")


def has_direct_handler(row: Row, block: Block) -> bool:
    """May a fast handler have to leave the instruction, or have none?"""
    return row.system or _traps(block) or any(effect.kind not in _PLAIN for effect in effects(block))


def _traps(block: Block) -> bool:
    end = block.end
    return isinstance(end, Trapped) or (isinstance(end, Branch) and (_traps(end.yes) or _traps(end.no)))


def print_direct_handler(functions: FunctionLowering, meaning: str, length: int) -> str:
    """The text of the handler that executes an instruction completely, on the operands in its slot."""
    text = HartText(functions.layout, functions.engine_words)
    _, block = functions.trace(functions.rows[meaning])
    text.emit(f"call void @prepare(ptr %op, ptr %hart, ptr %ram, i64 %budget, i64 {length})")
    trapped = text.define(f"call i1 @{quoted('complete_' + meaning)}(ptr %op, ptr %hart, ptr %ram)")
    text.emit(f"br i1 {trapped}, label %trapped, label %done")
    text.start("done")
    if any(effect.kind in ("branch", "jump") for effect in effects(block)):
        tail_call(text, "@completed", "%op", "%budget")
    else:
        calm = text.define(f"icmp eq i64 {text.get('attention')}, 0")
        text.emit(f"br i1 {calm}, label %calm, label %look{LIKELY}")
        text.start("look")
        tail_call(text, "@completed", "%op", "%budget")
        text.start("calm")
        dispatch(text, text.define(f"getelementptr i8, ptr %op, i64 {length // 2 * SLOT_BYTES}"), "%budget")
    text.start("trapped")
    tail_call(text, "@trapped", "%op", "%budget")
    body = "\n".join(text.lines)
    return f"define dso_local preserve_nonecc void @{direct_name(meaning, length)}({HANDLER}) {{\nentry:\n{body}\n}}\n"


def tail_call(text: HartText, handler: str, op: str, budget: str) -> None:
    text.emit(f"musttail call preserve_nonecc void {handler}(ptr {op}, ptr %hart, ptr %ram, i64 {budget})")
    text.emit("ret void")


def dispatch(text: HartText, op: str, budget: str) -> None:
    """Go on with the handler of a slot."""
    tail_call(text, text.define(f"load ptr, ptr {op}{SLOT_ALIAS}"), op, budget)
