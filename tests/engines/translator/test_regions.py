"""Translated regions behave as the reference engine, to the instruction: whatever happens in the middle of them."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from hypernest.engines.engine import Exit
from hypernest.engines.hart_state import HartState
from hypernest.engines.interpreter import engine as interpreter_engine
from hypernest.engines.interpreter.words import BLOCK_BYTES
from hypernest.engines.translator import library
from hypernest.isa.assembler import assemble
from hypernest.isa.riscv.riscv64 import RISCV64
from hypernest.isa.riscv.state import Interrupt, Privilege, Status
from tests.engines.equivalence import DEVICE, LAYOUT, PAGE, RAM, Pair, differing_registers
from tests.engines.programs import CSRS, DATA, SECOND_VIEW, TABLES, VIRTUAL, map_views
from tests.engines.random_states import float_value
from tests.engines.translations import EVERYTHING, DirectedTranslator, translator
from tests.engines.translator.structured import CODE, NOWHERE, PAGES, Structured

SIZE = 1 << 17
FAR = 0x2000
SOFTWARE = 1 << Interrupt.MACHINE_SOFTWARE


@pytest.fixture(scope="module")
def pair() -> Pair:
    return Pair(SIZE, DirectedTranslator)


def exits(pair: Pair) -> int:
    """How often regions were left other than for the handler of another instruction: they have run."""
    counts = translator(pair).translation
    return int(sum(counts[name] for name in ("left_slowly", "left_carefully", "left_to_unknown_page")))


def machine_code(text: str, origin: int) -> bytes:
    return assemble(text, origin, RISCV64.rows, CSRS)


def reset(pair: Pair) -> None:
    """Registers as after reset, in M-mode with floating point on; traps end in a loop of their own."""
    pair.set_state(HartState(LAYOUT).snapshot())
    pair["mstatus"], pair["mtvec"], pair["mie"] = 3 << Status.FS, RAM + CODE - 4, SOFTWARE
    pair["x", 8], pair["x", 24], pair["x", 25] = RAM + DATA, DEVICE, NOWHERE
    pair["x", 26], pair["x", 27] = RAM + DATA + PAGE - 3, RAM + DATA + 1


def load(pair: Pair, text: str, page: int = CODE) -> int:
    """Clear memory, put the program at the end of a page, where few steps are enough, and start there; its address."""
    translator(pair).forget()
    pair.write(RAM, bytes(SIZE))
    pair.write(RAM + CODE - 4, machine_code("j .", 0))
    start = RAM + page + PAGE - len(machine_code(text, 0))
    pair.write(start, machine_code(text, start))
    reset(pair)
    pair["pc"] = start
    return start


def translate_all(pair: Pair, page: int = CODE) -> None:
    """A region from the first instruction that was executed in the page, and from a few others."""
    first, *others = translator(pair).executed(page // PAGE)
    assert translator(pair).translate(page // PAGE, [first, *others[1::7]])


def translate_start(pair: Pair, start: int) -> None:
    """The region that starts where the program does."""
    assert translator(pair).translate((start - RAM) // PAGE, [start % PAGE])


# --- random programs -------------------------------------------------------------------------------------------------


def run_program(pair: Pair, program: Structured, name: str, *, paged: bool, rounds: int = 10) -> None:
    """In pieces, with interrupts between them, while more and more of it is in regions."""
    random = Random(f"regions of {name}")
    program.start(pair, paged=paged)
    pair.run(200, about=name)
    for number in range(rounds):
        if number < 5:
            translator(pair).translate_some(random, PAGES, 1)
        if random.random() < 0.4:
            pair["lines"] = SOFTWARE
            pair.run(1, about=f"{name}, interrupt {number}")
            pair["lines"] = 0
        pieces = tuple(random.randint(1, 200) for _ in range(30)) if number % 2 else ()
        pair.run(random.choice((30, 150, 300)), pieces=pieces, about=f"{name}, round {number}, pieces {pieces}")


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("paged", [False, True], ids=["bare", "paged"])
def test_random_programs(pair: Pair, paged: bool, seed: int) -> None:
    before = exits(pair)
    run_program(pair, Structured(f"program {seed}"), f"program {seed}", paged=paged)
    assert exits(pair) > before


@pytest.mark.parametrize("seed", range(4))
def test_random_programs_with_many_faults(pair: Pair, seed: int) -> None:
    before = exits(pair)
    program = Structured(f"faults {seed}", faults=0.25, statements=12)
    run_program(pair, program, f"faults {seed}", paged=seed % 2 == 1)
    assert exits(pair) > before


@pytest.mark.parametrize("seed", range(4))
def test_random_programs_with_much_floating_point(pair: Pair, seed: int) -> None:
    program = Structured(f"floats {seed}", floats=0.7, faults=0.02, statements=14)
    run_program(pair, program, f"floats {seed}", paged=False)


def test_long_runs_across_the_slices_of_sampling(pair: Pair) -> None:
    """What a run counts ahead moves from slice to slice; the program reads the counters."""
    program = Structured("slices", faults=0.02)
    program.start(pair)
    pair.run(300)
    translator(pair).translate_some(Random("slices"), PAGES, 3)
    before = exits(pair)
    pair.run(6500)
    assert exits(pair) > before


# --- where a run ends, and what comes then ---------------------------------------------------------------------------

LOOP = """
1:  addi a0, a0, 1
    add  a1, a1, a0
    ld   a2, 0(x8)
    xor  a2, a2, a1
    sd   a2, 0(x8)
    fcvt.d.l fa0, a0
    fadd.d fa1, fa1, fa0
    andi t0, a0, 3
    bnez t0, 1b
