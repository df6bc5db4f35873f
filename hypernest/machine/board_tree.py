"""The device tree of a board: what a kernel is told about the harts, the memory and the devices on the bus.

The devices describe themselves (`Device.tree_node`); what is here is what no device can know. The shape is that of
QEMU's `virt` board, the bindings those of Linux (Documentation/devicetree/bindings/riscv).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hypernest.devices.bus import Bus
from hypernest.devices.tree import Phandle, TreeNode, Value, cells64, hart_controller

TIMEBASE_FREQUENCY = 10_000_000
_CACHE_BLOCK_SIZE = 64


@dataclass(frozen=True, slots=True)
class HartDescription:
    """What all harts are: the ISA string, its extensions one by one, and the largest address translation mode."""

    isa: str
    extensions: Sequence[str]
    isa_base: str = "rv64i"
    mmu_type: str = "riscv,sv57"


@dataclass(frozen=True, slots=True)
class Chosen:
    """What the kernel is told about this boot; `initrd` is its first address and the one behind its last byte."""

    bootargs: str = ""
    initrd: tuple[int, int] | None = None
    rng_seed: bytes = b""


def board_tree(
    bus: Bus, memory_base: int, memory_size: int, harts: int, hart: HartDescription, chosen: Chosen
) -> TreeNode:
    """The tree for `harts` equal harts, one bank of memory, and everything on `bus`."""
    soc = TreeNode("soc", {"#address-cells": 2, "#size-cells": 2, "compatible": "simple-bus", "ranges": True})
    aliases: dict[str, Value] = {}
    root_nodes: list[TreeNode] = []
    for attachment in bus.attachments:
        device = attachment.device
        node = device.tree_node(attachment.base, attachment.interrupt)
        soc.children.append(node)
        root_nodes += device.tree_root_nodes()
        if device.tree_alias:
            number = sum(alias.startswith(device.tree_alias) for alias in aliases)
            aliases[f"{device.tree_alias}{number}"] = f"/soc/{node.name}"
    memory = TreeNode(f"memory@{memory_base:x}", {"device_type": "memory", "reg": cells64(memory_base, memory_size)})
    return TreeNode(
        "",
        {
            "#address-cells": 2,
            "#size-cells": 2,
            "compatible": "riscv-virtio",
            "model": "riscv-virtio,hypernest",
        },
        [
            TreeNode("aliases", aliases),
            _chosen(chosen, aliases.get("serial0")),
            *root_nodes,
            memory,
            _cpus(harts, hart),
            soc,
        ],
    )


def _chosen(chosen: Chosen, console: Value | None) -> TreeNode:
    properties: dict[str, Value] = {}
    if chosen.bootargs:
        properties["bootargs"] = chosen.bootargs
    if chosen.initrd is not None:
        start, end = chosen.initrd
        properties |= {"linux,initrd-start": cells64(start), "linux,initrd-end": cells64(end)}
    if chosen.rng_seed:
        properties["rng-seed"] = chosen.rng_seed
    if console is not None:
        properties["stdout-path"] = console
    return TreeNode("chosen", properties)


def _cpus(harts: int, hart: HartDescription) -> TreeNode:
    cores = [TreeNode(f"core{number}", {"cpu": Phandle(f"cpu{number}")}) for number in range(harts)]
    return TreeNode(
        "cpus",
        {"#address-cells": 1, "#size-cells": 0, "timebase-frequency": TIMEBASE_FREQUENCY},
        [
            *(_cpu(number, hart) for number in range(harts)),
            TreeNode("cpu-map", children=[TreeNode("cluster0", children=cores)]),
        ],
    )


def _cpu(number: int, hart: HartDescription) -> TreeNode:
    controller = TreeNode(
        "interrupt-controller",
        {
            "#address-cells": 0,
            "#interrupt-cells": 1,
            "interrupt-controller": True,
            "compatible": "riscv,cpu-intc",
        },
        label=hart_controller(number),
    )
    properties: dict[str, Value] = {
        "device_type": "cpu",
        "reg": number,
        "status": "okay",
        "compatible": "riscv",
        "riscv,isa": hart.isa,
        "riscv,isa-base": hart.isa_base,
        "riscv,isa-extensions": tuple(hart.extensions),
        "riscv,cbom-block-size": _CACHE_BLOCK_SIZE,
        "riscv,cboz-block-size": _CACHE_BLOCK_SIZE,
        "mmu-type": hart.mmu_type,
    }
    return TreeNode(f"cpu@{number:x}", properties, [controller], label=f"cpu{number}")
