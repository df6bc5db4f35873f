"""C: each instruction is another one, written in assembly; hints and reserved code points."""

from __future__ import annotations

import pytest

from hypernest.isa.assembler import assemble
from hypernest.isa.decoder import Decoder
from hypernest.isa.riscv.c import C
from hypernest.isa.riscv.riscv64 import RISCV64
from tests.isa.riscv.bench import CODE, RAM, Bench, Raised

DECODER = Decoder(RISCV64.rows.values())

# compressed = its expansion, from the tables of the manual; extreme immediates, and all registers at their ends.
EXPANSIONS = """
c.addi4spn x8, x2, 4        = addi x8, x2, 4
c.addi4spn x15, x2, 1020    = addi x15, x2, 1020
c.fld f8, 0(x15)            = fld f8, 0(x15)
c.fld f15, 248(x8)          = fld f15, 248(x8)
c.lw x8, 0(x15)             = lw x8, 0(x15)
c.lw x15, 124(x8)           = lw x15, 124(x8)
c.ld x8, 0(x15)             = ld x8, 0(x15)
c.ld x15, 248(x8)           = ld x15, 248(x8)
c.fsd f8, 0(x15)            = fsd f8, 0(x15)
c.fsd f15, 248(x8)          = fsd f15, 248(x8)
c.sw x8, 0(x15)             = sw x8, 0(x15)
c.sw x15, 124(x8)           = sw x15, 124(x8)
c.sd x8, 0(x15)             = sd x8, 0(x15)
c.sd x15, 248(x8)           = sd x15, 248(x8)
c.nop                       = addi x0, x0, 0
c.addi x1, -32              = addi x1, x1, -32
c.addi x31, 31              = addi x31, x31, 31
c.addiw x1, -32             = addiw x1, x1, -32
c.addiw x31, 0              = addiw x31, x31, 0
c.li x1, -32                = addi x1, x0, -32
c.li x31, 31                = addi x31, x0, 31
c.addi16sp x2, -512         = addi x2, x2, -512
c.addi16sp x2, 496          = addi x2, x2, 496
c.lui x1, 0xfffe0           = lui x1, 0xfffe0
c.lui x31, 31               = lui x31, 31
c.srli x8, 63               = srli x8, x8, 63
c.srai x15, 32              = srai x15, x15, 32
c.andi x8, -32              = andi x8, x8, -32
c.andi x15, 31              = andi x15, x15, 31
c.sub x8, x15               = sub x8, x8, x15
c.xor x8, x15               = xor x8, x8, x15
c.or x15, x8                = or x15, x15, x8
c.and x15, x8               = and x15, x15, x8
c.subw x8, x15              = subw x8, x8, x15
c.addw x15, x8              = addw x15, x15, x8
c.j . - 2048                = jal x0, . - 2048
c.j . + 2046                = jal x0, . + 2046
c.beqz x8, . - 256          = beq x8, x0, . - 256
c.beqz x15, . + 254         = beq x15, x0, . + 254
c.bnez x8, . - 256          = bne x8, x0, . - 256
c.bnez x15, . + 254         = bne x15, x0, . + 254
c.slli x1, 63               = slli x1, x1, 63
c.slli x31, 1               = slli x31, x31, 1
c.fldsp f0, 0(x2)           = fld f0, 0(x2)
c.fldsp f31, 504(x2)        = fld f31, 504(x2)
c.lwsp x1, 0(x2)            = lw x1, 0(x2)
c.lwsp x31, 252(x2)         = lw x31, 252(x2)
c.ldsp x1, 0(x2)            = ld x1, 0(x2)
c.ldsp x31, 504(x2)         = ld x31, 504(x2)
c.jr x1                     = jalr x0, 0(x1)
c.jr x31                    = jalr x0, 0(x31)
c.mv x1, x31                = add x1, x0, x31
c.mv x31, x1                = add x31, x0, x1
c.ebreak                    = ebreak
c.jalr x1                   = jalr x1, 0(x1)
c.jalr x31                  = jalr x1, 0(x31)
c.add x1, x31               = add x1, x1, x31
c.fsdsp f31, 0(x2)          = fsd f31, 0(x2)
c.fsdsp f0, 504(x2)         = fsd f0, 504(x2)
c.swsp x31, 0(x2)           = sw x31, 0(x2)
c.swsp x0, 252(x2)          = sw x0, 252(x2)
c.sdsp x31, 0(x2)           = sd x31, 0(x2)
c.sdsp x0, 504(x2)          = sd x0, 504(x2)
"""
LINES = EXPANSIONS.strip().splitlines()


