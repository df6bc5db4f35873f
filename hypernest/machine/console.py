"""The machine's console: one stream of text, whichever of its consoles the guest uses.

The board has three: the serial port, the virtio console and the SBI. What the guest writes to any of them is one
output. Input goes to the one at which the guest was last seen to wait for it; a virtio console that has printed keeps
it, because kernels print their own messages on the serial port besides.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable

from hypernest.machine.backend import ConsoleBackend

_UNREAD_LIMIT = 16 << 20

Receiver = Callable[[bytes], None]


class Console:
    """What a Python program, or a person through `backend`, sees of the guest's consoles.

    Output is kept until it is read; of more than 16 MiB the oldest half is dropped, so that a guest cannot fill the
    host's memory. Bytes that are sent before the guest waits for input are kept.
    """

    def __init__(self, backend: ConsoleBackend | None = None) -> None:
        self.backend = backend
        self.size: tuple[int, int] | None = None
        """Columns and rows of the user's window, when known."""
        self._unread = bytearray()
        self._outgoing = bytearray()
        self._incoming = bytearray()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._receiver: Receiver | None = None
        self._settled = False
        self._resize: Callable[[int, int], None] | None = None
        self._wanted = b""
        self._on_found: Callable[[], None] | None = None
        self.found = False
        """Has the text that is watched for come?"""
        self._searched = 0

    # --- the user's side -------------------------------------------------------------------------------------------

    def send(self, data: str | bytes) -> None:
        """Type `data` at the guest's console."""
        self._incoming += data.encode() if isinstance(data, str) else data
        self._deliver()

    def read(self) -> str:
        """The output that has not been read yet, as text; bytes that are no UTF-8 become U+FFFD."""
        return self._decoder.decode(self.read_bytes())

    def read_bytes(self) -> bytes:
        """The output that has not been read yet."""
        return self._take(len(self._unread))

    def resize(self, columns: int, rows: int) -> None:
        """The user's window is now that large; a guest with a virtio console learns of it."""
        self.size = columns, rows
        if self._resize is not None:
            self._resize(columns, rows)

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

    def connect(self, resize: Callable[[int, int], None]) -> None:
        """A board was switched on: nobody waits for input; `resize` tells its virtio console the window's size."""
        self._receiver, self._settled, self._resize = None, False, resize
        if self.size is not None:
            resize(*self.size)

    def output(self, data: bytes) -> None:
        """The guest wrote `data` to one of its consoles."""
        self._unread += data
        if self.backend is not None:
            self._outgoing += data
        if self._on_found is not None:
            self._look()
        if len(self._unread) > _UNREAD_LIMIT:
            del self._unread[: _UNREAD_LIMIT // 2]
            self._searched = 0

    def touched(self, receiver: Receiver | None, settle: bool = False) -> None:
        """The guest uses the console behind `receiver`: input goes there from now on. None is the SBI's.

        With `settle` it stays there until the board is switched off.
        """
        if receiver is not self._receiver and (settle or not self._settled):
            self._receiver = receiver
            self._deliver()
        self._settled |= settle

    def take_input(self, count: int) -> bytes:
        """Up to `count` bytes of input for a guest that asks for them through the SBI; later input waits here too."""
        self.touched(None)
        data = bytes(self._incoming[:count])
        del self._incoming[:count]
        return data

    def exchange(self) -> None:
        """Pass output to the back end and take input from it. Lets through what the back end's `read` raises."""
        if self.backend is None:
            return
        if self._outgoing:
            data = bytes(self._outgoing)
            self._outgoing.clear()
            self.backend.write(data)
        arrived = self.backend.read()
        if arrived:
            self.send(arrived)

    def _deliver(self) -> None:
        if self._receiver is not None and self._incoming:
            data = bytes(self._incoming)
            self._incoming.clear()
            self._receiver(data)

    def _look(self) -> None:
        """Search what came since the last look; a match may begin before it."""
        assert self._on_found is not None
        if not self.found and self._unread.find(self._wanted, self._searched) >= 0:
            self.found = True
            self._on_found()
        self._searched = max(0, len(self._unread) - len(self._wanted) + 1)
