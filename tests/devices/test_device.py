"""What all devices share: tables that are complete, reset values that are true, refusals, parts of registers."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypernest.devices import (
    Access,
    BusError,
    Clint,
    Device,
    GoldfishRtc,
    Plic,
    Register,
    TestFinisher,
    Uart,
    Wire,
)
from hypernest.devices.virtio import (
    SeededGenerator,
    VirtioBlock,
    VirtioConsole,
    VirtioEntropy,
    VirtioMmio,
)
from hypernest.disks import DiskFile
from hypernest.memory import GuestMemory


class StoppedClock:
    def now(self) -> int:
        return 0


def ignore(data: bytes) -> None:
    pass


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Callable[[], Device]]]:
    memory = GuestMemory(0x8000_0000, 0x10000)
    path: Path = tmp_path_factory.mktemp("disk") / "disk.img"
    path.write_bytes(bytes(1 << 20))
    disk = DiskFile(path)
    yield {
        "uart": lambda: Uart(Wire(), ignore),
        "plic": lambda: Plic([Wire() for _ in range(16)]),
        "clint": lambda: Clint(StoppedClock(), [Wire() for _ in range(8)], [Wire() for _ in range(8)]),
        "finisher": lambda: TestFinisher(lambda finish: None),
        "rtc": lambda: GoldfishRtc(StoppedClock(), Wire(), 0),
        "empty slot": lambda: VirtioMmio(None, memory, Wire()),
        "block": lambda: VirtioMmio(VirtioBlock(disk), memory, Wire()),
        "console": lambda: VirtioMmio(VirtioConsole(ignore), memory, Wire()),
        "entropy": lambda: VirtioMmio(VirtioEntropy(SeededGenerator(b"seed")), memory, Wire()),
    }
    disk.close()
    memory.close()


KINDS = ["uart", "plic", "clint", "finisher", "rtc", "empty slot", "block", "console", "entropy"]
# What a virtio slot reads at reset depends on what is plugged in.
DEPENDS = {"device_id", "device_features", "queue_size_max"}


@pytest.mark.parametrize("kind", KINDS)
def test_registers_read_their_reset_values(build: dict[str, Callable[[], Device]], kind: str) -> None:
    device = build[kind]()
    checked = 0
    for register in device.registers:
        if Access.READ not in register.access or register.name in DEPENDS:
            continue
        for element in range(register.count or 1):
            offset = register.offset + element * register.stride
            assert device.read(offset, register.width) == register.reset, register
            checked += 1
    assert checked


@pytest.mark.parametrize("kind", KINDS)
def test_only_what_the_table_lists_can_be_accessed(build: dict[str, Callable[[], Device]], kind: str) -> None:
    device = build[kind]()
    listed: dict[Access, set[tuple[int, int]]] = {Access.READ: set(), Access.WRITE: set()}
    rows = list(device.registers)
    if isinstance(device, VirtioMmio) and device.backend is not None:
        rows += [dataclasses.replace(row, offset=row.offset + 0x100) for row in device.backend.configuration]
    for row in rows:
        for access in (Access.READ, Access.WRITE):
            if access in row.access:
                listed[access] |= {
                    (row.offset + element * row.stride + part, size)
                    for element in range(row.count or 1)
                    for size in row.sizes
                    for part in range(0, row.width, size)
                }
    spots = {0, -1, 1 << 64, device.size - 1, device.size, *range(0x200)}
    spots |= {row.offset + element * row.stride + d for row in rows for element in (0, row.count) for d in (-4, 1, 4)}
    for offset in spots:
        for size in (1, 2, 4, 8, 3, 0):
            if (offset, size) not in listed[Access.READ]:
                with pytest.raises(BusError):
                    device.read(offset, size)
            if (offset, size) not in listed[Access.WRITE]:
                with pytest.raises(BusError):
                    device.write(offset, size, 0)


accesses = st.lists(
    st.tuples(st.booleans(), st.integers(0, 60), st.integers(0, 7), st.integers(0, (1 << 64) - 1)), max_size=40
)


@pytest.mark.parametrize("kind", KINDS)
@given(steps=accesses)
def test_no_access_raises_anything_but_bus_error(
    build: dict[str, Callable[[], Device]], kind: str, steps: list[tuple[bool, int, int, int]]
) -> None:
    """Also that what a device does after a restore follows from its state alone."""
    device = build[kind]()
    twin = build[kind]()
    twin.restore(*copy.deepcopy([owner.state for owner in device.state_owners()]))
    for store, row, element, value in steps:
        register = device.registers[row % len(device.registers)]
        offset = register.offset + (element % (register.count or 1)) * register.stride
        if store and Access.WRITE in register.access:
            device.write(offset, register.width, value)
            twin.write(offset, register.width, value)
        elif Access.READ in register.access:
            read = device.read(offset, register.width)
            assert 0 <= read < 1 << 8 * register.width
            assert read == twin.read(offset, register.width)
        moved = copy.deepcopy([owner.state for owner in twin.state_owners()])
        twin = build[kind]()
        twin.restore(*moved)
    assert device.state == twin.state
    assert device.next_deadline() == twin.next_deadline()


@dataclasses.dataclass
class ExampleState:
    wide: int = 0
    narrow: int = 0


class Example(Device):
    registers: tuple[Register, ...] = (
        Register(0, "wide", (1, 4, 8), Access.READ_WRITE, "a register that can be accessed in parts"),
        Register(8, "narrow", (4,), Access.READ_WRITE, "one that cannot"),
        Register(12, "constant", (4,), Access.READ, "the same for ever", reset=77),
    )

    def __init__(self) -> None:
        self.state = ExampleState()
        super().__init__()


def test_parts_of_a_register() -> None:
    device = Example()
    device.write(0, 8, 0x1122_3344_5566_7788)
    device.write(4, 4, 0xAABB_CCDD)
    device.write(1, 1, 0xFFEE)
    assert device.state.wide == 0xAABB_CCDD_5566_EE88
    assert device.read(0, 4) == 0x5566_EE88
    assert device.read(7, 1) == 0xAA
    with pytest.raises(BusError):
        device.read(2, 4)
    with pytest.raises(BusError):
        device.read(0, 2)


def test_constants_and_masking() -> None:
    device = Example()
    device.write(8, 4, 1 << 40 | 5)
    assert device.read(8, 4) == 5
    assert device.read(12, 4) == 77
    with pytest.raises(BusError, match="Example"):
        device.write(12, 4, 1)


def test_a_table_that_contradicts_itself_is_refused() -> None:
    class Twice(Example):
        registers = (*Example.registers, Register(4, "narrow", (4,), Access.READ_WRITE, "overlaps wide"))

    class Unimplemented(Example):
        registers = (Register(0, "missing", (4,), Access.WRITE, "nobody takes this"),)

    with pytest.raises(AssertionError, match="two registers"):
        Twice().check_tables()
    with pytest.raises(AssertionError, match="missing"):
        Unimplemented().check_tables()
