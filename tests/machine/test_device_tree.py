"""The device tree: `dtc` reads it without a warning, and what it says is what is on the board."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from hypernest.devices import Bus, Clint, GoldfishRtc, Plic, TestFinisher, Uart, Wire
from hypernest.devices.tree import Phandle, TreeNode, Value, cells64
from hypernest.devices.virtio import VirtioBlock, VirtioMmio
from hypernest.disks import DiskFile
from hypernest.machine.board_tree import Chosen, HartDescription, board_tree
from hypernest.machine.device_tree import flatten
from hypernest.memory import GuestMemory

HART = HartDescription("rv64imafdc_zicsr_zifencei_sstc", ("i", "m", "a", "f", "d", "c", "zicsr", "zifencei", "sstc"))


class StoppedClock:
    def now(self) -> int:
        return 0


def board(harts: int, disks: list[Path] | None = None) -> Bus:
    """The board that issue 2 asks for, at QEMU's addresses."""
    bus, memory = Bus(), GuestMemory(0x8000_0000, 0x10000)
    plic = Plic([Wire() for _ in range(2 * harts)])
    clock = StoppedClock()
    bus.attach(0x10_0000, TestFinisher(lambda finish: None))
    bus.attach(0x10_1000, GoldfishRtc(clock, plic.line(11), 0), 11)
    bus.attach(0x200_0000, Clint(clock, [Wire() for _ in range(harts)], [Wire() for _ in range(harts)]))
    bus.attach(0xC00_0000, plic)
    bus.attach(0x1000_0000, Uart(plic.line(10), lambda data: None), 10)
    for slot in range(8):
        backend = VirtioBlock(DiskFile(disks[slot], readonly=True)) if disks and slot < len(disks) else None
        bus.attach(0x1000_1000 + 0x1000 * slot, VirtioMmio(backend, memory, plic.line(1 + slot)), 1 + slot)
    return bus


