"""Every engine notes the same places as executed, whatever was decoded or compiled before."""

from __future__ import annotations

from random import Random

import pytest

from hypernest.engines.coverage_map import CoverageMap
from hypernest.engines.hart_state import HartState
from hypernest.engines.watched import NOTHING, Watched
from hypernest.isa.riscv.state import Interrupt, Privilege, Status
from tests.engines.equivalence import LAYOUT, PAGE, RAM, Pair
from tests.engines.interceptions import check_covered, cover, covered, run_watched, watch
from tests.engines.programs import CODE, CODE_PAGES, DATA, HOT, HOT_BYTES, SECOND_VIEW, VIRTUAL, Program
from tests.engines.test_watched import START, load, warm, watched_at_random
from tests.engines.translations import EVERYTHING, DirectedTranslator, translator


@pytest.fixture(scope="module", params=["interpreter", "translator"])
def shared_pair(request: pytest.FixtureRequest) -> Pair:
    return Pair(1 << 17) if request.param == "interpreter" else Pair(1 << 17, DirectedTranslator)


@pytest.fixture
def pair(shared_pair: Pair) -> Pair:
    watch(shared_pair, NOTHING)
    cover(shared_pair)
    shared_pair.write(RAM, bytes(shared_pair.size))
    if isinstance(shared_pair.native.engine, DirectedTranslator):
        translator(shared_pair).forget()
    shared_pair.set_state(HartState(LAYOUT).snapshot())
    shared_pair["mstatus"], shared_pair["pc"] = 3 << Status.FS, START
    return shared_pair


TWO_WAYS = """
        beqz a0, 2f
        addi a1, a1, 1
        c.addi a1, 2
    1:  j 1b
    2:  addi a2, a2, 1
        c.addi a2, 3
    3:  j 3b
"""


def places(each: CoverageMap) -> list[int]:
    return [address - START for address in range(each.start, each.end, 2) if covered(each, address)]


def test_places(pair: Pair) -> None:
    load(pair, TWO_WAYS)
    warm(pair, 10)
    maps = cover(pair, (START, START + 64))
    run_watched(pair, 10)
    check_covered(maps)
    ((_, mine),) = maps
    assert places(mine) == [0, 14, 18, 20]
    assert mine.count == 4
    assert mine.code(START + 18) == 0x060D  # c.addi a2, 3
    pair["pc"], pair["x", 10] = START, 1
    run_watched(pair, 10)
    check_covered(maps)
    assert places(mine) == [0, 4, 8, 10, 14, 18, 20]
    for each in maps[0]:
        each.clear()
    for side, each in zip(pair.sides, maps[0], strict=True):
        side.engine.cover([each])
    pair["pc"] = START
    run_watched(pair, 10)
    assert places(mine) == [0, 4, 8, 10]
    check_covered(maps)


def test_what_was_reached_is_compiled(pair: Pair) -> None:
    load(pair, "1: addi a0, a0, 1\n addi a1, a1, 1\n bnez a5, 2f\n j 1b\n 2: addi a2, a2, 1\n j 1b")
    maps = cover(pair, (START, START + PAGE))
    run_watched(pair, 4000)  # enough for more than single steps
    if isinstance(pair.native.engine, DirectedTranslator):
        # All but the arm that was not taken.
        assert translator(pair).translate(1, [0], EVERYTHING) == [START - RAM]
        (region,) = translator(pair).regions()
        assert region.record.instructions == 4
    pair["pc"], pair["x", 15] = START, 1
    run_watched(pair, 3000)
    check_covered(maps)
    assert places(maps[0][1]) == [0, 4, 8, 12, 16, 20]


def test_ranges_that_overlap_and_one_instruction(pair: Pair) -> None:
    load(pair, TWO_WAYS)
    warm(pair, 10)
    maps = cover(pair, (START + 14, START + 16), (START + 2, START + 20), (START + PAGE, START + 3 * PAGE))
    run_watched(pair, 10)
    check_covered(maps)
    assert [places(mine) for _, mine in maps] == [[14], [14, 18], []]


def test_the_same_code_elsewhere_is_not_noted(pair: Pair) -> None:
    Program("aliases").start(pair, paged=True)
    load(pair, TWO_WAYS, RAM + CODE)
    maps = cover(pair, (VIRTUAL + CODE, VIRTUAL + CODE + PAGE))
    for start, count in ((SECOND_VIEW + CODE, 0), (VIRTUAL + CODE, 4), (SECOND_VIEW + CODE, 4)):
        pair["pc"], pair["priv"], pair["x", 10] = start, Privilege.SUPERVISOR, 0
        run_watched(pair, 20)
        check_covered(maps)
        assert maps[0][1].count == count


def test_a_hook_on_a_place_that_is_covered(pair: Pair) -> None:
    load(pair, TWO_WAYS)
    warm(pair, 10)
    watch(pair, Watched(frozenset({START, START + 18})))
    maps = cover(pair, (START, START + 64))
    assert [each.steps for each in run_watched(pair, 10)] == [0, 2]
    check_covered(maps)
    assert places(maps[0][1]) == [0, 14, 18, 20]


@pytest.mark.parametrize("paged", [False, True], ids=["bare", "paged"])
@pytest.mark.parametrize("seed", range(12))
def test_random_programs(pair: Pair, seed: int, paged: bool) -> None:
    """Without aliases: a place that two addresses in maps lead to is noted for one of them for certain."""
    program, random = Program(f"covered {seed}"), Random(f"covering {seed} {paged}")
    program.start(pair, paged=paged)
    privilege, base = pair["priv"], VIRTUAL if paged else RAM
    maps = cover(pair, (base + CODE, base + DATA))
    for number in range(16):
        about = f"covered {seed}, round {number}"
        if random.random() < 0.3:
            watch(pair, watched_at_random(random, base, SECOND_VIEW if paged else RAM))
        if random.random() < 0.3:
            maps = cover(pair, (base + HOT + 2 * random.randrange(100), base + HOT + PAGE))
        run_watched(pair, random.choice((7, 100, 300)), pieces=random.choice((0, 1, 3, 64)), about=about)
        check_covered(maps, about)
        if random.random() < 0.3:
            at = RAM + HOT + random.choice((0, PAGE)) + 2 * random.randrange(HOT_BYTES // 2)
            pair.write(at, program.fill(random.choice((2, 4, 60)))[:100])
        pair["lines"] = 1 << Interrupt.MACHINE_SOFTWARE if random.random() < 0.2 else 0
        if pair["priv"] == privilege and random.random() < 0.7:
            pair["pc"] = program.hot + random.choice((0, PAGE)) + 2 * random.randrange(HOT_BYTES // 2)
        if isinstance(pair.native.engine, DirectedTranslator) and pair["priv"] == privilege and random.random() < 0.5:
            for entry in translator(pair).translate_some(random, range(CODE // PAGE, CODE // PAGE + CODE_PAGES), 1):
                pair["pc"] = program.hot - HOT + entry
                run_watched(pair, random.randrange(50, 250), about=f"{about}, from region {entry:#x}")
                check_covered(maps, about)
