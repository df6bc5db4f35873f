"""The PDP-10's instructions around JRST, run step by step. Numbers are octal where the manuals have them so."""

from __future__ import annotations

import pytest

from hypernest.isa.pdp10.pdp10 import PDP10
from hypernest.isa.pdp10.state import (
    CARRY_0,
    CARRY_1,
    FIRST_PART_DONE,
    NONEXISTENT_FLAG,
    OVERFLOW,
    PROGRAM_FLAGS,
    PROTECTION_FLAG,
)
from hypernest.isa.pdp10.traps import Cause
from tests.isa.word_machine import WORDS, WordMachine, check_round_trips, check_traces, registers_and_words

EXECUTIVE, USER, USER_IO = "executive", "user", "user in-out"
MINUS_ONE, LARGEST = (1 << 36) - 1, (1 << 35) - 1
USER_FLAG, USER_IO_FLAG = 0o010000, 0o004000
START = 0o200
APR, PI = 0, 1
CALL_SAVED, UNASSIGNED_SAVED, INTERRUPT_SAVED = 0o700, 0o710, 0o720


def code(name: str, **fields: int) -> int:
    return PDP10.rows[name].encode(**fields)


def halves(left: int, right: int) -> int:
    return left << 18 | right


def machine(*program: int, mode: str = EXECUTIVE, relocation: int = 0, protection: int = 1) -> WordMachine:
    """The program at START of its block, ACs 1 to 15 holding 1 to 15 hundred (octal), JSRs in the trap locations."""
    made = WordMachine(PDP10)
    made["user"], made["user_io"] = mode != EXECUTIVE, mode == USER_IO
    made["relocation"], made["protection"], made["pc"] = relocation, protection, START
    for number in range(1, 16):
        made["ac", number] = number * 0o100
    made[0o41], made[0o61] = code("jsr", y=CALL_SAVED), code("jsr", y=UNASSIGNED_SAVED)
    made[0o42] = code("jsr", y=INTERRUPT_SAVED)
    made.put(START + (relocation << 10 if mode != EXECUTIVE else 0), *program)
    return made


def test_the_description_is_well_formed() -> None:
    check_round_trips(PDP10)
    check_traces(PDP10)


