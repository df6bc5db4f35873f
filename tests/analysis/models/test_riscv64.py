"""States behind page tables: the hart finds through them what the analysis said is there."""

from __future__ import annotations

import pytest

from hypernest.analysis.concrete import PAGE, ConcreteMachine, ConcreteRun, ConcreteState
from hypernest.analysis.inquiry import Inquiry
from hypernest.analysis.instances import instances
from hypernest.analysis.models.riscv64 import MODEL, realize
from hypernest.analysis.randomized import RandomStates
from hypernest.analysis.results import Answer, Question
from hypernest.isa.riscv.state import Privilege

MACHINE = ConcreteMachine(MODEL)
ROWS = MODEL.isa.rows
ADDRESS = 0x12345 * PAGE + 0x120
TABLE = 0x2468A * PAGE
FRAME = 0x777 * PAGE
MODES = {"U": Privilege.USER, "S": Privilege.SUPERVISOR, "M": Privilege.MACHINE}


def state(mode: str, **parts: dict[int, int] | int) -> ConcreteState:
    registers = {(each.name, index): 0 for each in MODEL.isa.registers for index in range(each.count)}
    for name, bits in MODEL.settings[0].fixed.items():
        for place in registers:
            if place[0] == name:
                registers[place] = bits.value
    registers["priv", 0] = MODES[mode]
    registers["x", 5] = ADDRESS
    seen = {ADDRESS + at: at + 1 for at in range(8)}
    return ConcreteState(mode, registers, {}, **({"seen": seen} | parts))  # type: ignore[arg-type]


def run(name: str, before: ConcreteState, **operands: int) -> ConcreteRun:
    row = ROWS[name]
    fields = dict.fromkeys(row.fields, 0) | operands
    done = MACHINE.run(row, row.encode(**fields), before)
    assert done.trap is None
    return done


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shift", [0, 0x1000, 0x38538000])
def test_a_load_finds_what_the_program_sees(mode: str, shift: int) -> None:
    before = state(mode, shift=shift)
    done = run("ld", before, rd=6, rs1=5)
    assert done.after.registers["x", 6] == 0x0807060504030201
    assert MACHINE.seen(done.before) == before.seen


@pytest.mark.parametrize(("mode", "frame"), [("U", FRAME), ("S", FRAME), ("M", ADDRESS & -PAGE)])
def test_addresses_lead_where_they_are_asked_to(mode: str, frame: int) -> None:
    done = run("lr.d", state(mode, frames={ADDRESS & -PAGE: FRAME}), rd=6, rs1=5)
    assert done.after.registers["reservation", 0] == frame | ADDRESS & PAGE - 1


@pytest.mark.parametrize("mode", ["U", "S"])
def test_another_place_is_another_frame(mode: str) -> None:
    done = run("lr.d", state(mode, shift=0x3000), rd=6, rs1=5)
    assert done.after.registers["reservation", 0] == ADDRESS + 0x3000


def test_without_translation_there_is_one_place() -> None:
    before = state("M", shift=0x3000)
    before.registers["reservation", 0] = ADDRESS + 0x3000
    realize(before)
    assert before.shift == 0
    assert before.registers["reservation", 0] == ADDRESS


def test_states_of_two_modes_have_the_same_map_in_their_registers() -> None:
    found = [run("ld", state(mode), rd=6, rs1=5).before.registers["satp", 0] for mode in MODES]
    assert found[0] >> 60 == 8
    assert len(set(found)) == 1


def test_a_page_that_is_not_seen_is_not_there() -> None:
    before = state("U")
    before.registers["x", 5] = ADDRESS + PAGE
    row = ROWS["ld"]
    done = MACHINE.run(row, row.encode(rd=6, rs1=5, imm=0), before)
    assert done.trap in MODEL.memory_traps


def test_a_state_that_sees_nothing_is_left_alone() -> None:
    before = state("U", seen={})
    before.registers["satp", 0] = 7
    done = run("addi", before, rd=6, rs1=5, imm=1)
    assert done.before.registers["satp", 0] == 7
    assert done.after.memory == {}


@pytest.mark.parametrize("mode", ["U", "S"])
def test_tables_within_reach_are_real_tables(mode: str) -> None:
    """What is written there is noticed, and is no part of what the program has of its own."""
    before = state(mode, tables={TABLE + at: 0 for at in range(8)})
    before.registers["x", 5] = TABLE
    before.registers["x", 6] = 0xFF
    done = run("sd", before, rs1=5, rs2=6)
    assert done.outcome.after.tables.value == 1
    assert done.outcome.before.tables.value == 0
    assert TABLE not in MACHINE.seen(done.after)
    assert MACHINE.table_bytes(done.after)[TABLE] == 0xFF
    own = state(mode, tables={TABLE: 0})
    assert run("sd", own, rs1=5, rs2=6).outcome.after.tables.value == 0


@pytest.mark.parametrize(
    ("setting", "name"), [("m-in-u", "lr.w"), ("m-in-s", "lr.d"), ("m-in-s-lax", "csrrw satp"), ("s-in-u", "sd")]
)
def test_random_states_of_both_modes_are_pairs(setting: str, name: str) -> None:
    """They once differed in `satp`, and in a shift that no M-mode address has: contradictions to right answers."""
    chosen = MODEL.setting(setting)
    instance = next(each for each in instances(MODEL) if each.name == name)
    findings = Inquiry(MODEL, chosen, 60.0).ask(instance)
    assert findings[Question.MODE].answer is Answer.NO
    assert RandomStates(MODEL, chosen).tried(instance, findings, 32).failures == ()
