import struct
import subprocess
from typing import Any

import pytest

from hypernest.errors import BadConfiguration, BadImage
from hypernest.isa.assembler import assemble
from hypernest.isa.riscv.riscv64 import RISCV64
from hypernest.machine import Machine

RAM, FLAT = 0x8000_0000, 0x8020_0000
MIB = 1 << 20

_CSRS = {row.name: number for number, row in RISCV64.csrs.items()}
STAY = assemble("loop: j loop", RAM, RISCV64.rows, _CSRS)


def machine(memory: str = "64M", **files: Any) -> Machine:
    return Machine(memory=memory, engine="reference", **files)


def tree_of(machine: Machine) -> bytes:
    """The device tree at the address in a1."""
    address = machine.harts[0].x["a1"]
    magic, size = struct.unpack(">II", machine.memory.read(address, 8))
    assert magic == 0xD00D_FEED
    return machine.memory.read(address, size)


def initrd_of(tree: bytes) -> tuple[int, int]:
    """linux,initrd-start and -end, found by what they are named in dtc's output."""
    text = subprocess.run(["dtc", "-q", "-I", "dtb", "-O", "dts"], input=tree, capture_output=True, check=True).stdout
    words = {}
    for line in text.decode().splitlines():
        name, _, value = line.strip().partition(" = ")
        if name.startswith("linux,initrd"):
            cells = [int(cell, 16) for cell in value.strip("<>;").split()]
            words[name] = cells[0] << 32 | cells[1] if len(cells) == 2 else cells[0]
    return words["linux,initrd-start"], words["linux,initrd-end"]


def test_a_kernel_begins_in_s_mode_with_its_hart_and_its_tree() -> None:
    with machine(kernel=STAY) as used:
        hart = used.harts[0]
        assert hart.pc == FLAT and hart.x["a0"] == 0
        assert used.memory.read(FLAT, len(STAY)) == STAY
        assert hart.x["a1"] % 8 == 0 and len(tree_of(used)) > 500


def test_initrds_are_joined_on_multiples_of_four_behind_the_kernel() -> None:
    with machine(kernel=STAY, initrd=[b"first", b"second!", b"x" * 5000]) as used:
        start, end = initrd_of(tree_of(used))
        assert start % 4096 == 0 and start == RAM + 32 * MIB
        assert used.memory.read(start, end - start) == b"first\0\0\0second!\0" + b"x" * 5000
        assert end <= used.harts[0].x["a1"]


def test_an_initrd_that_does_not_fit_at_its_usual_place_goes_lower() -> None:
    with machine(kernel=STAY, initrd=[bytes(40 * MIB)]) as used:
        start, end = initrd_of(tree_of(used))
        assert FLAT + len(STAY) <= start and end - start == 40 * MIB and end <= used.harts[0].x["a1"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"kernel": bytes(70 * MIB)}, r"kernel does not fit.*--memory \d+M would do"),
        ({"kernel": STAY, "initrd": [bytes(70 * MIB)]}, r"initrd of \d+ bytes does not fit.*--memory \d+M would do"),
        ({"kernel": bytes(62 * MIB - 4096)}, r"no room for the device tree.*--memory \d+M would do"),
        ({"firmware": bytes(70 * MIB)}, r"firmware does not fit.*--memory \d+M would do"),
    ],
)
def test_what_does_not_fit_says_how_much_would_do(files: dict[str, Any], message: str) -> None:
    with pytest.raises(BadImage, match=message) as raised:
        machine(**files)
    enough = str(raised.value).partition("--memory ")[2].split()[0]
    machine(memory=enough, **files).close()


def test_a_command_line_that_is_too_long() -> None:
    with pytest.raises(BadConfiguration, match="command line of 100000 characters is too long"):
        machine(kernel=STAY, append="x" * 100_000)


def test_a_linked_kernel_must_not_overlap_the_firmware() -> None:
    # One segment at the address of the firmware.
    header = struct.pack("<4sBBB9xHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 1, 2, 243, 1, RAM, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    kernel = header + struct.pack("<IIQQQQQQ", 1, 7, 120, RAM, RAM, 4, 4, 4) + STAY.ljust(4, b"\0")
    with pytest.raises(BadImage, match="overlaps the firmware"):
        machine(firmware=STAY, kernel=kernel)


def test_firmware_is_told_where_tree_and_kernel_are() -> None:
    with machine(firmware=STAY, kernel=b"\x13\0\0\0") as used:
        used.run(20)
        hart = used.harts[0]
        assert hart.pc == RAM and hart.x["a0"] == 0
        assert tree_of(used)
        # OpenSBI's fw_dynamic_info lies in the reset ROM, as on QEMU's board, where only the guest sees it.
        assert hart.x["a2"] == 0x1040


def test_the_dynamic_information_as_firmware_reads_it() -> None:
    # Reads its six doublewords into registers.
    read = "".join(f"ld {name}, {8 * index}(a2)\n" for index, name in enumerate(("s0", "s1", "s2", "s3", "s4", "s5")))
    firmware = assemble(read + "loop: j loop", RAM, RISCV64.rows, _CSRS)
    with machine(firmware=firmware, kernel=b"\x13\0\0\0") as used:
        used.run(30)
        values = [used.harts[0].x[name] for name in ("s0", "s1", "s2", "s3", "s4", "s5")]
        assert values == [0x4942_534F, 2, FLAT, 1, 0, 0]
