"""The table of `hypernest bench --objects`, with little work: that every figure comes out, not how large it is."""

from __future__ import annotations

import pytest

from hypernest.benchmark.figure import Figure
from hypernest.benchmark.objects import measure


@pytest.mark.usefixtures("debian_image")
def test_every_figure_is_measured() -> None:
    figures = list(measure(quick=True))
    assert all(figure.value > 0 for figure in figures if figure.unit in ("ms", "s"))
    names = {figure.what for figure in figures}
    assert names > {"fork, until it runs", "snapshot to disk", "memory for the past", "size of the recording"}
    assert "interpreter, a trap hook, never hit" in names


def test_a_figure_says_whether_it_is_small_enough() -> None:
    assert Figure("a", 2.0, "ms", 2).met and Figure("b", 9.0, "ms").met and not Figure("c", 2.1, "ms", 2).met
