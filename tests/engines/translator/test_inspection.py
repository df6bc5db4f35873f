"""Looking at a region changes nothing of it, and explains all of it."""

from __future__ import annotations

import pytest

from hypernest.devices.bus import Bus
from hypernest.engines.interpreter import InterpreterEngine
from hypernest.engines.translator.inspection import (
    ENTRY,
    EVERYTHING,
    Inspector,
    Leaving,
    NoRegion,
    _hart_registers,
    _LocatedLowering,
)
from hypernest.engines.translator.position_independent import link
from hypernest.isa.assembler import assemble
from hypernest.isa.riscv.riscv64 import RISCV64
from hypernest.memory import GuestMemory

LOOP = """
loop:
    ld   a1, 0(a0)
    mul  a2, a2, a5
    addi a0, a0, 8
    fadd.d f1,f2,f3
    bne  a0, a3, loop
    jal  ra, loop
    addi a4, a4, 1
    ecall
"""


@pytest.fixture(scope="module")
def inspector() -> Inspector:
    with GuestMemory(0x8000_0000, 4096) as memory:
        names = InterpreterEngine(RISCV64, memory, Bus()).native_text("hypernest_pure_names")
    return Inspector(RISCV64, names.split())


def page(source: str) -> bytes:
    return assemble(source, 0, RISCV64.rows, {}).ljust(4096, b"\0")


def test_locations_change_no_code(inspector: Inspector) -> None:
    found = inspector.inspect(page(LOOP), EVERYTHING, 0)
    compiler = inspector._compiler
    lowering = _LocatedLowering(compiler.isa, compiler.layout, compiler.words, compiler.pures, found.region)
    code, _ = link(compiler._machine.emit_object(compiler.optimized(lowering.print_located())))
    assert code == found.code == compiler.compile(found.region).code


def test_every_line_belongs_to_something(inspector: Inspector) -> None:
    found = inspector.inspect(page(LOOP.replace("fadd.d f1,f2,f3", "addi a6, a6, 1")), EVERYTHING, 0)
    for lines in (found.ir, found.assembly):
        located = [line for line in lines if line.origin >= 0]
        assert {line.origin for line in located} <= set(found.region.instructions)
        assert len(located) > len(lines) // 2
    multiplied = [line.text.split()[0] for line in found.assembly if line.origin == 4]
    assert "imul" in multiplied
    assert all("imul" not in line.text for line in found.assembly if line.origin != 4)


def test_a_choice_of_entries_is_one_line(inspector: Inspector) -> None:
    found = inspector.inspect(page("again:\n" + "addi a0, a0, 1\necall\n" * 3 + "j again"), EVERYTHING, 0)
    (switch,) = (line for line in found.ir if "switch" in line.text)
    assert switch.origin == ENTRY and switch.text.endswith("]") and "i64 128, label" in switch.text


def test_where_it_leaves_to(inspector: Inspector) -> None:
    found = inspector.inspect(page(LOOP), EVERYTHING, 0)
    assert found.leavings == (Leaving(20, "call", 0), Leaving(28, "complete", why="it always traps"))
    assert found.guest_bytes == 32 and found.region.entries == (0, 24)
    assert found.uncertain == 2, "the load and the addition"
    assert ("mstatus", 0x6000, 0x6000) in found.assumptions


def test_jumps_out_of_the_page(inspector: Inspector) -> None:
    found = inspector.inspect(page("addi a0, a0, 1\nj .-8"), EVERYTHING, 0)
    assert found.leavings == (Leaving(4, "jump", -4),)


def test_none(inspector: Inspector) -> None:
    with pytest.raises(NoRegion, match="wfi is left to complete execution"):
        inspector.inspect(page("wfi"), EVERYTHING, 0)
    with pytest.raises(NoRegion, match="the bytes 00 00 00 00"):
        inspector.inspect(page("wfi"), EVERYTHING, 8)


@pytest.mark.parametrize(
    ("lines", "registers"),
    [
        (["mov rax, qword ptr [r13 + 8]", "cmp r13, rax", "jmp rax"], {"r13"}),
        (["mov rdi, r13", "mov r13d, edx", "add rbp, 4", "mov r13, rdi"], {"rdi"}),
        (["mov rdi, r13", "xor edi, edi"], {"r13"}),
        (["mov rbx, r13", "mov bl, 1", "pop r13"], {"r13"}),
    ],
)
def test_which_host_registers_hold_the_hart(lines: list[str], registers: set[str]) -> None:
    assert _hart_registers(lines) == registers
