"""The bus: the right device at the right offset, nothing elsewhere, no overlap."""

from __future__ import annotations

import pytest

from hypernest.devices import Bus, BusError, GoldfishRtc, TestFinisher, Uart, Wire
from hypernest.errors import BadConfiguration


class StoppedClock:
    def now(self) -> int:
        return 0


def board() -> tuple[Bus, Uart, list[bytes]]:
    bus, written = Bus(), list[bytes]()
    uart = Uart(Wire(), written.append)
    bus.attach(0x1000_0000, uart, 10)
    bus.attach(0x10_0000, TestFinisher(lambda finish: None))
    bus.attach(0x10_1000, GoldfishRtc(StoppedClock(), Wire(), 0x1_2345_6789), 11)
    return bus, uart, written


def test_routes_by_address() -> None:
    bus, uart, written = board()
    bus.write(0x1000_0000, 1, ord("a"))
    bus.write(0x1000_0007, 1, 0x5A)
    assert written == [b"a"]
    assert uart.state.scr == 0x5A
    assert bus.read(0x1000_0007, 1) == 0x5A
    assert bus.read(0x10_1000, 4) == 0x2345_6789
    assert bus.read(0x10_0000, 4) == 0


@pytest.mark.parametrize(
    "address", [0, -1, 0xF_FFFF, 0x10_0004, 0x10_2000, 0x0FFF_FFFF, 0x1000_0008, 0x1000_0100, 1 << 63, 1 << 64, 1 << 99]
)
@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_nothing_elsewhere(address: int, size: int) -> None:
    bus, _, _ = board()
    with pytest.raises(BusError):
        bus.read(address, size)
    with pytest.raises(BusError):
        bus.write(address, size, 0)


def test_an_access_across_the_end_is_refused() -> None:
    bus, _, _ = board()
    with pytest.raises(BusError):
        bus.read(0x10_0FFE, 4)


@pytest.mark.parametrize("base", [0x1000_0000, 0x1000_00FF, 0x0FFF_FF01])
def test_overlap_is_refused(base: int) -> None:
    bus, _, _ = board()
    with pytest.raises(BadConfiguration, match="overlaps"):
        bus.attach(base, Uart(Wire(), lambda data: None))
    assert len(bus.attachments) == 3


def test_neighbours_are_not_overlap() -> None:
    bus, _, _ = board()
    bus.attach(0x1000_0100, Uart(Wire(), lambda data: None))
    bus.attach(0x0FFF_FF00, Uart(Wire(), lambda data: None))
    assert [each.base for each in bus.attachments] == sorted(each.base for each in bus.attachments)
    assert [each.interrupt for each in bus.attachments] == [None, 11, None, 10, None]
