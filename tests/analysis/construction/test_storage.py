from __future__ import annotations

import pytest

from hypernest.analysis.construction.storage import PhysicalMemory, Region


def test_integers_are_little_endian() -> None:
    memory = PhysicalMemory(16)
    memory.write_integer(3, 4, 0x0102_0304)
    assert bytes(memory.view(3, 4)) == b"\x04\x03\x02\x01"
    assert memory.read_integer(3, 4) == 0x0102_0304


def test_a_region_within_a_region_counts_from_its_own_beginning() -> None:
    memory = PhysicalMemory(256)
    inner = Region(Region(memory, 64, 128), 32, 16)
    inner.write_integer(8, 8, 0x55)
    assert memory.read_integer(64 + 32 + 8, 8) == 0x55 == inner.read_integer(8, 8)
    assert inner.base == 32
    inner.view(0, 2)[:] = b"ab"
    assert bytes(memory.view(96, 2)) == b"ab"


def test_nothing_is_beyond_a_region() -> None:
    region = Region(PhysicalMemory(64), 16, 16)
    assert region.contains(8, 8) and not region.contains(9, 8) and not region.contains(-1, 1)


def test_a_region_lies_within_its_memory() -> None:
    with pytest.raises(ValueError, match="not within 64 bytes"):
        Region(PhysicalMemory(64), 32, 33)
