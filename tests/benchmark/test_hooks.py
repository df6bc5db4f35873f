"""The figures of hooks are there, and plausible."""

from __future__ import annotations

from hypernest.benchmark.hooks import measure


def test_every_figure_is_measured() -> None:
    costs = {cost.what: cost for cost in measure("interpreter", 200_000)}
    assert len(costs) == 10
    for what, cost in costs.items():
        if what.endswith("each hit"):
            assert 0 < cost.microseconds < 10_000, what
        elif what != "coverage, cleared":
            assert cost.rate > 1, what
