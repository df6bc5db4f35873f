"""The test finisher: how a bare guest powers the machine off, restarts it, or reports failure with a code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from hypernest.devices.device import Access, Device, NoState, Register
from hypernest.devices.tree import Phandle, TreeNode


class FinishKind(Enum):
    """What the guest asked for."""

    POWER_OFF = 0x5555
    FAIL = 0x3333
    RESET = 0x7777


@dataclass(frozen=True, slots=True)
class Finish:
    """The guest's request to end; `code` (0 to 65535) is meaningful for `FinishKind.FAIL`."""

    kind: FinishKind
    code: int = 0


class TestFinisher(Device):
    """SiFive's test device. `on_finish` is called for each request; anything else the guest writes is ignored."""

    __test__ = False  # The name starts with "Test"; pytest must not collect it.

    registers = (
        Register(0, "finish", (2, 4), Access.READ_WRITE, "low half: what to do; high half: the code of a failure"),
    )
    tree_name = "test"
    tree_label = "test"
    compatible = ("sifive,test1", "sifive,test0", "syscon")

    state: NoState

    def __init__(self, on_finish: Callable[[Finish], None]) -> None:
        self.state = NoState()
        self._on_finish = on_finish
        super().__init__()

    def write_finish(self, value: int) -> None:
        try:
            kind = FinishKind(value & 0xFFFF)
        except ValueError:
            return
        self._on_finish(Finish(kind, value >> 16 if kind is FinishKind.FAIL else 0))

    def tree_root_nodes(self) -> list[TreeNode]:
        return [
            TreeNode(
                name,
                {"compatible": f"syscon-{name}", "regmap": Phandle("test"), "offset": 0, "value": kind.value},
            )
            for name, kind in (("poweroff", FinishKind.POWER_OFF), ("reboot", FinishKind.RESET))
        ]
