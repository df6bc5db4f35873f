"""The goldfish clock: the date from the epoch given, setting it, and the alarm."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from hypernest.devices import GoldfishRtc, Wire

TIME_LOW, TIME_HIGH, ALARM_LOW, ALARM_HIGH, IRQ_ENABLED, CLEAR_ALARM, ALARM_STATUS, CLEAR_INTERRUPT = range(0, 32, 4)
EPOCH = 1_700_000_000_000_000_000


@dataclass
class ManualClock:
    time: int = 0

    def now(self) -> int:
        return self.time


class Board:
    def __init__(self, epoch: int = EPOCH) -> None:
        self.clock = ManualClock()
        self.line = Wire()
        self.rtc = GoldfishRtc(self.clock, self.line, epoch)

    def time(self) -> int:
        low = self.rtc.read(TIME_LOW, 4)
        return self.rtc.read(TIME_HIGH, 4) << 32 | low

    def set_alarm(self, time: int) -> None:
        self.rtc.write(ALARM_HIGH, 4, time >> 32)
        self.rtc.write(ALARM_LOW, 4, time & 0xFFFF_FFFF)


def test_time_is_the_epoch_and_the_guest_time_since() -> None:
    board = Board()
    assert board.time() == EPOCH
    board.clock.time = 123_456_789_012
    assert board.time() == EPOCH + 123_456_789_012


def test_reading_the_low_half_latches_the_high_half() -> None:
    board = Board(epoch=0x1_FFFF_FFFF)
    assert board.rtc.read(TIME_LOW, 4) == 0xFFFF_FFFF
    board.clock.time = 1
    assert board.rtc.read(TIME_HIGH, 4) == 1
    assert board.rtc.read(TIME_LOW, 4) == 0
    assert board.rtc.read(TIME_HIGH, 4) == 2


def test_time_can_be_set() -> None:
    board = Board()
    board.clock.time = 77
    board.rtc.write(TIME_HIGH, 4, 5)
    board.rtc.write(TIME_LOW, 4, 6)
    assert board.time() == 5 << 32 | 6
    board.clock.time = 87
    assert board.time() == (5 << 32 | 6) + 10


def test_alarm() -> None:
    board = Board()
    board.rtc.write(IRQ_ENABLED, 4, 1)
    board.set_alarm(EPOCH + 1_000)
    assert board.rtc.read(ALARM_STATUS, 4) == 1
    assert (board.rtc.read(ALARM_HIGH, 4) << 32 | board.rtc.read(ALARM_LOW, 4)) == EPOCH + 1_000
    assert board.rtc.next_deadline() == 1_000
    board.clock.time = 999
    board.rtc.update()
    assert not board.line.level
    board.clock.time = 1_000
    board.rtc.update()
    assert board.line.level
    assert board.rtc.read(ALARM_STATUS, 4) == 0
    assert board.rtc.next_deadline() is None
    board.rtc.write(CLEAR_INTERRUPT, 4, 1)
    assert not board.line.level


def test_alarm_in_the_past_goes_off_at_once() -> None:
    board = Board()
    board.set_alarm(EPOCH - 5)
    assert not board.line.level  # Not enabled.
    board.rtc.write(IRQ_ENABLED, 4, 1)
    assert board.line.level


def test_alarm_can_be_cleared() -> None:
    board = Board()
    board.rtc.write(IRQ_ENABLED, 4, 1)
    board.set_alarm(EPOCH + 1_000)
    board.rtc.write(CLEAR_ALARM, 4, 1)
    assert board.rtc.next_deadline() is None
    board.clock.time = 2_000
    board.rtc.update()
    assert not board.line.level


@given(st.integers(0, (1 << 64) - 1), st.integers(0, (1 << 64) - 1), st.integers(0, 1 << 62))
def test_deadline_is_exact(epoch: int, alarm: int, now: int) -> None:
    board = Board(epoch)
    board.clock.time = now
    board.rtc.write(IRQ_ENABLED, 4, 1)
    board.set_alarm(alarm)
    deadline = board.rtc.next_deadline()
    if deadline is not None:
        assert now < deadline < 1 << 63
        board.clock.time = deadline - 1
        board.rtc.update()
        assert not board.line.level
        board.clock.time = deadline
        board.rtc.update()
        assert board.line.level
