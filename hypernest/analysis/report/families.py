"""Many instructions in few words: those of a class that answer alike are one line, and numbered names a range."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hypernest.analysis.model import Setting
from hypernest.analysis.report.classes import Cells, cells
from hypernest.analysis.results import Verdict

_NUMBERED = re.compile(r"(.*[^0-9])(0|[1-9][0-9]{0,8})", re.DOTALL)
_SHORTEST_RANGE = 3


@dataclass(frozen=True)
class Family:
    """Instructions with the same properties: of one extension, or the same variants of one or several rows."""

    extension: str
    names: str  # in short
    cells: Cells
    verdicts: tuple[Verdict, ...]


def variant(verdict: Verdict) -> str:
    """What the name has beyond the row's: "sstatus" of "csrrw sstatus", empty for a row without variants."""
    return verdict.name.removeprefix(verdict.row).strip() if verdict.name.startswith(verdict.row + " ") else ""


def families(verdicts: Iterable[Verdict], setting: Setting) -> list[Family]:
    """The verdicts in families, in the order of their first members."""
    alike: dict[tuple[str, Cells], list[Verdict]] = {}
    for verdict in verdicts:
        alike.setdefault((verdict.extension, cells(verdict, setting)), []).append(verdict)
    return [
        Family(extension, names, shown, tuple(members))
        for (extension, shown), found in alike.items()
        for names, members in _by_variants(found)
    ]


def in_short(verdicts: Iterable[Verdict]) -> list[str]:
    """The names of instructions, those of a row as one: "csrrs, csrrc: time, cycle"."""
    return [names for names, _ in _by_variants(verdicts)]


def _by_variants(verdicts: Iterable[Verdict]) -> list[tuple[str, list[Verdict]]]:
    """Rows with the same variants together, and rows without; each with its names in short."""
    rows: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        rows.setdefault(verdict.row if variant(verdict) else "", []).append(verdict)
    merged: dict[tuple[str, ...], list[list[Verdict]]] = {}
    for row, members in rows.items():
        merged.setdefault(tuple(map(variant, members)) if row else (), []).append(members)
    return [(_names(parts, variants), [each for part in parts for each in part]) for variants, parts in merged.items()]


def _names(parts: Sequence[Sequence[Verdict]], variants: Sequence[str]) -> str:
    if not variants:
        return ", ".join(each.name for part in parts for each in part)
    return f"{', '.join(part[0].row for part in parts)}: {', '.join(shortened(variants))}"


def shortened(names: Iterable[str]) -> list[str]:
    """The names, with three and more of consecutive numbers as a range: hpmcounter3–31."""
    numbered: dict[str, list[int]] = {}
    order: list[tuple[str, bool]] = []
    for name in names:
        match = _NUMBERED.fullmatch(name)
        if match is None:
            order.append((name, False))
            continue
        if match[1] not in numbered:
            order.append((match[1], True))
        numbered.setdefault(match[1], []).append(int(match[2]))
    return [text for name, is_prefix in order for text in (_ranges(name, numbered[name]) if is_prefix else [name])]


def _ranges(prefix: str, numbers: Iterable[int]) -> list[str]:
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return [
        text
        for run in runs
        for text in (
            [f"{prefix}{run[0]}–{run[-1]}"] if len(run) >= _SHORTEST_RANGE else [f"{prefix}{number}" for number in run]
        )
    ]
