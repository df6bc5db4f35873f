"""What hypernest's speed costs: the second table of the suite, from what `hypernest run --stats` says of itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hypernest.benchmark.report import HYPERNEST, NOTHING
from hypernest.benchmark.suite import TRANSLATION, Result, Row, Sample

if TYPE_CHECKING:
    from rich.table import Table

MEMORY_LIMIT_BYTES = 150 << 20
KIBIBYTE = 1 << 10
MEBIBYTE = 1 << 20
EXPLANATION = (
    "'compiled' and 'ms/instr' (milliseconds of compiling for a guest instruction) are of the first run, 'loaded', "
    "'evicted', code bytes and the share of instructions run in regions of the last; memory is the most in any run."
)


def cost_table(rows: Sequence[Row]) -> Table:
    """What was compiled for each workload and what memory it took; a dash where hypernest does not say."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("workload", no_wrap=True)
    for heading in (
        "compiled",
        "ms/instr",
        "loaded",
        "evicted",
        "code\nKiB",
        "% in\nregions",
        "peak\nMiB",
        "worker\nMiB",
    ):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        if result := row.results.get(HYPERNEST):
            table.add_row(row.workload.name, *cost_cells(costs(result)))
    return table


def costs(result: Result) -> dict[str, float | None]:
    """The figures of the table by name, in units of the host; `None` for what is not known."""
    if result.first is None:
        return {}
    first, last = result.first.stats, result.all_samples[-1].stats
    seconds, instructions = (first.get(f"{TRANSLATION}.{key}") for key in ("compile_seconds", "compiled_instructions"))
    per_instruction = seconds / instructions if seconds is not None and instructions else None
    return {
        "regions_compiled": first.get(f"{TRANSLATION}.regions_compiled"),
        "compile_seconds_per_instruction": per_instruction,
        "regions_loaded": last.get(f"{TRANSLATION}.regions_loaded"),
        "regions_evicted": last.get(f"{TRANSLATION}.regions_evicted"),
        "code_bytes": last.get(f"{TRANSLATION}.code_bytes"),
        "share_in_regions": last.get(f"{TRANSLATION}.share_in_regions"),
        "peak_memory_bytes": most(result.all_samples, "peak_memory_bytes"),
        "worker_peak_memory_bytes": most(
            result.all_samples, f"{TRANSLATION}.worker_peak_memory_bytes", "worker_peak_memory_bytes"
        ),
    }


def most(samples: Sequence[Sample], *keys: str) -> float | None:
    """The greatest value that any run gave to any of `keys`."""
    return max((sample.stats[key] for sample in samples for key in keys if key in sample.stats), default=None)


# How each figure is printed: what it is multiplied with, and its format.
_FORMATS = {
    "regions_compiled": (1, ".0f"),
    "compile_seconds_per_instruction": (1e3, ".3f"),
    "regions_loaded": (1, ".0f"),
    "regions_evicted": (1, ".0f"),
    "code_bytes": (1 / KIBIBYTE, ".0f"),
    "share_in_regions": (100, ".1f"),
    "peak_memory_bytes": (1 / MEBIBYTE, ".0f"),
    "worker_peak_memory_bytes": (1 / MEBIBYTE, ".0f"),
}


def cost_cells(figures: Mapping[str, float | None]) -> list[str]:
    cells = []
    for name, (factor, form) in _FORMATS.items():
        value = figures.get(name)
        cells.append(NOTHING if value is None else format(value * factor, form))
    return cells


def memory_line(rows: Sequence[Row]) -> str:
    """The most host memory that any run took beyond the guest pages it touched."""
    beyond = [
        (result.memory_overhead_bytes, row.workload.name)
        for row in rows
        for result in row.results.values()
        if result.memory_overhead_bytes is not None
    ]
    if not beyond:
        return "host memory beyond guest pages: no peer tells"
    greatest, name = max(beyond)
    verdict = "within" if greatest <= MEMORY_LIMIT_BYTES else "[red]above[/]"
    limit = MEMORY_LIMIT_BYTES // MEBIBYTE
    return f"host memory beyond guest pages: at most {greatest / MEBIBYTE:.0f} MiB (in {name}), {verdict} {limit} MiB"
