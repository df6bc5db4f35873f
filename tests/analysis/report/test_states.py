"""States side by side: what differs is a line, what does not is said once."""

from __future__ import annotations

from hypernest.analysis.report.states import MOST_LINES, compare, register_files
from hypernest.analysis.results import Run, State, Witness


def witness(before: State, after: State, trap: str | None = None) -> Witness:
    return Witness("i", 0, {}, (Run("in user mode", "user", before, after, trap),), (), True)


def test_lines_are_what_differs() -> None:
    shown = compare(
        witness(State({("pc", 0): 4, ("r", 2): 9, ("base", 0): 5}, {}), State({("pc", 0): 8, ("base", 0): 5}, {}))
    )
    assert [(line.place, line.values) for line in shown.lines] == [("pc", ("0x4", "0x8")), ("r[2]", ("0x9", "0x0"))]
    assert shown.same == ("base = 0x5",)
    assert shown.runs == ("in user mode",)
    assert shown.ends == ("completes",)
    assert shown.left_out == 0


def test_registers_that_are_alike_are_ranges() -> None:
    keys = {("key", number): 7 for number in (0, 1, 2, 5)} | {("key", 3): 8}
    assert compare(witness(State(keys, {}), State(keys, {}))).same == ("key[0–2, 5] = 0x7", "key[3] = 0x8")


def test_memory_is_in_runs_of_bytes() -> None:
    shown = compare(
        witness(State({}, {0x11: 0xAB, 0x12: 1, 0x20: 3, 0x1F: 2}), State({}, {0x11: 0xAB, 0x20: 3}), "privileged")
    )
    assert [(line.place, line.values) for line in shown.lines] == [
        ("memory 0x11–0x12", ("ab 01", "ab 00")),
        ("memory 0x1f", ("02", "00")),
        ("memory 0x20", ("03", "03")),
    ]
    assert shown.ends == ("traps: privileged",)


def test_there_is_an_end_to_it() -> None:
    memory = {address * 16: 1 for address in range(MOST_LINES + 5)}
    shown = compare(witness(State({}, memory), State({}, memory)))
    assert (len(shown.lines), shown.left_out) == (MOST_LINES, 5)


def test_files_are_known_by_their_numbers() -> None:
    shown = witness(State({("r", 1): 4, ("pc", 0): 4}, {}), State({}, {}))
    assert register_files([shown]) == {"r"}
    assert [line.place for line in compare(shown, frozenset({"pc"})).lines] == ["pc[0]", "r"]
