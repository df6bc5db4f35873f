"""The figures of a run, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hypernest.machine.statistics import Statistics


def as_json(statistics: Statistics) -> str:
    """One JSON object with the fields of `Statistics`."""
    return json.dumps(statistics.as_dict(), indent=2) + "\n"


def as_table(statistics: Statistics) -> str:
    """A figure a line; counts by cause follow, the most frequent first."""
    lines = [
        _line("instructions", f"{statistics.instructions:,}"),
        _line("seconds", f"{statistics.seconds:.3f} (and {statistics.startup_seconds:.3f} to start)"),
        _line("MIPS", f"{statistics.mips:.1f} ({statistics.engine}, {statistics.harts} hart(s))"),
        _line("guest seconds", f"{statistics.guest_seconds:.3f}, {statistics.idle_seconds:.3f} of them idle"),
        _line(
            "peak memory",
            f"{_mebibytes(statistics.peak_memory_bytes)}, "
            f"{_mebibytes(statistics.guest_memory_bytes)} of it the guest's",
        ),
    ]
    if statistics.translation:
        lines += _translation(statistics.translation)
    for title, counts in (
        ("traps", statistics.traps),
        ("exits", statistics.exits),
        ("device accesses", statistics.device_accesses),
        ("SBI calls", statistics.sbi_calls),
    ):
        lines += _counts(title, counts)
    return "\n".join(lines)


def _translation(counts: Mapping[str, float]) -> list[str]:
    return [
        _line("in regions", f"{counts['share_in_regions']:.1%} of instructions (sampled)"),
        _line("regions", f"{counts['regions_compiled']:,} compiled, {counts['regions_loaded']:,} loaded from disk"),
        _line("  installed, evicted", f"{counts['regions_installed']:,}, {counts['regions_evicted']:,}"),
        _line("  refused", f"{counts['regions_refused']:,}"),
        _line("compiling", f"{counts['compile_seconds']:.2f} s for {counts['compiled_instructions']:,} instructions"),
        _line("code of regions", _mebibytes(int(counts["code_bytes"]))),
        _line("regions left", ""),
        _line("  for one instruction", f"{counts['left_slowly']:,}"),
        _line("  at the end of a slice", f"{counts['left_carefully']:,}"),
        _line("  to an unknown page", f"{counts['left_to_unknown_page']:,}"),
    ]


def _counts(title: str, counts: Mapping[str, int]) -> list[str]:
    if not counts:
        return []
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [_line(title, f"{sum(counts.values()):,}"), *(_line(f"  {name}", f"{number:,}") for name, number in ordered)]


def _line(name: str, value: str) -> str:
    return f"{name:<28} {value}"


def _mebibytes(count: int) -> str:
    return f"{count / (1 << 20):.1f} MiB"
