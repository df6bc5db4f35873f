"""Stack frames against what objdump reads in the same sections, and sections that are damaged."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypernest.debug.dwarf.frames import SP, FrameTable
from hypernest.debug.dwarf.reader import Damaged
from hypernest.debug.elf_file import ElfFile
from hypernest.isa.riscv.abi import INTEGER_NUMBERS
from hypernest.machine.boot_files import BootFile
from tests.debug.sources import code_addresses, compile_program, tool

RA, S0 = 1, 8
REGISTERS = {number: 0x8020_2000 + 0x1_0000 * number for number in range(1, 32)}
"""What the frame's registers hold: something else each, so that places tell from which they come."""


def sections(program: Path) -> tuple[bytes, int, bytes]:
    elf = ElfFile(BootFile(program, "program"))
    eh = elf.section(".eh_frame")
    return elf.contents_of(".eh_frame"), eh.address if eh else 0, elf.contents_of(".debug_frame")


def rules(program: Path, kind: str) -> dict[int, tuple[str, dict[str, str]]]:
    """By address, where objdump's table changes: the rule of the CFA, and those of registers."""
    found: dict[int, tuple[str, dict[str, str]]] = {}
    columns: list[str] = []
    for line in (
        tool("objdump", "--dwarf=frames-interp", program).split(f"Contents of the {kind} section:")[1].splitlines()
    ):
        if line.startswith("Contents"):
            break
        words = line.split()
        if words[:2] == ["LOC", "CFA"]:
            columns = words[2:]
        elif re.match(r"[0-9a-f]{16} \S+[+-]", line):
            found[int(words[0], 16)] = words[1], dict(zip(columns, words[2:], strict=True))
    return {address: rule for address, rule in found.items() if address}


@pytest.mark.parametrize(
    ("options", "kind"),
    [(("-O0",), ".debug_frame"), (("-O2",), ".debug_frame"), (("-O2", "-fasynchronous-unwind-tables"), ".eh_frame"),
     (("-O2", "-fno-omit-frame-pointer"), ".debug_frame"), (("-O1", "-gdwarf-2"), ".debug_frame")],
)  # fmt: skip
def test_every_rule_is_as_objdump_says(options: tuple[str, ...], kind: str, tmp_path: Path) -> None:
    start = "" if ".eh_frame" in kind else ".cfi_sections .debug_frame\n"
    program = compile_program(tmp_path, *options, start=start + _start())
    expected = rules(program, kind)
    assert len(expected) > 10
    table = FrameTable(*sections(program))
    assert len(table) >= 5
    for address, (cfa_rule, registers) in expected.items():
        base, offset = re.fullmatch(r"(\w+)([+-]\d+)", cfa_rule).groups()  # type: ignore[union-attr]
        cfa = REGISTERS[INTEGER_NUMBERS[base]] + int(offset)
        found = table.unwind(address, REGISTERS, lambda at: at + 1)
        assert found is not None and found.cfa == found.registers[SP] == cfa
        for name in ("ra", "s0", "s1"):
            rule, value = registers.get(name, "u"), found.registers.get(INTEGER_NUMBERS[name])
            if rule.startswith("c"):
                assert value == cfa + int(rule[1:]) + 1
            elif name != "ra" or rule == "s":
                assert value == REGISTERS[INTEGER_NUMBERS[name]]
        assert found.pc == found.registers.get(RA)


def _start() -> str:
    from tests.debug.sources import START

    return START


def test_the_first_function_has_no_caller(tmp_path: Path) -> None:
    program = compile_program(tmp_path, "-O2")
    table = FrameTable(*sections(program))
    found = table.unwind(0x8020_0000, REGISTERS, lambda at: 0)
    assert found is not None and found.pc is None and RA not in found.registers
    assert table.unwind(0x8020_0000 - 1, REGISTERS, lambda at: 0) is None
    assert table.unwind(code_addresses(program)[-1] + 64, REGISTERS, lambda at: 0) is None
    assert table.unwind(0x8020_0000, {}, lambda at: 0) is None


@given(st.data())
def test_damaged_sections(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    eh, address, debug = _sample(tmp_path_factory)
    damaged = [bytearray(eh), bytearray(debug)]
    for _ in range(data.draw(st.integers(1, 6))):
        which = damaged[data.draw(st.integers(0, 1))]
        which[data.draw(st.integers(0, len(which) - 1))] = data.draw(st.integers(0, 255))
    with suppress(Damaged):
        table = FrameTable(bytes(damaged[0]), address, bytes(damaged[1]))
        for pc in range(0x8020_0000, 0x8020_0100, 2):
            with suppress(Damaged):
                table.unwind(pc, REGISTERS, lambda at: at)


@given(st.binary(max_size=100))
def test_anything(data: bytes) -> None:
    for contents in (data, len(data).to_bytes(4, "little") + data):
        with suppress(Damaged):
            FrameTable(contents, 0, b"")
        with suppress(Damaged):
            FrameTable(b"", 0, contents)


_samples: list[tuple[bytes, int, bytes]] = []


def _sample(factory: pytest.TempPathFactory) -> tuple[bytes, int, bytes]:
    if not _samples:
        folder = factory.mktemp("frames")
        eh = sections(compile_program(folder, "-O2", "-fasynchronous-unwind-tables"))
        _samples.append(
            (*eh[:2], sections(compile_program(folder, "-O2", start=".cfi_sections .debug_frame\n" + _start()))[2])
        )
    return _samples[0]
