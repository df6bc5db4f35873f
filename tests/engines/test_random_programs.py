"""Random programs that write their own code, on two engines, compared at equal instruction counts.

The native engine runs in pieces of random size, the reference engine in one go; in between, the host writes to the code
as a device would, and raises interrupts. With the translator, regions are installed in between as well.
"""

from __future__ import annotations

from random import Random

import pytest

from hypernest.isa.riscv.state import Interrupt
from tests.engines.equivalence import PAGE, RAM, Pair
from tests.engines.programs import CODE, CODE_PAGES, HOT, HOT_BYTES, Program
from tests.engines.translations import DirectedTranslator, translator

ROUNDS = 40
PAGES = range(CODE // PAGE, CODE // PAGE + CODE_PAGES)


@pytest.fixture(scope="module")
def interpreting() -> Pair:
    return Pair(1 << 17)


@pytest.fixture(scope="module")
def translating() -> Pair:
    return Pair(1 << 17, DirectedTranslator)


def run_rounds(pair: Pair, name: str, *, paged: bool, rounds: int = ROUNDS, regions: Random | None = None) -> None:
    """`regions` says when regions with which heads are installed, if at all."""
    program, random = Program(name), Random(f"rounds of {name}")
    program.start(pair, paged=paged)
    privilege = pair["priv"]
    for number in range(rounds):
        steps = random.choice((1, 7, 30, 100, 300))
        pieces = tuple(random.choice((1, 2, 3, 10, 64, steps)) for _ in range(random.choice((1, 30))))
        pair.run(steps, pieces=pieces, about=f"{name}, round {number}, pieces {pieces}")
        if random.random() < 0.3:  # direct memory access into the code
            at = RAM + HOT + random.choice((0, PAGE)) + 2 * random.randrange(HOT_BYTES // 2)
            pair.write(at, program.fill(random.choice((2, 4, 60)))[:100])
        pair["lines"] = 1 << Interrupt.MACHINE_SOFTWARE if random.random() < 0.2 else 0
        if pair["priv"] == privilege and random.random() < 0.7:  # out of the loop that it may be caught in
            pair["pc"] = program.hot + random.choice((0, PAGE)) + 2 * random.randrange(HOT_BYTES // 2)
        if regions is not None and regions.random() < 0.4 and pair["priv"] == privilege:
            for entry in translator(pair).translate_some(regions, PAGES, 1):
                pair["pc"] = program.hot - HOT + entry
                pair.run(regions.randrange(50, 250), about=f"{name}, round {number}, from region {entry:#x}")


every_program = pytest.mark.parametrize("paged", [False, True], ids=["bare", "paged"])


@every_program
@pytest.mark.parametrize("seed", range(24))
def test_in_lockstep(interpreting: Pair, paged: bool, seed: int) -> None:
    run_rounds(interpreting, f"program {seed} {'paged' if paged else 'bare'}", paged=paged)


@every_program
@pytest.mark.parametrize("seed", range(12))
def test_in_lockstep_with_regions(translating: Pair, paged: bool, seed: int) -> None:
    name = f"program {seed} {'paged' if paged else 'bare'}"
    run_rounds(translating, name, paged=paged, rounds=30, regions=Random(f"regions of {name}"))
