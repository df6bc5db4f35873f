"""The goldfish real-time clock: the date, and an alarm.

Registers as in the Android goldfish platform and QEMU's `virt` board.
"""

from __future__ import annotations

from dataclasses import dataclass

from hypernest.devices.device import NEVER, Access, Clock, Device, InterruptLine, Register

_ALL_ONES = (1 << 64) - 1
_LOW = 0xFFFF_FFFF


@dataclass(slots=True)
class RtcState:
    """`offset` is what the clock's time is added to, in nanoseconds since 1970; `time_high` is latched by a read."""

    offset: int
    time_high: int = 0
    alarm: int = 0
    alarm_status: int = 0
    irq_enabled: int = 0
    pending: bool = False


class GoldfishRtc(Device):
    """Counts nanoseconds since 1970: `epoch` at guest time 0. The owner calls `update` at `next_deadline()`."""

    registers = (
        Register(0x00, "time_low", (4,), Access.READ_WRITE, "low half of the time; reading it latches time_high"),
        Register(0x04, "time_high", (4,), Access.READ_WRITE, "high half of the time when time_low was last read"),
        Register(0x08, "alarm_low", (4,), Access.READ_WRITE, "low half of the alarm time; writing it arms the alarm"),
        Register(0x0C, "alarm_high", (4,), Access.READ_WRITE, "high half of the alarm time"),
        Register(0x10, "irq_enabled", (4,), Access.READ_WRITE, "bit 0: the alarm interrupts"),
        Register(0x14, "clear_alarm", (4,), Access.WRITE, "any value disarms the alarm"),
        Register(0x18, "alarm_status", (4,), Access.READ, "1 while the alarm is armed"),
        Register(0x1C, "clear_interrupt", (4,), Access.WRITE, "any value takes the interrupt back"),
    )
    tree_name = "rtc"
    compatible = ("google,goldfish-rtc",)

    state: RtcState

    def __init__(self, clock: Clock, line: InterruptLine, epoch: int) -> None:
        self.state = RtcState(epoch)
        self._clock = clock
        self._line = line
        super().__init__()

    def _time(self) -> int:
        return (self.state.offset + self._clock.now()) & _ALL_ONES

    def _set_time(self, time: int) -> None:
        self.state.offset = (time - self._clock.now()) & _ALL_ONES
        self.update()

    def read_time_low(self) -> int:
        time = self._time()
        self.state.time_high = time >> 32
        return time & _LOW

    def write_time_low(self, value: int) -> None:
        self._set_time(self._time() & ~_LOW | value)

    def write_time_high(self, value: int) -> None:
        self._set_time(self._time() & _LOW | value << 32)

    def read_alarm_low(self) -> int:
        return self.state.alarm & _LOW

    def write_alarm_low(self, value: int) -> None:
        self.state.alarm = self.state.alarm & ~_LOW | value
        self.state.alarm_status = 1
        self.update()

    def read_alarm_high(self) -> int:
        return self.state.alarm >> 32

    def write_alarm_high(self, value: int) -> None:
        self.state.alarm = self.state.alarm & _LOW | value << 32

    def write_irq_enabled(self, value: int) -> None:
        self.state.irq_enabled = value & 1
        self.update()

    def write_clear_alarm(self, value: int) -> None:
        self.state.alarm_status = 0

    def write_clear_interrupt(self, value: int) -> None:
        self.state.pending = False
        self.update()

    def update(self) -> None:
        state = self.state
        if state.alarm_status and self._time() >= state.alarm:
            state.alarm_status = 0
            state.pending = True
        self._line.set(state.pending and bool(state.irq_enabled))

    def next_deadline(self) -> int | None:
        """Nanoseconds of guest time at which the alarm goes off, or None when it is not armed."""
        if not self.state.alarm_status:
            return None
        deadline = self._clock.now() + max(self.state.alarm - self._time(), 0)
        return deadline if deadline < NEVER else None
