"""Which registers functions of the description touch, found from their traces."""

from __future__ import annotations

import pytest

from hypernest.engines.interpreter.words import EngineWords
from hypernest.isa.hart import Hart, routine
from hypernest.isa.layout import Layout
from hypernest.isa.riscv.riscv64 import RISCV64
from hypernest.isa.trace import Tracer
from hypernest.lowering.footprint import registers, registers_of
from hypernest.lowering.functions import FunctionLowering

LAYOUT = Layout(RISCV64.registers)
CSRS = {csr.name: csr for csr in RISCV64.csrs.values()}


def tracer() -> Tracer:
    return Tracer(LAYOUT.registers)


@routine()
def inner(h: Hart) -> None:
    h.write("sepc", h.scause)


@routine()
def outer(h: Hart) -> None:
    if h.priv == 0:
        inner(h)
    else:
        h.write("stval", h.sscratch)


def test_both_sides_of_branches_and_called_routines_count() -> None:
    assert registers_of("read", [outer], tracer) == {"priv", "scause", "sscratch"}
    assert registers_of("write", [outer], tracer) == {"sepc", "stval"}


def test_instructions() -> None:
    block = tracer().semantics(RISCV64.rows["sret"].semantics)
    assert registers("write", block, tracer) == {"mstatus", "priv"}
    assert registers("write", tracer().semantics(RISCV64.rows["ecall"].semantics), tracer) == set()


@pytest.mark.parametrize(
    ("name", "asks"),
    [("sstatus", True), ("sie", True), ("mip", True), ("sscratch", False), ("sepc", False), ("mcounteren", False)],
)
def test_only_writes_that_may_matter_ask_for_attention(name: str, asks: bool) -> None:
    words = EngineWords(LAYOUT).offsets
    functions = FunctionLowering(LAYOUT, words, RISCV64.rows)
    functions.watched = registers_of("read", [RISCV64.take_interrupt, RISCV64.data_context], functions.tracer)
    write, read = CSRS[name].write, CSRS[name].read
    assert write is not None
    attention = f"getelementptr i8, ptr %hart, i64 {8 * words['attention']}\n"
    assert (attention in functions.csr_access(name, write, write=True)) is asks
    assert attention not in functions.csr_access(name, read, write=False)
