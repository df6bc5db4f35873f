"""The platform-level interrupt controller: from the devices' lines to the harts' external interrupts.

RISC-V Platform-Level Interrupt Controller Specification 1.0.0; sizes as on QEMU's `virt` board.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hypernest.devices.device import Access, Device, InterruptLine, Register
from hypernest.devices.tree import INTERRUPT_CONTROLLER, Phandle, Value, hart_controller

SOURCES = 63  # as many as fit a word of the state; QEMU has 95, of which no device uses those above
_WORDS = SOURCES // 32 + 1
_VALID = (1 << SOURCES + 1) - 2  # Source 0 does not exist.
_PRIORITY_MASK = 7
_MACHINE_EXTERNAL, _SUPERVISOR_EXTERNAL = 11, 9


@dataclass(slots=True)
class PlicState:
    """Sets of sources are integers with one bit for each; `enable` and `threshold` have one entry for each context."""

    enable: list[int]
    threshold: list[int]
    priority: list[int] = field(default_factory=lambda: [0] * (SOURCES + 1))
    level: int = 0
    pending: int = 0
    claimed: int = 0


@dataclass(frozen=True, slots=True)
class _SourceLine:
    plic: Plic
    source: int

    def set(self, level: bool) -> None:
        self.plic.set_level(self.source, level)


class Plic(Device):
    """Takes 63 level-triggered sources and drives `lines`: machine then supervisor external interrupt of each hart.

    A source is forwarded once: its gateway opens again when the handler completes it, and if the line is still high
    then, it is pending again.
    """

    size = 0x600000
    tree_name = "plic"
    tree_label = INTERRUPT_CONTROLLER
    compatible = ("sifive,plic-1.0.0", "riscv,plic0")

    state: PlicState

    def __init__(self, lines: Sequence[InterruptLine]) -> None:
        contexts = len(lines)
        assert contexts >= 2 and contexts % 2 == 0, "two contexts for each hart"
        self.state = PlicState([0] * contexts, [0] * contexts)
        self._lines = lines
        both = Access.READ_WRITE
        self.registers = (
            Register(0x4, "priority", (4,), both, "0 (never) to 7", count=SOURCES, stride=4, first=1),
            Register(0x1000, "pending", (4,), Access.READ, "one bit for each source", count=_WORDS, stride=4),
            *(
                Register(
                    0x2000 + 0x80 * context,
                    "enable",
                    (4,),
                    both,
                    f"sources that context {context} takes",
                    count=_WORDS,
                    stride=4,
                    first=context * _WORDS,
                )
                for context in range(contexts)
            ),
            Register(
                0x200000,
                "threshold",
                (4,),
                both,
                "priorities up to this do not interrupt a context",
                count=contexts,
                stride=0x1000,
            ),
            Register(
                0x200004,
                "claim",
                (4,),
                both,
                "read: take the most urgent source; write: its handling is complete",
                count=contexts,
                stride=0x1000,
            ),
        )
        super().__init__()

    def line(self, source: int) -> InterruptLine:
        """The input of `source` (1 to 63)."""
        assert 1 <= source <= SOURCES
        return _SourceLine(self, source)

    def set_level(self, source: int, level: bool) -> None:
        """What the device at `source` drives its line to."""
        state, bit = self.state, 1 << source
        if bool(state.level & bit) == level:
            return
        state.level ^= bit
        if level and not state.claimed & bit:
            state.pending |= bit
            self.update()

    def update(self) -> None:
        state = self.state
        for context, line in enumerate(self._lines):
            candidates = state.pending & state.enable[context]
            line.set(bool(candidates) and self._most_urgent(candidates)[0] > state.threshold[context])

    def _most_urgent(self, candidates: int) -> tuple[int, int]:
        """Priority and number of the source to take, of equals the lowest number; (0, 0) if none has a priority."""
        best = 0, 0
        while candidates:
            source = (candidates & -candidates).bit_length() - 1
            candidates &= candidates - 1
            if self.state.priority[source] > best[0]:
                best = self.state.priority[source], source
        return best

    def write_priority(self, source: int, value: int) -> None:
        self.state.priority[source] = value & _PRIORITY_MASK
        self.update()

    def read_pending(self, word: int) -> int:
        return self.state.pending >> 32 * word & 0xFFFF_FFFF

    def read_enable(self, index: int) -> int:
        context, word = divmod(index, _WORDS)
        return self.state.enable[context] >> 32 * word & 0xFFFF_FFFF

    def write_enable(self, index: int, value: int) -> None:
        context, word = divmod(index, _WORDS)
        others = self.state.enable[context] & ~(0xFFFF_FFFF << 32 * word)
        self.state.enable[context] = (others | value << 32 * word) & _VALID
        self.update()

    def write_threshold(self, context: int, value: int) -> None:
        self.state.threshold[context] = value & _PRIORITY_MASK
        self.update()

    def read_claim(self, context: int) -> int:
        """The claim ignores the threshold (section 7 of the specification)."""
        state = self.state
        source = self._most_urgent(state.pending & state.enable[context])[1]
        if source:
            state.pending &= ~(1 << source)
            state.claimed |= 1 << source
            self.update()
        return source

    def write_claim(self, context: int, source: int) -> None:
        """A completion of a source that the context does not enable is ignored (section 9)."""
        state = self.state
        bit = 1 << source if source <= SOURCES else 0
        if not bit & state.enable[context] & state.claimed:
            return
        state.claimed &= ~bit
        state.pending |= state.level & bit
        self.update()

    def tree_properties(self) -> Mapping[str, Value]:
        return {
            "#address-cells": 0,
            "#interrupt-cells": 1,
            "interrupt-controller": True,
            "riscv,ndev": SOURCES,
            "interrupts-extended": [
                part
                for hart in range(len(self._lines) // 2)
                for number in (_MACHINE_EXTERNAL, _SUPERVISOR_EXTERNAL)
                for part in (Phandle(hart_controller(hart)), number)
            ],
        }
