"""Guest-physical memory as a Python program uses it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypernest.errors import BadValue, OutOfRange
from hypernest.machine.host_access import MachineMemory
from hypernest.memory import GuestMemory

BASE = 0x8000_0000


@pytest.mark.parametrize("size", [1, 2, 4, 8])
@given(st.data())
def test_integers(size: int, data: st.DataObject) -> None:
    value = data.draw(st.integers(-(1 << 8 * size - 1), (1 << 8 * size) - 1))
    with GuestMemory(BASE, 1 << 20) as ram:
        memory = MachineMemory(lambda: ram)
        memory.write_int(BASE + 3, size, value)
        assert memory.read_int(BASE + 3, size) == value % (1 << 8 * size)
        if value < 1 << 8 * size - 1:
            assert memory.read_int(BASE + 3, size, signed=True) == value
        assert memory[BASE + 2] == memory[BASE + 3 + size] == 0


def test_what_is_no_integer() -> None:
    with GuestMemory(BASE, 1 << 20) as ram:
        memory = MachineMemory(lambda: ram)
        for size in (0, 3, 16, -1):
            with pytest.raises(BadValue, match="no integers of"):
                memory.read_int(BASE, size)
            with pytest.raises(BadValue, match="no integers of"):
                memory.write_int(BASE, size, 0)
        for value in (256, -129):
            with pytest.raises(BadValue, match="does not fit into 1 bytes"):
                memory.write_int(BASE, 1, value)
        with pytest.raises(OutOfRange):
            memory.read_int(BASE + (1 << 20) - 4, 8)
        with pytest.raises(BadValue, match="at least one byte"):
            memory.find(b"")
        with pytest.raises(BadValue, match="not negative"):
            memory.read_string(BASE, -1)


@given(st.integers(0, (3 << 20) - 8), st.binary(min_size=1, max_size=8))
def test_finding(place: int, data: bytes) -> None:
    with GuestMemory(BASE, 4 << 20) as ram:
        memory = MachineMemory(lambda: ram)
        memory.write(BASE + place, data)
        assert memory.find(data) == BASE + ram.read(BASE, 4 << 20).find(data)
        assert memory.find(data, BASE + place, BASE + place + len(data)) == BASE + place
        assert memory.find(data, BASE + place, BASE + place + len(data) - 1) is None
        if any(data):
            assert memory.find(data, BASE + (3 << 20)) is None


def test_finding_costs_no_memory_and_ends_with_ram() -> None:
    with GuestMemory(BASE, 64 << 20) as ram:
        memory = MachineMemory(lambda: ram)
        memory.write(BASE + (2 << 20) - 2, b"across")  # the end of one piece and the beginning of the next
        used = ram.resident_size
        assert memory.find(b"across", 0, 1 << 64) == BASE + (2 << 20) - 2
        assert memory.find(b"nowhere") is None
        assert ram.resident_size == used
        assert "0x80000000 to 0x84000000 (64 MiB)" in repr(memory)
