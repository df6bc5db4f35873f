"""The machine's console: one stream of text, whichever of its consoles the guest uses.

The board has three: the serial port, the virtio console and the SBI. What the guest writes to any of them is one
output. Input goes to the one at which the guest was last seen to wait for it; a virtio console that has printed keeps
it, because kernels print their own messages on the serial port besides.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Mapping

from hypernest.machine.backend import ConsoleBackend
from hypernest.machine.state import BadState, ConsoleState

_LARGEST_WINDOW = 0xFFFF  # columns or rows, as far as a virtio console can tell
_UNREAD_LIMIT = 16 << 20

Receiver = Callable[[bytes], None]

SBI = ""
"""The console that asks for its input instead of taking it."""


class Console:
    """What a Python program, or a person through `backend`, sees of the guest's consoles.

    Output is kept until it is read; of more than 16 MiB the oldest half is dropped, so that a guest cannot fill the
    host's memory. Bytes that are sent before the guest waits for input are kept.
    """

    def __init__(self, backend: ConsoleBackend | None = None) -> None:
        self.backend = backend
        self.size: tuple[int, int] | None = None
        """Columns and rows of the user's window, when known."""
        self.muted = False
        """Is what the guest prints kept from the back end, because it has seen it before?"""
        self._unread = bytearray()
        self._outgoing = bytearray()
        self._incoming = bytearray()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._receivers: Mapping[str, Receiver] = {}
        self._receiver = SBI
        self._settled = False
        self._resize: Callable[[int, int], None] = lambda columns, rows: None
        self.arrivals: list[bytes | tuple[int, int]] = []
        """Input and sizes of the window that have not struck yet: the run loop takes them between two instructions."""
        self.on_arrival: Callable[[], None] = lambda: None
        """Called when something has arrived."""
        self.on_output: Callable[[bytes], None] | None = None
        """Called with what the guest prints, as it does."""
        self._wanted = b""
        self._on_found: Callable[[], None] | None = None
        self.found = False
        """Has the text that is watched for come?"""
        self._searched = 0

    # --- the user's side -------------------------------------------------------------------------------------------

    def send(self, data: str | bytes) -> None:
        """Type `data` at the guest's console. It arrives when the machine runs, before its next instruction."""
        if data:
            self._arrive(data.encode() if isinstance(data, str) else bytes(data))

    def read(self) -> str:
        """The output that has not been read yet, as text; bytes that are no UTF-8 become U+FFFD."""
        return self._decoder.decode(self.read_bytes())

    def read_bytes(self) -> bytes:
        """The output that has not been read yet."""
        return self._take(len(self._unread))

    def resize(self, columns: int, rows: int) -> None:
        """The user's window is now that large; a guest with a virtio console learns of it."""
        self._arrive((min(max(columns, 0), _LARGEST_WINDOW), min(max(rows, 0), _LARGEST_WINDOW)))

    def _arrive(self, what: bytes | tuple[int, int]) -> None:
        self.arrivals.append(what)
        self.on_arrival()

    def last(self, count: int) -> str:
        """The end of the output that has not been read, which stays unread."""
        return self._unread[-count:].decode("utf-8", "replace")

    def watch(self, text: str, found: Callable[[], None]) -> None:
        """Call `found` as soon as unread output contains `text`, perhaps at once."""
        self._wanted, self._on_found, self.found, self._searched = text.encode(), found, False, 0
        self._look()

    def unwatch(self) -> str | None:
        """End the watch. If the text has come, the output up to and including it, which is read thereby."""
        at = self._unread.find(self._wanted) if self.found else -1
        self._on_found, self.found = None, False
        return None if at < 0 else self._decoder.decode(self._take(at + len(self._wanted)))

    def _take(self, count: int) -> bytes:
        data = bytes(self._unread[:count])
        del self._unread[:count]
        self._searched = 0
        return data

    # --- the board's side ------------------------------------------------------------------------------------------

    def connect(self, receivers: Mapping[str, Receiver], resize: Callable[[int, int], None]) -> None:
        """A board with these consoles was switched on; nobody waits for input yet. `resize` tells the window's size."""
        self._receivers, self._receiver, self._settled, self._resize = receivers, SBI, False, resize
        if self.size is not None:
            resize(*self.size)

    def type(self, data: bytes) -> None:
        """`data` strikes now."""
        self._incoming += data
        self._deliver()

    def take_size(self, columns: int, rows: int) -> None:
        """A new size of the window strikes now."""
        self.size = columns, rows
        self._resize(columns, rows)

    def capture(self) -> ConsoleState:
        """What belongs to the machine's state. What has arrived and not struck does not."""
        return ConsoleState(self._receiver, self._settled, bytes(self._incoming), bytes(self._unread), self.size)

    def restore(self, state: ConsoleState) -> None:
        """The way back; raises `BadState` if the board has no such console. A watch goes on."""
        if state.receiver != SBI and state.receiver not in self._receivers:
            raise BadState(f"the state speaks of a console {state.receiver!r}, which this machine does not have")
        self._receiver, self._settled, self.size = state.receiver, state.settled, state.size
        self._incoming[:], self._unread[:] = state.incoming, state.unread
        self._decoder.reset()
        self._searched = 0

    def output(self, data: bytes) -> None:
        """The guest wrote `data` to one of its consoles."""
        self._unread += data
        if self.on_output is not None:
            self.on_output(data)
        if self.backend is not None and not self.muted:
            self._outgoing += data
        if self._on_found is not None:
            self._look()
        if len(self._unread) > _UNREAD_LIMIT:
            del self._unread[: _UNREAD_LIMIT // 2]
            self._searched = 0

    def touched(self, receiver: str, settle: bool = False) -> None:
        """The guest uses that console: input goes there from now on; with `settle`, until the board is switched off."""
        if receiver != self._receiver and (settle or not self._settled):
            self._receiver = receiver
            self._deliver()
        self._settled |= settle

    def take_input(self, count: int) -> bytes:
        """Up to `count` bytes of input for a guest that asks for them through the SBI; later input waits here too."""
        self.touched(SBI)
        data = bytes(self._incoming[:count])
        del self._incoming[:count]
        return data

    def exchange(self, *, listen: bool = True) -> None:
        """Pass output to the back end and `listen` for input. Lets through what the back end's `read` raises."""
        if self.backend is None:
            return
        self.flush()
        arrived = self.backend.read()
        if arrived and listen:
            self.send(arrived)

    def flush(self) -> None:
        """Pass output to the back end."""
        if self._outgoing and self.backend is not None:
            data = bytes(self._outgoing)
            self._outgoing.clear()
            self.backend.write(data)

    def _deliver(self) -> None:
        if self._receiver != SBI and self._incoming:
            data = bytes(self._incoming)
            self._incoming.clear()
            self._receivers[self._receiver](data)

    def _look(self) -> None:
        """Search what came since the last look; a match may begin before it."""
        assert self._on_found is not None
        if not self.found and self._unread.find(self._wanted, self._searched) >= 0:
            self.found = True
            self._on_found()
        self._searched = max(0, len(self._unread) - len(self._wanted) + 1)
