"""Compiling guests: what is built is right, is kept, and is built anew when anything it was made from changes."""

from __future__ import annotations

from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from hypernest.benchmark.build import (
    BARE,
    FREESTANDING,
    GUESTS,
    LINUX,
    LINUX_SOURCES,
    BuildFailed,
    MissingTool,
    Toolchain,
)
from hypernest.errors import HypernestError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("HYPERNEST_CACHE", str(folder))
    return folder


def segments(path: Path) -> list[tuple[int, int]]:
    with path.open("rb") as file:
        elf = ELFFile(file)
        return [(part["p_vaddr"], part["p_flags"]) for part in elf.iter_segments() if part["p_type"] == "PT_LOAD"]


def test_bare_guest_starts_at_ram_and_keeps_code_and_data_on_separate_pages() -> None:
    program = BARE.build([GUESTS / "integer.c"], {"ITERS": 1})
    with program.open("rb") as file:
        assert ELFFile(file)["e_entry"] == 0x8000_0000
    (code, code_flags), (data, data_flags) = segments(program)
    assert (code, code_flags, data_flags) == (0x8000_0000, 0b101, 0b110)
    assert data % 4096 == 0 and data > code


def test_linux_program_is_static() -> None:
    program = LINUX.build(LINUX_SOURCES)
    with program.open("rb") as file:
        elf = ELFFile(file)
        assert elf["e_machine"] == "EM_RISCV"
        assert not any(part["p_type"] == "PT_INTERP" for part in elf.iter_segments())


def test_same_inputs_are_built_once_and_other_inputs_again(tmp_path: Path) -> None:
    source = tmp_path / "tiny.S"
    source.write_text(".globl _start\n_start: li a0, VALUE\n")
    first = FREESTANDING.build([source], {"VALUE": 1})
    stamp = first.stat().st_mtime_ns
    assert FREESTANDING.build([source], {"VALUE": 1}) == first
    assert first.stat().st_mtime_ns == stamp
    assert FREESTANDING.build([source], {"VALUE": 2}) != first
    source.write_text(".globl _start\n_start: li a1, VALUE\n")
    assert FREESTANDING.build([source], {"VALUE": 1}) != first


def test_source_that_does_not_compile_gives_one_line_and_leaves_nothing(tmp_path: Path, cache: Path) -> None:
    source = tmp_path / "wrong.c"
    source.write_text("void _start(void) { return nonsense; }\n")
    with pytest.raises(BuildFailed, match=r"does not compile: .*wrong\.c.*nonsense") as caught:
        FREESTANDING.build([source])
    assert "\n" not in str(caught.value)
    assert not [path for path in cache.rglob("*") if path.is_file()]


def test_missing_source_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match=r"cannot read the guest source .*absent"):
        FREESTANDING.build([tmp_path / "absent.c"])


def test_missing_compiler_names_its_packages() -> None:
    toolchain = Toolchain("no-such-compiler", "some-package", ())
    with pytest.raises(MissingTool, match="no-such-compiler is not installed: apt-get install some-package"):
        toolchain.build([GUESTS / "nothing.c"])


def test_cache_that_cannot_be_written_is_a_clear_error(cache: Path) -> None:
    cache.write_text("a file where a folder should be")
    with pytest.raises(HypernestError, match="cannot keep a compiled guest"):
        BARE.build([GUESTS / "nothing.c"], {"ITERS": 1})