2:  addi a3, a3, 1
    sltu t1, a3, a0
    bnez t1, 1b
    j    2b
"""


def test_a_run_ends_after_any_number_of_steps(pair: Pair) -> None:
    start = load(pair, LOOP)
    pair.run(100)
    translate_start(pair, start)
    before = exits(pair)
    for steps in range(50):
        reset(pair)
        pair["pc"] = start
        pair.run(steps, about=f"{steps} steps")
        pair.run(steps + 1, about=f"{steps} and {steps + 1} steps")
    assert exits(pair) > before + 50


def test_an_interrupt_arrives_before_any_instruction(pair: Pair) -> None:
    handler = "csrr x30, mepc\n xor x28, x28, x30\n addi x29, x29, 1\n mret"
    start = load(pair, LOOP)
    pair.write(RAM + CODE - 16, machine_code(handler, 0))
    pair.run(100)
    translate_start(pair, start)
    for steps in range(45):
        reset(pair)
        pair["pc"], pair["mtvec"] = start, RAM + CODE - 16
        pair["mstatus"] = 3 << Status.FS | 1 << Status.MIE | Privilege.MACHINE << Status.MPP
        pair.run(steps, about=f"{steps} steps before the interrupt")
        pair["lines"] = SOFTWARE
        pair.run(1, about=f"{steps} steps, interrupt")
        pair["lines"] = 0
        pair.run(45, about=f"after {steps} steps and an interrupt")
        assert pair["x", 29] == 1


def test_steps_of_one_and_long_runs_meet(pair: Pair) -> None:
    start = load(pair, LOOP)
    pair.run(100)
    translate_start(pair, start)
    random = Random("pieces")
    for number in range(60):
        pieces = tuple(random.choice((1, 1, 2, random.randint(1, 200))) for _ in range(40))
        pair.run(random.randint(1, 120), pieces=pieces, about=f"round {number}")


def test_counters_are_read_exactly(pair: Pair) -> None:
    text = """
    1:  csrr a0, cycle
        add  a1, a1, a0
        csrr a2, time
        xor  a1, a1, a2
        addi a4, a4, 1
        andi t0, a4, 7
        bnez t0, 1b
        csrr a3, instret
        add  a1, a1, a3
        sd   a1, 0(x8)
        j    1b
    """
    load(pair, text)
    pair.run(150)
    translate_all(pair)
    before = exits(pair)
    for steps in (*range(30, 60), 700):
        pair.run(steps, about=f"{steps} steps")
    assert exits(pair) > before + 50


# --- faults ----------------------------------------------------------------------------------------------------------

_MANY = "\n".join(
    [*(f"addi x{n}, x{n}, {n}" for n in (5, 6, 7, 9, *range(10, 18), 19, 20, 21, 22, 23))]
    + [f"fadd.d f{n}, f{n}, f{n + 1}" for n in range(6)]
)
FAULTS = {
    "misaligned atomic": "amoadd.w t2, t1, (x27)",
    "misaligned lr": "lr.d t2, (x27)",
    "load from nowhere": "ld t2, 0(x25)",
    "store to nowhere": "sw t2, 0(x25)",
    "float load from nowhere": "fld f3, 16(x25)",
    "load across pages, the second missing": "ld t2, 0(x23)",
    "store across pages, the second missing": "sd t2, 0(x23)",
    "illegal instruction": ".word 0",
    "call": "ecall",
    "device": "lw t2, 0x100(x24)",
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_in_a_loop_leaves_everything_as_before_it(pair: Pair, name: str) -> None:
    """The faulting instruction is met in the third turn of a loop that has changed nearly all registers."""
    text = f"""
        li   x18, 3
    1:  {_MANY.replace("addi x23, x23, 23", "nop")}
        addi x18, x18, -1
        bnez x18, 2f
        {FAULTS[name]}
    2:  {_MANY.replace("addi x23, x23, 23", "nop")}
        j    1b
    """
    start = load(pair, text)
    length = RAM + CODE + PAGE - start
    last = RAM + SIZE - 3

    def again(counter: int) -> None:
        reset(pair)
        pair["pc"], pair["x", 23], pair["x", 18] = start + 4, last, counter

    again(100)
    pair.run(300)
    translate_all(pair)
    before = exits(pair)
    for steps in (1, length // 4, length // 2, 150):
        again(3)
        pair.run(steps, about=f"{name}, {steps} steps")
    assert pair["mepc"] == start + 4 * (1 + 2 + (len(_MANY.splitlines()))) and exits(pair) > before


ACCESSES = {
    "device": "lw t2, 0(x24)\n sw t2, 4(x24)\n lbu t3, 3(x24)",
    "across pages": "ld t2, 0(x26)\n addi t2, t2, 7\n sd t2, 0(x26)\n fld f2, 1(x26)\n fsw f2, 1(x26)",
    "misaligned": "lw t2, 0(x27)\n addi t2, t2, 9\n sd t2, 2(x27)\n lh t3, 4(x27)",
    "reserved": "3: lr.w t2, (x8)\n addi t2, t2, 1\n sc.w t3, t2, (x8)\n bnez t3, 3b",
    "reserved elsewhere": "lr.d t2, (x8)\n addi t2, t2, 1\n sc.d t4, t2, (x9)\n sc.d t5, t2, (x8)",
    "atomic": "amoadd.d t2, a0, (x8)\n amomaxu.w t3, a0, (x8)\n amoswap.w x0, a1, (x8)\n amoand.d a1, a1, (x8)",
    "fence": "fence\n fence.i\n addi a1, a1, 1",
    "zero": "cbo.zero (x8)\n ld t2, 8(x8)\n addi t2, t2, 1\n sd t2, 16(x8)",
    "x0": "ld x0, 0(x8)\n addi x0, a0, 5\n add a1, a1, x0\n amoadd.d x0, a0, (x8)\n mul x0, a0, a0\n j 4f\n 4: nop",
}


@pytest.mark.parametrize("name", ACCESSES)
def test_accesses_that_are_not_plain(pair: Pair, name: str) -> None:
    text = f"""
    1:  addi a0, a0, 1
        {ACCESSES[name]}
        add  a1, a1, t2
        andi t0, a0, 15
        bnez t0, 1b
        addi a3, a3, 1
        j    1b
    """
    start = load(pair, text)
    pair["x", 9] = RAM + DATA + 64
    pair.run(60)
    translate_all(pair)
    before = exits(pair)
    for steps in (*range(20, 40), 300):
        pair["pc"] = start
        pair.run(steps, about=f"{name}, {steps} steps")
    assert exits(pair) > before


WALK = """
1:  {load} t2, {first}(x9)
    add  a1, a1, t2
    {store} a1, {second}(x9)
    andi t3, a1, {mask}
    add  t3, t3, x20
    {load} t4, {first}(t3)
    add  a2, a2, t4
    {store} a2, {second}(t3)
    {load} t5, {second}(x9)
    xor  a1, a1, t5
    addi x9, x9, {stride}
    {store} a1, 0(x21)
    addi x21, x21, {other}
    addi x18, x18, -1
    bnez x18, 1b