def meaning(text: str) -> tuple[str, dict[str, int]]:
    code = int.from_bytes(assemble(text, 0, RISCV64.rows), "little")
    row = DECODER.decode(code)
    assert row is not None
    assert row.name == text.split()[0]
    return row.meaning, row.operand_values(code)


def test_every_row_is_tested_here() -> None:
    assert {line.split()[0] for line in LINES} == set(C.rows)


@pytest.mark.parametrize("line", LINES)
def test_expansions(line: str) -> None:
    compressed, expansion = line.split(" = ")
    assert meaning(compressed.strip()) == meaning(expansion.strip())
    name = meaning(expansion)[0]
    assert C[compressed.split()[0]].semantics is RISCV64.rows[name].semantics


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("c.addi", {"rd": 0, "imm": 5}),
        ("c.addi", {"rd": 5, "imm": 0}),
        ("c.li", {"rd": 0, "imm": 5}),
        ("c.lui", {"rd": 0, "imm": 0x1000}),
        ("c.mv", {"rd": 0, "rs2": 6}),
        ("c.add", {"rd": 0, "rs2": 6}),
        ("c.slli", {"rd": 0, "uimm": 3}),
        ("c.slli", {"rd": 5, "uimm": 0}),
        ("c.srli", {"rd": 8, "uimm": 0}),
        ("c.srai", {"rd": 8, "uimm": 0}),
    ],
)
def test_hints_do_nothing(name: str, fields: dict[str, int]) -> None:
    bench = Bench()
    for n in range(1, 32):
        bench["x", n] = 0x1111 * n
    assert bench.step(name, **fields) is None
    assert bench["pc"] == CODE + 2
    assert [int(bench.hart.read("x", n)) for n in range(32)] == [0x1111 * n for n in range(32)]


RESERVED = {
    "all zeros": 0x0000,
    "c.addi4spn with 0": 0x0004,
    "quadrant 0, 100": 0x8000,
    "c.addiw x0": 0x2005,
    "c.addi16sp with 0": 0x6101,
    "c.lui with 0": 0x6081,
    "c.subw row, 10": 0x9C41,
    "c.subw row, 11": 0x9C61,
    "c.lwsp x0": 0x4002,
    "c.ldsp x0": 0x6002,
    "c.jr x0": 0x8002,
}


@pytest.mark.parametrize("code", RESERVED.values(), ids=RESERVED)
def test_reserved_code_points_are_illegal(code: int) -> None:
    bench = Bench()
    bench.memory.write_integer(CODE, 4, code | 0xABCD0000)
    bench.hart.step(DECODER)
    assert Raised(bench["mcause"], bench["mtval"]) == Raised(2, code)


def test_links_and_jumps_count_two_bytes() -> None:
    bench = Bench()
    bench["x", 5] = RAM + 0x101
    bench.step("c.jalr", rs1=5)
    assert (bench["pc"], bench["x", 1]) == (RAM + 0x100, CODE + 2)
    bench.step("c.j", imm=-2048)
    assert bench["pc"] == CODE - 2048
    bench["x", 8] = 1
    bench.step("c.beqz", rs1=8, imm=100)
    assert bench["pc"] == CODE + 2
    bench.step("c.bnez", rs1=8, imm=100)
    assert bench["pc"] == CODE + 100
