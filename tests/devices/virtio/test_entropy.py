"""The entropy device: bytes that follow from the seed, and only from it."""

from __future__ import annotations

import copy

from hypothesis import given
from hypothesis import strategies as st

from hypernest.devices.virtio import SeededGenerator, VirtioEntropy
from tests.devices.virtio.driver import Driver


def drawn(seed: bytes) -> bytes:
    driver = Driver(VirtioEntropy(SeededGenerator(seed)))
    driver.start()
    return b"".join(b"".join(driver.request([], [64, 100])[0]) for _ in range(3))


def test_equal_seeds_give_equal_bytes_and_others_do_not() -> None:
    assert len(drawn(b"one")) == 492
    assert drawn(b"one") == drawn(b"one")
    assert drawn(b"one") != drawn(b"two")
    assert len(set(drawn(b"x" * 1000))) > 128


def test_a_request_without_room_gets_nothing() -> None:
    driver = Driver(VirtioEntropy(SeededGenerator(b"")))
    driver.start()
    assert driver.request([b"question"], []) == ([], 0)


@given(st.lists(st.integers(0, 300), max_size=10))
def test_the_generator_never_repeats_and_can_be_copied(counts: list[int]) -> None:
    generator = SeededGenerator(b"seed")
    parts = [generator.randbytes(count) for count in counts]
    assert [len(part) for part in parts] == counts
    long = [part for part in parts if len(part) >= 16]
    assert len(set(long)) == len(long)
    assert copy.deepcopy(generator).randbytes(64) == generator.randbytes(64)


def test_the_generator_goes_on_behind_its_last_count() -> None:
    """A state from a file may say that it is there; states hold 64 bits."""
    generator = SeededGenerator(b"seed", (1 << 64) - 1)
    assert len(generator.randbytes(256)) == 256
    assert generator.counter == 3