@pytest.mark.parametrize(
    ("instruction", "octal"),
    [
        (code("jrst.1", y=0o123456), 0o254040_123456),
        (code("jen", i=1, y=0o60), 0o254520_000060),
        (code("halt"), 0o254200_000000),
        (code("pushj", ac=0o17, y=0o1000), 0o260740_001000),
        (code("movei", ac=3, x=0o17, y=5), 0o201157_000005),
        (code("cono", device=PI, y=0o10400), 0o700600_010400),
        (code("datao", device=APR, y=0o100), 0o700140_000100),
        (code("coni", device=0o120 // 4), 0o712240_000000),
    ],
)
def test_encodings_as_the_assembler_makes_them(instruction: int, octal: int) -> None:
    assert instruction == octal


# --- addresses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "result"),
    [
        ({"y": 0o300}, 0o300),
        ({"x": 2, "y": 0o300}, 0o500),
        ({"x": 2, "y": 0o777777}, 0o177),
        ({"i": 1, "y": 0o300}, 0o444),
        ({"i": 1, "x": 2, "y": 0o300}, 0o700),
        ({"x": 0, "y": 1}, 1),  # accumulator 0 is no index register
    ],
)
def test_effective_address(fields: dict[str, int], result: int) -> None:
    one = machine(code("movei", ac=1, **fields))
    one["ac", 0] = 5
    one[0o300] = halves(0, 0o444)
    one[0o500] = halves(3, 0o400)  # indexed by 3, which holds 300
    assert one.step() is None
    assert one["ac", 1] == result


def test_an_indirect_word_that_is_indirect_is_a_trap_of_its_own() -> None:
    chain = machine(code("movei", ac=1, i=1, y=0o300))
    chain[0o300] = halves(0o20, 0o301)
    assert chain.step() == Cause.ADDRESS_CHAIN
    assert chain["ac", 1] == 0o100


# --- arithmetic ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "a", "b", "result", "flags"),
    [
        ("add", 3, 4, 7, 0),
        ("add", MINUS_ONE, 1, 0, CARRY_0 | CARRY_1),
        ("add", LARGEST, 1, 1 << 35, OVERFLOW | CARRY_1),
        ("add", 1 << 35, 1 << 35, 0, OVERFLOW | CARRY_0),
        ("sub", 3, 4, MINUS_ONE, 0),
        ("sub", 4, 3, 1, CARRY_0 | CARRY_1),
        ("and", 0o14, 0o12, 0o10, 0),
        ("ior", 0o14, 0o12, 0o16, 0),
        ("xor", 0o14, 0o12, 0o06, 0),
    ],
)
def test_arithmetic_and_where_results_go(name: str, a: int, b: int, result: int, flags: int) -> None:
    for suffix, in_accumulator, in_memory in (("", result, b), ("m", a, result), ("b", result, result)):
        one = machine(code(name + suffix, ac=1, y=0o300))
        one["ac", 1], one[0o300], one["flags"] = a, b, FIRST_PART_DONE
        assert one.step() is None
        assert (one["ac", 1], one[0o300], one["flags"]) == (in_accumulator, in_memory, flags | FIRST_PART_DONE)
    if b <= 0o777777:
        one = machine(code(name + "i", ac=1, y=b))
        one["ac", 1] = a
        one.step()
        assert (one["ac", 1], one["flags"]) == (result, flags)


def test_words_have_36_bits() -> None:
    one = machine(code("move", ac=1, y=0o300), code("movem", ac=1, y=0o301), code("movsi", ac=2, y=0o123456))
    one[0o300] = one[0o301] = (1 << 64) - 1
    one.step(3)
    assert (one["ac", 1], one[0o301], one["ac", 2]) == (MINUS_ONE, MINUS_ONE, halves(0o123456, 0))


@pytest.mark.parametrize(
    ("suffix", "holds"),
    [
        ("", ()),
        ("l", (-1,)),
        ("e", (0,)),
        ("le", (-1, 0)),
        ("a", (-1, 0, 1)),
        ("ge", (0, 1)),
        ("n", (-1, 1)),
        ("g", (1,)),
    ],
)
@pytest.mark.parametrize("value", [-1, 0, 1])
def test_tests(suffix: str, holds: tuple[int, ...], value: int) -> None:
    expected = value in holds
    for name, before in (("jump", value), ("soj", value + 1)):
        jumps = machine(code(name + suffix, ac=1, y=0o300))
        jumps["ac", 1] = before
        jumps.step()
        assert (jumps["pc"], jumps["ac", 1]) == (0o300 if expected else START + 1, value % (1 << 36))
    for name, before in (("skip", value), ("aos", value - 1)):
        for number in (0, 1):
            skips = machine(code(name + suffix, ac=number, y=0o300))
            skips[0o300], skips["ac", number] = before % (1 << 36), 0o77
            skips.step()
            assert skips["pc"] == START + 1 + expected
            assert skips[0o300] == value % (1 << 36)
            assert skips["ac", number] == (value % (1 << 36) if number else 0o77)


# --- JRST ------------------------------------------------------------------------------------------------------------


def test_jrst_1_enters_user_mode_from_executive_mode_and_jumps_silently_in_user_mode() -> None:
    enters = machine(code("jrst.1", y=0o300))
    assert enters.step() is None
    assert (enters["pc"], enters["user"]) == (0o300, 1)
    jumps = machine(code("jrst.1", y=0o300), mode=USER)
    before = registers_and_words(jumps)
    assert jumps.step() is None
    assert (jumps["pc"], jumps["user"]) == (0o300, 1)
    jumps["pc"], jumps["retired"] = START, 0
    assert registers_and_words(jumps) == before  # nothing but PC has changed


