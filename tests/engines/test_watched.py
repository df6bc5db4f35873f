"""Every engine leaves before the same watched things, at the same counts, and going on changes nothing."""

from __future__ import annotations

from functools import partial
from random import Random

import pytest

from hypernest.engines.hart_state import HartState
from hypernest.engines.translator.host_pages import MemoryPath
from hypernest.engines.watched import NOTHING, Interception, Kind, Range, Watched
from hypernest.isa.assembler import assemble
from hypernest.isa.riscv.riscv64 import RISCV64
from hypernest.isa.riscv.state import Interrupt, Privilege, Status
from hypernest.isa.riscv.traps import INTERRUPT, Cause
from tests.engines.equivalence import DEVICE, LAYOUT, PAGE, RAM, Pair
from tests.engines.interceptions import Seen, run_watched, watch
from tests.engines.programs import CODE, CODE_PAGES, CSRS, DATA, HOT, HOT_BYTES, SECOND_VIEW, VIRTUAL, Program
from tests.engines.translations import EVERYTHING, DirectedTranslator, translator

START, STACK, HANDLER = RAM + PAGE, RAM + 8 * PAGE, RAM + 6 * PAGE


@pytest.fixture(scope="module")
def interpreting() -> Pair:
    return Pair(1 << 17)


@pytest.fixture(scope="module")
def translating() -> Pair:
    return Pair(1 << 17, DirectedTranslator)


@pytest.fixture(params=["interpreter", "translator"])
def pair(request: pytest.FixtureRequest, interpreting: Pair, translating: Pair) -> Pair:
    """A pair with nothing in memory, nothing watched, and the hart in M-mode with floating point on."""
    made = interpreting if request.param == "interpreter" else translating
    watch(made, NOTHING)
    made.write(RAM, bytes(made.size))
    if isinstance(made.native.engine, DirectedTranslator):
        translator(made).forget()
    made.set_state(HartState(LAYOUT).snapshot())
    made["mstatus"], made["mtvec"], made["pc"], made["x", 2] = 3 << Status.FS, HANDLER, START, STACK
    return made


def load(pair: Pair, text: str, at: int = START) -> None:
    pair.write(at, assemble(text, at, RISCV64.rows, CSRS))


