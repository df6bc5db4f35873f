"""Every instruction, on the reference engine and on the interpreter, from the same random and corner states."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypernest.isa.riscv.riscv64 import RISCV64
from hypernest.isa.riscv.state import Privilege
from hypernest.isa.row import Row
from tests.engines.equivalence import RAM, Pair
from tests.engines.random_states import CORNERS, DOUBLES, SINGLES, StateMaker, aim, encoding, place

CASES = 60  # of each kind, for each instruction

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
