"""A stop that is asked for from outside cuts a run without a trace: what an instruction has begun is done first."""

from __future__ import annotations

import pytest

from hypernest.engines.engine import Exit
from tests.machine.small_guests import bare, hosted

on_all_engines = pytest.mark.parametrize("engine", ["reference", "interpreter", "translator"])


@on_all_engines
def test_a_monitor_call_comes_before_a_stop(engine: str) -> None:
    with hosted("li a7, 0x10\nli a6, 0\necall\nj .", engine=engine) as machine:
        board = machine._open_board()
        machine.run(3 - 1)
        hart = board.harts[0]
        while not hart["monitor_call"]:
            hart["remaining"] = 1
            assert board.engine.run(hart, 1) in (Exit.BUDGET, Exit.MONITOR)
        hart["stop"] = 1
        assert board.engine.run(hart, 10) is Exit.MONITOR
        hart["monitor_call"] = 0
        assert board.engine.run(hart, 10) is Exit.STOP
        assert hart["remaining"] == 10


@on_all_engines
def test_waiting_comes_before_a_stop(engine: str) -> None:
    with bare("csrwi mie, 8\nwfi\nj .", engine=engine) as machine:
        board = machine._open_board()
        machine.run(2)
        hart = board.harts[0]
        hart["waiting"], hart["stop"] = 1, 1
        assert board.engine.run(hart, 10) is Exit.WAIT
        hart["mie"], hart["lines"] = 8, 8
        assert board.engine.run(hart, 10) is Exit.STOP
        assert not hart["waiting"]
        assert hart["remaining"] == 10
