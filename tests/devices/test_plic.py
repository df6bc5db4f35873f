"""The PLIC: gateways, priorities, thresholds, enables, claims and completions, for each context on its own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypernest.devices import BusError, Plic, Wire

MACHINE, SUPERVISOR = 0, 1


class Board:
    """A PLIC with the lines at both of its sides."""

    def __init__(self, harts: int = 1) -> None:
        self.lines = [Wire() for _ in range(2 * harts)]
        self.plic = Plic(self.lines)

    def priority(self, source: int, priority: int) -> None:
        self.plic.write(4 * source, 4, priority)

    def enable(self, context: int, *sources: int) -> None:
        for word in range(2):
            bits = sum(1 << source % 32 for source in sources if source // 32 == word)
            self.plic.write(0x2000 + 0x80 * context + 4 * word, 4, bits)

    def threshold(self, context: int, value: int) -> None:
        self.plic.write(0x200000 + 0x1000 * context, 4, value)

    def claim(self, context: int) -> int:
        return self.plic.read(0x200004 + 0x1000 * context, 4)

    def complete(self, context: int, source: int) -> None:
        self.plic.write(0x200004 + 0x1000 * context, 4, source)

    def pending(self, source: int) -> bool:
        return bool(self.plic.read(0x1000 + 4 * (source // 32), 4) >> source % 32 & 1)


def test_a_source_is_forwarded_once_until_it_is_completed() -> None:
    board = Board()
    board.priority(10, 1)
    board.enable(SUPERVISOR, 10)
    line = board.plic.line(10)
    line.set(True)
    assert [wire.level for wire in board.lines] == [False, True]
    assert board.pending(10)
    assert board.claim(SUPERVISOR) == 10
    assert not board.lines[SUPERVISOR].level
    assert not board.pending(10)
    assert board.claim(SUPERVISOR) == 0
    line.set(False)
    line.set(True)  # The gateway is closed while the handler runs.
    assert not board.lines[SUPERVISOR].level
    board.complete(SUPERVISOR, 10)
    assert board.lines[SUPERVISOR].level  # Still high: pending again.
    assert board.claim(SUPERVISOR) == 10
    line.set(False)
    board.complete(SUPERVISOR, 10)
    assert not board.lines[SUPERVISOR].level
    assert board.claim(SUPERVISOR) == 0


def test_order_by_priority_then_by_number() -> None:
    board = Board()
    board.enable(MACHINE, 1, 33, 40, 63)
    for source, priority in ((1, 1), (33, 5), (40, 5), (63, 7)):
        board.priority(source, priority)
        board.plic.line(source).set(True)
    assert [board.claim(MACHINE) for _ in range(5)] == [63, 33, 40, 1, 0]


def test_priority_zero_never_interrupts() -> None:
    board = Board()
    board.enable(MACHINE, 3)
    board.plic.line(3).set(True)
    assert not board.lines[MACHINE].level
    assert board.claim(MACHINE) == 0
    board.priority(3, 1)
    assert board.lines[MACHINE].level


def test_threshold_masks_the_line_but_not_the_claim() -> None:
    board = Board()
    board.enable(MACHINE, 3)
    board.priority(3, 4)
    board.plic.line(3).set(True)
    board.threshold(MACHINE, 4)
    assert not board.lines[MACHINE].level
    board.threshold(MACHINE, 3)
    assert board.lines[MACHINE].level
    board.threshold(MACHINE, 7)
    assert board.claim(MACHINE) == 3


def test_contexts_are_independent_and_one_claims_it() -> None:
    board = Board(harts=8)
    board.priority(7, 1)
    for context in (1, 6, 15):
        board.enable(context, 7)
    board.plic.line(7).set(True)
    assert [context for context, line in enumerate(board.lines) if line.level] == [1, 6, 15]
    assert board.claim(3) == 0
    assert board.claim(6) == 7
    assert not any(line.level for line in board.lines)
    board.complete(3, 7)  # Not enabled there: ignored.
    assert not any(line.level for line in board.lines)
    board.complete(15, 7)  # Enabled there: the specification lets any such context complete it.
    assert board.lines[1].level


def test_a_completion_of_nothing_is_ignored() -> None:
    board = Board()
    board.enable(MACHINE, 5)
    board.priority(5, 1)
    for source in (0, 5, 63, 64, 0xFFFF_FFFF):
        board.complete(MACHINE, source)
    board.plic.line(5).set(True)
    board.complete(MACHINE, 5)
    assert board.claim(MACHINE) == 5


def test_source_zero_and_beyond_the_last_do_not_exist() -> None:
    board = Board()
    for word in range(2):
        board.plic.write(0x2000 + 4 * word, 4, 0xFFFF_FFFF)
    assert [board.plic.read(0x2000 + 4 * word, 4) for word in range(2)] == [0xFFFF_FFFE, 0xFFFF_FFFF]
    for offset in (0, 4 * 64, 0x200C, 0x2000 + 0x100, 0x202000):
        with pytest.raises(BusError):
            board.plic.read(offset, 4)


def test_priorities_and_thresholds_have_three_bits() -> None:
    board = Board()
    board.priority(63, 0xFFFF_FFFF)
    board.threshold(1, 0xFFFF_FFFF)
    assert board.plic.read(4 * 63, 4) == 7
    assert board.plic.read(0x201000, 4) == 7


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 4), st.integers(0, 7)), max_size=60))
def test_lines_are_always_what_the_state_says(steps: list[tuple[int, int, int]]) -> None:
    board = Board()
    for action, source, value in steps:
        context = value & 1
        if action == 0:
            board.plic.line(source).set(bool(value & 1))
        elif action == 1:
            board.priority(source, value)
        elif action == 2:
            board.enable(context, *range(1, source + 1))
        elif action == 3:
            board.threshold(context, value)
        elif action == 4:
            board.claim(context)
        else:
            board.complete(context, source)
        state = board.plic.state
        assert not state.pending & state.claimed
        for number, line in enumerate(board.lines):
            takes = [
                source
                for source in range(1, 64)
                if state.pending >> source & 1
                and state.enable[number] >> source & 1
                and state.priority[source] > state.threshold[number]
            ]
            assert line.level == bool(takes)
