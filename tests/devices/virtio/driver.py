"""A small virtio driver for the tests: what a guest does, from the other side of the registers."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from hypernest.devices import Wire
from hypernest.devices.virtio import VirtioMmio
from hypernest.memory import GuestMemory

BASE = 0x8000_0000
RAM_SIZE = 0x40000
QUEUE_AREA = 0x4000
"""Bytes between the areas of two queues: descriptors at 0, driver area at 0x1000, device area at 0x2000."""
INDIRECT_TABLE = BASE + 0xF000
BUFFERS = BASE + 0x10000

NEXT, WRITE, INDIRECT = 1, 2, 4
ACKNOWLEDGE, DRIVER, DRIVER_OK, FEATURES_OK, NEEDS_RESET = 1, 2, 4, 8, 0x40
INDIRECT_DESC, EVENT_IDX, VERSION_1 = 1 << 28, 1 << 29, 1 << 32

_REGISTERS = {
    "magic": 0x000,
    "version": 0x004,
    "device_id": 0x008,
    "vendor_id": 0x00C,
    "device_features": 0x010,
    "device_features_select": 0x014,
    "driver_features": 0x020,
    "driver_features_select": 0x024,
    "queue_select": 0x030,
    "queue_size_max": 0x034,
    "queue_size": 0x038,
    "queue_ready": 0x044,
    "queue_notify": 0x050,
    "interrupt_status": 0x060,
    "interrupt_acknowledge": 0x064,
    "status": 0x070,
    "descriptors": 0x080,
    "driver_area": 0x090,
    "device_area": 0x0A0,
    "generation": 0x0FC,
}


class Driver:
    """Drives `backend` in a slot of its own, with RAM of its own; `start` brings it up."""

    def __init__(self, backend: Any, size: int = 8) -> None:
        self.memory = GuestMemory(BASE, RAM_SIZE)
        self.line = Wire()
        self.slot = VirtioMmio(backend, self.memory, self.line)
        self.size = size
        self.features = 0
        self.available = [0] * 8
        self.seen = [0] * 8

    def get(self, register: str) -> int:
        return self.slot.read(_REGISTERS[register], 4)

    def set(self, register: str, value: int) -> None:
        self.slot.write(_REGISTERS[register], 4, value)

    def configuration(self, offset: int, size: int) -> int:
        return self.slot.read(0x100 + offset, size)

    def offered(self) -> int:
        halves = []
        for half in (0, 1):
            self.set("device_features_select", half)
            halves.append(self.get("device_features"))
        return halves[1] << 32 | halves[0]

    def start(self, refuse: int = 0, queues: int = 2) -> None:
        """The initialisation sequence of section 3.1.1, accepting all features but `refuse`."""
        self.set("status", 0)
        self.set("status", ACKNOWLEDGE | DRIVER)
        self.features = self.offered() & ~refuse
        for half in (0, 1):
            self.set("driver_features_select", half)
            self.set("driver_features", self.features >> 32 * half & 0xFFFF_FFFF)
        self.set("status", ACKNOWLEDGE | DRIVER | FEATURES_OK)
        assert self.get("status") & FEATURES_OK
        self.memory.write(BASE, bytes(QUEUE_AREA * queues))
        self.available, self.seen = [0] * 8, [0] * 8
        for index in range(queues):
            self.set("queue_select", index)
            if self.get("queue_size_max"):
                self.set_up_queue(index)
        self.set("queue_select", 0)
        self.set("status", ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK)

    def set_up_queue(self, index: int, size: int | None = None, base: int = BASE) -> None:
        start = base + QUEUE_AREA * index
        self.set("queue_select", index)
        self.set("queue_size", self.size if size is None else size)
        for register, address in (
            ("descriptors", start),
            ("driver_area", start + 0x1000),
            ("device_area", start + 0x2000),
        ):
            self.slot.write(_REGISTERS[register], 4, address & 0xFFFF_FFFF)
            self.slot.write(_REGISTERS[register] + 4, 4, address >> 32)
        self.set("queue_ready", 1)

    def describe(
        self, slot: int, address: int, count: int, flags: int = 0, following: int = 0, table: int = BASE, queue: int = 0
    ) -> None:
        """Write descriptor `slot` of the table of `queue`, or of the indirect table at `table`."""
        if table == BASE:
            table += QUEUE_AREA * queue
        self.memory.write(table + 16 * slot, struct.pack("<QIHH", address, count, flags, following))

    def offer(self, head: int, queue: int = 0) -> None:
        """Make the chain at `head` available without telling the device."""
        area = BASE + QUEUE_AREA * queue + 0x1000
        self.memory.write_integer(area + 4 + 2 * (self.available[queue] % self.size), 2, head)
        self.available[queue] = self.available[queue] + 1 & 0xFFFF
        self.memory.write_integer(area + 2, 2, self.available[queue])

    def notify(self, queue: int = 0) -> None:
        self.set("queue_notify", queue)

    def used(self, queue: int = 0) -> list[tuple[int, int]]:
        """What has been given back since the last call: (head, bytes written)."""
        area = BASE + QUEUE_AREA * queue + 0x2000
        fresh = []
        while self.seen[queue] != self.memory.read_integer(area + 2, 2):
            entry = area + 4 + 8 * (self.seen[queue] % self.size)
            fresh.append((self.memory.read_integer(entry, 4), self.memory.read_integer(entry + 4, 4)))
            self.seen[queue] = self.seen[queue] + 1 & 0xFFFF
        return fresh

    def request(
        self, send: Sequence[bytes], receive: Sequence[int], queue: int = 0, indirect: bool = False, head: int = 0
    ) -> tuple[list[bytes], int]:
        """One chain there and back: the contents of the buffers to receive, and the length the device reports."""
        buffers = [(len(data), 0) for data in send] + [(count, WRITE) for count in receive]
        table = INDIRECT_TABLE if indirect else BASE
        address, places = BUFFERS, []
        for number, (count, flags) in enumerate(buffers):
            last = number == len(buffers) - 1
            slot = number if indirect else (head + number) % self.size
            following = number + 1 if indirect else (head + number + 1) % self.size
            self.describe(slot, address, count, flags | (0 if last else NEXT), following, table, queue)
            places.append(address)
            if number < len(send):
                self.memory.write(address, send[number])
            address += count
        if indirect:
            self.describe(head, INDIRECT_TABLE, 16 * len(buffers), INDIRECT, queue=queue)
        self.offer(head, queue)
        self.notify(queue)
        ((returned, written),) = self.used(queue)
        assert returned == head
        return [self.memory.read(places[len(send) + i], count) for i, count in enumerate(receive)], written

    def broken(self) -> bool:
        """Whether the device asks for a reset, and has said so."""
        broken = bool(self.get("status") & NEEDS_RESET)
        assert broken == bool(self.get("interrupt_status") & 2)
        assert self.line.level == bool(self.get("interrupt_status"))
        return broken