@pytest.mark.parametrize(
    ("mode", "flags", "user", "user_io"),
    [
        (EXECUTIVE, 0, 0, 0),
        (EXECUTIVE, USER_FLAG, 1, 0),
        (EXECUTIVE, USER_FLAG | USER_IO_FLAG, 1, 1),
        (USER, 0, 1, 0),
        (USER, USER_IO_FLAG, 1, 0),
        (USER_IO, USER_FLAG, 1, 0),
        (USER_IO, USER_FLAG | USER_IO_FLAG, 1, 1),
    ],
)
@pytest.mark.parametrize("by", ["index", "indirect"])
def test_jrstf_restores_flags_but_leaves_user_mode_alone(
    mode: str, flags: int, user: int, user_io: int, by: str
) -> None:
    fields = {"x": 5} if by == "index" else {"i": 1, "y": 0o300}
    restores = machine(code("jrstf", **fields), mode=mode)
    restores["ac", 5] = restores[0o300] = halves(flags | PROGRAM_FLAGS, 0o321) & ~(0o37 << 18)
    assert restores.step() is None
    assert (restores["pc"], restores["user"], restores["user_io"]) == (0o321, user, user_io)
    assert restores["flags"] == PROGRAM_FLAGS & ~0o37


def test_jrstf_without_index_takes_flags_from_itself() -> None:
    plain = machine(code("jrstf", y=0o300))
    plain.step()
    assert plain["flags"] == 0o254100 & PROGRAM_FLAGS


@pytest.mark.parametrize("requests", range(16))
def test_halt_and_dismissal_are_privileged_and_nothing_else_of_jrst(requests: int) -> None:
    name = {0: "jrst", 2: "jrstf", 4: "halt", 10: "jen"}.get(requests, f"jrst.{requests:o}")
    instruction = code(name, x=3, y=0o20)
    user = machine(instruction, mode=USER)
    if requests & 0o14:
        assert user.step() == Cause.PRIVILEGED_INSTRUCTION
        assert user[0o40] == 0o254000_000320 | requests << 23
        assert user[CALL_SAVED] == halves(USER_FLAG, START + 1)
        assert (user["pc"], user["user"]) == (CALL_SAVED + 1, 0)
    else:
        assert user.step() is None
    for mode in (EXECUTIVE, USER_IO):
        may = machine(instruction, mode=mode)
        assert may.step() is None
        assert (may["pc"], may["waiting"]) == (0o320, requests >> 2 & 1)


def test_jrst_10_dismisses_the_most_urgent_interrupt() -> None:
    dismisses = machine(code("jrst.10", y=START), mode=EXECUTIVE)
    dismisses["pi_held"] = 0o054
    for held in (0o014, 0o004, 0, 0):
        dismisses.step()
        assert dismisses["pi_held"] == held


# --- subroutines -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "bits"), [(EXECUTIVE, 0), (USER, USER_FLAG), (USER_IO, USER_FLAG | USER_IO_FLAG)])
def test_calls_save_flags_and_mode_with_pc(mode: str, bits: int) -> None:
    saved = halves(OVERFLOW | FIRST_PART_DONE | bits, START + 1)
    for name in ("jsr", "jsp", "pushj"):
        calls = machine(code(name, **({} if name == "jsr" else {"ac": 7}), y=0o300), mode=mode)
        calls["flags"], calls["ac", 7] = OVERFLOW | FIRST_PART_DONE, halves(0o777770, 0o500)
        calls[0o300 + 1] = calls[0o300] = code("popj", ac=7)
        assert calls.step() is None
        assert (calls["pc"], calls["flags"]) == (0o301 if name == "jsr" else 0o300, OVERFLOW)
        assert {"jsr": calls[0o300], "jsp": calls["ac", 7], "pushj": calls[0o501]}[name] == saved
        if name == "pushj":
            assert calls["ac", 7] == halves(0o777771, 0o501)
            calls.step()
            assert (calls["pc"], calls["ac", 7]) == (START + 1, halves(0o777770, 0o500))


