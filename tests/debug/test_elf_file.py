"""What ELF programs have inside, and programs that are damaged anywhere."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypernest.debug.elf_file import ElfFile
from hypernest.debug.places import NoSuchPlace
from hypernest.debug.program import DebugProgram
from hypernest.errors import BadImage
from hypernest.machine.boot_files import BootFile
from tests.debug.sources import compile_program, tool

TEXT = 0x8020_0000
REGISTERS: Mapping[int, int] = dict.fromkeys(range(1, 32), 2149646336)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_program(tmp_path_factory.mktemp("elf"), "-O1", "-fasynchronous-unwind-tables")


def test_sections_and_segments(program: Path) -> None:
    elf = ElfFile(BootFile(program, "program"))
    for line in tool("readelf", "-SW", program).splitlines():
        words = line.replace("[ ", "[").split()
        if words and words[0].startswith("[") and words[0] not in ("[Nr]", "[0]"):
            section = elf.section(words[1])
            assert section is not None
            assert (section.address, section.offset, section.size) == tuple(int(word, 16) for word in words[3:6])
    loaded = [line.split() for line in tool("readelf", "-lW", program).splitlines() if line.strip().startswith("LOAD")]
    expected = [tuple(int(word, 16) for word in words[1:5]) for words in loaded]
    assert [(each.offset, each.virtual, each.physical, each.count) for each in elf.segments] == expected
    assert elf.section("nothing") is None and elf.contents_of("nothing") == b"" == elf.contents_of(".bss")
    assert elf.shift(expected[0][2] + 4096) == 4096


def _with_compressed(program: Path, header: bytes, packed: bytes) -> bytes:
    """The program with another `.debug_line`, which is said to be compressed."""
    data = bytearray(program.read_bytes())
    elf = ElfFile(BootFile(program, "program"))
    index = next(number for number, each in enumerate(elf.sections) if each.name == ".debug_line")
    row = int.from_bytes(data[0x28:0x30], "little") + 64 * index
    struct.pack_into("<QQQQ", data, row + 8, 1 << 11, 0, len(data), len(header + packed))
    return bytes(data) + header + packed


@pytest.mark.parametrize(
    ("kind", "size", "packed", "why"),
    [
        (1, 100, zlib.compress(bytes(99)), "damaged section '.debug_line'"),
        (1, 100, b"rubbish", "damaged section '.debug_line'"),
        (1, 1 << 60, zlib.compress(bytes(99)), "build it without -gz"),
        (2, 100, b"\x28\xb5\x2f\xfd", "build it without -gz"),
        (1, 100, zlib.compress(bytes(1 << 24)), "damaged debug information"),  # more than it says is not unpacked
    ],
)
def test_sections_that_unpack_to_nothing_good(program: Path, kind: int, size: int, packed: bytes, why: str) -> None:
    contents = _with_compressed(program, struct.pack("<I4xQQ", kind, size, 1), packed)
    with pytest.raises(BadImage, match=why):
        DebugProgram.added(contents, 0).line(TEXT)


@given(st.data())
def test_a_damaged_program_is_a_bad_image_or_says_something(program: Path, data: st.DataObject) -> None:
    contents = bytearray(program.read_bytes())
    sections = struct.unpack_from("<Q", contents, 0x28)[0]
    places = st.integers(4, 63) | st.integers(sections, len(contents) - 1) | st.integers(0, len(contents) - 1)
    for _ in range(data.draw(st.integers(1, 4))):
        contents[data.draw(places)] = data.draw(st.integers(0, 255))
    length = data.draw(st.just(len(contents)) | st.integers(1, len(contents)))
    with suppress(BadImage):
        damaged = DebugProgram.added(bytes(contents[:length]), 0x1000)
        damaged.line(TEXT + 0x1010)
        damaged.unwind(TEXT + 0x1010, REGISTERS, lambda at: at)
        list(damaged.lines.places("calls.c"))


def test_lines_that_are_not_there(program: Path) -> None:
    from tests.machine.small_guests import hosted

    with hosted("j .") as machine:
        symbols = machine.symbols
        with pytest.raises(NoSuchPlace, match=r"no source file 'calls.c' whose lines are known: add a program"):
            symbols.address_of_line("calls.c", 7)
        symbols.add(program, 0x1000)
        assert symbols.address_of_line("calls.c", 1) == symbols.address_of_line("calls.c", 7) == symbols["leaf"]
        assert str(symbols.line(symbols["leaf"])) == f"{program.parent / 'calls.c'}:7"
        with pytest.raises(NoSuchPlace, match="calls.c has no code at line 999 or behind it"):
            symbols.address_of_line("calls.c", 999)
        with pytest.raises(NoSuchPlace, match=r"no source file 'call.c' \(did you mean calls.c\?\)"):
            symbols.address_of_line("call.c", 7)
        assert symbols.line(TEXT - 2) is None
