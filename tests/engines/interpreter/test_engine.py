"""What the interpreter remembers of code: pages are decoded once, dropped when written, and all forgotten when full."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypernest.devices.bus import Bus
from hypernest.engines.engine import Exit
from hypernest.engines.hart_state import HartState
from hypernest.engines.interpreter import InterpreterEngine, engine
from hypernest.engines.interpreter.words import BLOCK_BYTES
from hypernest.isa.assembler import assemble
from hypernest.isa.riscv.riscv64 import RISCV64
from hypernest.memory import GuestMemory

BASE, PAGE = 0x8000_0000, 4096
LONG = 20_000  # steps: near the end of a run, instructions are executed one by one and not predecoded
COUNT = "1: addi a0, a0, 1\n addi a1, a1, -1\n bnez a1, 1b\n jr ra\n"


@pytest.fixture
def memory() -> GuestMemory:
    return GuestMemory(BASE, 64 * PAGE)


def started(memory: GuestMemory, text: str) -> tuple[InterpreterEngine, HartState]:
    """An engine with one hart at the beginning of a program."""
    made = InterpreterEngine(RISCV64, memory, Bus())
    memory.write(BASE, assemble(text, BASE, RISCV64.rows))
    hart = made.new_hart()
    hart["pc"] = BASE
    return made, hart


def test_a_page_is_decoded_once(memory: GuestMemory) -> None:
    made, hart = started(memory, f"li a1, 1000\n la ra, end\n{COUNT}\nend: j end\n")
    assert made.run(hart, LONG) is Exit.BUDGET
    assert hart["x", 10] == 1000
    counts = made.statistics()
    assert (counts["pages_decoded"], counts["pages_dropped"], counts["pool_flushes"]) == (1, 0, 0)


def test_a_write_from_outside_drops_the_page(memory: GuestMemory) -> None:
    made, hart = started(memory, "1: addi a0, a0, 1\n j 1b\n")
    made.run(hart, LONG)
    memory.write(BASE, assemble("addi a0, a0, 2", BASE, RISCV64.rows))
    made.invalidate(BASE, 4)
    made.run(hart, LONG)
    assert hart["x", 10] == LONG // 2 + LONG
    assert made.statistics()["pages_dropped"] == 1


def test_data_beside_code_is_not_code(memory: GuestMemory) -> None:
    made, hart = started(memory, "la t0, data\n1: sd a0, (t0)\n addi a0, a0, 1\n j 1b\n .align 8\ndata: .dword 0\n")
    made.run(hart, LONG)
    assert made.statistics()["pages_dropped"] == 0


def test_when_the_room_is_full_everything_is_decoded_anew(memory: GuestMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "POOL_BYTES", 3 * BLOCK_BYTES)
    made, hart = started(memory, "nop")
    for page in range(8):
        onward = BASE + (page + 1) % 8 * PAGE
        here = BASE + page * PAGE
        memory.write(here, assemble(f"addi a0, a0, 1\n li t1, {onward}\n jr t1\n", here, RISCV64.rows))
    made.run(hart, LONG)
    assert hart["x", 10] > LONG // 8
    assert made.statistics()["pool_flushes"] > 1


def test_there_are_at_most_eight_harts(memory: GuestMemory, tmp_path: Path) -> None:
    made = InterpreterEngine(RISCV64, memory, Bus())
    for _ in range(8):
        made.new_hart()
    with pytest.raises(ValueError, match="at most 8"):
        made.new_hart()
