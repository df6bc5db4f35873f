"""The model machine of Popek and Goldberg, run step by step."""

from __future__ import annotations

import pytest

from hypernest.isa.third_generation.state import Mode
from hypernest.isa.third_generation.third_generation import THIRD_GENERATION
from hypernest.isa.third_generation.traps import Cause
from tests.isa.word_machine import WORDS, WordMachine, check_round_trips, check_traces

SUPERVISOR, USER = Mode.SUPERVISOR, Mode.USER
HANDLER = 3000
PRIVILEGED = ("lpsw", "spsw", "lrb", "srb", "rmode", "halt")


def code(name: str, **fields: int) -> int:
    return THIRD_GENERATION.rows[name].encode(**fields)


def psw(mode: int, pc: int, location: int, bound: int) -> int:
    return mode << 63 | bound << 40 | location << 20 | pc


def machine(*program: int, mode: int = SUPERVISOR, pc: int = 100, location: int = 0, bound: int = WORDS) -> WordMachine:
    """The program at virtual address `pc`; traps lead to supervisor mode at HANDLER with all storage in reach."""
    made = WordMachine(THIRD_GENERATION)
    made["mode"], made["pc"], made["location"], made["bound"] = mode, pc, location, bound
    made[1] = psw(SUPERVISOR, HANDLER, 0, WORDS)
    made.put(location + pc, *program)
    return made


def test_the_description_is_well_formed() -> None:
    check_round_trips(THIRD_GENERATION)
    check_traces(THIRD_GENERATION)


def test_a_loop_sums_a_table() -> None:
    sums = machine(
        code("li", ra=1, imm=500),
        code("li", ra=2, imm=504),
        code("load", ra=4, rb=1, imm=0),
        code("add", ra=3, rb=3, rc=4),
        code("addi", ra=1, rb=1, imm=1),
        code("bne", ra=1, rb=2, imm=102),
        code("store", ra=3, rb=0, imm=600),
        location=1000,
        bound=700,
    )
    sums.put(1500, 3, 5, 7, 11)
    sums.step(2 + 4 * 4 + 1)
    assert (sums["pc"], sums[1600], sums[600]) == (107, 26, 0)


@pytest.mark.parametrize(
    ("name", "a", "b", "result"),
    [
        ("sub", 3, 5, (1 << 64) - 2),
        ("and", 12, 10, 8),
        ("or", 12, 10, 14),
        ("xor", 12, 10, 6),
        ("shl", 3, 65, 6),
        ("shr", 1 << 63, 63, 1),
    ],
)
def test_arithmetic(name: str, a: int, b: int, result: int) -> None:
    one = machine(code(name, ra=1, rb=2, rc=3))
    one["r", 2], one["r", 3] = a, b
    assert one.step() is None
    assert one["r", 1] == result


def test_jumps_link_and_stay_within_20_bits() -> None:
    jumps = machine(code("jal", ra=2, rb=2, imm=-1))
    jumps["r", 2] = (1 << 40) + 201
    jumps.step()
    assert (jumps["pc"], jumps["r", 2]) == (200, 101)


@pytest.mark.parametrize(("name", "a", "b", "taken"), [("beq", 2, 2, 1), ("beq", 2, 3, 0), ("blt", -1, 0, 1)])
def test_branches(name: str, a: int, b: int, taken: int) -> None:
    branch = machine(code(name, ra=1, rb=2, imm=300))
    branch["r", 1], branch["r", 2] = a, b
    branch.step()
    assert branch["pc"] == (300 if taken else 101)


