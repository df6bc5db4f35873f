"""Lines of the source against addr2line, and line tables that are damaged."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypernest.debug.dwarf.lines import LineTable, SourceLine
from hypernest.debug.dwarf.reader import Damaged, Reader
from hypernest.debug.elf_file import ElfFile
from hypernest.machine.boot_files import BootFile
from tests.debug.sources import code_addresses, compile_program, tool

SECTIONS = (".debug_line", ".debug_line_str", ".debug_str")


def sections(program: Path) -> list[bytes]:
    elf = ElfFile(BootFile(program, "program"))
    return [elf.contents_of(name) for name in SECTIONS]


@pytest.mark.parametrize(
    "options", [("-gdwarf-5", "-O0"), ("-gdwarf-5", "-O2"), ("-gdwarf-4", "-O2"), ("-gdwarf-3", "-O1"),
                ("-gdwarf-2", "-O0"), ("-gdwarf-5", "-gz", "-O2")],
    ids=" ".join,
)  # fmt: skip
def test_every_address_has_the_line_that_addr2line_says(options: tuple[str, ...], tmp_path: Path) -> None:
    program = compile_program(tmp_path, *options)
    table = LineTable(*sections(program))
    addresses = code_addresses(program)
    assert len(addresses) > 40
    expected = tool("addr2line", "-e", program, *map(hex, addresses)).splitlines()
    found = [table.find(address) for address in addresses]
    assert [_short(str(each)) for each in found] == [_short(line) for line in expected]
    assert {Path(each.file).name for each in found if each} == {"start.S", "calls.c"}
    if "-gdwarf-5" in options:
        assert all(Path(each.file).is_absolute() for each in found if each)
    assert table.find(addresses[0] - 1) is None
    assert table.find(0) is None


def _short(line: str) -> str:
    """File and line without folder and discriminator."""
    return line.partition(" ")[0].rpartition("/")[2]


def test_offsets_of_64_bits(tmp_path: Path) -> None:
    narrow, wide = (
        LineTable(*sections(compile_program(tmp_path, "-gdwarf-5", size, "-O1"))) for size in ("-gdwarf32", "-gdwarf64")
    )
    places = [(line, address) for line, address in wide.places("calls.c")]
    assert places and places == list(narrow.places("calls.c"))


def test_lines_have_addresses(tmp_path: Path) -> None:
    program = compile_program(tmp_path, "-O0")
    table = LineTable(*sections(program))
    places = dict(sorted(table.places("calls.c"), reverse=True))
    for line, address in places.items():
        assert table.find(address) == SourceLine(str(tmp_path / "calls.c"), line)
    leaf = int(tool("nm", program).split(" t leaf")[0].split()[-1], 16)
    assert places[7] == leaf
    assert dict(table.places(f"{tmp_path.name}/calls.c")).keys() == places.keys()
    assert not list(table.places("alls.c"))
    assert {Path(path).name for path in table.files} >= {"calls.c", "start.S"}


def test_what_a_linker_throws_away_is_nowhere(tmp_path: Path) -> None:
    program = compile_program(tmp_path, "-O0", "-ffunction-sections", "-Wl,--gc-sections", "-Wl,-e,_start")
    assert LineTable(*sections(program)).find(2) is None


@given(st.data())
def test_damaged_tables(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    lines, *strings = _sample(tmp_path_factory)
    damaged = bytearray(lines)
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(0, len(lines) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.just(len(lines)) | st.integers(0, len(lines)))
    try:
        table = LineTable(bytes(damaged[:cut]), *strings)
    except Damaged:
        return
    table.find(0x8020_0010)
    list(table.places("calls.c"))


@given(st.binary(max_size=200))
def test_anything(data: bytes) -> None:
    for contents in (data, len(data).to_bytes(4, "little") + b"\5\0" + data, len(data).to_bytes(4, "little") + data):
        with suppress(Damaged):
            LineTable(contents, data, data).find(5)


def test_a_table_of_endless_files_is_damaged() -> None:
    header = bytes([1, 1, 1, 0xFB, 14, 13, *([0] * 12), 0, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F])
    unit = b"\5\0\x08\0" + len(header).to_bytes(4, "little") + header
    with pytest.raises(Damaged):
        LineTable(len(unit).to_bytes(4, "little") + unit)


@pytest.mark.parametrize(("data", "unsigned", "signed"), [
    (b"\x00", 0, 0), (b"\x7f", 127, -1), (b"\x80\x7f", 127 << 7, -128), (b"\xe5\x8e\x26", 624485, 624485),
    (b"\x80\x01", 128, 128), (b"\xff" * 9 + b"\x01", (1 << 64) - 1, (1 << 64) - 1),
])  # fmt: skip
def test_numbers(data: bytes, unsigned: int, signed: int) -> None:
    assert Reader(data).unsigned() == unsigned
    assert Reader(data).signed() == signed
    for read in (Reader.unsigned, Reader.signed):
        with pytest.raises(Damaged):
            read(Reader(data[:-1]))
        with pytest.raises(Damaged):
            read(Reader(b"\x80" * 11))


_samples: list[list[bytes]] = []


def _sample(factory: pytest.TempPathFactory) -> list[bytes]:
    if not _samples:
        _samples.append(sections(compile_program(factory.mktemp("lines"), "-O1")))
    return _samples[0]
