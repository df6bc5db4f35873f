"""Symbols from files: ELF programs as they are linked, lists, and files that are neither or damaged."""

from __future__ import annotations

import gzip
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypernest.debug.symbol_files import program_symbols, read_symbols
from hypernest.debug.symbols import Symbol, Symbols, SymbolTable, readable
from hypernest.errors import BadImage, HypernestError
from hypernest.machine import Machine
from tests.debug.guests import CHEAP, COSTLY, KERNEL_SCRIPT, TWO_FUNCTIONS, build

TEXT = 0x8020_0000
START_SIZE = 10 * 4
CHEAP_AT = TEXT + START_SIZE
COSTLY_AT = CHEAP_AT + 4 * CHEAP + 16


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(TWO_FUNCTIONS, tmp_path_factory.mktemp("elf"))


def test_a_table_names_what_its_symbols_cover() -> None:
    table = SymbolTable([Symbol(20, 30, "b"), Symbol(10, 15, "a"), Symbol(20, 40, "alias")])
    assert [table.find(at) for at in (9, 10, 14, 15, 20, 29, 30)] == [
        None, ("a", 0), ("a", 4), None, ("b", 0), ("b", 9), None,
    ]  # fmt: skip
    assert SymbolTable(()).find(0) is None


def test_the_first_table_that_knows_an_address_names_it() -> None:
    symbols = Symbols(
        [SymbolTable([Symbol(10, 20, "a")]), SymbolTable([Symbol(1010, 1030, "kernel")], physical_offset=1000)]
    )
    assert symbols.find(12) == ("a", 2)
    assert symbols.find(1012) == ("kernel", 2)
    assert symbols.find(1012, translated=False) is None
    assert symbols.find(22, translated=False) == ("kernel", 12)
    assert symbols.find(12, translated=False) == ("a", 2)


@given(st.text() | st.binary())
def test_readable_names_are_one_word(name: str | bytes) -> None:
    shown = readable(name)
    assert shown.isascii() and ";" not in shown and len(shown) <= 512
    assert all("!" <= letter <= "~" for letter in shown)


def test_functions_of_an_elf_file(program: Path) -> None:
    table = read_symbols(program)
    assert table.find(TEXT) == ("_start", 0)
    assert table.find(CHEAP_AT - 1) == ("_start", START_SIZE - 1)
    # A label inside a function that has a size does not divide it.
    assert table.find(CHEAP_AT + 4 * CHEAP - 4) == ("cheap", 4 * CHEAP - 4)
    # Behind the end of a function that has a size there is nothing; one without goes on to the end of its section.
    assert table.find(CHEAP_AT + 4 * CHEAP) is None
    assert table.find(COSTLY_AT + 4 * COSTLY - 4) == ("costly", 4 * COSTLY - 4)
    assert table.find(COSTLY_AT + 4 * COSTLY) is None
    assert table.find(TEXT - 4) is None


def test_a_packed_file(program: Path, tmp_path: Path) -> None:
    packed = tmp_path / "guest.gz"
    packed.write_bytes(gzip.compress(program.read_bytes()))
    assert read_symbols(packed).find(CHEAP_AT) == ("cheap", 0)


def test_a_kernel_linked_high_and_loaded_low(tmp_path: Path) -> None:
    script = tmp_path / "kernel.ld"
    script.write_text(KERNEL_SCRIPT)
    program = build(TWO_FUNCTIONS, tmp_path, "-static", f"-Wl,-T,{script}", at=None)
    with Machine(kernel=program, memory="16M") as machine:
        symbols = Symbols([program_symbols(each) for each in machine.programs])
    assert symbols.find(0xFFFF_FFFF_8000_0004) == ("_start", 4)
    assert symbols.find(TEXT + 4, translated=False) == ("_start", 4)


def test_a_program_linked_at_zero_has_its_symbols_where_it_was_loaded(tmp_path: Path) -> None:
    script = tmp_path / "zero.ld"
    script.write_text("SECTIONS { . = 0; .text : { *(.text) } }")
    program = build(TWO_FUNCTIONS, tmp_path, "-shared", "-Wl,-e,_start", f"-Wl,-T,{script}", at=None)
    with Machine(firmware=program, memory="16M") as machine:
        (loaded,) = machine.programs
        assert (loaded.what, loaded.address) == ("firmware", 0x8000_0000)
        table = program_symbols(loaded)
    assert read_symbols(program).find(START_SIZE) == ("cheap", 0)
    assert table.find(0x8000_0000 + START_SIZE) == ("cheap", 0)