# --- relocation and bounds -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", Mode)
def test_relocation_is_active_in_both_modes(mode: Mode) -> None:
    both = machine(code("load", ra=1, rb=0, imm=7), mode=mode, location=2000, bound=200)
    both[2007] = 42
    assert both.step() is None
    assert both["r", 1] == 42


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize(
    ("location", "bound", "address", "traps"),
    [
        (0, 200, 199, False),
        (0, 200, 200, True),
        (WORDS - 200, 300, 199, False),
        (WORDS - 200, 300, 200, True),  # within the bound, but a + l is outside storage
        (0, 200, -1, True),
        (0, 200, 1 << 61, True),
    ],
)
@pytest.mark.parametrize("name", ["load", "store"])
def test_memory_trap(name: str, mode: Mode, location: int, bound: int, address: int, traps: bool) -> None:
    reaches = machine(code(name, ra=1, rb=2), mode=mode, location=location, bound=bound)
    reaches["r", 2], reaches["r", 1] = address, 99
    assert reaches.step() == (Cause.MEMORY if traps else None)
    if traps:
        assert [reaches[at] for at in (0, 2, 3)] == [
            psw(mode, 100, location, bound),
            Cause.MEMORY,
            address % (1 << 64),
        ]
        assert reaches["r", 1] == 99


def test_fetching_beyond_the_bound_is_a_memory_trap() -> None:
    beyond = machine(pc=200, bound=200)
    assert beyond.step() == Cause.MEMORY
    assert (beyond[0], beyond[3]) == (psw(SUPERVISOR, 200, 0, 200), 200)


# --- traps -----------------------------------------------------------------------------------------------------------


def test_a_trap_swaps_the_psw() -> None:
    calls = machine(code("svc", imm=5), mode=USER, location=2000, bound=300)
    calls[1] = psw(SUPERVISOR, 50, 64, 1000)
    assert calls.step() == Cause.SUPERVISOR_CALL
    assert [calls[name] for name in ("mode", "pc", "location", "bound")] == [SUPERVISOR, 50, 64, 1000]
    assert [calls[at] for at in (0, 2, 3)] == [psw(USER, 101, 2000, 300), Cause.SUPERVISOR_CALL, 5]
    calls[64 + 50] = code("lpsw", rb=0, imm=200)  # and back, from a copy that the handler's R reaches
    calls[64 + 200] = calls[0]
    assert calls.step() is None
    assert [calls[name] for name in ("mode", "pc", "location", "bound")] == [USER, 101, 2000, 300]


@pytest.mark.parametrize("name", PRIVILEGED)
def test_privileged_instructions_trap_in_user_mode_only(name: str) -> None:
    instruction = code(name)
    kept = machine(instruction, mode=USER)
    assert kept.step() == Cause.PRIVILEGED_INSTRUCTION
    assert [kept[at] for at in (0, 2, 3)] == [psw(USER, 100, 0, WORDS), Cause.PRIVILEGED_INSTRUCTION, instruction]
    assert machine(instruction).step() is None


@pytest.mark.parametrize("name", sorted(set(THIRD_GENERATION.rows) - set(PRIVILEGED) - {"svc"}))
def test_nothing_else_traps(name: str) -> None:
    assert machine(code(name), mode=USER).step() is None


@pytest.mark.parametrize("instruction", [0, code("halt") | 1, 0xFF << 56])
def test_illegal_instruction(instruction: int) -> None:
    illegal = machine(instruction)
    assert illegal.step() == Cause.ILLEGAL_INSTRUCTION
    assert [illegal[at] for at in (0, 2, 3)] == [psw(SUPERVISOR, 100, 0, WORDS), Cause.ILLEGAL_INSTRUCTION, instruction]


# --- privileged instructions -----------------------------------------------------------------------------------------


def test_load_and_store_relocation_bounds() -> None:
    sets = machine(code("lrb", ra=1, rb=2), code("srb", ra=3, rb=4))
    sets["r", 1], sets["r", 2] = (5 << 20) + 10, (1 << 63) + 400
    sets.put(10 + 101, code("srb", ra=3, rb=4), code("srb", ra=5, rb=5))
    sets.step(3)
    assert (sets["location"], sets["bound"]) == (10, 400)
    assert [sets["r", number] for number in (3, 4, 5)] == [10, 400, 400]


def test_store_psw_and_read_mode() -> None:
    reads = machine(code("spsw", rb=0, imm=50), code("rmode", ra=1), location=8, bound=900)
    reads["r", 1] = 77
    reads.step(2)
    assert (reads[58], reads["r", 1]) == (psw(SUPERVISOR, 101, 8, 900), 0)


def test_halt_waits() -> None:
    stops = machine(code("halt"))
    stops.step()
    assert (stops["waiting"], stops["pc"]) == (1, 101)