def test_jfcl_tests_and_clears_flags() -> None:
    tests = machine(code("jfcl", ac=0o14, y=0o300))
    tests["flags"] = OVERFLOW | CARRY_1
    tests.step()
    assert (tests["pc"], tests["flags"]) == (0o300, CARRY_1)


# --- memory ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "strap", "address", "physical"),
    [
        (EXECUTIVE, 0, 0o300, 0o300),
        (EXECUTIVE, 0, 0o7777, 0o7777),
        (EXECUTIVE, 0, 0o10000, Cause.NONEXISTENT_MEMORY),
        (EXECUTIVE, 1, 0o300, 0o4300),
        (EXECUTIVE, 1, 0o4000, Cause.PROTECTION),
        (USER, 0, 0o300, 0o4300),
        (USER, 0, 0o3777, 0o7777),
        (USER, 0, 0o4000, Cause.PROTECTION),
        (USER_IO, 1, 0o777777, Cause.PROTECTION),
    ],
)
def test_relocation_and_protection(mode: str, strap: int, address: int, physical: int) -> None:
    instruction = code("move", ac=1, y=address)
    reads = machine(instruction, mode=mode, relocation=2, protection=1)
    reads["relocates_executive"], reads[0o4000 + START] = strap, instruction
    if not isinstance(physical, Cause):
        reads[physical] = 0o123
        assert reads.step() is None
        assert reads["ac", 1] == 0o123
        return
    assert reads.step() == physical
    flag = {Cause.PROTECTION: PROTECTION_FLAG, Cause.NONEXISTENT_MEMORY: NONEXISTENT_FLAG}[physical]
    assert (reads["apr"], reads["pi_held"], reads["ac", 1]) == (flag, 0o100, 0o100)
    assert reads[INTERRUPT_SAVED] & 0o777777 == START  # the instruction can be done again
    assert (reads["pc"], reads["user"]) == (INTERRUPT_SAVED + 1, 0)
    assert (reads["relocation"], reads["protection"]) == ((0, 0xFF) if strap else (2, 1))


def test_a_sum_beyond_storage_is_nonexistent() -> None:
    beyond = machine(mode=USER, relocation=3, protection=0o377)
    beyond[0o6000 + START] = code("move", ac=1, y=0o2000)
    assert beyond.step() == Cause.NONEXISTENT_MEMORY


# --- unimplemented operations ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "block"), [(EXECUTIVE, 0), (USER, 0o4000)])
def test_luuo_stays_in_the_program(mode: str, block: int) -> None:
    calls = machine(code("luuo", uuo=0o12, ac=3, x=2, y=1), mode=mode, relocation=2)
    calls[block + 0o41] = code("jsr", y=0o600)
    assert calls.step() is None
    assert calls[block + 0o40] == 0o012140_000201
    assert calls[block + 0o600] == halves(USER_FLAG if mode == USER else 0, START + 1)
    assert (calls["pc"], calls["user"]) == (0o601, mode == USER)


def test_luuo_traps_before_it_changes_anything() -> None:
    calls = machine(code("luuo", uuo=1), mode=USER, protection=0)
    calls[0o41] = code("jsr", y=0o2000)
    calls[0o40] = 0o77
    assert calls.step() == Cause.PROTECTION
    assert calls[0o40] == 0o77


