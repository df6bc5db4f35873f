"""The 16550: input, output, interrupts and their priorities, and what the drivers of Linux and xv6 probe for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hypernest.devices import Uart, Wire

RBR = THR = DLL = 0
IER = DLM = 1
IIR = FCR = 2
LCR, MCR, LSR, MSR, SCR = 3, 4, 5, 6, 7


class Port:
    """A UART with its line and what it sent."""

    def __init__(self) -> None:
        self.line = Wire()
        self.sent = bytearray()
        self.uart = Uart(self.line, self.sent.extend)

    def read(self, offset: int) -> int:
        return self.uart.read(offset, 1)

    def write(self, offset: int, value: int) -> None:
        self.uart.write(offset, 1, value)


def test_output_appears_at_once_and_the_transmitter_stays_ready() -> None:
    port = Port()
    for byte in b"hello\n":
        assert port.read(LSR) & 0x60 == 0x60
        port.write(THR, byte)
    assert port.sent == b"hello\n"
    assert not port.line.level


@given(st.lists(st.binary(max_size=40), max_size=5))
def test_input_arrives_complete_and_in_order(parts: list[bytes]) -> None:
    port = Port()
    for part in parts:
        port.uart.receive(part)
    got = bytearray()
    while port.read(LSR) & 1:
        got.append(port.read(RBR))
    assert got == b"".join(parts)
    assert port.read(RBR) == 0


def test_receive_interrupt_follows_the_input() -> None:
    port = Port()
    port.uart.receive(b"ab")
    assert not port.line.level
    port.write(IER, 1)
    assert port.line.level
    assert port.read(IIR) == 0x04
    assert port.read(RBR) == ord("a")
    assert port.line.level
    assert port.read(RBR) == ord("b")
    assert not port.line.level
    assert port.read(IIR) == 0x01


def test_fifo_trigger_level_and_timeout() -> None:
    port = Port()
    port.write(FCR, 0x81)  # FIFOs on, trigger at 8 bytes.
    port.write(IER, 1)
    assert port.read(IIR) == 0xC1
    port.uart.receive(b"1234567")
    assert port.line.level
    assert port.read(IIR) == 0xCC
    port.uart.receive(b"8")
    assert port.read(IIR) == 0xC4
    port.write(FCR, 0)
    assert port.read(IIR) == 0x04


def test_transmit_interrupt() -> None:
    port = Port()
    port.write(IER, 2)
    assert port.line.level
    assert port.read(IIR) == 0x02
    assert not port.line.level  # Reading IIR took it back.
    assert port.read(IIR) == 0x01
    port.write(THR, ord("x"))
    assert port.line.level
    port.write(IER, 0)
    assert not port.line.level
    port.write(IER, 2)  # Linux tests that enabling raises it again.
    assert port.read(IIR) == 0x02


def test_priorities() -> None:
    """Line status before data before transmitter."""
    port = Port()
    port.write(IER, 7)
    port.write(MCR, 0x10)
    port.write(THR, ord("a"))
    port.write(THR, ord("b"))  # No room without a FIFO: overrun.
    port.write(MCR, 0)
    assert port.read(IIR) == 0x06
    assert port.read(LSR) == 0x63
    assert port.read(LSR) == 0x61
    assert port.read(IIR) == 0x04
    assert port.read(RBR) == ord("a")
    assert port.read(IIR) == 0x02
    assert port.read(IIR) == 0x01
    assert port.sent == b""


def test_divisor_latch_hides_data_and_interrupt_enable() -> None:
    port = Port()
    port.write(IER, 5)
    port.write(LCR, 0x83)
    port.write(DLL, 0x34)
    port.write(DLM, 0x12)
    assert (port.read(DLL), port.read(DLM)) == (0x34, 0x12)
    port.write(LCR, 3)
    assert port.read(IER) == 5
    assert port.read(LCR) == 3
    assert port.sent == b""


def test_clearing_the_receive_fifo_drops_what_is_in_it() -> None:
    port = Port()
    port.uart.receive(bytes(range(20)))
    port.write(FCR, 3)
    assert port.read(RBR) == 16


def test_linux_finds_a_16550a() -> None:
    """The steps of autoconfig in drivers/tty/serial/8250/8250_port.c."""
    port = Port()
    port.write(IER, 0)
    assert port.read(IER) & 0x0F == 0
    port.write(IER, 0x0F)
    assert port.read(IER) & 0x0F == 0x0F
    port.write(IER, 0)
    port.write(MCR, 0x10 | 0x0A)
    assert port.read(MSR) & 0xF0 == 0x90
    port.write(MCR, 0)
    port.write(LCR, 0xBF)
    port.write(FCR, 0)  # The enhanced feature register of later chips, which this one has not.
    port.write(LCR, 0)
    port.write(FCR, 1)
    assert port.read(IIR) >> 6 == 3
    port.write(LCR, 0xBF)
    assert port.read(FCR) != 0  # A 16650 would read zero.
    port.write(LCR, 0)
    port.write(SCR, 0xA5)
    assert port.read(SCR) == 0xA5
    # The FIFO's size, as size_fifo measures it in loop-back.
    port.write(FCR, 7)
    port.write(MCR, 0x10)
    for value in range(256):
        port.write(THR, value)
    count = 0
    while port.read(LSR) & 1:
        assert port.read(RBR) == count
        count += 1
    assert count == 16


def test_loop_back_cannot_fill_the_host_memory() -> None:
    port = Port()
    port.write(FCR, 1)
    port.write(MCR, 0x10)
    for _ in range(10_000):
        port.write(THR, 1)
    assert len(port.uart.state.input) == 16