2:  addi a3, a3, 1
    j    2b
"""


@pytest.mark.parametrize("seed", range(12))
def test_pointers_walk_from_page_to_page(pair: Pair, seed: int) -> None:
    """Up and down, in step and not, over the ends of pages, to devices, out of memory, and beside code."""
    random = Random(f"walk {seed}")
    load_name, store_name, size = random.choice((("lbu", "sb", 1), ("lw", "sw", 4), ("ld", "sd", 8), ("lh", "sh", 2)))
    text = WALK.format(
        load=load_name,
        store=store_name,
        first=random.choice((0, 8, -16, 40, 2000)),
        second=random.choice((0, 8, 24, -40, 1 + random.randrange(8))),
        mask=random.choice((8, 0x78, 0x7F8, 0x7FF)),
        stride=random.choice((size, -size, 8, 64, -24, 1024, -2040, 3)),
        other=random.choice((8, -8, 512, -1000)),
    )
    start = load(pair, text)
    pair.write(RAM + DATA, random.randbytes(3 * PAGE))
    places = (RAM + DATA + PAGE, RAM + DATA + 2 * PAGE, RAM + CODE + 64, RAM + FAR + 4 * PAGE)
    rare = (RAM + SIZE, DEVICE, DEVICE + 0x100, RAM)
    pair["x", 9] = pair["x", 20] = pair["x", 21] = RAM + DATA + PAGE
    pair["x", 18] = 3
    pair.run(100)
    translate_start(pair, start)
    before = exits(pair)
    for number in range(10):
        reset(pair)
        pair["pc"], pair["x", 18] = start, 1 << 20
        for register in (9, 20, 21):
            place = random.choice(rare) if random.random() < 0.2 else random.choice(places)
            pair["x", register] = place + random.choice((0, -8, -64, 16, -24)) + random.choice((0, 0, 0, 1))
        pair.run(random.choice((60, 150, 220)), about=f"walk {seed}, start {number}")
    assert exits(pair) > before


# --- floating point --------------------------------------------------------------------------------------------------

FLOAT_LOOP = """
1:  fadd.d f8, f1, f2
    fmul.s f9, f3, f4
    fdiv.d f10, f5, f6
    fmadd.s f11, f7, f3, f4
    fsqrt.d f12, f1
    fcvt.s.d f13, f2
    fcvt.w.d a1, f5
    fcvt.lu.s a2, f3, rtz
    flt.d a3, f1, f2
    fmin.s f14, f3, f4
    fmax.d f15, f5, f6
    fsub.d f16, f8, f10
    fcvt.d.l f17, a5
    fnmsub.d f18, f1, f5, f6
    fsgnjx.s f19, f3, f9
    fmul.d f20, f8, f5, rup
    fld  f21, 8(x8)
    fsd  f20, 8(x8)
    fclass.d a4, f1
    addi a5, a5, 1
    andi t0, a5, 3
    bnez t0, 1b
    csrr a6, fflags
    add  a7, a7, a6
    j    1b
