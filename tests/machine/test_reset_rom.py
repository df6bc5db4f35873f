"""How firmware starts: all harts in the reset ROM, in M-mode."""

from __future__ import annotations

import pytest

from hypernest.machine import Machine
from tests.machine.small_guests import FIRMWARE, assembled, bare, on_every_engine

KERNEL_CODE = assembled("j .")

SEE_THE_START = """
    mv    s0, a0
    mv    s1, a1
    j     .
"""


@on_every_engine
def test_all_harts_start_in_the_rom(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hypernest.machine.turns.QUANTUM", 100)
    with bare(SEE_THE_START, engine=engine, harts=3) as machine:
        assert [hart.pc for hart in machine.harts] == [0x1000] * 3
        assert [hart.privilege for hart in machine.harts] == [3] * 3
        machine.run(300)
        assert [hart.x["s0"] for hart in machine.harts] == [0, 1, 2]
        trees = {hart.x["s1"] for hart in machine.harts}
        assert len(trees) == 1
        assert machine.memory.read(trees.pop(), 4) == b"\xd0\x0d\xfe\xed"


@on_every_engine
def test_the_rom_is_read_only(engine: str) -> None:
    with bare("lw s4, 0(a2)\n sw s4, 0(a2)\n j .", engine=engine) as machine:
        machine.run(6 + 1)
        assert machine.harts[0].x["s4"] == 0x4942_534F
        machine.run(1)
        assert machine.harts[0].csr["mcause"] == 7


@on_every_engine
def test_misaligned_reads_of_the_rom_are_faults(engine: str) -> None:
    with bare("lw s4, 1(a2)\n j .", engine=engine) as machine:
        machine.run(6 + 1)
        assert machine.harts[0].csr["mcause"] == 5


def test_a_large_firmware_moves_the_kernel() -> None:
    with Machine(firmware=bytes(3 << 20), kernel=KERNEL_CODE, memory="32M", engine="reference") as machine:
        assert machine.memory.read(FIRMWARE + (4 << 20), len(KERNEL_CODE)) == KERNEL_CODE
