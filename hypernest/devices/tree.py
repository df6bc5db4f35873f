"""The vocabulary in which a device describes itself to the guest's kernel; `machine` flattens it.

Values are plain Python: `True` is an empty property, an `int` one 32-bit cell, a `str` a string, `bytes` raw bytes, a
`Phandle` the cell that refers to another node; a list or tuple of these is their concatenation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Phandle:
    """A reference to the node whose `label` this is."""

    label: str


Atom = int | str | bytes | Phandle
Value = bool | Atom | Sequence[Atom]


@dataclass(slots=True)
class TreeNode:
    """One node of a device tree (Devicetree Specification 0.4, section 2.2)."""

    name: str
    properties: dict[str, Value] = field(default_factory=dict)
    children: list[TreeNode] = field(default_factory=list)
    label: str = ""


def cells64(*values: int) -> tuple[int, ...]:
    """Each value as two cells, the more significant first, as `#address-cells = <2>` wants them."""
    return tuple(cell for value in values for cell in (value >> 32, value & 0xFFFF_FFFF))


INTERRUPT_CONTROLLER = "plic"
"""Label of the node that takes the devices' interrupts."""


def hart_controller(hart: int) -> str:
    """Label of the interrupt controller inside hart `hart`."""
    return f"cpu{hart}-intc"