@pytest.mark.parametrize("mode", [EXECUTIVE, USER])
@pytest.mark.parametrize(
    ("name", "fields", "stored"), [("muuo", {"uuo": 7}, 0o047140_000201), ("zero", {}, 0o140_000201)]
)
def test_monitor_calls(mode: str, name: str, fields: dict[str, int], stored: int) -> None:
    calls = machine(code(name, **fields, ac=3, x=2, y=1), mode=mode, relocation=2)
    assert calls.step() == Cause.MONITOR_CALL
    assert calls[0o40] == stored
    assert calls[CALL_SAVED] == halves(USER_FLAG if mode == USER else 0, START + 1)
    assert (calls["pc"], calls["user"], calls["relocation"]) == (CALL_SAVED + 1, 0, 2)


def test_a_monitor_call_and_the_way_back() -> None:
    calls = machine(code("muuo", uuo=0), code("movei", ac=1, y=7), mode=USER, relocation=2)
    calls[CALL_SAVED + 1] = code("jrstf", i=1, y=CALL_SAVED)
    calls.step(3)
    assert (calls["ac", 1], calls["user"], calls["pc"]) == (7, 1, START + 2)


def test_unassigned_codes_have_their_own_place() -> None:
    calls = machine(0o105000_000123)
    assert calls.step() == Cause.UNASSIGNED_CODE
    assert (calls[0o60], calls["pc"]) == (0o105000_000123, UNASSIGNED_SAVED + 1)


# --- input-output ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cono", "coni", "consz", "conso", "datai", "datao"])
@pytest.mark.parametrize("device", [APR, PI, 0o177])
def test_input_output_is_privileged(name: str, device: int) -> None:
    instruction = code(name, device=device, x=3, y=1)
    user = machine(instruction, mode=USER)
    assert user.step() == Cause.PRIVILEGED_INSTRUCTION
    assert user[0o40] == instruction & ~(0o37 << 18) & ~0o777777 | 0o301
    for mode in (EXECUTIVE, USER_IO):
        assert machine(instruction, mode=mode).step() is None


def test_datao_sets_protection_and_relocation() -> None:
    sets = machine(code("datao", device=APR, y=0o300), code("datao", device=PI, y=0o301))
    sets[0o300], sets[0o301] = 0o252 << 28 | 0o125 << 10, 0
    sets.step(2)
    assert (sets["protection"], sets["relocation"]) == (0o252, 0o125)


def test_the_processor_as_a_device() -> None:
    talks = machine(
        code("cono", device=APR, y=PROTECTION_FLAG | 3),
        code("coni", device=APR, y=0o300),
        code("datai", device=APR, y=0o301),
        mode=USER_IO,
    )
    talks["apr"], talks["switches"] = PROTECTION_FLAG | NONEXISTENT_FLAG | 5, 0o1234
    talks.step(3)
    assert (talks["apr"], talks[0o300], talks[0o301]) == (NONEXISTENT_FLAG | 3, 0o110003, 0o1234)


def test_priority_interrupt() -> None:
    talks = machine(
        code("cono", device=PI, y=0o2200 | 0o052),  # the system and three channels on
        code("cono", device=PI, y=0o1000 | 0o010),
        code("coni", device=PI, y=0o300),
        code("conso", device=PI, y=0o200),
        0,
        code("consz", device=PI, y=0o200),
        code("cono", device=PI, y=0o10000),
        code("consz", device=PI, y=0o777777),
    )
    talks["pi_held"] = 0o4
    talks.step(3)
    assert talks[0o300] == 0o4 << 8 | 0o200 | 0o042
    talks.step(1)
    assert talks["pc"] == START + 5
    talks.step(3)
    assert talks["pc"] == START + 9
    assert [talks[name] for name in ("pi_on", "pi_channels", "pi_held")] == [0, 0, 0]


def test_the_last_word_is_followed_by_the_first() -> None:
    assert WORDS < 0o777777
    wraps = machine()
    wraps["pc"] = 0o1000000
    wraps[0] = code("jsp", ac=1, y=0o300)
    wraps.step()
    assert (wraps["pc"], wraps["ac", 1]) == (0o300, 1)
