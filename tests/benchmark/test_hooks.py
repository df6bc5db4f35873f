"""The figures of hooks are there, and plausible."""

from __future__ import annotations

from hypernest.benchmark.hooks import measure


def test_every_figure_is_measured() -> None:
    figures = {figure.what: figure for figure in measure(quick=True)}
    assert len(figures) == 2 * 10
    for what, figure in figures.items():
        if what.endswith("each hit"):
            assert figure.unit == "us" and 0 < figure.value < 10_000, what
        elif not what.endswith("coverage, cleared"):
            assert figure.unit == "MIPS" and figure.value > 1, what
