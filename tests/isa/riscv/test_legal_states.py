"""Which states a hart can have: all that software can reach, and nothing that engines do not count on."""

from __future__ import annotations

from random import Random

import pytest

from hypernest.devices import Bus
from hypernest.engines.hart_state import HartState
from hypernest.engines.reference import ReferenceHart
from hypernest.isa.layout import Layout
from hypernest.isa.riscv.csrs import CSRS
from hypernest.isa.riscv.legal_states import BITS, illegal_register
from hypernest.isa.riscv.riscv64 import RISCV64
from hypernest.isa.word import word
from hypernest.memory import GuestMemory
from tests.engines.random_states import CORNERS

ALL = (1 << 64) - 1
NO_CSR = {"pc", "lines", "monitor_call"}


@pytest.fixture
def hart() -> ReferenceHart:
    memory = GuestMemory(0x8000_0000, 0x10000)
    return ReferenceHart(RISCV64, HartState(Layout(RISCV64.registers)), memory, Bus())


def test_a_hart_at_reset_is_legal() -> None:
    assert illegal_register(HartState(Layout(RISCV64.registers)).snapshot()) is None


def test_whatever_software_writes_to_csrs_is_legal(hart: ReferenceHart) -> None:
    random = Random(5)
    for _ in range(3000):
        row = CSRS[random.choice([*CSRS])]
        value = random.choice((random.getrandbits(64), random.choice(CORNERS), ALL))
        if row.write is not None:
            row.write(hart, word(value, 64))
        assert illegal_register(hart._state.snapshot()) is None, f"{row.name} {value:#x}"


@pytest.mark.parametrize("name", sorted(BITS.keys() - NO_CSR))
def test_every_bit_that_is_legal_can_be_set(name: str, hart: ReferenceHart) -> None:
    numbers = {row.name: number for number, row in CSRS.items()}
    number = numbers.get(name, numbers.get(f"{name}0"))
    assert number is not None
    for bit in range(64):
        # A field with a reserved value does not take its bits one by one.
        for pattern in (1 << bit, 3 << (bit & ~1), 3 << max(bit - 1, 0)):
            write = CSRS[number].write
            assert write is not None
            write(hart, word(0, 64))
            write(hart, word(pattern & ALL, 64))
            if hart._state[name] >> bit & 1:
                break
        assert hart._state[name] >> bit & 1 == BITS[name] >> bit & 1 or name == "pmpcfg"
        hart._state[name] = 0


ILLEGAL = {
    "pc": 0x8000_0001,
    "priv": 2,
    "monitor_call": 1,
    "lines": 1 << 63,
    "mstatus": 2 << 11,
    "mtvec": 2,
    "mepc": 1,
    "sepc": 3,
    "mie": 1 << 20,
    "mideleg": 1 << 11,
    "satp": 1 << 60,
    "menvcfg": 2 << 4,
    "pmpcfg": 2,
    "pmpaddr": 1 << 54,
    "mcountinhibit": 2,
}


@pytest.mark.parametrize("name", ILLEGAL)
def test_what_no_instruction_can_set_is_illegal(name: str) -> None:
    hart = HartState(Layout(RISCV64.registers))
    hart.words[hart.layout.index[name]] = ILLEGAL[name]
    assert illegal_register(hart.snapshot()) == name


def test_x0_is_zero() -> None:
    hart = HartState(Layout(RISCV64.registers))
    hart["x", 1] = ALL
    assert illegal_register(hart.snapshot()) is None
    hart["x", 0] = 1
    assert illegal_register(hart.snapshot()) == "x"