def test_of_what_a_stripped_library_exports_only_sizes_count(tmp_path: Path) -> None:
    exported = TWO_FUNCTIONS.replace(".type cheap", ".globl cheap, costly\n.type cheap")
    library = build(exported, tmp_path, "-shared", "-Wl,-Bsymbolic", at=None)
    assert {symbol.name for symbol in read_symbols(library)} == {"_start", "cheap", "costly"}
    subprocess.run(["riscv64-linux-gnu-strip", library], check=True)
    assert {symbol.name for symbol in read_symbols(library)} == {"_start", "cheap"}


def test_what_boots_need_not_have_symbols(program: Path, tmp_path: Path) -> None:
    stripped = tmp_path / "stripped"
    subprocess.run(["riscv64-linux-gnu-strip", "-o", stripped, program], check=True)
    with Machine(kernel=stripped, memory="16M") as machine:
        assert [len(program_symbols(each)) for each in machine.programs] == [0]
    with Machine(kernel=b"\x6f\0\0\0", memory="16M") as machine:
        assert [len(program_symbols(each)) for each in machine.programs] == [0]
    with pytest.raises(BadImage, match="was stripped"):
        read_symbols(stripped)


def test_a_system_map() -> None:
    text = b"""0000000000000040 A absolute
ffffffff80000000 T _start
ffffffff80000000 T _text
ffffffff80000040 t .Lhidden
ffffffff80000100 t schedule
ffffffff80000180 d data
ffffffff80000200 W last
ffffffff01000000 t read_block\t[ext4]
ffffffff01000010 t write_block\t[ext4]
"""
    table = read_symbols(text)
    assert table.find(0xFFFF_FFFF_8000_0044) == ("_start", 0x44)
    assert table.find(0xFFFF_FFFF_8000_0104) == ("schedule", 4)
    assert table.find(0xFFFF_FFFF_8000_0180) is None
    assert table.find(0xFFFF_FFFF_8000_0200) == ("last", 0)
    assert table.find(0xFFFF_FFFF_0100_000F) == ("ext4:read_block", 15)


@pytest.mark.parametrize(
    ("contents", "why"),
    [
        (b"#!/bin/sh\n", "neither an ELF file nor a list"),
        (b"\0\1\2\3", "neither an ELF file nor a list"),
        (b"ffffffff80000000 T _start\nrubbish\n", "no symbol in line 2"),
        (b"0000000000000000 T _start\n0000000000000000 t f\n", "hides its addresses"),
        (b"ffffffff80000000 D data\n", "no symbols of code"),
        (b"\x7fELF", "no ELF file for a 64-bit"),
        (b"", "is empty"),
    ],
)
def test_files_that_are_no_symbols(contents: bytes, why: str) -> None:
    with pytest.raises(BadImage, match=why):
        read_symbols(contents)


def test_a_program_for_another_machine(program: Path) -> None:
    contents = bytearray(program.read_bytes())
    contents[18:20] = struct.pack("<H", 62)
    with pytest.raises(BadImage, match="another machine"):
        read_symbols(bytes(contents))


@given(st.data())
def test_a_damaged_elf_file_is_an_error_or_has_symbols(program: Path, data: st.DataObject) -> None:
    contents = bytearray(program.read_bytes())
    sections = struct.unpack_from("<Q", contents, 0x28)[0]
    # What matters lies in the header and the section table.
    places = st.integers(4, 63) | st.integers(sections, len(contents) - 1) | st.integers(0, len(contents) - 1)
    for _ in range(data.draw(st.integers(1, 4))):
        contents[data.draw(places)] = data.draw(st.integers(0, 255))
    length = data.draw(st.sampled_from([len(contents), len(contents) // 2]) | st.integers(1, len(contents)))
    try:
        table = read_symbols(bytes(contents[:length]))
    except HypernestError:
        return
    table.find(TEXT)
