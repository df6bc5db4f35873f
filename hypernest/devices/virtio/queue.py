"""Split virtqueues (Virtio 1.2, section 2.7), read with suspicion: every word in them is the guest's.

Whatever does not follow the specification is a `QueueError`; the transport turns it into DEVICE_NEEDS_RESET.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct

from hypernest.memory import GuestMemory

INDIRECT_DESC = 1 << 28
"""Feature bit: a descriptor may point to a table of descriptors."""

EVENT_IDX = 1 << 29
"""Feature bit: either side says at which index it wants to hear again."""

MAXIMUM_SIZE = 1024
"""Longest queue, and longest chain, that is accepted; the latter bounds the work a chain can cause."""

_DESCRIPTOR = Struct("<QIHH")
_NEXT, _WRITE, _INDIRECT = 1, 2, 4
_NO_INTERRUPT = 1


class QueueError(Exception):
    """The guest broke the rules of its queue."""


@dataclass(slots=True)
class QueueState:
    """What the driver has set up (`size`, `ready`, addresses of the three areas) and how far the device has come.

    Indices run modulo 2**16; `signalled` is the used index at the last interrupt that was considered.
    """

    size: int = 0
    ready: int = 0
    descriptor_area: int = 0
    driver_area: int = 0
    device_area: int = 0
    next_available: int = 0
    next_used: int = 0
    signalled: int = 0


class Chain:
    """One request of the driver: buffers that the device reads, then buffers that it writes, all of them in RAM."""

    def __init__(self, memory: GuestMemory, head: int) -> None:
        self._memory = memory
        self.head = head
        self.readable: list[tuple[int, int]] = []
        self.writable: list[tuple[int, int]] = []
        self.readable_size = 0
        self.writable_size = 0

    def add(self, address: int, count: int, write: bool) -> None:
        """Append a buffer; raises `QueueError` when it is not in RAM or out of order (section 2.7.4.2)."""
        if count and not self._memory.contains(address, count):
            raise QueueError(f"buffer of {count} bytes at {address:#x} is not in RAM")
        if write:
            self.writable.append((address, count))
            self.writable_size += count
        elif self.writable:
            raise QueueError("a buffer to read follows a buffer to write")
        else:
            self.readable.append((address, count))
            self.readable_size += count
        # Buffers that overlap could make a request of any length out of little memory.
        if self.readable_size + self.writable_size > self._memory.size:
            raise QueueError("a request is longer than all of RAM")

    def read(self, offset: int, count: int) -> bytes:
        """At most `count` bytes from `offset` on of what the driver sends."""
        return b"".join(self._memory.read(*piece) for piece in pieces(self.readable, offset, count))

    def write(self, offset: int, data: bytes) -> int:
        """Store `data` from `offset` on in the driver's buffers, as far as they reach; the number of bytes stored."""
        done = 0
        for address, count in pieces(self.writable, offset, len(data)):
            self._memory.write(address, data[done : done + count])
            done += count
        return done


def pieces(buffers: list[tuple[int, int]], offset: int, count: int) -> Iterator[tuple[int, int]]:
    """The non-empty parts of `buffers` that hold bytes `offset` to `offset + count` of their concatenation."""
    for address, size in buffers:
        if count <= 0:
            return
        part = min(size - offset, count)
        if part > 0:
            yield address + offset, part
            count -= part
        offset = max(offset - size, 0)


class Queue:
    """The device's end of one ready queue, for one round of service. `features` are what the driver accepted.

    The driver does not run while it is served, so more requests in one round than the queue has room for can only
    mean that requests were aimed at the queue itself.
    """

    def __init__(self, memory: GuestMemory, state: QueueState, features: int) -> None:
        self._memory = memory
        self._state = state
        self._indirect = bool(features & INDIRECT_DESC)
        self._event_index = bool(features & EVENT_IDX)
        self._room = state.size

    def validate(self) -> None:
        """Raise `QueueError` unless size, alignment and place of the three areas are as section 2.7 wants them."""
        state = self._state
        size = state.size
        if not 0 < size <= MAXIMUM_SIZE or size & (size - 1):
            raise QueueError(f"queue size {size} is not a power of two")
        tail = 2 if self._event_index else 0
        areas = (
            (state.descriptor_area, 16 * size, 16),
            (state.driver_area, 4 + 2 * size + tail, 2),
            (state.device_area, 4 + 8 * size + tail, 4),
        )
        for address, count, alignment in areas:
            if address % alignment or not self._memory.contains(address, count):
                raise QueueError(f"queue area of {count} bytes at {address:#x} is misaligned or not in RAM")

    def __iter__(self) -> Iterator[Chain]:
        """The requests that are available, each taken as it is handed out."""
        while (chain := self.take()) is not None:
            yield chain

    def take(self) -> Chain | None:
        """The next request of the driver, or None when it has made no more available."""
        state, memory = self._state, self._memory
        available = memory.read_integer(state.driver_area + 2, 2)
        waiting = available - state.next_available & 0xFFFF
        if not waiting:
            return None
        if waiting > state.size:
            raise QueueError(f"{waiting} requests are available in a queue of {state.size}")
        if not self._room:
            raise QueueError("the queue refills itself")
        self._room -= 1
        slot = state.next_available & (state.size - 1)
        chain = self._collect(memory.read_integer(state.driver_area + 4 + 2 * slot, 2))
        state.next_available = state.next_available + 1 & 0xFFFF
        if self._event_index:
            memory.write_integer(state.device_area + 4 + 8 * state.size, 2, state.next_available)
        return chain

    def _collect(self, head: int) -> Chain:
        chain = Chain(self._memory, head)
        table, entries, index, indirect = self._state.descriptor_area, self._state.size, head, False
        for _ in range(MAXIMUM_SIZE):
            if index >= entries:
                raise QueueError(f"descriptor {index} of {entries}")
            address, count, flags, following = _DESCRIPTOR.unpack(self._memory.read(table + 16 * index, 16))
            if flags & _INDIRECT:
                if indirect or not self._indirect or flags & _NEXT or not count or count % 16:
                    raise QueueError("indirect descriptor that is nested, not agreed on, chained or of odd length")
                if not self._memory.contains(address, count):
                    raise QueueError(f"indirect table of {count} bytes at {address:#x} is not in RAM")
                table, entries, index, indirect = address, count // 16, 0, True
                continue
            chain.add(address, count, bool(flags & _WRITE))
            if not flags & _NEXT:
                return chain
            index = following
        raise QueueError(f"chain of more than {MAXIMUM_SIZE} descriptors, or a loop")

    def put(self, chain: Chain, written: int) -> None:
        """Give `chain` back to the driver, the first `written` bytes of its writable buffers filled."""
        state, memory = self._state, self._memory
        slot = state.device_area + 4 + 8 * (state.next_used & (state.size - 1))
        memory.write_integer(slot, 8, chain.head | written << 32)
        state.next_used = state.next_used + 1 & 0xFFFF
        memory.write_integer(state.device_area + 2, 2, state.next_used)

    def wants_interrupt(self) -> bool:
        """Whether the driver wants to hear of what was given back since the last call (section 2.7.7)."""
        state, memory = self._state, self._memory
        fresh = state.next_used - state.signalled & 0xFFFF
        if not fresh:
            return False
        state.signalled = state.next_used
        if not self._event_index:
            return not memory.read_integer(state.driver_area, 2) & _NO_INTERRUPT
        event = memory.read_integer(state.driver_area + 4 + 2 * state.size, 2)
        return (state.next_used - event - 1 & 0xFFFF) < fresh
