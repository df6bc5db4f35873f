"""Zicond against formulas on Python's integers."""

from __future__ import annotations

import pytest

from hypernest.isa.riscv.zicond import ZICOND
from tests.isa.riscv.bench import Bench
from tests.isa.riscv.integers import Formula, check_destinations, check_register, pairs

FORMULAS: dict[str, Formula] = {
    "czero.eqz": lambda a, b: 0 if b == 0 else a,
    "czero.nez": lambda a, b: 0 if b != 0 else a,
}


def test_every_row_is_tested_here() -> None:
    assert set(FORMULAS) == set(ZICOND.rows)


@pytest.mark.parametrize("name", FORMULAS)
def test_destinations(name: str) -> None:
    check_destinations(name, FORMULAS[name])


@pytest.mark.parametrize("name", FORMULAS)
def test_corners(name: str) -> None:
    bench = Bench()
    for a, b in pairs():
        check_register(bench, name, FORMULAS[name], a, b)
