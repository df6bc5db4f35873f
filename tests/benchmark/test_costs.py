"""The second table: what is of the first run and what of the last, and dashes for what hypernest does not say."""

from __future__ import annotations

import pytest

from hypernest.benchmark.costs import cost_cells, cost_table, costs, memory_line
from hypernest.benchmark.process import Run
from hypernest.benchmark.suite import Result, Row, Sample
from hypernest.benchmark.workloads import Kind, Workload

INTEGER = Workload("integer", "integer mix", Kind.BARE, "integer", 1, 1)
STARTUP = Workload("startup", "startup", Kind.BARE, "nothing", 1, 1)
FIRST = {
    "peak_memory_bytes": 300 << 20,
    "worker_peak_memory_bytes": 150 << 20,
    "translation.regions_compiled": 40,
    "translation.compile_seconds": 1.5,
    "translation.compiled_instructions": 3000,
    "translation.regions_loaded": 0,
    "translation.code_bytes": 1024,
    "translation.share_in_regions": 0.5,
}
LAST = {
    "peak_memory_bytes": 200 << 20,
    "translation.regions_compiled": 1,
    "translation.regions_loaded": 39,
    "translation.regions_evicted": 2,
    "translation.code_bytes": 64 << 10,
    "translation.share_in_regions": 0.9876,
}


def sample(stats: dict[str, float]) -> Sample:
    return Sample(1.0, Run(1.0, 0.1, 1.0, 1.0, 1, "0x1"), stats)


def row(workload: Workload, **stats: float) -> Row:
    return Row(workload, {"hypernest": Result("hypernest", [sample(stats)])})


def test_figures_of_the_first_and_of_the_last_run() -> None:
    result = Result("hypernest", [sample({"translation.regions_loaded": 38}), sample(LAST)], discarded=sample(FIRST))
    assert cost_cells(costs(result)) == ["40", "0.500", "39", "2", "64", "98.8", "300", "150"]


def test_worker_may_be_told_among_the_figures_of_translation() -> None:
    result = Result("hypernest", [sample({"translation.worker_peak_memory_bytes": 5 << 20})])
    assert cost_cells(costs(result))[-1] == "5"


@pytest.mark.parametrize("stats", [{}, {"translation.compile_seconds": 0.0, "translation.compiled_instructions": 0.0}])
def test_what_is_not_known_is_a_dash(stats: dict[str, float]) -> None:
    assert cost_cells(costs(Result("hypernest", [sample(stats)]))) == ["-"] * 8


def test_table_has_a_row_for_each_workload_that_hypernest_ran() -> None:
    failed = Row(STARTUP, {"hypernest": Result("hypernest", failure="exit status 1")})
    other = Row(INTEGER, {"qemu": Result("qemu", [sample({})])})
    assert cost_table([row(INTEGER), failed, other]).row_count == 2


def test_memory_line_names_the_worst_run() -> None:
    small = row(STARTUP, peak_memory_bytes=50 << 20, guest_memory_bytes=10 << 20)
    large = row(INTEGER, peak_memory_bytes=300 << 20, guest_memory_bytes=100 << 20)
    assert memory_line([small]) == "host memory beyond guest pages: at most 40 MiB (in startup), within 150 MiB"
    assert "at most 200 MiB (in integer), [red]above[/]" in memory_line([small, large])
    assert memory_line([row(INTEGER)]) == "host memory beyond guest pages: no peer tells"