def decompile(blob: bytes, tmp_path: Path) -> str:
    """The source that dtc makes of `blob`; any warning fails the test."""
    assert shutil.which("dtc"), "install device-tree-compiler"
    path = tmp_path / "board.dtb"
    path.write_bytes(blob)
    result = subprocess.run(["dtc", "-I", "dtb", "-O", "dts", path], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    # Back to a blob and again to source: nothing is lost. (Source without labels makes dtc warn of its own numbers.)
    again = subprocess.run(["dtc", "-q", "-I", "dts", "-O", "dtb"], input=result.stdout.encode(), capture_output=True)
    assert (again.returncode, again.stderr) == (0, b"")
    twice = subprocess.run(["dtc", "-I", "dtb", "-O", "dts"], input=again.stdout, capture_output=True)
    assert twice.stdout.decode() == result.stdout
    return result.stdout


def source(tmp_path: Path, harts: int = 2, chosen: Chosen | None = None, disks: list[Path] | None = None) -> str:
    tree = board_tree(board(harts, disks), 0x8000_0000, 512 << 20, harts, HART, chosen or Chosen())
    return decompile(flatten(tree), tmp_path)


@pytest.mark.parametrize("harts", [1, 4, 8])
@pytest.mark.parametrize("with_disks", [False, True])
def test_dtc_accepts_it_without_warnings(tmp_path: Path, harts: int, with_disks: bool) -> None:
    disks = [tmp_path / "a.img", tmp_path / "b.img"] if with_disks else []
    for path in disks:
        path.write_bytes(bytes(512))
    text = source(tmp_path, harts, Chosen("console=ttyS0", (0x8400_0000, 0x8480_0000), bytes(range(33))), disks)
    assert len(re.findall(r"cpu@\d+ {", text)) == harts
    assert len(re.findall(r"virtio_mmio@1000\d000 {", text)) == 8


def properties(text: str, node: str) -> dict[str, str]:
    """The properties of the first node called `node`, without those of its children."""
    opening = f"\t{node} {{"
    body = text[text.index(opening) + len(opening) :]
    body = body[: re.search(r"[{}]", body).start()]  # type: ignore[union-attr]
    return dict(re.findall(r"^\t+([^\s=]+)(?: = (.*))?;$", body, re.MULTILINE))


def test_says_what_is_on_the_board(tmp_path: Path) -> None:
    text = source(tmp_path, 2, Chosen("quiet", (0x8400_0000, 0x1_8480_0000), b"\1\2\3\4"))
    assert properties(text, "memory@80000000")["reg"] == "<0x00 0x80000000 0x00 0x20000000>"
    assert properties(text, "cpus")["timebase-frequency"] == "<0x989680>"
    cpu = properties(text, "cpu@1")
    assert cpu["riscv,isa"] == '"rv64imafdc_zicsr_zifencei_sstc"'
    assert cpu["riscv,isa-base"] == '"rv64i"'
    assert cpu["riscv,isa-extensions"] == '"i\\0m\\0a\\0f\\0d\\0c\\0zicsr\\0zifencei\\0sstc"'
    assert cpu["mmu-type"] == '"riscv,sv57"'
    assert (cpu["riscv,cbom-block-size"], cpu["riscv,cboz-block-size"]) == ("<0x40>", "<0x40>")
    chosen = properties(text, "chosen")
    assert chosen["bootargs"] == '"quiet"'
    assert chosen["stdout-path"] == '"/soc/serial@10000000"'
    assert chosen["linux,initrd-start"] == "<0x00 0x84000000>"
    assert chosen["linux,initrd-end"] == "<0x01 0x84800000>"
    assert chosen["rng-seed"] == "<0x1020304>"
    assert properties(text, "aliases")["serial0"] == '"/soc/serial@10000000"'
    serial = properties(text, "serial@10000000")
    assert (serial["reg"], serial["interrupts"]) == ("<0x00 0x10000000 0x00 0x100>", "<0x0a>")
    plic = properties(text, "plic@c000000")
    assert serial["interrupt-parent"] == plic["phandle"]
    assert plic["riscv,ndev"] == "<0x3f>"
    intc = [match.group(1) for match in re.finditer(r"cpu-intc\";\s+phandle = <(\w+)>", text)]
    assert len(intc) == 2
    assert plic["interrupts-extended"] == f"<{intc[0]} 0x0b {intc[0]} 0x09 {intc[1]} 0x0b {intc[1]} 0x09>"
    clint = properties(text, "clint@2000000")
    assert clint["interrupts-extended"] == f"<{intc[0]} 0x03 {intc[0]} 0x07 {intc[1]} 0x03 {intc[1]} 0x07>"
    test = properties(text, "test@100000")
    assert properties(text, "poweroff") == {
        "compatible": '"syscon-poweroff"',
        "regmap": test["phandle"],
        "offset": "<0x00>",
        "value": "<0x5555>",
    }
    assert properties(text, "reboot")["value"] == "<0x7777>"


def test_has_the_shape_of_qemus_tree(tmp_path: Path) -> None:
    """Every node that both have says the same in all that does not depend on the processor or the boot."""
    assert shutil.which("qemu-system-riscv64"), "install qemu-system-misc"
    blob = tmp_path / "qemu.dtb"
    subprocess.run(
        ["qemu-system-riscv64", "-M", f"virt,dumpdtb={blob}", "-smp", "2", "-m", "512"], check=True, capture_output=True
    )
    peer = subprocess.run(["dtc", "-q", "-I", "dtb", "-O", "dts", blob], capture_output=True, text=True).stdout
    ours = source(tmp_path, 2)
    handles = {"phandle", "interrupt-parent", "interrupts-extended", "regmap", "cpu"}
    isa = {"riscv,isa", "mmu-type", "riscv,ndev"}
    nodes = [
        "soc",
        "cpus",
        "cpu@0",
        "cpu@1",
        "memory@80000000",
        "test@100000",
        "rtc@101000",
        "clint@2000000",
        "plic@c000000",
        "serial@10000000",
        "poweroff",
        "reboot",
        *(f"virtio_mmio@1000{slot}000" for slot in range(1, 9)),
    ]
    numbers = re.compile(r'"\\08@"')  # dtc takes the frequency 0x384000 for text.
    for node in nodes:
        theirs = {name: numbers.sub("<0x384000>", value) for name, value in properties(peer, node).items()}
        mine = properties(ours, node)
        for name in theirs.keys() - handles - isa:
            assert numbers.sub("<0x384000>", mine[name]) == theirs[name], f"{node}: {name}"
        assert theirs.keys() <= mine.keys(), node


def test_every_kind_of_value(tmp_path: Path) -> None:
    values: dict[str, Value] = {
        "#address-cells": 1,
        "#size-cells": 0,
        "yes": True,
        "no": False,
        "cell": 0xFFFF_FFFF,
        "cells": (1, 2),
        "wide": cells64(1 << 63 | 5),
        "text": "some text",
        "texts": ["one", "two"],
        "raw": b"\xde\xad\xbe",
        "other": Phandle("target"),
        "mixed": [Phandle("target"), 7],
    }
    tree = TreeNode("", values, [TreeNode("leaf", label="target")])
    text = decompile(flatten(tree), tmp_path)
    for line in (
        "yes;",
        "cell = <0xffffffff>;",
        "cells = <0x01 0x02>;",
        "wide = <0x80000000 0x05>;",
        'text = "some text";',
        'texts = "one\\0two";',
        "raw = [de ad be];",
        "other = <0x01>;",
        "mixed = <0x01 0x07>;",
        "phandle = <0x01>;",
    ):
        assert f"\t{line}\n" in text
    assert "no;" not in text


def test_header_and_reservations(tmp_path: Path) -> None:
    blob = flatten(TreeNode("", {"#address-cells": 1, "#size-cells": 0}), boot_hart=3, reserved=[(0x8000_0000, 0x1000)])
    magic, total, structure, _, reservations, version, compatible, hart, *_ = struct.unpack_from(">10I", blob)
    assert (magic, total, version, compatible, hart) == (0xD00D_FEED, len(blob), 17, 16, 3)
    assert (reservations % 8, structure % 4) == (0, 0)
    assert "/memreserve/\t0x0000000080000000 0x0000000000001000;" in decompile(blob, tmp_path)


@pytest.mark.parametrize(
    "tree",
    [
        TreeNode("", {"x": Phandle("nobody")}),
        TreeNode("", {"x": 1 << 32}),
        TreeNode("", {"x": -1}),
        TreeNode("", children=[TreeNode("a", label="same"), TreeNode("b", label="same")]),
    ],
)
def test_mistakes_are_refused(tree: TreeNode) -> None:
    with pytest.raises(ValueError, match="label|cell"):
        flatten(tree)


def test_is_the_same_every_time() -> None:
    def blob() -> bytes:
        return flatten(board_tree(board(4), 0x8000_0000, 64 << 20, 4, HART, Chosen("x", None, b"seed")))

    assert blob() == blob()
