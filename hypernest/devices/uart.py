"""The 16550A serial port: the console that every kernel and firmware can drive before it knows anything else.

National Semiconductor PC16550D data sheet, section 8; the baud rate is remembered and has no effect.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hypernest.devices.device import Access, Device, InterruptLine, Output, Register
from hypernest.devices.tree import Value

_FIFO_DEPTH = 16
_TRIGGER_LEVELS = (1, 4, 8, 14)

_IER_RECEIVE, _IER_TRANSMIT, _IER_LINE_STATUS = 0x1, 0x2, 0x4
_IIR_NONE, _IIR_LINE_STATUS, _IIR_RECEIVE, _IIR_TIMEOUT, _IIR_TRANSMIT = 0x1, 0x6, 0x4, 0xC, 0x2
_IIR_FIFOS = 0xC0
_FCR_ENABLE, _FCR_CLEAR_RECEIVE, _FCR_TRIGGER_SHIFT = 0x1, 0x2, 6
_LCR_DIVISOR_LATCH = 0x80
_MCR_LOOP = 0x10
_LSR_DATA_READY, _LSR_OVERRUN, _LSR_TRANSMITTER_EMPTY = 0x1, 0x2, 0x60
_POLLS = 16
"""So many reads of LSR without a byte to transmit show a guest to poll for input. Probing drivers make fewer."""

_MSR_CONNECTED = 0xB0  # Carrier, data set ready and clear to send, as if a terminal were always there.


@dataclass(slots=True)
class UartState:
    """The registers of the same names; `input` is what has arrived and the guest has not read, FIFO first.

    `transmit_event` says that the transmitter ran empty and the guest has not been told yet. `polls` counts reads of
    LSR since the last byte was transmitted, up to the number that matters.
    """

    ier: int = 0
    fcr: int = 0
    lcr: int = 0
    mcr: int = 0
    scr: int = 0
    dll: int = 0
    dlm: int = 0
    overrun: bool = False
    transmit_event: bool = False
    polls: int = 0
    input: bytearray = field(default_factory=bytearray)


class Uart(Device):
    """A port whose transmitter is always ready and whose far end waits while the receive FIFO is full.

    `output` gets each byte when the guest writes it. `receive` is the other direction. A byte counts as timed out at
    once when fewer than the trigger level wait, so that input never depends on how fast the guest runs.
    """

    size = 0x100
    registers = (
        Register(0, "rbr", (1,), Access.READ, "received byte (low half of the divisor when LCR bit 7 is set)"),
        Register(0, "thr", (1,), Access.WRITE, "byte to transmit (low half of the divisor when LCR bit 7 is set)"),
        Register(1, "ier", (1,), Access.READ_WRITE, "interrupt enable (high half of the divisor with LCR bit 7)"),
        Register(2, "iir", (1,), Access.READ, "most urgent interrupt", reset=_IIR_NONE),
        Register(2, "fcr", (1,), Access.WRITE, "FIFO control"),
        Register(3, "lcr", (1,), Access.READ_WRITE, "line control"),
        Register(4, "mcr", (1,), Access.READ_WRITE, "modem control"),
        Register(5, "lsr", (1,), Access.READ, "line status", reset=_LSR_TRANSMITTER_EMPTY),
        Register(5, "factory_test", (1,), Access.WRITE, "ignored"),
        Register(6, "msr", (1,), Access.READ, "modem status", reset=_MSR_CONNECTED),
        Register(6, "msr_ignored", (1,), Access.WRITE, "ignored"),
        Register(7, "scr", (1,), Access.READ_WRITE, "scratch"),
    )
    tree_name = "serial"
    tree_alias = "serial"
    compatible = ("ns16550a",)

    state: UartState

    def __init__(self, line: InterruptLine, output: Output) -> None:
        self.state = UartState()
        self._line = line
        self._output = output
        super().__init__()

    def receive(self, data: bytes) -> None:
        """Bytes that arrive from outside; all are kept until the guest reads them."""
        self.state.input += data
        self.update()

    @property
    def awaits_input(self) -> bool:
        """Does the guest listen? Before, it would throw away what it receives, as drivers do when they start."""
        return bool(self.state.ier & _IER_RECEIVE) or self.state.polls >= _POLLS

    def update(self) -> None:
        self._line.set(self._cause() != _IIR_NONE)

    def _cause(self) -> int:
        """The interrupt that IIR reports, by the priorities of table 5 of the data sheet."""
        state = self.state
        if state.overrun and state.ier & _IER_LINE_STATUS:
            return _IIR_LINE_STATUS
        if state.input and state.ier & _IER_RECEIVE:
            fifos = state.fcr & _FCR_ENABLE
            full = not fifos or len(state.input) >= _TRIGGER_LEVELS[state.fcr >> _FCR_TRIGGER_SHIFT]
            return _IIR_RECEIVE if full else _IIR_TIMEOUT
        if state.transmit_event and state.ier & _IER_TRANSMIT:
            return _IIR_TRANSMIT
        return _IIR_NONE

    def _divisor_latched(self) -> bool:
        return bool(self.state.lcr & _LCR_DIVISOR_LATCH)

    def read_rbr(self) -> int:
        state = self.state
        if self._divisor_latched():
            return state.dll
        if not state.input:
            return 0
        byte = state.input[0]
        del state.input[0]
        self.update()
        return byte

    def write_thr(self, value: int) -> None:
        state = self.state
        if self._divisor_latched():
            state.dll = value
            return
        state.polls = 0
        if not state.mcr & _MCR_LOOP:
            self._output(bytes((value,)))
        elif len(state.input) < (_FIFO_DEPTH if state.fcr & _FCR_ENABLE else 1):
            state.input.append(value)
        else:
            state.overrun = True
        state.transmit_event = True
        self.update()

    def read_ier(self) -> int:
        return self.state.dlm if self._divisor_latched() else self.state.ier

    def write_ier(self, value: int) -> None:
        state = self.state
        if self._divisor_latched():
            state.dlm = value
            return
        # Enabling the transmit interrupt raises it at once, because the transmitter is empty.
        state.transmit_event |= bool(value & ~state.ier & _IER_TRANSMIT)
        state.ier = value & 0x0F
        self.update()

    def read_iir(self) -> int:
        cause = self._cause()
        if cause == _IIR_TRANSMIT:
            self.state.transmit_event = False
            self.update()
        return cause | (_IIR_FIFOS if self.state.fcr & _FCR_ENABLE else 0)

    def write_fcr(self, value: int) -> None:
        state = self.state
        if value & _FCR_CLEAR_RECEIVE:
            del state.input[:_FIFO_DEPTH]
        state.fcr = value & 0xC9 if value & _FCR_ENABLE else 0
        self.update()

    def write_mcr(self, value: int) -> None:
        self.state.mcr = value & 0x1F

    def read_lsr(self) -> int:
        state = self.state
        status = _LSR_TRANSMITTER_EMPTY
        status |= _LSR_DATA_READY if state.input else 0
        status |= _LSR_OVERRUN if state.overrun else 0
        state.overrun = False
        state.polls = min(state.polls + 1, _POLLS)
        self.update()
        return status

    def write_factory_test(self, value: int) -> None:
        pass

    def read_msr(self) -> int:
        """In loop-back the modem inputs are the modem outputs: CTS = RTS, DSR = DTR, RI = OUT1, DCD = OUT2."""
        mcr = self.state.mcr
        if not mcr & _MCR_LOOP:
            return _MSR_CONNECTED
        return (mcr & 0x2) << 3 | (mcr & 0x1) << 5 | (mcr & 0xC) << 4

    def write_msr_ignored(self, value: int) -> None:
        pass

    def tree_properties(self) -> Mapping[str, Value]:
        return {"clock-frequency": 3_686_400}
