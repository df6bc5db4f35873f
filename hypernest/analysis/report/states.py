"""The states of a witness side by side: what differs or changes, line by line, and what is the same everywhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hypernest.analysis.results import State, Witness

_BYTES_A_LINE = 8
MOST_LINES = 48
"""Lines of registers and memory that are shown of a witness."""


@dataclass(frozen=True)
class Line:
    """A register or some bytes of memory: what each column holds, and whether that is not the same in all."""

    place: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """A witness as a table: two columns for each run, before and after."""

    runs: tuple[str, ...]  # the label of each run
    ends: tuple[str, ...]  # how each run ended
    lines: tuple[Line, ...]
    left_out: int  # lines beyond the most
    same: tuple[str, ...]  # places with the same value, not zero, in all columns


def register_files(witnesses: Iterable[Witness]) -> frozenset[str]:
    """The names of registers that are files, as far as witnesses tell."""
    return frozenset(
        name
        for witness in witnesses
        for run in witness.runs
        for name, number in (*run.before.registers, *run.after.registers)
        if number or any(difference.place.startswith(f"{name}[") for difference in witness.differences)
    )


def compare(witness: Witness, files: frozenset[str] | None = None) -> Comparison:
    """The states of a witness; `files` are the names of registers that are written with their number."""
    files = register_files([witness]) if files is None else files
    columns = [state for run in witness.runs for state in (run.before, run.after)]
    lines, same = _registers(columns, files)
    lines += _memory(columns)
    return Comparison(
        tuple(run.label for run in witness.runs),
        tuple(f"traps: {run.trap}" if run.trap is not None else "completes" for run in witness.runs),
        tuple(lines[:MOST_LINES]),
        max(len(lines) - MOST_LINES, 0),
        tuple(same),
    )


def _registers(columns: Sequence[State], files: frozenset[str]) -> tuple[list[Line], list[str]]:
    lines: list[Line] = []
    alike: dict[tuple[str, int], list[int]] = {}
    for name, number in sorted({place for state in columns for place in state.registers}):
        values = [state.registers.get((name, number), 0) for state in columns]
        if len(set(values)) > 1:
            place = f"{name}[{number}]" if name in files else name
            lines.append(Line(place, tuple(f"{value:#x}" for value in values)))
        elif values[0]:
            alike.setdefault((name, values[0]), []).append(number)
    return lines, [
        f"{name}[{_numbers(numbers)}] = {value:#x}" if name in files else f"{name} = {value:#x}"
        for (name, value), numbers in alike.items()
    ]


def _numbers(numbers: Sequence[int]) -> str:
    """Sorted numbers, consecutive ones as a range."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(f"{first}" if first == last else f"{first}–{last}" for first, last in runs)


def _memory(columns: Sequence[State]) -> list[Line]:
    lines: list[Line] = []
    for addresses in _adjacent(sorted({address for state in columns for address in state.memory})):
        values = [" ".join(f"{state.memory.get(address, 0):02x}" for address in addresses) for state in columns]
        place = f"memory {addresses[0]:#x}" + (f"–{addresses[-1]:#x}" if len(addresses) > 1 else "")
        lines.append(Line(place, tuple(values)))
    return lines


def _adjacent(addresses: Iterable[int]) -> list[list[int]]:
    runs: list[list[int]] = []
    for address in addresses:
        if runs and runs[-1][-1] == address - 1 and address % _BYTES_A_LINE:
            runs[-1].append(address)
        else:
            runs.append([address])
    return runs
