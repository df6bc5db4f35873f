"""To which of the guest's consoles input goes, and when."""

from __future__ import annotations

from hypernest.devices import Uart, Wire
from hypernest.machine.console import Console

LSR, IER, THR, RBR = 5, 1, 0, 0


def new_uart() -> tuple[Uart, bytearray]:
    output = bytearray()
    return Uart(Wire(), output.extend), output


def test_a_serial_port_awaits_input_once_its_interrupt_is_enabled() -> None:
    uart, _ = new_uart()
    assert not uart.awaits_input
    uart.write(IER, 1, 1)
    assert uart.awaits_input


def test_a_guest_that_polls_for_input_awaits_it() -> None:
    uart, _ = new_uart()
    for _ in range(100):
        uart.read(LSR, 1)
    assert uart.awaits_input


def test_a_guest_that_prints_does_not_await_input() -> None:
    uart, output = new_uart()
    for _ in range(100):
        uart.read(LSR, 1)
        uart.write(THR, 1, ord("x"))
        uart.read(LSR, 1)
    assert not uart.awaits_input
    assert output == b"x" * 100


def test_input_waits_for_a_guest_that_awaits_it() -> None:
    console, received = Console(), bytearray()
    console.connect({"serial": received.extend}, lambda columns, rows: None)
    console.type(b"early")
    assert received == b""
    console.touched("serial")
    console.type(b" late")
    assert received == b"early late"


def test_a_console_that_settles_keeps_the_input_until_the_next_board() -> None:
    console, serial, virtio = Console(), bytearray(), bytearray()
    receivers = {"serial": serial.extend, "virtio": virtio.extend}
    console.connect(receivers, lambda columns, rows: None)
    console.touched("serial")
    console.type(b"1")
    console.touched("virtio", settle=True)
    console.touched("serial")
    console.type(b"2")
    assert serial == b"1"
    assert virtio == b"2"
    console.connect(receivers, lambda columns, rows: None)
    console.touched("serial")
    console.type(b"3")
    assert serial == b"13"
    assert virtio == b"2"


def test_a_console_remembers_its_window_for_the_next_board() -> None:
    console, sizes = Console(), list[tuple[int, int]]()
    console.connect({}, lambda columns, rows: sizes.append((columns, rows)))
    before = console.capture()
    console.take_size(100, 40)
    later = console.capture()
    console.restore(before)
    console.connect({}, lambda columns, rows: sizes.append((columns, rows)))
    console.restore(later)
    console.connect({}, lambda columns, rows: sizes.append((columns, rows)))
    assert sizes == [(100, 40), (100, 40)]
