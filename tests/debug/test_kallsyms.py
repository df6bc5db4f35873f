"""The symbols that Linux keeps of itself: packed here, in Debian's kernel, and broken in every way."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypernest.debug import kallsyms
from hypernest.debug.kallsyms import kernel_symbols
from hypernest.debug.profile import Names, Profile
from hypernest.debug.profile_formats import summed
from hypernest.debug.symbols import Symbols
from hypernest.images import Image
from hypernest.machine import Machine
from tests.debug.packed_symbols import BASE, IMAGE, Memory, entries, kernel

SYMBOLS = entries(1000)
SMALL = kernel(entries(600))


@pytest.mark.parametrize("old_order", [False, True], ids=["6.5 and later", "6.1 and earlier"])
@pytest.mark.parametrize("base", [BASE, BASE + 0x1_2340_0000 - (1 << 32)], ids=["fixed", "randomized"])
def test_every_symbol_is_found_where_it_is(old_order: bool, base: int) -> None:
    symbols = entries(1000, base)
    table = kernel_symbols(kernel(symbols, old_order=old_order))
    assert table.physical_offset == base - IMAGE
    for address, kind, name in symbols:
        for offset in (0, 15):
            assert table.find(address + offset) == ((name, offset) if kind in "tT" else None)
    assert table.find(base - 1) is None


@pytest.mark.parametrize("count", [257, 511, 512, 513, 514, 768, 769])
def test_numbers_of_symbols_around_whole_blocks(count: int) -> None:
    assert len(kernel_symbols(kernel(entries(count)))) == sum(kind != "d" for _, kind, _ in entries(count))


def test_names_cannot_do_harm_where_they_are_written() -> None:
    symbols = entries(600)
    # A token may be any bytes, of a guest that means harm: here a digit's neighbour.
    memory = kernel(symbols)
    harmful = memory.data.replace(b"sc\0he\0", b";\n\0<&\0")
    table = kernel_symbols(replace(memory, data=harmful))
    assert table.find(symbols[7][0]) == ("??<&dule", 0)


def test_memory_without_a_kernel() -> None:
    assert len(kernel_symbols(kernel(SYMBOLS, magic=b"RISCV\0\0\1"))) == 0
    assert len(kernel_symbols(Memory(b""))) == 0


def test_patience_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kallsyms, "_PATIENCE", 999)
    assert len(kernel_symbols(kernel(SYMBOLS))) == 0
    monkeypatch.setattr(kallsyms, "_PATIENCE", 1000)
    assert len(kernel_symbols(kernel(SYMBOLS))) > 0


def _word_at(data: bytes, value: bytes) -> int:
    position = data.index(value)
    assert data.find(value, position + 1) < 0
    return position


@pytest.mark.parametrize(
    ("what", "instead"),
    [
        (struct.pack("<IBBB", 1000, 0, 0, 0), struct.pack("<IBBB", 999, 0, 0, 0)),  # the number of symbols
        (struct.pack("<IBBB", 1000, 0, 0, 0), b"\xff" * 7),
        (struct.pack("<Q", BASE), struct.pack("<Q", 0x8000_0000)),  # the base address: not a kernel's
        (struct.pack("<Q", BASE), b"\xff" * 8),  # the addresses run over the end
        (struct.pack("<II", 16, 32), struct.pack("<II", 32, 16)),  # addresses that are not in order
        (b"w\0x\0y\0", b"w\0xx\0\0"),  # the tokens do not fit their index
    ],
)
def test_tables_that_do_not_fit_together_are_no_symbols(what: bytes, instead: bytes) -> None:
    memory = kernel(SYMBOLS)
    at = _word_at(memory.data, what)
    damaged = memory.data[:at] + instead + memory.data[at + len(instead) :]
    assert len(kernel_symbols(replace(memory, data=damaged))) == 0


@given(st.lists(st.tuples(st.integers(0, len(SMALL.data) - 1), st.binary(min_size=1, max_size=8)), max_size=6))
def test_nothing_that_memory_holds_raises(changes: list[tuple[int, bytes]]) -> None:
    data = bytearray(SMALL.data)
    for position, new in changes:
        data[position : position + len(new)] = new
    table = kernel_symbols(Memory(bytes(data)))
    table.find(BASE)


@given(st.integers(0, len(SMALL.data)))
def test_a_kernel_that_ends_anywhere(length: int) -> None:
    table = kernel_symbols(Memory(SMALL.data[:length]))
    assert len(table) in (0, len(kernel_symbols(SMALL)))


def test_the_symbols_of_debians_kernel(debian_image: Image) -> None:
    image = debian_image.kernel.read_bytes()
    table = kernel_symbols(Memory(image))
    assert len(table) > 20_000
    assert table.physical_offset == BASE - IMAGE
    assert table.find(BASE) == ("_start", 0)
    assert {"schedule", "handle_mm_fault", "do_trap_ecall_u", "start_kernel", "__memcpy"} <= {
        symbol.name for symbol in table if table.find(symbol.start) == (symbol.name, 0)
    }
    assert not any("$" in symbol.name for symbol in table)
    # A kernel with a randomized base relocates the one in the table, as CONFIG_RELOCATABLE does at boot.
    moved = BASE + 0x1_3560_0000 - (1 << 32)
    relocated = Memory(image.replace(struct.pack("<Q", BASE), struct.pack("<Q", moved)))
    assert kernel_symbols(relocated).find(moved) == ("_start", 0)


def test_a_running_kernel_is_named_from_its_first_instruction_on(debian_image: Image) -> None:
    profile = Profile(10_007)
    with Machine(debian_image, memory="192M") as machine:
        machine.sample_with(profile)
        machine.run(60_000_000)
        names = Names(Symbols([kernel_symbols(machine.memory)]), {1: "kernel"}, harts=False)
    total = summed(names.stacks(profile))
    assert sum(total.values()) == profile.instructions == 60_000_000
    assert sum(steps for stack, steps in total.items() if stack[-1].startswith("[")) < 600_000
    first = [point for point, _ in profile.samples()][:3]
    assert not any(point.translated for point in first)
    assert names.stack(first[0]) == ("kernel", "_start")
