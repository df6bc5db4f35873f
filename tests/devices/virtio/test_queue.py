"""Queues of hostile guests: whatever they hold, the device asks for a reset or answers, and always comes back."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypernest.devices import BusError
from hypernest.devices.virtio import SeededGenerator, VirtioBlock, VirtioConsole, VirtioEntropy
from hypernest.devices.virtio.device import VirtioDevice
from hypernest.devices.virtio.queue import pieces
from hypernest.disks import DiskFile
from tests.devices.virtio.driver import (
    BASE,
    BUFFERS,
    EVENT_IDX,
    INDIRECT,
    INDIRECT_DESC,
    INDIRECT_TABLE,
    NEXT,
    RAM_SIZE,
    WRITE,
    Driver,
)


@pytest.fixture
def driver() -> Driver:
    driver = Driver(VirtioEntropy(SeededGenerator(b"seed")))
    driver.start()
    return driver


def serve(driver: Driver, head: int = 0) -> None:
    driver.offer(head)
    driver.notify()


def test_a_chain_of_several_buffers_in_any_order_of_slots(driver: Driver) -> None:
    driver.describe(5, BUFFERS, 10, WRITE | NEXT, 2)
    driver.describe(2, BUFFERS + 10, 20, WRITE | NEXT, 7)
    driver.describe(7, BUFFERS + 30, 30, WRITE)
    serve(driver, 5)
    assert driver.used() == [(5, 60)]
    assert driver.memory.read(BUFFERS, 60) == SeededGenerator(b"seed").randbytes(60)
    assert driver.memory.read(BUFFERS + 60, 8) == bytes(8)


def test_indirect_tables(driver: Driver) -> None:
    received, written = driver.request([], [10, 20, 30], indirect=True, head=3)
    assert written == 60
    assert b"".join(received) == SeededGenerator(b"seed").randbytes(60)


def test_an_indirect_table_may_follow_other_buffers(driver: Driver) -> None:
    driver.describe(0, BUFFERS, 10, WRITE | NEXT, 1)
    driver.describe(1, INDIRECT_TABLE, 16, INDIRECT)
    driver.describe(0, BUFFERS + 10, 10, WRITE, table=INDIRECT_TABLE)
    serve(driver)
    assert driver.used() == [(0, 20)]


def test_empty_buffers_are_allowed(driver: Driver) -> None:
    driver.describe(0, 0, 0, NEXT, 1)
    driver.describe(1, BUFFERS, 4, WRITE)
    serve(driver)
    assert driver.used() == [(0, 4)]


BROKEN_CHAINS = {
    "loop": [(0, BUFFERS, 1, WRITE | NEXT, 1), (1, BUFFERS, 1, WRITE | NEXT, 0)],
    "loop on itself": [(0, BUFFERS, 0, WRITE | NEXT, 0)],
    "next beyond the table": [(0, BUFFERS, 1, WRITE | NEXT, 8)],
    "next far beyond": [(0, BUFFERS, 1, WRITE | NEXT, 0xFFFF)],
    "outside RAM": [(0, 0x1000, 1, WRITE, 0)],
    "across the end": [(0, BASE + RAM_SIZE - 1, 2, WRITE, 0)],
    "address wraps": [(0, (1 << 64) - 1, 2, WRITE, 0)],
    "length huge": [(0, BUFFERS, 0xFFFF_FFFF, WRITE, 0)],
    "read after write": [(0, BUFFERS, 1, WRITE | NEXT, 1), (1, BUFFERS, 1, 0, 0)],
    "more than RAM": [
        (0, BASE, RAM_SIZE, WRITE | NEXT, 1),
        (1, BASE, 1, WRITE, 0),
    ],
    "indirect table empty": [(0, INDIRECT_TABLE, 0, INDIRECT, 0)],
    "indirect table of odd size": [(0, INDIRECT_TABLE, 24, INDIRECT, 0)],
    "indirect table outside": [(0, BASE + RAM_SIZE - 16, 32, INDIRECT, 0)],
    "indirect and next": [(0, INDIRECT_TABLE, 16, INDIRECT | NEXT, 1)],
    "indirect in itself": [(0, BASE, 16, INDIRECT, 0)],
}


@pytest.mark.parametrize("chain", BROKEN_CHAINS.values(), ids=BROKEN_CHAINS)
def test_broken_chains_ask_for_a_reset(driver: Driver, chain: list[tuple[int, int, int, int, int]]) -> None:
    for descriptor in chain:
        driver.describe(*descriptor)
    serve(driver)
    assert driver.used() == []
    assert driver.broken()
    driver.describe(7, BUFFERS, 4, WRITE)
    serve(driver, 7)  # A broken device stays still.
    assert driver.used() == []
    driver.start()
    assert not driver.broken()
    assert driver.request([], [4])[1] == 4


def test_head_beyond_the_table(driver: Driver) -> None:
    serve(driver, 8)
    assert driver.broken()


def test_more_available_than_the_queue_holds(driver: Driver) -> None:
    driver.memory.write_integer(BASE + 0x1002, 2, 9)
    driver.notify()
    assert driver.used() == []
    assert driver.broken()


def test_an_indirect_table_inside_another(driver: Driver) -> None:
    driver.describe(0, INDIRECT_TABLE, 16, INDIRECT)
    driver.describe(0, INDIRECT_TABLE + 16, 16, INDIRECT, table=INDIRECT_TABLE)
    driver.describe(1, BUFFERS, 16, WRITE, table=INDIRECT_TABLE)
    serve(driver)
    assert driver.broken()


def test_indirect_without_agreement() -> None:
    driver = Driver(VirtioEntropy(SeededGenerator(b"seed")))
    driver.start(refuse=INDIRECT_DESC)
    driver.describe(0, BUFFERS, 16, WRITE, table=INDIRECT_TABLE)
    driver.describe(0, INDIRECT_TABLE, 16, INDIRECT)
    serve(driver)
    assert driver.broken()


def test_a_long_indirect_chain_is_refused_in_reasonable_time() -> None:
    driver = Driver(VirtioEntropy(SeededGenerator(b"seed")))
    driver.start()
    for slot in range(2048):
        driver.describe(slot, BUFFERS, 1, WRITE | NEXT, slot + 1, table=BUFFERS)
    driver.describe(0, BUFFERS, 16 * 2048, INDIRECT)
    serve(driver)
    assert driver.broken()


def test_a_queue_that_refills_itself_comes_to_an_end(tmp_path: Path) -> None:
    """Each request reads a sector that holds the next available index and the next request's sector number."""
    sectors = 200
    path = tmp_path / "disk.img"
    image = bytearray(512 * sectors)
    for number in range(sectors):
        header = struct.pack("<IIQ", 0, 0, number + 1)
        image[512 * number : 512 * number + 16] = header
        struct.pack_into("<H", image, 512 * number + 16 + 2, number + 2)
    path.write_bytes(image)
    disk = DiskFile(path)
    driver = Driver(VirtioBlock(disk), size=2)
    driver.start(refuse=EVENT_IDX)
    driver.memory.write(BUFFERS, struct.pack("<IIQ", 0, 0, 0))
    table = INDIRECT_TABLE
    driver.describe(0, BUFFERS, 16, NEXT, 1, table)
    driver.describe(1, BUFFERS, 16, WRITE | NEXT, 2, table)
    driver.describe(2, BASE + 0x1000, 4, WRITE | NEXT, 3, table)
    driver.describe(3, BUFFERS + 0x1000, 512 - 20, WRITE | NEXT, 4, table)
    driver.describe(4, BUFFERS + 0x2000, 1, WRITE, 0, table)
    driver.describe(0, table, 16 * 5, INDIRECT)
    serve(driver)
    assert driver.slot.state.queues[0].next_used == 2
    assert driver.broken()
    disk.close()


