"""RV64I against formulas on Python's integers."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypernest.isa.riscv.i import I
from tests.isa.riscv.bench import CODE, RAM, Bench, Raised
from tests.isa.riscv.integers import (
    CORNERS,
    IMMEDIATES,
    MASK,
    Formula,
    check_destinations,
    check_immediate,
    check_register,
    execute,
    names,
    pairs,
    s32,
    s64,
    u32,
)

DATA = RAM + 0x4000

REGISTER: dict[str, Formula] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "sll": lambda a, b: a << b % 64,
    "slt": lambda a, b: s64(a) < s64(b),
    "sltu": lambda a, b: a < b,
    "xor": lambda a, b: a ^ b,
    "srl": lambda a, b: a >> b % 64,
    "sra": lambda a, b: s64(a) >> b % 64,
    "or": lambda a, b: a | b,
    "and": lambda a, b: a & b,
    "addw": lambda a, b: s32(a + b),
    "subw": lambda a, b: s32(a - b),
    "sllw": lambda a, b: s32(a << b % 32),
    "srlw": lambda a, b: s32(u32(a) >> b % 32),
    "sraw": lambda a, b: s32(a) >> b % 32,
}
IMMEDIATE: dict[str, Formula] = {
    "addi": lambda a, b: a + b,
    "slti": lambda a, b: s64(a) < b,
    "sltiu": lambda a, b: a < b & MASK,
    "xori": lambda a, b: a ^ b,
    "ori": lambda a, b: a | b,
    "andi": lambda a, b: a & b,
    "addiw": lambda a, b: s32(a + b),
}
SHIFT: dict[str, Formula] = {
    "slli": lambda a, n: a << n,
    "srli": lambda a, n: a >> n,
    "srai": lambda a, n: s64(a) >> n,
}
SHIFT_WORD: dict[str, Formula] = {
    "slliw": lambda a, n: s32(a << n),
    "srliw": lambda a, n: s32(u32(a) >> n),
    "sraiw": lambda a, n: s32(a) >> n,
}
BRANCH: dict[str, Formula] = {
    "beq": lambda a, b: a == b,
    "bne": lambda a, b: a != b,
    "blt": lambda a, b: s64(a) < s64(b),
    "bge": lambda a, b: s64(a) >= s64(b),
    "bltu": lambda a, b: a < b,
    "bgeu": lambda a, b: a >= b,
}
LOAD = {"lb": (1, True), "lh": (2, True), "lw": (4, True), "ld": (8, True), "lbu": (1, False), "lhu": (2, False),
        "lwu": (4, False)}  # fmt: skip
STORE = {"sb": 1, "sh": 2, "sw": 4, "sd": 8}
OTHERS = {"lui": 0, "auipc": 0, "jal": 0, "jalr": 0}


def test_every_row_is_tested_here() -> None:
    assert names(REGISTER, IMMEDIATE, SHIFT, SHIFT_WORD, BRANCH, LOAD, STORE, OTHERS) == set(I.rows)


@pytest.mark.parametrize("name", REGISTER)
def test_register_operations(name: str) -> None:
    bench = Bench()
    for a, b in pairs():
        check_register(bench, name, REGISTER[name], a, b)


@pytest.mark.parametrize("name", REGISTER)
def test_destinations(name: str) -> None:
    check_destinations(name, REGISTER[name])


@given(st.sampled_from(sorted(REGISTER)), st.integers(0, MASK), st.integers(0, MASK))
def test_register_operations_on_anything(name: str, a: int, b: int) -> None:
    check_register(Bench(), name, REGISTER[name], a, b)


@pytest.mark.parametrize("name", IMMEDIATE)
def test_immediate_operations(name: str) -> None:
    bench = Bench()
    for a in CORNERS:
        for imm in IMMEDIATES:
            check_immediate(bench, name, IMMEDIATE[name], a, imm=imm)


@pytest.mark.parametrize("name", [*SHIFT, *SHIFT_WORD])
def test_shifts_by_every_amount(name: str) -> None:
    bench = Bench()
    for a in CORNERS:
        for amount in range(64 if name in SHIFT else 32):
            check_immediate(bench, name, (SHIFT | SHIFT_WORD)[name], a, uimm=amount)


@pytest.mark.parametrize("name", BRANCH)
def test_branches(name: str) -> None:
    bench = Bench()
    before = [bench["x", n] for n in range(3, 32)]
    for a, b in itertools.product(CORNERS[::3], repeat=2):
        bench["x", 1], bench["x", 2] = a, b
        for imm in (-4096, 4094):
            assert bench.step(name, rs1=1, rs2=2, imm=imm) is None
            assert bench["pc"] == CODE + (imm if BRANCH[name](a, b) else 4)
    assert [bench["x", n] for n in range(3, 32)] == before


@pytest.mark.parametrize("imm", [0, 0x1000, 0x7FFFF000, -0x80000000, -0x1000])
def test_upper_immediates(imm: int) -> None:
    bench = Bench()
    bench.step("lui", rd=1, imm=imm)
    assert bench["x", 1] == imm & MASK
    bench.step("auipc", rd=1, imm=imm)
    assert bench["x", 1] == CODE + imm & MASK


@pytest.mark.parametrize("imm", [0, 2, -2, 0xFFFFE, -0x100000])
def test_jal(imm: int) -> None:
    bench = Bench()
    bench.step("jal", rd=1, imm=imm)
    assert (bench["pc"], bench["x", 1]) == (CODE + imm & MASK, CODE + 4)


@pytest.mark.parametrize("imm", IMMEDIATES)
@pytest.mark.parametrize("rd", [0, 1, 2])
def test_jalr_takes_its_target_before_it_links(imm: int, rd: int) -> None:
    bench = Bench()
    for base in (RAM + 0x100, RAM + 0x101, 0, MASK):
        bench["x", 1] = base
        bench.step("jalr", rd=rd, rs1=1, imm=imm)
        assert bench["pc"] == base + imm & MASK & ~1
        assert int(bench.hart.read("x", rd)) == (CODE + 4 if rd else 0)


@pytest.mark.parametrize("name", LOAD)
@pytest.mark.parametrize("offset", [0, 1, 3, 5, -7])
def test_loads(name: str, offset: int) -> None:
    size, is_signed = LOAD[name]
    bench = Bench()
    for value in CORNERS:
        data = value.to_bytes(8, "little")[:size]
        bench.memory.write(DATA + offset - 1, b"\xa5" + data + b"\xa5")
        bench["x", 1] = DATA
        execute(bench, name, rd=2, rs1=1, imm=offset)
        assert bench["x", 2] == int.from_bytes(data, "little", signed=is_signed) & MASK


@pytest.mark.parametrize("name", STORE)
@pytest.mark.parametrize("offset", [0, 1, 3, 5, -7])
def test_stores(name: str, offset: int) -> None:
    bench = Bench()
    for value in CORNERS:
        bench.memory.write(DATA + offset - 1, b"\xa5" * 10)
        bench["x", 1], bench["x", 2] = DATA, value
        execute(bench, name, rs1=1, rs2=2, imm=offset)
        stored = value.to_bytes(8, "little")[: STORE[name]]
        assert bench.memory.read(DATA + offset - 1, 10) == b"\xa5" + stored + b"\xa5" * (9 - STORE[name])


def test_faults_name_the_address_and_change_nothing() -> None:
    bench = Bench()
    bench["x", 1], bench["x", 2] = 0x1000, 77
    assert bench.step("ld", rd=2, rs1=1, imm=8) == Raised(5, 0x1008)
    assert bench["x", 2] == 77
    assert bench.step("sd", rs1=1, rs2=2, imm=8) == Raised(7, 0x1008)
