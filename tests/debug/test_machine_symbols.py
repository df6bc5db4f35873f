"""Names of a machine's addresses, wherever they come from."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypernest.debug.places import NoSuchPlace
from hypernest.debug.symbols import Symbol
from hypernest.errors import BadImage, BadValue
from hypernest.images import Image
from hypernest.machine import Machine
from tests.debug.guests import CHEAP, KERNEL_SCRIPT, TWO_FUNCTIONS, build
from tests.debug.packed_symbols import BASE, entries, kernel
from tests.machine.page_tables import A, PageTables, R, X
from tests.machine.small_guests import KERNEL, hosted

WITH_DATA = (
    TWO_FUNCTIONS
    + """
    .data
    .globl counter, second_name
    .type counter, @object
    .size counter, 8
counter: .dword 7
place:   .dword 8
    .text
second_name = cheap
"""
)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(WITH_DATA, tmp_path_factory.mktemp("elf"))


def test_what_was_loaded_has_names(program: Path) -> None:
    with Machine(kernel=program, memory="16M") as machine:
        symbols = machine.symbols
        assert symbols["_start"] == KERNEL and symbols["_start+0x10"] == KERNEL + 16
        assert str(symbols.find(KERNEL + 4)) == "_start+0x4" and str(symbols.find(KERNEL)) == "_start"
        assert symbols.find(KERNEL - 1) is None
        # Data, aliases and labels inside functions have names, too; an address of code has that of its function.
        assert machine.memory.read_int(symbols["counter"], 8) == 7
        assert str(symbols.find(symbols["counter"] + 4)) == "counter+0x4"
        assert symbols["place"] == symbols["counter"] + 8
        assert {symbols["second_name"], symbols["cheap"]} == {symbols["cheap"]}
        assert str(symbols.find(symbols["label_without_size"])) == f"cheap+{4 * (CHEAP - 1):#x}"
        assert "cheap" in symbols and "nothing" not in symbols and 5 not in symbols
        assert {"_start", "cheap", "costly", "counter", "place"} <= {each.name for each in symbols}
        assert len(list(symbols)) == len(symbols) and all(isinstance(each, Symbol) for each in symbols)
        assert symbols.addresses("costly") == [symbols["costly"]] and symbols.addresses("nothing") == []
        assert symbols.resolve("costly") == symbols["costly"] and symbols.resolve(5) == 5
        with pytest.raises(NoSuchPlace, match=r"no symbol 'chep' \(did you mean cheap\?\)"):
            symbols["chep"]
        with pytest.raises(KeyError):
            symbols["nothing"]
        for wrong in (-1, 1 << 64):
            with pytest.raises(BadValue):
                symbols.resolve(wrong)
        assert repr(symbols) == f"<{len(symbols)} symbols of 1 program>"


def test_files_that_are_added_come_first(program: Path) -> None:
    with hosted("j .") as machine:
        assert len(machine.symbols) == 0
        machine.symbols.add(program, 0x1000)
        assert machine.symbols["_start"] == KERNEL + 0x1000
        assert str(machine.symbols.find(KERNEL + 0x1004)) == "_start+0x4"
        machine.symbols.add(b"0000000080201000 T main\n0000000080201008 D data\n0000000000000001 A absolute\n")
        assert str(machine.symbols.find(KERNEL + 0x1004)) == "main+0x4"
        assert machine.symbols["data"] == KERNEL + 0x1008 and "absolute" not in machine.symbols
        with pytest.raises(BadImage, match="neither an ELF file nor a list"):
            machine.symbols.add(b"something else")
        with pytest.raises(BadValue):
            machine.symbols.add(program, 1 << 64)


def test_a_kernel_is_known_where_it_is_linked_and_until_it_translates_where_it_lies(tmp_path: Path) -> None:
    script = tmp_path / "kernel.ld"
    script.write_text(KERNEL_SCRIPT)
    program = build(TWO_FUNCTIONS, tmp_path, "-static", f"-Wl,-T,{script}", at=None)
    high = 0xFFFF_FFFF_8000_0000
    with Machine(kernel=program, memory="16M") as machine:
        assert str(machine.symbols.find(high + 4)) == str(machine.symbols.find(KERNEL + 4)) == "_start+0x4"
        tables = PageTables(machine)
        tables.map(high, KERNEL, R | X | A)
        tables.use()
        assert str(machine.symbols.find(high + 4)) == "_start+0x4"
        assert machine.symbols.find(KERNEL + 4) is None
        assert machine.symbols["costly"] > high


def test_a_running_kernels_own_names_follow_it() -> None:
    with hosted("j .") as machine:
        symbols = machine.symbols
        assert "schedule" not in symbols
        packed = kernel(entries(600))
        machine.memory.write(KERNEL, packed.data)
        machine.run(1)
        assert str(symbols.find(symbols["schedule"] + 4)) == "schedule+0x4"
        assert symbols["_start"] == BASE
        assert str(symbols.find(KERNEL)) == "_start"
        # It moves itself: the number that all addresses are computed from changes, and with it all addresses.
        moved = kernel(entries(600, BASE + (1 << 21)))
        machine.memory.write(KERNEL, moved.data)
        assert symbols["_start"] == BASE + (1 << 21)
        machine.memory.write(KERNEL, bytes(len(packed.data)))
        assert "schedule" not in symbols


def test_forks_have_names_of_their_own(program: Path) -> None:
    with Machine(kernel=program, memory="16M") as machine:
        machine.run(5)
        with machine.snapshot().fork() as child:
            assert child.symbols["costly"] == machine.symbols["costly"]
            assert child.symbols.programs[0] is machine.symbols.programs[0]  # nothing is read again
            child.symbols.add(b"0000000080201000 T main\n")
            assert "main" not in machine.symbols


def test_debians_kernel(debian_image: Image) -> None:
    with Machine(debian_image, memory="192M") as machine:
        assert str(machine.symbols.find(machine.harts[0].pc)) == "_start"
        machine.run(10_000_000)  # translation is on by then
        schedule = machine.symbols["schedule"]
        assert str(machine.symbols.find(schedule + 2)) == "schedule+0x2"
        assert str(machine.disassemble("schedule", 1)[0]).startswith(f"{schedule:#x} <schedule>:  ")