"""


@pytest.mark.parametrize("status", range(4), ids=["off", "initial", "clean", "dirty"])
def test_floating_point_in_every_status_and_rounding_mode(pair: Pair, status: int) -> None:
    random = Random(f"floats {status}")
    start = load(pair, FLOAT_LOOP)
    pair.run(150)
    translate_start(pair, start)
    for number in range(24):
        pair["pc"], pair["mstatus"] = start, status << Status.FS
        pair["frm"] = random.choice((0, 0, 0, random.randrange(8)))
        pair["fflags"] = random.choice((0, 1, 31, random.getrandbits(5)))
        for register in range(1, 8):
            pair["f", register] = float_value(random)
        pair.run(random.choice((30, 60, 75)), about=f"case {number}, frm {pair['frm']}")


def test_the_rounding_mode_changes_between_and_in_regions(pair: Pair) -> None:
    text = """
    1:  csrrwi x0, frm, 0
        fadd.d f8, f1, f2
        fadd.s f9, f3, f4
        csrrwi x0, frm, 3
        fadd.d f10, f1, f2
        fdiv.s f11, f3, f4
        csrrsi x0, frm, 4
        fadd.d f12, f1, f2
        csrrwi x0, frm, 0
        csrw fflags, x0
        fdiv.d f13, f1, f2
        fmul.d f1, f1, f2
        addi a0, a0, 1
        j    1b
    """
    load(pair, text)
    random = Random("rounding mode")
    pair.run(50)
    translate_all(pair)
    for number in range(16):
        for register in range(1, 5):
            pair["f", register] = float_value(random)
        pair.run(61, about=f"case {number}")


def test_floating_point_is_switched_off_and_on_again(pair: Pair) -> None:
    text = f"""
        li   t0, {3 << Status.FS}
        li   t1, {1 << Status.FS}
    1:  csrs mstatus, t0
        fadd.d f8, f1, f2
        fsd  f8, 0(x8)
        csrc mstatus, t0
        addi a0, a0, 1
        csrs mstatus, t1
        fld  f9, 0(x8)
        csrr a1, mstatus
        andi t2, a0, 31
        bnez t2, 1b
        csrc mstatus, t0
        fadd.d f8, f1, f2
        j    1b
    """
    load(pair, text)
    pair.run(100)
    translate_all(pair)
    pair["pc"] = pair["mepc"] + 4 if pair["mcause"] else pair["pc"]
    for _ in range(12):
        pair.run(53)


# --- code that changes -----------------------------------------------------------------------------------------------

ADD_100 = "addi a0, a0, 100"
SELF_MODIFYING = {
    # The word at `patched` is exchanged with the one at `other` every fourth turn.
    "itself": """
    1:  addi a1, a1, 1
        andi t0, a1, 3
        bnez t0, patched
        la   t1, patched
        la   t2, other
        lw   t3, 0(t1)
        lw   t4, 0(t2)
        sw   t4, 0(t1)
        sw   t3, 0(t2)
    patched: addi a0, a0, 1
        addi a2, a2, 1
        j    1b
    other: addi a0, a0, 100
    """,
    "its successor": """
    1:  addi a1, a1, 1
        andi t0, a1, 3
        bnez t0, 2f
        la   t1, patched
        la   t2, other
        lw   t3, 0(t1)
        lw   t4, 0(t2)
        sw   t4, 0(t1)
        sw   t3, 0(t2)
    2:  call patched
        j    1b
        .align 7
    patched: addi a0, a0, 1
        addi a2, a2, 1
        ret
    other: addi a0, a0, 100
    """,
    "data in its page": """
    1:  addi a1, a1, 1
        la   t1, other
        sd   a1, 8(t1)
        ld   t2, 16(t1)
        add  t2, t2, a1
        sd   t2, 16(t1)
        j    1b
        .align 7
    other: .zero 64
    """,
    "with fence.i": """
    1:  la   t1, patched
        la   t2, other
        lw   t3, 0(t1)
        lw   t4, 0(t2)
        sw   t4, 0(t1)
        sw   t3, 0(t2)
        fence.i
    patched: addi a0, a0, 1
        addi a2, a2, 1
        j    1b
    other: addi a0, a0, 100
    """,
}


@pytest.mark.parametrize("name", SELF_MODIFYING)
def test_a_region_overwrites(pair: Pair, name: str) -> None:
    start = load(pair, SELF_MODIFYING[name])
    random, before = Random(name), exits(pair)
    pair.run(200)
    for number in range(20):
        heads = random.sample(range(start % PAGE, PAGE, 4), 2)
        translator(pair).translate(CODE // PAGE, heads, EVERYTHING)
        pair.run(random.choice((40, 100, 150)), about=f"{name}, round {number}")
    assert exits(pair) > before


@pytest.mark.parametrize("register", ["x0", "x25"], ids=["all", "one address"])
def test_a_page_of_code_is_remapped(pair: Pair, register: str) -> None:
    """A call to the same virtual address finds another physical page after each sfence.vma."""
    text = """
    1:  jalr x1, 0(x20)
        addi a1, a1, 1
        andi t0, a1, 3
        bnez t0, 1b
        ecall
        j    1b
    """
    swap = f"""
        ld   x30, 0(x26)
        ld   x31, 0(x27)
        sd   x31, 0(x26)
        sd   x30, 0(x27)
        sfence.vma {register}, x0
        csrr x31, mepc
        addi x31, x31, 4
        csrw mepc, x31
        mret
    """
    start = load(pair, text)
    functions = ("addi a0, a0, 1\n auipc a2, 0\n add a3, a3, a2\n ret", "addi a0, a0, 16\n nop\n xori a3, a3, 5\n ret")
    for page, function in zip((FAR, FAR + PAGE), functions, strict=True):
        pair.write(RAM + page + PAGE - 16, machine_code(function, 0))
    handler = RAM + CODE - len(machine_code(swap, 0))
    pair.write(handler, machine_code(swap, 0))
    supervisor(pair, start)
    leaf = RAM + TABLES + 2 * PAGE
    pair["mtvec"], pair["x", 20], pair["x", 25] = handler, VIRTUAL + FAR + PAGE - 16, VIRTUAL + FAR
    pair["x", 26], pair["x", 27] = leaf + FAR // PAGE * 8, leaf + (FAR // PAGE + 1) * 8
    pair.run(200)
    for page in (0, CODE, FAR, FAR + PAGE):
        translate_all(pair, page)
    before = exits(pair)
    for steps in (60, 61, 62, 63, 64, 500):
        pair.run(steps, about=f"{steps} steps")
    assert exits(pair) > before


def supervisor(pair: Pair, start: int) -> None:
    """The program runs in S-mode where two virtual pages show each page of memory."""
    map_views(pair, VIRTUAL, SECOND_VIEW)
    pair["satp"], pair["priv"] = 8 << 60 | (RAM + TABLES) >> 12, Privilege.SUPERVISOR
    pair["pmpcfg"], pair["pmpaddr"], pair["menvcfg"] = 0x1F, (1 << 54) - 1, 1 << 61
    pair["pc"] = VIRTUAL + start - RAM
    for side in pair.sides:
        side.engine.flush_translations(side.hart)


@pytest.mark.parametrize("writes", [False, True], ids=["read", "written"])
def test_two_addresses_of_one_page_of_code(pair: Pair, writes: bool) -> None:
    """The same region runs at both; what it makes of its own address differs. One of the views is written through."""
    text = f"""
    1:  jalr x1, 0(x20)
        jalr x1, 0(x21)
        addi a1, a1, 1
        andi t0, a1, 15
        bnez t0, 1b
        {"sw t2, 0(x21)" if writes else "nop"}
        j    1b
    """
    start = load(pair, text)
    function = "addi a0, a0, 1\n auipc a2, 0\n add a3, a3, a2\n bnez a0, 1f\n nop\n1: ret"
    at = FAR + PAGE - len(machine_code(function, 0))
    pair.write(RAM + at, machine_code(function, 0))
    supervisor(pair, start)
    pair["x", 20], pair["x", 21] = VIRTUAL + at, SECOND_VIEW + at
    pair["x", 7] = int.from_bytes(machine_code("addi a0, a0, 3", 0), "little")
    pair.run(120)
    for page in (CODE, FAR):
        translate_all(pair, page)
    before = exits(pair)
    for steps in (*range(20, 30), 400):
        pair.run(steps, about=f"{steps} steps")
    assert exits(pair) > before


def test_the_walk_for_a_region_changes_the_page_that_it_runs_in(pair: Pair) -> None:
    """Code behind page table entries, in the same 64 bytes: setting their bits A and D drops the code that runs."""
    leaf, first, own = TABLES + 2 * PAGE, 0x1E0, 15
    text = """
    1:  ld   a0, 0(x8)
        addi a1, a1, 1
        add  a2, a2, a1
        sd   a1, 8(x8)
        addi a3, a3, 1
        xor  a4, a3, a2
        j    1b
    """
    load(pair, "nop")
    supervisor(pair, RAM)
    for index, physical in ((own, RAM + leaf), *((first + n, RAM + DATA + n % 2 * PAGE) for n in range(4))):
        pair.write(
            RAM + leaf + 8 * index, (physical >> 12 << 10 | (0x0F if index != own else 0xCF)).to_bytes(8, "little")
        )
    start = VIRTUAL + own * PAGE + 8 * (first + 4)
    pair.write(RAM + leaf + 8 * (first + 4), machine_code(text, 0))
    dropped = "pages_dropped"
    before, drops = exits(pair), translator(pair).statistics()[dropped]
    for number in range(4):
        pair["pc"], pair["x", 8] = start, VIRTUAL + DATA
        pair.run(600)
        translate_all(pair, leaf)
        pair["pc"], pair["x", 8] = start, VIRTUAL + (first + number) * PAGE
        pair.run(601, about=f"entry {number}")
    assert exits(pair) > before and translator(pair).statistics()[dropped] >= drops + 4


def test_the_host_writes_into_a_region(pair: Pair) -> None:
    start = load(pair, LOOP)
    for number in range(12):
        pair.run(100, about=f"round {number}")
        translate_start(pair, start)
        pair.run(100)
        pair.write(start + 4 * (number % 2), machine_code(f"addi a{number % 3}, a1, {number + 1}", 0))
        if number % 3 == 0:  # data in the same page, far from the code
            pair.write(RAM + CODE + 8 * number, b"\x55" * 8)


# --- several harts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_harts_share_code_and_change_it(seed: int) -> None:
    pair = Pair(SIZE, DirectedTranslator)
    others = [side.engine.new_hart() for side in pair.sides]
    text = """
    1:  lr.d t0, (x8)
        addi t0, t0, 1
        sc.d t1, t0, (x8)
        bnez t1, 1b
        add  a1, a1, t0
        addi a2, a2, 1
        and  t3, a2, a5
        bnez t3, patched
        la   t1, patched
        la   t2, other
        lw   t3, 0(t1)
        lw   t4, 0(t2)
        sw   t4, 0(t1)
        sw   t3, 0(t2)
    patched: addi a0, a0, 1
        addi a3, a3, 1
        j    1b
    other: addi a0, a0, 100
    """
    start = load(pair, text)
    pair["x", 15] = 15
    for other in others:
        other.restore(pair.reference.hart.snapshot())
        other["hartid"], other["x", 15] = 1, 31
    firsts = [side.hart for side in pair.sides]
    random, before = Random(f"harts {seed}"), exits(pair)
    for number in range(40):
        if random.random() < 0.4 and (offsets := translator(pair).executed(CODE // PAGE)):
            translator(pair).translate(CODE // PAGE, [start % PAGE, random.choice(offsets)])
        steps = random.choice((1, 5, 40, 100))
        running = random.choice((firsts, others))
        pair.reference.hart, pair.native.hart = running
        pair.run(steps, about=f"round {number}, hart {pair['hartid']}")
    for first, second in (firsts, others):
        assert not list(differing_registers(first, second))
    assert exits(pair) > before


# --- room ------------------------------------------------------------------------------------------------------------


def test_when_the_arena_is_full_everything_is_found_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "ARENA_BYTES", 16 << 10)
    pair = Pair(SIZE, DirectedTranslator)
    run_program(pair, Structured("arena"), "arena", paged=False, rounds=5)
    for number in range(6):
        translator(pair).translate_some(Random(f"arena {number}"), PAGES, 3)
        pair.run(200, about=f"round {number}")
    counts = translator(pair).counts
    assert (
        counts.regions_evicted and counts.regions_installed and translator(pair).translation["code_bytes"] <= 16 << 10
    )


def test_a_region_larger_than_the_arena_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "ARENA_BYTES", 128)
    pair = Pair(SIZE, DirectedTranslator)
    start = load(pair, LOOP)
    pair.run(100)
    assert not translator(pair).translate(CODE // PAGE, [start % PAGE])
    pair.run(200)
    assert not exits(pair)


def test_when_the_room_for_slots_is_full_regions_go_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreter_engine, "POOL_BYTES", 2 * BLOCK_BYTES)
    pair = Pair(SIZE, DirectedTranslator)
    start = load(
        pair,
        f"1: {'addi a0, a0, 1; ' * 3} jalr x1, 0(x20)\n call 2f\n jalr x1, 0(x21)\n j 1b\n 2: ret".replace(";", "\n"),
    )
    for register, page in ((20, FAR), (21, FAR + PAGE)):
        pair["x", register] = RAM + page + PAGE - 16
        pair.write(RAM + page + PAGE - 16, machine_code("addi a1, a1, 1\n bltz a1, . - 4\n addi a2, a2, 1\n ret", 0))
    random = Random("pool")
    for number in range(20):
        pair.run(random.randrange(40, 80), about=f"round {number}")
        for page in (CODE, FAR, FAR + PAGE):
            heads = range(start % PAGE if page == CODE else PAGE - 16, PAGE, 4)
            translator(pair).translate(page // PAGE, random.sample(heads, 1), EVERYTHING)
    assert translator(pair).statistics()["pool_flushes"] > 20 and translator(pair).counts.regions_installed > 5


def test_a_stop_request_from_a_device_ends_the_run(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """`stop` is set during an access in the middle of a region; the run ends behind that instruction."""
    start = load(pair, "1: addi a0, a0, 1\n lw t2, 0(x24)\n addi a1, a1, 1\n j 1b\n")
    pair.run(50)
    translate_all(pair)
    for side in pair.sides:
        monkeypatch.setattr(side.device, "read", _stopping(side.device.read, side.hart))
    pair["pc"] = start
    for _ in range(3):
        assert pair.run(100) is Exit.STOP and pair["pc"] == start + 8


def _stopping(read: Callable[[int, int], int], hart: HartState) -> Callable[[int, int], int]:
    def stop(address: int, size: int) -> int:
        hart["stop"] = 1
        return read(address, size)

    return stop
