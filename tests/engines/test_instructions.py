"""Every instruction, on the reference engine and on native ones, from the same random and corner states."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypernest.isa.riscv.riscv64 import RISCV64
from hypernest.isa.riscv.state import Privilege, Status
from hypernest.isa.row import Row
from tests.engines.equivalence import PAGE, RAM, Pair
from tests.engines.random_states import CODE, CORNERS, DOUBLES, SINGLES, StateMaker, aim, encoding, place
from tests.engines.translations import EVERYTHING, DirectedTranslator, translator

CASES = 60  # of each kind, for each instruction
REGIONS, CASES_IN_REGION = 2, 8
NOP = 0x13.to_bytes(4, "little")
LEFT_TO_THE_INTERPRETER = {"cbo.inval", "cbo.clean", "cbo.flush", "cbo.zero"}
"""Instructions that form no region of their own, beside system instructions."""

ROWS = list(RISCV64.rows.values())
every_instruction = pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])


@pytest.fixture(scope="module")
def pair() -> Pair:
    return Pair()


def check(pair: Pair, maker: StateMaker, row: Row, code: int, about: str) -> None:
    """One case: the instruction at a place of its own, a few steps, everything equal."""
    steps = place(maker, row, code)
    pair.now = maker.now
    pair.write(RAM, bytes(maker.memory))
    pair.set_state(maker.words)
    pair.run(steps, about=f"{about}, {code:#x}")


@every_instruction
def test_in_machine_mode(pair: Pair, row: Row) -> None:
    for number in range(CASES):
        random = Random(f"{row.name} {number}")
        maker = StateMaker(random, pair.size)
        maker.plain()
        maker.registers()
        code = encoding(row, random)
        if random.random() < 0.7:
            aim(maker, row, code)
        check(pair, maker, row, code, f"{row.name} case {number}")


@pytest.fixture(scope="module")
def translating() -> Pair:
    return Pair(1 << 17, DirectedTranslator)


@every_instruction
def test_in_a_region(translating: Pair, row: Row) -> None:
    """Twice in a row with different operands, in a region at the end of a page, from several states."""
    random = Random(f"region {row.name}")
    engine, ran = translator(translating), 0
    for number in range(REGIONS):
        codes = [encoding(row, random), encoding(row, random)]
        data = b"".join(code.to_bytes(row.length, "little") for code in codes)
        start = CODE + PAGE - len(data) - 4
        engine.forget()
        for case in range(CASES_IN_REGION):
            maker = StateMaker(random, translating.size)
            maker.plain()
            maker.registers()
            aim(maker, row, random.choice(codes))
            maker.memory[start : start + len(data) + 4] = data + NOP
            maker.set("mstatus", random.choice((3, 3, 1)) << Status.FS)
            maker.set("frm", random.choice((0, 0, 0, random.randrange(8))))
            maker.set("pc", RAM + start)
            translating.now = maker.now
            if not case:
                translating.write(RAM, bytes(maker.memory))
                translating.set_state(maker.words)
                translating.run(1)  # the page gets slots
                translating.write(RAM, bytes(maker.memory))
                ran += len(engine.translate(CODE // PAGE, [start % PAGE, start % PAGE + row.length], EVERYTHING))
            translating.set_state(maker.words)
            translating.run(3, about=f"{row.name} {number} case {case}, {codes[0]:#x} {codes[1]:#x}")
    assert ran or row.system or row.name in LEFT_TO_THE_INTERPRETER


@every_instruction
def test_in_every_privilege_mode_with_translation_and_protection(pair: Pair, row: Row) -> None:
    for number in range(CASES):
        random = Random(f"privileged {row.name} {number}")
        maker = StateMaker(random, pair.size)
        maker.mode()
        if random.random() < 0.75:
            maker.translation()
        maker.privileged()
        maker.protection()
        maker.registers()
        code = encoding(row, random)
        if random.random() < 0.7:
            aim(maker, row, code)
        check(pair, maker, row, code, f"{row.name} case {number}")


CSR_ROWS = [RISCV64.rows[name] for name in ("csrrw", "csrrs", "csrrc", "csrrwi", "csrrsi", "csrrci")]


@pytest.mark.parametrize("number", RISCV64.csrs, ids=[csr.name for csr in RISCV64.csrs.values()])
def test_every_csr_in_every_privilege_mode(pair: Pair, number: int) -> None:
    for row in CSR_ROWS:
        for privilege in Privilege:
            for case in range(2 if privilege is not Privilege.MACHINE else 5):
                random = Random(f"csr {number} {row.name} {privilege} {case}")
                maker = StateMaker(random, pair.size)
                maker.mode(privilege)
                maker.privileged()
                maker.protection()
                maker.registers()
                source = "uimm" if row.name.endswith("i") else "rs1"
                code = row.encode(csr=number, rd=random.choice((0, 5, 6)), **{source: random.choice((0, 5, 6, 31))})
                check(pair, maker, row, code, f"{row.name} {RISCV64.csrs[number].name} case {case}")


integers = st.sampled_from(CORNERS) | st.integers(0, (1 << 64) - 1)
floats = (
    st.sampled_from(DOUBLES)
    | st.sampled_from(SINGLES).map(lambda single: 0xFFFF_FFFF << 32 | single)
    | st.integers(0, (1 << 64) - 1)
)


@every_instruction
@settings(max_examples=12, derandomize=True)
@given(data=st.data())
def test_on_corner_operands(pair: Pair, row: Row, data: st.DataObject) -> None:
    """Found counterexamples shrink here to the smallest registers that show the difference."""
    random = Random(f"operands {row.name}")
    maker = StateMaker(random, pair.size)
    maker.plain()
    code = encoding(row, random)
    for name, number in row.operand_values(code).items():
        if name in ("rs1", "rs2", "rs3", "rd") and number:
            maker.set("x", data.draw(integers, f"x{number}"), number)
        if name in ("rs1", "rs2", "rs3", "rd"):
            maker.set("f", data.draw(floats, f"f{number}"), number)
    maker.set("frm", data.draw(st.integers(0, 4), "frm"))
    check(pair, maker, row, code, row.name)


# 1, its successor, half and one and a half of its last bit, halves of integers: sums and conversions of these are ties.
TIES = {
    "d": (
        0x3FF0 << 48,
        0x3FF0 << 48 | 1,
        0x3CA0 << 48,
        0x3CB8 << 48,
        0x3FE0 << 48,
        0x4004 << 48,
        0x3FF0_0000_1000_0000,
    ),
    "s": (0x3F80_0000, 0x3F80_0001, 0x3380_0000, 0x3440_0000, 0x3F00_0000, 0x4020_0000, 0x3F80_0800),
}
ROUNDING = [row for row in ROWS if "rm" in row.fields]


@pytest.mark.parametrize("row", ROUNDING, ids=[row.name for row in ROUNDING])
def test_ties_in_every_rounding_mode(pair: Pair, row: Row) -> None:
    """Where rounding to nearest even and to nearest away differ, which random operands hardly ever show."""
    source = row.name.split(".")[-1]
    values = [value | (0xFFFF_FFFF << 32 if source == "s" else 0) for value in TIES["s" if source == "s" else "d"]]
    sign = 1 << (31 if source == "s" else 63)
    for number in range(120):
        random = Random(f"ties {row.name} {number}")
        maker = StateMaker(random, pair.size)
        maker.plain()
        for index in (1, 2, 3):
            maker.set("f", random.choice(values) ^ random.choice((0, sign)), index)
            maker.set(
                "x", random.choice((1, -1)) * random.choice(((1 << 53) + 1, (1 << 24) + 1, 3 << 53, 5 << 60)), index
            )
        maker.set("frm", number % 5)
        registers = {name: index for index, name in enumerate(("rs1", "rs2", "rs3"), 1) if name in row.fields}
        code = row.encode(rd=4, rm=random.choice((number % 5, 7)), **registers)
        check(pair, maker, row, code, f"{row.name} case {number}")
