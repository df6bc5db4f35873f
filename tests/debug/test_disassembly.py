"""Guest code as text, as a hart sees it."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypernest.debug.disassembly import disassemble
from hypernest.errors import BadValue, NotMapped, OutOfRange
from hypernest.machine import Machine
from tests.debug.guests import TWO_FUNCTIONS, build
from tests.machine.page_tables import A, PageTables, R, X
from tests.machine.small_guests import KERNEL, UART, assembled, hosted

HIGH = 0xFFFF_FFC0_0000_0000


def test_a_program_with_symbols(tmp_path: Path) -> None:
    with Machine(kernel=build(TWO_FUNCTIONS, tmp_path), memory="16M") as machine:
        first, second, *_ = machine.disassemble()
        assert (first.address, first.text, str(first.symbol)) == (KERNEL, "addi s0,zero,250", "_start")
        assert second.target == machine.symbols["cheap"] and str(second.target_symbol) == "cheap"
        assert str(second) == f"0x80200004 <_start+0x4>:  024000ef  jal ra,{machine.symbols['cheap']:#x} <cheap>"
        costly = machine.disassemble("costly+4", 2)
        assert [(each.address, str(each.symbol)) for each in costly] == [
            (machine.symbols["costly"] + 4, "costly+0x4"),
            (machine.symbols["costly"] + 8, "costly+0x8"),
        ]
        assert repr(costly).splitlines() == [str(each) for each in costly]
        machine.run(3)
        assert machine.disassemble(count=1)[0].address == machine.harts[0].pc
        for place, count in [(KERNEL + 1, 1), (KERNEL, -1), (KERNEL, 1 << 40), (-2, 1), (1 << 64, 1)]:
            with pytest.raises(BadValue):
                machine.disassemble(place, count)


def test_instructions_of_both_sizes_and_what_is_none() -> None:
    code = assembled("c.li a0, 5\n c.lwsp a1, 8(x2)\n fadd.d fa0, fs1, ft11\n csrrw t0, mstatus, t1\n beq a0, a1, .-4")
    with hosted("j .") as machine:
        machine.memory.write(KERNEL, code + b"\0\0" + b"\xff\xff\xff\xff")
        listing = machine.disassemble(count=7)
    assert [each.text for each in listing] == [
        "c.li a0,5", "c.lwsp a1,8(sp)", "fadd.d fa0,fs1,ft11", "csrrw t0,mstatus,t1", f"beq a0,a1,{KERNEL + 8:#x}",
        ".half 0x0000", ".word 0xffffffff",
    ]  # fmt: skip
    assert [len(each.code) for each in listing] == [2, 2, 4, 4, 4, 2, 4]
    assert str(listing[0]) == "0x80200000:  4515      c.li a0,5"
    assert listing[4].target == KERNEL + 8 and listing[4].target_symbol is None


def test_the_hart_decides_what_an_address_means() -> None:
    with hosted("j .") as machine:
        page = 0x8060_0000
        tables = PageTables(machine)
        tables.map(HIGH, page, R | X | A)
        tables.map(HIGH + 4096, page + 8192, R | X | A)
        tables.use()
        machine.memory.write(page + 4094, assembled("addi a0, a0, 1")[:2])
        machine.memory.write(page + 8192, assembled("addi a0, a0, 1")[2:])
        (instruction,) = machine.disassemble(HIGH + 4094, 1)
        assert instruction.text == "addi a0,a0,1"
        # Where memory ends, what there is.
        assert len(machine.disassemble(HIGH + 8188, 10)) == 2
        with pytest.raises(NotMapped):
            machine.disassemble(HIGH + 8192)
        machine.harts[0]["satp"] = 0
        with pytest.raises(OutOfRange, match="RAM only"):
            machine.disassemble(UART)
        assert disassemble(machine.memory, page + 8192, 0) == []