@given(
    st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 9)), max_size=6), st.integers(0, 40), st.integers(-2, 40)
)
def test_pieces_are_the_slice(buffers: list[tuple[int, int]], offset: int, count: int) -> None:
    whole = [address + i for address, size in buffers for i in range(size)]
    parts = list(pieces(buffers, offset, count))
    assert all(size > 0 for _, size in parts)
    assert [address + i for address, size in parts for i in range(size)] == whole[offset : offset + max(count, 0)]


ADDRESSES = st.one_of(
    st.integers(BASE, BASE + RAM_SIZE),
    st.sampled_from(
        [0, BASE, BASE + 0x1000, BASE + 0x2000, BUFFERS, INDIRECT_TABLE, BASE + RAM_SIZE - 1, (1 << 64) - 1]
    ),
)
LENGTHS = st.one_of(st.integers(0, 64), st.sampled_from([16, 512, 513, 528, 0x1000, RAM_SIZE, 0xFFFF_FFFF]))
DESCRIPTORS = st.tuples(
    ADDRESSES, LENGTHS, st.sampled_from([0, NEXT, WRITE, WRITE | NEXT, INDIRECT, 7, 0xFFFF]), st.integers(0, 8)
)


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DiskFile]:
    path = tmp_path_factory.mktemp("queue") / "disk.img"
    path.write_bytes(bytes(64 * 512))
    disk = DiskFile(path)
    yield disk
    disk.close()


