"""Random user-level programs on both engines and on QEMU: all registers, fcsr and memory are the same after each."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from hypernest.engines.engine import Exit
from hypernest.isa.decoder import Decoder
from hypernest.isa.riscv.riscv64 import RISCV64
from tests.engines.equivalence import RAM, Pair
from tests.engines.user_programs import (
    AREA,
    AREAS,
    FCSR,
    FINISHED,
    FLOATS,
    INTEGERS,
    ROWS,
    SCRATCH,
    SIZE,
    Guest,
    make_guest,
)

PROGRAMS, INSTRUCTIONS = 300, 200
_CHUNK = 20_000


@pytest.fixture(scope="module")
def guest() -> Guest:
    return make_guest("programs for QEMU", PROGRAMS, INSTRUCTIONS)


@pytest.fixture(scope="module")
def areas_on_qemu(guest: Guest, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What QEMU's processor leaves in the areas."""
    folder: Path = tmp_path_factory.mktemp("qemu")
    (folder / "guest.bin").write_bytes(guest.image)
    command = [
        *("qemu-system-riscv64", "-M", "virt", "-cpu", "rv64,zba=true,zbb=true,zbs=true", "-m", "64M"),
        *("-display", "none", "-monitor", "none", "-serial", "file:serial", "-bios", "guest.bin"),
    ]
    subprocess.run(command, cwd=folder, check=True, timeout=120)
    return (folder / "serial").read_bytes()


@pytest.fixture(scope="module")
def areas_on_engines(guest: Guest) -> bytes:
    """What reference and interpreter leave there; they are compared with each other on the way."""
    pair = Pair(SIZE)
    pair.write(RAM, guest.image)
    pair["pc"] = RAM
    memory = pair.reference.memory
    while not memory.read_integer(RAM + 8, 8):
        assert pair.run(_CHUNK) is Exit.BUDGET
    assert memory.read_integer(RAM + 8, 8) == FINISHED
    return memory.read(AREAS, guest.areas_size)


def test_every_user_level_instruction_occurs(guest: Guest) -> None:
    decoder = Decoder(RISCV64.rows.values())
    seen = {row.name for program in guest.programs for code in program if (row := decoder.decode(code))}
    assert {row.name for row in ROWS} <= seen


def _name(offset: int) -> str:
    if offset < SCRATCH:
        return f"memory at {offset:#x}"
    if offset >= FCSR:
        return "fcsr"
    return f"x{(offset - INTEGERS) // 8}" if offset < FLOATS else f"f{(offset - FLOATS) // 8}"


def test_registers_are_the_same(guest: Guest, areas_on_engines: bytes, areas_on_qemu: bytes) -> None:
    assert len(areas_on_qemu) == len(areas_on_engines)
    for number in range(PROGRAMS):
        ours, theirs = (areas[number * AREA : (number + 1) * AREA] for areas in (areas_on_engines, areas_on_qemu))
        different = [
            f"{_name(at)}: {ours[at : at + 8][::-1].hex()} != {theirs[at : at + 8][::-1].hex()}"
            for at in range(0, AREA, 8)
            if ours[at : at + 8] != theirs[at : at + 8]
        ]
        assert not different, f"program {number}, ours != QEMU: {different}"
