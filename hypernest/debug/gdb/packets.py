"""Frames of the gdb remote protocol: `$payload#checksum`, acknowledgements and the interrupt byte.

Appendix E.1 of gdb's manual. Run-length encoding is optional and used by neither side here. What comes from the socket
may be anything; a reader never holds more than one packet of `LARGEST_PACKET` bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

LARGEST_PACKET = 0x4000
"""Bytes of a payload, escapes included; gdb is told so and makes none that are longer."""

_START, _END, _ESCAPE, _INTERRUPT = b"$#}\x03"
_ESCAPED = frozenset(b"$#}*")
_ESCAPE_BIT = 0x20
_ESCAPE_PAIR = re.compile(rb"\}(.?)", re.DOTALL)
_BOUNDARY = re.compile(rb"[$#]")


class Mark(Enum):
    """What arrives besides packets."""

    INTERRUPT = "Ctrl-C"
    ACKNOWLEDGED = "+"
    REPEAT = "-"
    DAMAGED = "a packet whose checksum is wrong"
    OVERSIZED = "a packet that is too long, which was dropped"


_MARKS = {_INTERRUPT: Mark.INTERRUPT, ord("+"): Mark.ACKNOWLEDGED, ord("-"): Mark.REPEAT}


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet that arrived whole; escapes are undone."""

    payload: bytes


Event = Packet | Mark


def encode(payload: bytes) -> bytes:
    """The packet that carries `payload`."""
    if not _ESCAPED.isdisjoint(payload):
        payload = b"".join(
            bytes((_ESCAPE, byte ^ _ESCAPE_BIT)) if byte in _ESCAPED else bytes((byte,)) for byte in payload
        )
    return b"$%b#%02x" % (payload, checksum(payload))


def checksum(payload: bytes | bytearray) -> int:
    """The sum of the bytes, modulo 256."""
    return sum(payload) & 0xFF


def unescape(payload: bytes) -> bytes:
    """What was sent as `payload`; an escape at its end stands for nothing."""
    return _ESCAPE_PAIR.sub(lambda pair: bytes(byte ^ _ESCAPE_BIT for byte in pair[1]), payload)


class PacketReader:
    """Finds packets in a stream of bytes, however it is cut."""

    def __init__(self) -> None:
        self._payload: bytearray | None = None  # of the packet that is arriving
        self._checksum: bytearray | None = None  # its two digits, when its end has been seen
        self._too_long = False

    def feed(self, data: bytes) -> Iterator[Event]:
        """What `data` completes, in order; all of it must be taken before the next call."""
        at = 0
        while at < len(data):
            if self._payload is None:
                byte = data[at]
                at += 1
                if byte == _START:
                    self._begin()
                elif byte in _MARKS:
                    yield _MARKS[byte]
            elif self._checksum is None:
                at = self._take_payload(data, at)
            else:
                self._checksum.append(data[at])
                at += 1
                if len(self._checksum) == 2:
                    yield self._finish(self._payload, self._checksum)

    def _begin(self) -> None:
        self._payload, self._checksum, self._too_long = bytearray(), None, False

    def _take_payload(self, data: bytes, at: int) -> int:
        """Take bytes up to the end of the payload, or to a `$`: then the packet before was cut off. Where it ended."""
        assert self._payload is not None
        found = _BOUNDARY.search(data, at)
        end = found.start() if found else len(data)
        room = LARGEST_PACKET - len(self._payload)
        self._payload += data[at : min(end, at + room)]
        self._too_long |= end - at > room
        if not found:
            return end
        if data[end] == _START:
            self._begin()
        else:
            self._checksum = bytearray()
        return end + 1

    def _finish(self, payload: bytearray, digits: bytearray) -> Event:
        self._payload = None
        if self._too_long:
            return Mark.OVERSIZED
        return Packet(unescape(bytes(payload))) if digits.lower() == b"%02x" % checksum(payload) else Mark.DAMAGED