@settings(deadline=None, max_examples=150)
@given(
    kind=st.sampled_from(["block", "console", "entropy"]),
    descriptors=st.lists(DESCRIPTORS, min_size=8, max_size=8),
    nested=st.lists(DESCRIPTORS, min_size=4, max_size=4),
    heads=st.lists(st.integers(0, 8), max_size=9),
    headers=st.lists(
        st.tuples(st.sampled_from([0, 1, 4, 8, 11, 13, 99]), st.one_of(st.integers(0, 70), st.just((1 << 64) - 1))),
        min_size=4,
        max_size=4,
    ),
    refuse=st.sampled_from([0, EVENT_IDX, INDIRECT_DESC]),
    queue=st.integers(0, 1),
)
def test_random_queues_never_raise_or_hang(
    disk: DiskFile,
    kind: str,
    descriptors: list[tuple[int, int, int, int]],
    nested: list[tuple[int, int, int, int]],
    heads: list[int],
    headers: list[tuple[int, int]],
    refuse: int,
    queue: int,
) -> None:
    backends: dict[str, Callable[[], VirtioDevice]] = {
        "block": lambda: VirtioBlock(disk),
        "console": lambda: VirtioConsole(lambda data: None),
        "entropy": lambda: VirtioEntropy(SeededGenerator(b"seed")),
    }
    backend = backends[kind]()
    driver = Driver(backend)
    driver.start(refuse=refuse)
    if queue >= len(backend.queue_sizes):
        queue = 0
    for slot, (address, count, flags, following) in enumerate(descriptors):
        driver.describe(slot, address, count, flags, following, queue=queue)
    for slot, (address, count, flags, following) in enumerate(nested):
        driver.describe(slot, address, count, flags, following, table=INDIRECT_TABLE)
    for number, (request, sector) in enumerate(headers):
        driver.memory.write(BUFFERS + 16 * number, struct.pack("<IIQ", request, 0, sector))
    for head in heads:
        driver.offer(head, queue)
    driver.notify(queue)
    if isinstance(backend, VirtioConsole):
        backend.receive(b"typed" * 50)
    driver.broken()
    driver.memory.close()


@settings(deadline=None, max_examples=100)
@given(
    steps=st.lists(
        st.tuples(
            st.one_of(st.sampled_from(range(0, 0x120, 4)), st.integers(-1, 0x1100)),
            st.sampled_from([1, 2, 4, 8]),
            st.one_of(ADDRESSES, st.integers(0, 15)),
        ),
        max_size=60,
    )
)
def test_random_register_writes_raise_only_bus_errors(steps: list[tuple[int, int, int]]) -> None:
    driver = Driver(VirtioConsole(lambda data: None))
    driver.start()
    for offset, size, value in steps:
        try:
            driver.slot.write(offset, size, value)
            driver.slot.read(offset, size)
        except BusError:
            continue
    driver.memory.close()


def test_the_largest_request_is_served_quickly(tmp_path: Path) -> None:
    driver = Driver(VirtioEntropy(SeededGenerator(b"seed")))
    driver.start()
    for slot in range(8):
        driver.describe(slot, BASE + 0x8000, 0x38000, WRITE)
        driver.offer(slot)
    start = time.monotonic()
    driver.notify()
    assert time.monotonic() - start < 20
    assert [written for _, written in driver.used()] == [1 << 16] * 8
