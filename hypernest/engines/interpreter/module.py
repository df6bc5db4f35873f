"""The interpreter as two LLVM modules, which can be compiled at the same time: the fast handlers, and all the rest.

What one uses of the other is external and not `dso_local`, so that the loader may put the two anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator

from hypernest.engines.interpreter.direct import has_direct_handler, print_direct_handler
from hypernest.engines.interpreter.fast import written_register
from hypernest.engines.interpreter.handlers import HANDLER_TABLES, Handlers, pointer_table
from hypernest.engines.interpreter.runtime import print_runtime
from hypernest.engines.interpreter.words import EngineWords
from hypernest.engines.watched import Kind
from hypernest.isa.decoder import Decoder
from hypernest.isa.hart import Pure
from hypernest.isa.isa import NativeIsa
from hypernest.isa.layout import Layout
from hypernest.lowering.blocks import LIKELY
from hypernest.lowering.decode import DecoderLowering
from hypernest.lowering.footprint import registers_of
from hypernest.lowering.functions import HART, HART_ALIAS, METADATA, FunctionLowering, quoted
from hypernest.lowering.slots import slot_layout


def print_handlers(isa: NativeIsa) -> str:
    """LLVM IR of the fast handlers and the tables that lead to them."""
    layout = Layout(isa.registers)
    handlers = Handlers(FunctionLowering(layout, EngineWords(layout).offsets, isa.rows))
    return "".join(handlers.print()) + METADATA


def print_base(isa: NativeIsa) -> str:
    """LLVM IR of what handlers build on: decoder, complete instructions, CSRs, routines, run time."""
    layout = Layout(isa.registers)
    return "".join(_base(isa, layout, EngineWords(layout))) + METADATA


def _base(isa: NativeIsa, layout: Layout, words: EngineWords) -> Iterator[str]:
    functions = FunctionLowering(layout, words.offsets, isa.rows)
    between = (isa.take_interrupt, isa.interrupt_pending, isa.data_context, isa.fetch_context)
    functions.watched = registers_of("read", between, functions.tracer)
    rows = list(isa.rows.values())
    bases = {row.meaning: isa.rows[row.meaning] for row in rows}
    slots = {name: slot_layout(row) for name, row in bases.items()}
    numbers = {row.name: number for number, row in enumerate(rows)}
    register, sink = isa.zero, isa.sink
    sinks = {}
    for name, base in bases.items():
        if written_register(functions.trace(base)[1]) == register:
            sinks[name] = sink
        yield functions.instruction(base, slots[name])
    for meaning, length in sorted({(row.meaning, row.length) for row in rows}):
        if has_direct_handler(bases[meaning], functions.trace(bases[meaning])[1]):
            yield print_direct_handler(functions, meaning, length)
    yield HANDLER_TABLES
    yield DecoderLowering(Decoder(rows), numbers, slots, sinks).print()
    yield pointer_table("complete_table", [quoted(f"complete_{row.meaning}") for row in rows])
    yield from _csrs(isa, functions)
    for routine in (isa.translate, isa.take_trap, isa.take_interrupt, isa.interrupt_due, isa.interrupt_pending,
                    isa.data_context, isa.fetch_context, isa.page_uniform, isa.instruction_length):  # fmt: skip
        functions.called[routine.name] = routine
    yield functions.routine(isa.fetch, "fetch")
    for bits, load in isa.load.items():
        yield functions.routine(load, f"load_{bits}")
    for bits, store in isa.store.items():
        yield functions.routine(store, f"store_{bits}")
    yield from functions.print_called()
    yield pointer_table("pures", [f"pure_{name}" for name in pure_names(functions)])
    names = " ".join(pure_names(functions))
    yield f'@hypernest_pure_names = constant [{len(names) + 1} x i8] c"{names}\\00"\n'
    exported = ["region_slow", "region_careful", "region_jump", "fill_0", "fill_1", "pures"]
    yield pointer_table("hypernest_exports", [*exported, "undecoded", "guarded", "uncovered"])
    yield print_runtime(layout, words, isa.illegal_instruction)
    yield "declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)\n"


def pure_names(functions: FunctionLowering) -> list[str]:
    """The pure functions that were called so far, in the order of their table."""
    return sorted(name for name, called in functions.called.items() if isinstance(called, Pure))


def _csrs(isa: NativeIsa, functions: FunctionLowering) -> Iterator[str]:
    """Each CSR's accesses, and the switches that find them by number."""
    reads, writes = [], []
    called: dict[str, str] = {}  # by what it does: many counters only read as zero
    readers = {}
    for csr in isa.csrs.values():
        text = functions.csr_access(csr.name, csr.read, write=False)
        body = text.partition("\n")[2]
        if body not in called:
            called[body] = f"csr_read_{csr.name}"
            yield text
        readers[csr.name] = called[body]
        reads.append(f"i64 {csr.number}, label %n{csr.number}")
        if csr.write is not None:
            yield functions.csr_access(csr.name, csr.write, write=True)
        writes.append(f"i64 {csr.number}, label %n{csr.number}")
    unknown = (
        "unknown:\n"
        f"  %v = getelementptr i8, ptr %hart, i64 {8 * functions.engine_words['trap_value']}\n"
        f"  %w = getelementptr i8, ptr %hart, i64 {8 * functions.engine_words['instruction']}\n"
        "  %code = load i64, ptr %w\n  store i64 %code, ptr %v\n"
        f"  %c = getelementptr i8, ptr %hart, i64 {8 * functions.engine_words['trap_cause']}\n"
        f"  store i64 {isa.illegal_instruction}, ptr %c\n"
    )
    yield (
        f"define internal {{i1, i64}} @csr_read({HART}, i64 %number) {{\n"
        f"  switch i64 %number, label %unknown [{' '.join(reads)}]\n"
        + "".join(
            f"n{csr.number}:\n  %r{csr.number} = call {{i1, i64}} @{readers[csr.name]}({HART})\n"
            f"  ret {{i1, i64}} %r{csr.number}\n"
            for csr in isa.csrs.values()
        )
        + unknown
        + "  ret {i1, i64} {i1 true, i64 undef}\n}\n"
    )
    yield (
        f"define internal i1 @csr_write({HART}, i64 %number, i64 %value) {{\n"
        f"  %p = getelementptr i8, ptr %hart, i64 {8 * functions.engine_words['watching']}\n"
        f"  %watching = load i64, ptr %p{HART_ALIAS}\n  %csrs = and i64 %watching, {int(Kind.CSR)}\n"
        "  %free = icmp eq i64 %csrs, 0\n"
        f"  br i1 %free, label %go, label %ask{LIKELY}\nask:\n"
        "  %waits = call i1 @hook_csr(ptr %hart, i64 %number, i64 %value)\n"
        "  br i1 %waits, label %wait, label %go\nwait:\n  ret i1 true\ngo:\n"
        f"  switch i64 %number, label %unknown [{' '.join(writes)}]\n"
        + "".join(
            f"n{csr.number}:\n  %r{csr.number} = call i1 @csr_write_{csr.name}({HART}, i64 %value)\n"
            f"  ret i1 %r{csr.number}\n"
            if csr.write is not None
            else f"n{csr.number}:\n  ret i1 false\n"
            for csr in isa.csrs.values()
        )
        + unknown
        + "  ret i1 true\n}\n"
    )
