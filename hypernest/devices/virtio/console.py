"""The virtio console with one port (Virtio 1.2, section 5.3): fast bytes, and the window's size."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypernest.devices.device import Access, Output, Register
from hypernest.devices.virtio.device import VirtioDevice
from hypernest.devices.virtio.queue import Queue

_SIZE = 1 << 0
_RECEIVE, _TRANSMIT = 0, 1
_CHUNK = 1 << 20


@dataclass(slots=True)
class ConsoleState:
    """The window's size in characters, and what has arrived and the driver had no buffer for."""

    columns: int = 80
    rows: int = 25
    input: bytearray = field(default_factory=bytearray)


class VirtioConsole(VirtioDevice):
    """`output` gets what the guest writes; `receive` is the other direction, `resize` follows the user's window."""

    device_id = 3
    queue_sizes = (256, 256)
    features = _SIZE
    configuration = (
        Register(0, "columns", (1, 2), Access.READ, "width of the window in characters", reset=80),
        Register(2, "rows", (1, 2), Access.READ, "height of the window in characters", reset=25),
        Register(4, "max_nr_ports", (4,), Access.READ, "without MULTIPORT, one port", reset=1),
    )

    state: ConsoleState

    def __init__(self, output: Output) -> None:
        self.state = ConsoleState()
        self._output = output

    def receive(self, data: bytes) -> None:
        """Bytes that arrive from outside; all are kept until the driver has taken them."""
        self.state.input += data
        self.transport.process(_RECEIVE)

    def resize(self, columns: int, rows: int) -> None:
        """The window is now that large (each 0 to 65535); the guest is told if that is news."""
        columns, rows = min(max(columns, 0), 0xFFFF), min(max(rows, 0), 0xFFFF)
        if (columns, rows) != (self.state.columns, self.state.rows):
            self.state.columns, self.state.rows = columns, rows
            self.transport.configuration_changed()

    def serve(self, index: int, queue: Queue) -> None:
        if index == _TRANSMIT:
            self._transmit(queue)
        else:
            self._receive(queue)

    def _transmit(self, queue: Queue) -> None:
        for chain in queue:
            for start in range(0, chain.readable_size, _CHUNK):
                self._output(chain.read(start, _CHUNK))
            queue.put(chain, 0)

    def _receive(self, queue: Queue) -> None:
        waiting = self.state.input
        while waiting and (chain := queue.take()) is not None:
            stored = chain.write(0, bytes(waiting[: chain.writable_size]))
            del waiting[:stored]
            queue.put(chain, stored)
