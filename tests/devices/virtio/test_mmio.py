"""The transport: identification, negotiation, interrupts, reset, and refusals."""

from __future__ import annotations

import pytest

from hypernest.devices.virtio import SeededGenerator, VirtioEntropy
from tests.devices.virtio.driver import (
    ACKNOWLEDGE,
    BASE,
    BUFFERS,
    DRIVER,
    DRIVER_OK,
    EVENT_IDX,
    FEATURES_OK,
    INDIRECT_DESC,
    VERSION_1,
    WRITE,
    Driver,
)


def entropy() -> Driver:
    return Driver(VirtioEntropy(SeededGenerator(b"seed")))


def test_identifies_itself() -> None:
    driver = entropy()
    assert driver.get("magic").to_bytes(4, "little") == b"virt"
    assert driver.get("version") == 2
    assert driver.get("device_id") == 4
    assert driver.get("vendor_id").to_bytes(4, "little") == b"QEMU"
    assert driver.offered() == VERSION_1 | EVENT_IDX | INDIRECT_DESC
    driver.set("device_features_select", 2)
    assert driver.get("device_features") == 0


def test_an_empty_slot_has_device_id_zero() -> None:
    driver = Driver(None)
    assert driver.get("magic").to_bytes(4, "little") == b"virt"
    assert driver.get("device_id") == 0
    assert driver.offered() == 0
    assert driver.get("queue_size_max") == 0
    driver.set("queue_ready", 1)
    driver.notify()
    driver.set("status", ACKNOWLEDGE | DRIVER | DRIVER_OK)
    assert not driver.line.level


def test_features_that_were_not_offered_are_not_agreed() -> None:
    driver = entropy()
    driver.set("driver_features", 1)
    driver.set("status", ACKNOWLEDGE | DRIVER | FEATURES_OK)
    assert not driver.get("status") & FEATURES_OK
    driver.set("driver_features", 0)
    driver.set("status", ACKNOWLEDGE | DRIVER | FEATURES_OK)
    assert driver.get("status") & FEATURES_OK
    driver.set("driver_features", INDIRECT_DESC)  # Too late.
    assert driver.slot.features == 0


def test_queue_numbers_beyond_the_last_do_not_exist() -> None:
    driver = entropy()
    assert driver.get("queue_size_max") == 64
    for index in (1, 255, 0xFFFF_FFFF):
        driver.set("queue_select", index)
        assert driver.get("queue_size_max") == 0
        driver.set("queue_size", 8)
        driver.set("queue_ready", 1)
        assert driver.get("queue_ready") == 0
        driver.notify(index)
    assert not driver.broken()


def test_nothing_is_served_before_the_driver_is_up() -> None:
    driver = entropy()
    driver.start()
    driver.set("status", ACKNOWLEDGE | DRIVER | FEATURES_OK)
    driver.describe(0, BUFFERS, 16, WRITE)
    driver.offer(0)
    driver.notify()
    assert driver.used() == []
    driver.set("status", ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK)
    assert driver.used() == [(0, 16)]


def test_interrupt_until_acknowledged() -> None:
    driver = entropy()
    driver.start(refuse=EVENT_IDX)
    driver.request([], [16])
    assert driver.line.level
    assert driver.get("interrupt_status") == 1
    driver.set("interrupt_acknowledge", 2)
    assert driver.line.level
    driver.set("interrupt_acknowledge", 1)
    assert not driver.line.level


def test_interrupts_can_be_suppressed_by_flag() -> None:
    driver = entropy()
    driver.start(refuse=EVENT_IDX)
    driver.memory.write_integer(BASE + 0x1000, 2, 1)
    driver.request([], [16])
    assert not driver.line.level


def test_interrupts_come_at_the_index_asked_for() -> None:
    driver = entropy()
    driver.start()
    used_event = BASE + 0x1000 + 4 + 2 * driver.size
    available_event = BASE + 0x2000 + 4 + 8 * driver.size
    driver.memory.write_integer(used_event, 2, 2)
    interrupts = []
    for count in range(5):
        driver.request([], [16])
        interrupts.append(driver.line.level)
        driver.set("interrupt_acknowledge", 1)
        assert driver.memory.read_integer(available_event, 2) == count + 1
    assert interrupts == [False, False, True, False, False]


def test_indices_wrap_around() -> None:
    driver = entropy()
    driver.start()
    driver.slot.state.queues[0].next_available = driver.slot.state.queues[0].next_used = 0xFFFE
    driver.available[0] = driver.seen[0] = 0xFFFE
    driver.memory.write_integer(BASE + 0x2002, 2, 0xFFFE)
    for _ in range(5):
        assert driver.request([], [16])[1] == 16
    assert driver.memory.read_integer(BASE + 0x2002, 2) == 3
    assert not driver.broken()


def test_reset() -> None:
    driver = entropy()
    driver.start()
    driver.request([], [16])
    driver.set("status", 0)
    assert not driver.line.level
    assert driver.get("status") == 0
    assert driver.get("queue_ready") == 0
    driver.notify()
    driver.start()
    assert driver.request([], [16])[1] == 16


def test_a_queue_in_use_cannot_be_changed() -> None:
    driver = entropy()
    driver.start()
    driver.set("queue_size", 4)
    driver.slot.write(0x80, 4, 0x100)
    assert driver.get("queue_ready") == 1
    assert driver.slot.state.queues[0].size == 8
    assert driver.slot.state.queues[0].descriptor_area == BASE
    driver.set("queue_ready", 0)
    driver.set("queue_size", 4)
    assert driver.slot.state.queues[0].size == 4


@pytest.mark.parametrize(
    ("size", "base"),
    [
        (0, BASE),
        (3, BASE),
        (128, BASE),  # Above the maximum.
        (0xFFFF_FFFF, BASE),
        (8, 0),
        (8, BASE - 16),
        (8, BASE + 8),  # Descriptors must be aligned to 16 bytes.
        (8, BASE + 0x3DFFF),
        (64, BASE + 0x3E000),
        (8, (1 << 64) - 16),
        (8, (1 << 64) - 0x1000),
    ],
)
def test_an_impossible_queue_asks_for_a_reset(size: int, base: int) -> None:
    driver = entropy()
    driver.start()
    driver.set("queue_ready", 0)
    driver.set_up_queue(0, size, base)
    assert driver.broken()
    assert driver.get("queue_ready") == 0
    driver.set("status", ACKNOWLEDGE)  # Only a reset helps.
    assert driver.broken()
    driver.start()
    assert not driver.broken()
    assert driver.request([], [8])[1] == 8


def test_tree_node() -> None:
    node = entropy().slot.tree_node(0x1000_3000, 3)
    assert node.name == "virtio_mmio@10003000"
    assert node.properties["compatible"] == ("virtio,mmio",)
    assert node.properties["interrupts"] == 3
