"""The file of symbols that gdb is given has all names at their addresses."""

from __future__ import annotations

from pathlib import Path

from hypernest.debug.gdb.symbol_program import guest_program, symbol_program
from hypernest.debug.symbol_files import read_symbols
from hypernest.debug.symbols import Symbol, SymbolTable
from hypernest.machine import Machine
from tests.machine.small_guests import bare

CODE = [Symbol(0x8000_0000, 0x8000_0010, "first"), Symbol(0x8000_0010, 0x8000_0100, "second")]
KERNEL = [Symbol((1 << 64) - 0x1000, (1 << 64) - 0x800, "high")]
DATA = [Symbol(0x8000_0200, 0x8000_0208, "word"), Symbol(0x10, 0x20, "far_away")]


def test_names_and_addresses() -> None:
    table = read_symbols(symbol_program([SymbolTable(CODE, others=DATA), SymbolTable(KERNEL)]))
    assert list(table) == CODE + KERNEL
    assert table.addresses("word") == [0x8000_0200]
    assert table.addresses("far_away") == []  # before the code: sections may not overlap


def test_an_elf_program_is_given_as_it_is(program: Path) -> None:
    with Machine(firmware=program, memory="16M", engine="interpreter") as machine:
        file = guest_program(machine)
        assert file is not None
        assert file.read(0, file.size) == program.read_bytes()


def test_a_flat_program_has_no_names() -> None:
    with bare("j .", engine="interpreter") as machine:
        assert guest_program(machine) is None
