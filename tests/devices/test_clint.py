"""The CLINT: software interrupts, the time, and timer lines that rise exactly at their deadline."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from hypernest.devices import Clint, Wire

MTIME = 0xBFF8
ALL_ONES = (1 << 64) - 1


@dataclass
class ManualClock:
    time: int = 0

    def now(self) -> int:
        return self.time


class Board:
    def __init__(self, harts: int = 1) -> None:
        self.clock = ManualClock()
        self.software = [Wire() for _ in range(harts)]
        self.timers = [Wire() for _ in range(harts)]
        self.clint = Clint(self.clock, self.software, self.timers)

    def compare(self, hart: int, value: int) -> None:
        self.clint.write(0x4000 + 8 * hart, 8, value)


def test_software_interrupts_go_to_their_hart() -> None:
    for harts in (1, 8):
        board = Board(harts)
        last = harts - 1
        board.clint.write(4 * last, 4, 0xFFFF_FFFF)
        assert [line.level for line in board.software] == [hart == last for hart in range(harts)]
        assert board.clint.read(4 * last, 4) == 1
        board.clint.write(4 * last, 4, 0xFFFF_FFFE)
        assert not board.software[last].level
        assert board.clint.read(4 * last, 4) == 0


def test_time_ticks_at_ten_megahertz() -> None:
    board = Board()
    for nanoseconds, ticks in ((0, 0), (99, 0), (100, 1), (1_000_000_000, 10_000_000)):
        board.clock.time = nanoseconds
        assert board.clint.read(MTIME, 8) == ticks
    board.clock.time = 0x1_2345_6789 * 100
    assert board.clint.read(MTIME, 4) == 0x2345_6789
    assert board.clint.read(MTIME + 4, 4) == 1


def test_time_can_be_written() -> None:
    board = Board()
    board.clock.time = 5_000
    board.clint.write(MTIME, 8, 7)
    assert board.clint.read(MTIME, 8) == 7
    board.clock.time = 5_100
    assert board.clint.read(MTIME, 8) == 8
    board.clint.write(MTIME + 4, 4, 3)
    assert board.clint.read(MTIME, 8) == 3 << 32 | 8


def test_no_timer_interrupt_at_start() -> None:
    board = Board(4)
    board.clock.time = 1 << 62
    board.clint.update()
    assert not any(line.level for line in board.timers)
    assert board.clint.next_deadline() is None


def test_the_line_rises_at_the_deadline_and_not_before() -> None:
    board = Board(2)
    board.clock.time = 50
    board.compare(0, 20)
    board.compare(1, 10)
    assert board.clint.next_deadline() == 1_000
    board.clock.time = 999
    board.clint.update()
    assert [line.level for line in board.timers] == [False, False]
    board.clock.time = 1_000
    board.clint.update()
    assert [line.level for line in board.timers] == [False, True]
    assert board.clint.next_deadline() == 2_000
    board.compare(1, ALL_ONES)
    assert not board.timers[1].level
    board.compare(0, 10)
    assert board.timers[0].level
    assert board.clint.next_deadline() is None


def test_writing_time_moves_the_deadline() -> None:
    board = Board()
    board.compare(0, 1_000)
    board.clint.write(MTIME, 8, 990)
    assert board.clint.next_deadline() == 1_000
    board.clint.write(MTIME, 8, 1_000)
    assert board.timers[0].level


def test_mtimecmp_in_halves() -> None:
    board = Board()
    board.clint.write(0x4000, 4, 5)
    assert board.clint.read(0x4000, 8) == 0xFFFF_FFFF_0000_0005
    board.clint.write(0x4004, 4, 0)
    assert board.clint.next_deadline() == 500


@given(st.integers(0, ALL_ONES), st.integers(0, ALL_ONES), st.integers(0, 1 << 62))
def test_deadline_is_the_first_moment_the_line_is_high(compare: int, time: int, now: int) -> None:
    board = Board()
    board.clock.time = now
    board.clint.write(MTIME, 8, time)
    board.compare(0, compare)
    deadline = board.clint.next_deadline()
    if board.timers[0].level:
        assert deadline is None
    elif deadline is not None:
        assert now < deadline < 1 << 63
        board.clock.time = deadline - 1
        board.clint.update()
        assert not board.timers[0].level
        board.clock.time = deadline
        board.clint.update()
        assert board.timers[0].level