def warm(pair: Pair, steps: int, *heads: int) -> None:
    """Execute from the start, with regions where that is the translator, and begin again."""
    state = pair.reference.hart.snapshot()
    pair.run(steps)
    if isinstance(pair.native.engine, DirectedTranslator):
        assert translator(pair).translate((START - RAM) // PAGE, heads or [0], EVERYTHING)
        pair.set_state(state)
        pair.run(steps)
    pair.set_state(state)


def brief(seen: list[Seen]) -> list[tuple[int, Kind, int]]:
    return [(each.steps, each.what.kind, each.what.address) for each in seen]


SUM = """
        li   t0, 5
    1:  add  a0, a0, t0
        addi t0, t0, -1
        bnez t0, 1b
    end: j end
"""


def test_every_instruction(pair: Pair) -> None:
    load(pair, SUM)
    warm(pair, 20)
    watch(pair, Watched(frozenset(range(START, START + 64, 2))))
    seen = run_watched(pair, 17)
    assert [each.steps for each in seen] == list(range(17))
    assert all(each.what.kind is Kind.EXECUTE for each in seen)
    assert pair["x", 10] == 15


def test_an_instruction_of_a_loop_that_was_compiled(pair: Pair) -> None:
    load(pair, SUM)
    warm(pair, 20)
    watch(pair, Watched(frozenset({START + 8})))
    assert [each[0] for each in brief(run_watched(pair, 100, pieces=3))] == [2, 5, 8, 11, 14]
    watch(pair, NOTHING)
    pair["pc"] = START
    assert run_watched(pair, 17) == []
    assert pair["x", 10] == 30


def test_code_around_a_watched_instruction_is_compiled_without_it(pair: Pair) -> None:
    load(pair, "1: addi a0, a0, 1\n addi a1, a1, 1\n addi a2, a2, 1\n j 1b")
    watch(pair, Watched(frozenset({START + 8})))
    run_watched(pair, 40)
    if isinstance(pair.native.engine, DirectedTranslator):
        assert translator(pair).translate(1, [0], EVERYTHING) == [START - RAM]
    pair["pc"] = START
    seen = run_watched(pair, 40)
    assert [each.steps for each in seen] == list(range(2, 40, 4))


def test_the_same_code_at_an_address_that_is_not_watched(pair: Pair) -> None:
    program = Program("aliases")
    program.start(pair, paged=True)
    load(pair, "1: addi a0, a0, 1\n addi a1, a1, 1\n c.addi a0, 3\n j 1b", RAM + CODE)
    one, other = VIRTUAL + CODE, SECOND_VIEW + CODE
    for watched, found in (({one + 4}, one), ({one + 4, other + 8}, one), ({other + 8}, other)):
        watch(pair, Watched(frozenset(watched)))
        for _ in range(3):
            for start in (one, other):
                pair["pc"], pair["priv"] = start, Privilege.SUPERVISOR
                seen = run_watched(pair, 40)
                wanted = sorted(address for address in watched if address >> 12 == start >> 12)
                assert {each.what.address for each in seen} == set(wanted), (watched, hex(start))
        assert found
    watch(pair, NOTHING)


DATA_GUEST = """
        addi sp, sp, -32
        sd   a0, 8(sp)
        ld   a1, 8(sp)
        sw   a0, 4(sp)
        lw   a2, 6(sp)
        c.sdsp a0, 16(sp)
        c.ldsp a3, 16(sp)
        fsd  fa0, 8(sp)
        fld  fa1, 8(sp)
        fsw  fa0, 12(sp)
        sb   a0, 15(sp)
        lbu  a4, 15(sp)
        addi a5, sp, 8
        amoadd.d a6, a0, (a5)
        lr.d a6, (a5)
        sc.d a7, a0, (a5)
        sc.d a7, a0, (a5)
        cbo.zero (a5)
    end: j end
"""
AT = STACK - 32  # the stack pointer of that guest


def test_accesses(pair: Pair) -> None:
    load(pair, DATA_GUEST)
    pair["x", 10] = 0x1122_3344_5566_7788
    warm(pair, 30)
    watched = (Range(AT + 8, AT + 16),)
    watch(pair, Watched(reads=watched, writes=watched))
    seen = run_watched(pair, 30)
    R, W = Kind.READ, Kind.WRITE  # noqa: N806
    assert [(each.steps, each.what.kind, each.what.address - AT, each.what.size) for each in seen] == [
        (1, W, 8, 8),
        (2, R, 8, 8),
        (4, R, 6, 4),
        (7, W, 8, 8),
        (8, R, 8, 8),
        (9, W, 12, 4),
        (10, W, 15, 1),
        (11, R, 15, 1),
        (13, R, 8, 8),
        (13, W, 8, 8),
        (14, R, 8, 8),
        (15, W, 8, 8),
        (17, W, -32, 64),
    ]
    assert seen[0].what.value == 0x1122_3344_5566_7788
    assert seen[6].what.value == 0x88
    assert all(each.what.physical == each.what.address for each in seen)


@pytest.mark.parametrize("start", range(-9, 9))
def test_accesses_that_overlap_by_a_byte_across_pages(pair: Pair, start: int) -> None:
    load(pair, "sd a0, -4(a1)\n ld a2, -4(a1)\n end: j end")
    border = RAM + 10 * PAGE
    pair["x", 11] = border
    warm(pair, 5)
    watch(
        pair,
        Watched(
            reads=(Range(border + start, border + start + 1),), writes=(Range(border + start, border + start + 1),)
        ),
    )
    assert len(run_watched(pair, 5)) == (2 if -4 <= start < 4 else 0)


@pytest.mark.parametrize("physical", [False, True], ids=["virtual", "physical"])
def test_data_behind_translation(pair: Pair, physical: bool) -> None:
    Program("data").start(pair, paged=True)
    load(pair, "sd a0, 0(a1)\n sd a0, 0(a2)\n ld a0, 0(a1)\n ld a0, 0(a2)\n 1: j 1b", RAM + CODE)
    pair["pc"], pair["x", 11], pair["x", 12] = VIRTUAL + CODE, VIRTUAL + DATA, SECOND_VIEW + DATA
    where = RAM + DATA if physical else VIRTUAL + DATA
    ranges = (Range(where + 7, where + 9, physical),)
    watch(pair, Watched(reads=ranges, writes=ranges))
    seen = run_watched(pair, 10)
    assert [each.steps for each in seen] == ([0, 1, 2, 3] if physical else [0, 2])
    assert {each.what.physical for each in seen} == {RAM + DATA}


def test_an_access_that_crosses_into_a_page_elsewhere_in_memory(pair: Pair) -> None:
    """The second page is below the first: a range between the two is not touched."""
    Program("crossing").start(pair, paged=True)
    last = RAM + 0x10000 + 2 * PAGE  # the last table of the first view
    first_page, second_page = RAM + 9 * PAGE, RAM + 7 * PAGE
    virtual = VIRTUAL + 14 * PAGE
    for page, place in enumerate((first_page, second_page)):
        entry = place >> 12 << 10 | 0xCF
        pair.write(last + ((virtual >> 12 & 511) + page) * 8, entry.to_bytes(8, "little"))
    load(pair, "sd a0, -2(a1)\n ld a0, -2(a1)\n 1: j 1b", RAM + CODE)
    for at, touched in (
        (first_page + PAGE - 1, True),
        (first_page + PAGE - 3, False),
        (first_page + PAGE, False),
        (second_page, True),
        (second_page + 5, True),
        (second_page + 6, False),
        (second_page - 1, False),
    ):
        watch(pair, Watched(reads=(Range(at, at + 1, True),), writes=(Range(at, at + 1, True),)))
        pair["pc"], pair["x", 11], pair["priv"] = VIRTUAL + CODE, virtual + PAGE, Privilege.SUPERVISOR
        assert len(run_watched(pair, 4)) == (2 if touched else 0), hex(at)


def test_an_access_that_faults_is_intercepted_when_it_is_allowed(pair: Pair) -> None:
    Program("faults").start(pair, paged=True)
    load(pair, "sd a0, 0(a1)\n 1: j 1b", RAM + CODE)
    load(pair, "csrw mepc, t1\n mret", RAM + 0x800)
    pair["pc"], pair["x", 6], pair["x", 11] = VIRTUAL + CODE, VIRTUAL + CODE + 4, VIRTUAL + 20 * PAGE
    where = VIRTUAL + 20 * PAGE
    watch(pair, Watched(writes=(Range(where, where + 8),), traps=frozenset({Cause.STORE_PAGE_FAULT})))
    (seen,) = run_watched(pair, 10)
    assert seen.what == Interception(Kind.TRAP, VIRTUAL + CODE, value=where, cause=Cause.STORE_PAGE_FAULT)


def test_device_accesses_wait_too(pair: Pair) -> None:
    load(pair, "lw a0, 0(a1)\n sw a0, 4(a1)\n 1: j 1b")
    pair["x", 11] = DEVICE
    watch(pair, Watched(reads=(Range(DEVICE, DEVICE + 8, True),), writes=(Range(DEVICE, DEVICE + 8, True),)))
    assert [each[1:] for each in brief(run_watched(pair, 5))] == [(Kind.READ, DEVICE), (Kind.WRITE, DEVICE + 4)]
    assert len(pair.native.device.accesses) == 2


def test_traps(pair: Pair) -> None:
    load(pair, "ecall\n ebreak\n 1: addi a0, a0, 1\n j 1b")
    load(pair, "csrr t0, mepc\n addi t0, t0, 4\n csrw mepc, t0\n mret", HANDLER)
    pair["mstatus"] = 3 << Status.MPP
    warm(pair, 12, 8)
    watch(pair, Watched(traps=frozenset({Cause.MACHINE_ECALL, Cause.BREAKPOINT})))
    seen = run_watched(pair, 10)
    assert [(each.steps, each.what.cause) for each in seen] == [(0, 11), (5, 3)]


def test_interrupts(pair: Pair) -> None:
    load(pair, "1: addi a0, a0, 1\n j 1b")
    load(pair, "addi a1, a1, 1\n csrw mie, x0\n mret", HANDLER)
    cause = INTERRUPT | Interrupt.MACHINE_SOFTWARE
    watch(pair, Watched(execute=frozenset({START + 4, HANDLER}), traps=frozenset({cause})))
    run_watched(pair, 3)
    pair["lines"], pair["mie"], pair["mstatus"] = 8, 8, 1 << Status.MIE | 3 << Status.MPP
    seen = run_watched(pair, 10)
    assert brief(seen)[:2] == [(0, Kind.INTERRUPT, START + 4), (0, Kind.EXECUTE, HANDLER)]
    assert seen[0].what.cause == cause
    assert pair["x", 11] == 1


def test_csr_writes(pair: Pair) -> None:
    load(
        pair,
        "csrw mscratch, a0\n csrr a1, mscratch\n csrs mscratch, a2\n csrci mscratch, 1\n csrw sscratch, a0\n 1: j 1b",
    )
    pair["x", 10], pair["x", 12] = 5, 8
    warm(pair, 6)
    watch(pair, Watched(csrs=frozenset({0x340})))
    seen = run_watched(pair, 8)
    assert [(each.steps, each.what.address, each.what.value) for each in seen] == [
        (0, 0x340, 5),
        (2, 0x340, 13),
        (3, 0x340, 12),
    ]


def test_several_kinds_on_one_instruction(pair: Pair) -> None:
    load(pair, "sd a0, 0(sp)\n ecall")
    watch(
        pair,
        Watched(
            execute=frozenset({START, START + 4}),
            writes=(Range(STACK, STACK + 1),),
            traps=frozenset({Cause.MACHINE_ECALL}),
        ),
    )
    assert [each[:2] for each in brief(run_watched(pair, 2))] == [
        (0, Kind.EXECUTE),
        (0, Kind.WRITE),
        (1, Kind.EXECUTE),
        (1, Kind.TRAP),
    ]


def test_code_that_is_written_under_a_guard(pair: Pair) -> None:
    load(pair, "1: addi a0, a0, 1\n addi a0, a0, 2\n j 1b")
    watch(pair, Watched(frozenset({START + 4})))
    run_watched(pair, 10)
    load(pair, "c.addi a0, 4\n c.addi a0, 8", START + 4)
    pair["pc"] = START
    assert [each.steps for each in run_watched(pair, 9)] == [1, 5]
    load(pair, "c.addi a0, 4\n addi a1, a1, 1\n", START + 2)  # now the address is inside an instruction
    pair["pc"] = START
    run_watched(pair, 5)


def watched_at_random(random: Random, base: int, second: int) -> Watched:
    """Something of every kind where random programs are."""

    def address() -> int:
        return (
            random.choice((base, base, second)) + HOT + random.choice((0, PAGE)) + 2 * random.randrange(HOT_BYTES // 2)
        )

    def ranges(count: int) -> tuple[Range, ...]:
        made = []
        for _ in range(count):
            physical = random.random() < 0.3
            start = (RAM if physical else random.choice((base, second))) + random.choice((DATA + 64, HOT, HOT + PAGE))
            start += random.randrange(-70, 300)
            made.append(Range(start, start + random.choice((1, 8, 64)), physical))
        return tuple(made)

    causes = [*(int(cause) for cause in Cause), INTERRUPT | Interrupt.MACHINE_SOFTWARE]
    return Watched(
        frozenset(address() for _ in range(random.choice((0, 3, 20)))),
        ranges(random.randrange(3)),
        ranges(random.randrange(3)),
        frozenset(random.sample(causes, random.choice((0, 2, 5)))),
        frozenset(random.sample((0x001, 0x100, 0x300, 0x340, 0x341), random.choice((0, 2)))),
    )


@pytest.mark.parametrize("paged", [False, True], ids=["bare", "paged"])
@pytest.mark.parametrize("seed", range(16))
@pytest.mark.parametrize("engine", ["interpreting", "translating"])
def test_random_programs(request: pytest.FixtureRequest, engine: str, seed: int, paged: bool) -> None:
    pair: Pair = request.getfixturevalue(engine)
    watch(pair, NOTHING)
    program, random = Program(f"watched {seed}"), Random(f"watching {seed} {paged}")
    program.start(pair, paged=paged)
    privilege = pair["priv"]
    base, second = (VIRTUAL, SECOND_VIEW) if paged else (RAM, RAM)
    pages = range(CODE // PAGE, CODE // PAGE + CODE_PAGES)
    found = 0
    for number in range(24):
        about = f"watched {seed}, round {number}"
        if random.random() < 0.7:
            watch(pair, watched_at_random(random, base, second))
        found += len(run_watched(pair, random.choice((7, 100, 300)), pieces=random.choice((0, 1, 3, 64)), about=about))
        if random.random() < 0.3:
            at = RAM + HOT + random.choice((0, PAGE)) + 2 * random.randrange(HOT_BYTES // 2)
            pair.write(at, program.fill(random.choice((2, 4, 60)))[:100])
        pair["lines"] = 1 << Interrupt.MACHINE_SOFTWARE if random.random() < 0.2 else 0
        if pair["priv"] == privilege and random.random() < 0.7:
            pair["pc"] = program.hot + random.choice((0, PAGE)) + 2 * random.randrange(HOT_BYTES // 2)
        if engine == "translating" and random.random() < 0.5 and pair["priv"] == privilege:
            for entry in translator(pair).translate_some(random, pages, 1):
                pair["pc"] = program.hot - HOT + entry
                found += len(run_watched(pair, random.randrange(50, 250), about=f"{about}, from region {entry:#x}"))
    assert found


def test_host_pages_are_given_up_for_watched_data() -> None:
    host = Pair(1 << 17, partial(DirectedTranslator, memory_path=MemoryPath.HOST))
    assert host.native.engine.problem is None
    host["pc"], host["x", 2] = START, STACK
    load(host, "1: addi a0, a0, 1\n sd a0, 0(sp)\n ld a1, 0(sp)\n j 1b")
    host.run(4000)
    assert translator(host).translate(1, [0], EVERYTHING)
    host.run(4000)
    watch(host, Watched(frozenset({START + 4})))
    assert len(run_watched(host, 40)) == 10
    watch(host, Watched(writes=(Range(STACK, STACK + 8),)))
    assert len(run_watched(host, 4000)) == 1000
    watch(host, NOTHING)
    host.run(4000)
