"""Random programs that write their own code, on both engines, compared at equal instruction counts.

The interpreter runs in pieces of random size, the reference engine in one go; in between, the host writes to the code
as a device would, and raises interrupts.
"""

from __future__ import annotations

from random import Random

import pytest

from hypernest.isa.riscv.state import Interrupt
from tests.engines.equivalence import PAGE, RAM, Pair
from tests.engines.programs import HOT, HOT_BYTES, Program

ROUNDS = 40


@pytest.fixture(scope="module")
def pair() -> Pair:
    return Pair(1 << 17)


@pytest.mark.parametrize("seed", range(24))
@pytest.mark.parametrize("paged", [False, True], ids=["bare", "paged"])
def test_in_lockstep(pair: Pair, paged: bool, seed: int) -> None:
    name = f"program {seed} {'paged' if paged else 'bare'}"
    program, random = Program(name), Random(f"rounds of {name}")
    program.start(pair, paged=paged)
    privilege = pair["priv"]
    for number in range(ROUNDS):
        steps = random.choice((1, 7, 30, 100, 300))
        pieces = tuple(random.choice((1, 2, 3, 10, 64, steps)) for _ in range(random.choice((1, 30))))
        pair.run(steps, pieces=pieces, about=f"{name}, round {number}, pieces {pieces}")
        if random.random() < 0.3:  # direct memory access into the code
            at = RAM + HOT + random.choice((0, PAGE)) + 2 * random.randrange(HOT_BYTES // 2)
            pair.write(at, program.fill(random.choice((2, 4, 60)))[:100])
        pair["lines"] = 1 << Interrupt.MACHINE_SOFTWARE if random.random() < 0.2 else 0
        if pair["priv"] == privilege and random.random() < 0.7:  # out of the loop that it may be caught in
            pair["pc"] = program.hot + random.choice((0, PAGE)) + 2 * random.randrange(HOT_BYTES // 2)
