"""Memory through a hart's page tables, as the host sees it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hypernest.errors import NotMapped, OutOfRange
from hypernest.machine import Machine
from tests.machine.page_tables import ROOT, SV39, A, D, PageTables, R, U, V, W, X
from tests.machine.small_guests import KERNEL, UART, assembled, bare, hosted, on_every_engine

HIGH = 0xFFFF_FFC0_0000_0000
PAGE = 4096
FRAMES = 0x8060_0000


@pytest.fixture
def machine() -> Iterator[Machine]:
    """In S-mode at `HIGH`, where two pages are mapped that are apart in memory, followed by none."""
    with hosted("j .") as machine:
        tables = PageTables(machine)
        tables.map(HIGH, FRAMES, R | W | A | D)
        tables.map(HIGH + PAGE, FRAMES + 3 * PAGE, R | W | A | D)
        tables.map(0x1000, FRAMES + PAGE, X | U)
        tables.map(0x4000_0000, 0x8000_0000, R | W | X | U, 2)
        tables.map(0x2000, UART, R | W | U | A | D)
        tables.use()
        yield machine


def test_pages_are_found_one_by_one(machine: Machine) -> None:
    memory, physical = machine.harts[0].memory, machine.memory
    memory.write(HIGH + PAGE - 3, b"abcdef")
    assert physical.read(FRAMES + PAGE - 3, 3) == b"abc" and physical.read(FRAMES + 3 * PAGE, 3) == b"def"
    assert memory[HIGH + PAGE - 3 : HIGH + PAGE + 3] == b"abcdef"
    assert memory.read_int(HIGH + PAGE - 2, 4) == int.from_bytes(b"bcde", "little")
    memory.write_int(HIGH + PAGE - 2, 4, -2)
    assert memory.read_int(HIGH + PAGE - 2, 4, signed=True) == -2
    assert memory.read(HIGH, 0) == b""
    assert machine.harts[0].translate(HIGH + PAGE + 5) == FRAMES + 3 * PAGE + 5


def test_permissions_do_not_stand_in_the_way_and_no_bit_is_set(machine: Machine) -> None:
    before = machine.memory.read(ROOT, 8 * PAGE)
    hart = machine.harts[0]
    for mode in (0, 1, 3):
        hart.privilege = mode
        hart.memory.write(0x1000, b"code")  # of the user's, executable only, neither accessed nor dirty
        assert hart.memory.read(0x1000, 4) == machine.memory.read(FRAMES + PAGE, 4) == b"code"
        assert hart.translate(HIGH) == FRAMES
    assert machine.memory.read(ROOT, 8 * PAGE) == before


def test_what_is_not_mapped(machine: Machine) -> None:
    memory = machine.harts[0].memory
    wrong = [HIGH + 2 * PAGE, HIGH - 1, 0, KERNEL, 1 << 38, (1 << 64) - 1]
    for address in wrong:
        assert machine.harts[0].translate(address) is None
        with pytest.raises(NotMapped, match=f"{address:#x} is not mapped"):
            memory[address]
    memory.write(HIGH + 2 * PAGE - 2, b"xy")
    with pytest.raises(NotMapped, match=f"{HIGH + 2 * PAGE:#x}"):
        memory.write(HIGH + 2 * PAGE - 2, b"abc")
    assert memory.read(HIGH + 2 * PAGE - 2, 2) == b"xy"  # nothing was changed
    for address, count in [(-1, 1), ((1 << 64) - 1, 2), (1 << 64, 0), (HIGH, 1 << 40), (HIGH, -1)]:
        with pytest.raises(OutOfRange):
            memory.read(address, count)


def test_devices_are_not_touched(machine: Machine) -> None:
    hart = machine.harts[0]
    assert hart.translate(0x2000) == UART
    with pytest.raises(OutOfRange, match="leads to guest-physical 0x10000000, which is not all RAM"):
        hart.memory[0x2000]
    with pytest.raises(OutOfRange, match="RAM only"):
        hart.memory.write(0x2000, b"!")
    assert machine.console.read() == ""
    # The gigabyte from 0x80000000 on has 16 MiB of RAM only.
    assert hart.memory.read(0x4000_0000, 4) == machine.memory.read(0x8000_0000, 4)
    with pytest.raises(OutOfRange):
        hart.memory.read(0x4000_0000 + (16 << 20) - 2, 4)


def test_finding_passes_over_holes_quickly(machine: Machine) -> None:
    memory = machine.harts[0].memory
    memory.write(HIGH + PAGE - 4, b"needle 1")
    assert memory.find(b"needle 1", 0x8000_0000, (1 << 64) - 1) == HIGH + PAGE - 4
    assert memory.find(b"needle 1", HIGH, HIGH + PAGE + 3) is None
    assert memory.find(b"needle 1", HIGH + PAGE - 3, HIGH + 4 * PAGE) is None
    # What lies at the end of one page and the beginning of another that is none is no match.
    machine.memory.write(FRAMES + 2 * PAGE - 2, b"xy")
    assert memory.find(b"xy\0\0", 0, 0x8000) is None


def test_strings_end_where_they_end(machine: Machine) -> None:
    memory = machine.harts[0].memory
    memory.write(HIGH + 2 * PAGE - 4, b"end\0")
    assert memory.read_string(HIGH + 2 * PAGE - 4) == "end"
    memory.write(HIGH + PAGE - 2, "grüß\0".encode())
    assert memory.read_string(HIGH + PAGE - 2) == "grüß"
    assert memory.read_string(HIGH + PAGE - 2, 2) == "gr"
    assert memory.read_string(HIGH, 0) == ""
    memory.write(HIGH + 2 * PAGE - 4, b"\xffend")
    assert memory.read_string(HIGH + 2 * PAGE - 4, 4) == "�end"
    with pytest.raises(NotMapped):
        memory.read_string(HIGH + 2 * PAGE - 4, 5)


def test_without_translation_addresses_are_physical() -> None:
    with hosted("j .") as machine:
        hart = machine.harts[0]
        assert hart.translate(KERNEL) == KERNEL
        assert hart.translate(UART) == UART
        assert hart.translate(1 << 56) is None
        assert hart.memory.read(KERNEL, 2) == machine.memory.read(KERNEL, 2)
        with pytest.raises(OutOfRange):
            hart.memory.read(UART, 1)
        assert hart.memory.find(machine.memory.read(KERNEL, 2), KERNEL, 1 << 64) == KERNEL


def test_firmware_is_shown_its_own_memory_and_what_only_the_kernel_maps() -> None:
    with bare("j .") as machine:
        hart = machine.harts[0]
        tables = PageTables(machine)
        tables.map(HIGH, FRAMES, R | A)
        tables.map(0x8000_0000, FRAMES, R | A)
        tables.use()
        machine.memory.write(FRAMES, b"frame")
        assert hart.memory.read(HIGH, 5) == b"frame"
        assert hart.memory.read(0x8000_0000, 5) == machine.memory.read(0x8000_0000, 5) != b"frame"
        assert hart.translate(UART) == UART


@on_every_engine
def test_code_written_through_a_mapping_is_executed(engine: str) -> None:
    with hosted("1: addi s0, s0, 1\n j 1b", engine=engine) as machine:
        tables = PageTables(machine)
        tables.map(KERNEL, KERNEL, R | X | A)
        tables.map(HIGH, KERNEL, R | W)
        tables.use()
        machine.run(100)
        machine.harts[0].memory.write(HIGH, assembled("addi s0, s0, 2"))
        machine.run(100)
        assert machine.harts[0]["s0"] == 150


def test_tables_that_mean_harm() -> None:
    with hosted("j .") as machine:
        hart, memory = machine.harts[0], machine.memory
        hart["satp"] = SV39 | ROOT >> 12
        memory.write(ROOT, (ROOT >> 12 << 10 | V).to_bytes(8, "little") * 512)  # a table of itself
        assert hart.translate(0x1234) is None
        memory.write(ROOT, b"\xff" * PAGE)
        assert hart.translate(0x1234) is None
        memory.write(ROOT, ((1 << 53) | V).to_bytes(8, "little") * 512)  # tables outside RAM
        assert hart.translate(0x1234) is None
        hart["satp"] = SV39 | (1 << 44) - 1
        assert hart.translate(0x1234) is None
        assert hart.memory.find(b"x", 0, 1 << 64) is None
