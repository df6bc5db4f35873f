"""One client of the server: packets in both directions, and a look at the socket while the machine runs."""

from __future__ import annotations

import select
import socket
from collections import deque

from hypernest.debug.gdb.packets import LARGEST_PACKET, Event, Mark, Packet, PacketReader, encode

_CHUNK = 4096
_SEND_SECONDS = 10.0
_MOST_WAITING = 64
"""Packets that a client may send before it has the answer to its first. gdb sends one."""

_FIRST_BYTES = frozenset(b"+-$\x03")
_CONSOLE_TEXT = LARGEST_PACKET // 4


class ConnectionLost(Exception):
    """The client has gone, takes nothing any more, or is no gdb."""


class Connection:
    """Owns a connected socket. Everything but `close` may raise `ConnectionLost`."""

    def __init__(self, client: socket.socket) -> None:
        client.settimeout(_SEND_SECONDS)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = client
        self._reader = PacketReader()
        self._events: deque[Event] = deque()
        self._last_sent = b""
        self._begun = self._lost = False
        self.acknowledges = True
        """Are packets acknowledged, as at the beginning?"""

    def fileno(self) -> int:
        """For `select`."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the socket; harmless when repeated."""
        self._socket.close()

    def next_packet(self) -> Packet | Mark | None:
        """A packet, `Mark.INTERRUPT` or `Mark.OVERSIZED`, in the order of their arrival; None if none has arrived.

        Packets that were damaged on the way are asked for again.
        """
        while self._events:
            event = self._events.popleft()
            match event:
                case Packet() | Mark.OVERSIZED:
                    self._acknowledge(b"+")
                    return event
                case Mark.DAMAGED:
                    self._acknowledge(b"-")
                case Mark.REPEAT if self.acknowledges:
                    self._transmit(self._last_sent)
                case Mark.INTERRUPT:
                    return event
        return None

    def send(self, payload: bytes) -> None:
        """Send a packet."""
        self._last_sent = encode(payload)
        self._transmit(self._last_sent)

    def say(self, text: str) -> None:
        """Have gdb print `text`; only while it waits for the end of a run or of a `monitor` command."""
        data = text.encode("utf-8", "replace")
        for at in range(0, len(data), _CONSOLE_TEXT):
            self.send(b"O" + data[at : at + _CONSOLE_TEXT].hex().encode())

    def wants_attention(self) -> bool:
        """Never waits: has gdb interrupted the run, or gone? What else it sent stays for `next_packet`."""
        if self._lost or select.select([self._socket], [], [], 0)[0]:
            try:
                self.receive()
            except ConnectionLost:
                return True  # whoever reads next will see it again
        if Mark.INTERRUPT in self._events:
            self._events.remove(Mark.INTERRUPT)
            return True
        return False

    def receive(self) -> None:
        """Take what has arrived; waits if there is nothing."""
        try:
            data = b"" if self._lost else self._socket.recv(_CHUNK)
        except OSError:
            data = b""
        # A browser that was led here would begin with the name of an HTTP method.
        self._lost |= not data or (not self._begun and data[0] not in _FIRST_BYTES)
        if self._lost:
            raise ConnectionLost
        self._begun = True
        for event in self._reader.feed(data):
            if event is not Mark.ACKNOWLEDGED:
                self._events.append(event)
        if len(self._events) > _MOST_WAITING:
            self._lost = True
            raise ConnectionLost

    def _acknowledge(self, mark: bytes) -> None:
        if self.acknowledges:
            self._transmit(mark)

    def _transmit(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise ConnectionLost from error
