"""An engine with a mistake: the reference engine with one instruction that goes wrong for one operand."""

from __future__ import annotations

from dataclasses import replace

from hypernest.engines.engine import Devices, Engine
from hypernest.engines.reference import ReferenceEngine
from hypernest.isa.hart import Hart
from hypernest.isa.isa import Isa
from hypernest.isa.row import Semantics
from hypernest.machine.engines import EngineMaker
from hypernest.memory import GuestMemory


class WrongMaker(EngineMaker):
    """`wrong` is what the instruction `name` does on these engines."""

    def __init__(self, name: str, wrong: Semantics) -> None:
        super().__init__("reference")
        self.name = "mistaken"
        self._row, self._wrong = name, wrong

    def __call__(self, isa: Isa, memory: GuestMemory, devices: Devices) -> Engine:
        row = replace(isa.rows[self._row], semantics=self._wrong)
        return ReferenceEngine(replace(isa, rows={**isa.rows, self._row: row}), memory, devices)


def wrong_from_round(rounds: int) -> WrongMaker:
    """`andi t3, s2, 255`, by which the guest counts its rounds, gives 0 in that round."""

    def andi(h: Hart) -> None:
        right = h.rs1 & h.imm
        h.rd = right ^ right if int(h.rs1) == rounds else right

    return WrongMaker("andi", andi)


def wrong_store(rounds: int) -> WrongMaker:
    """`sd`, with which the guest keeps its mixture in memory that it never reads, stores a wrong bit in that round."""

    def sd(h: Hart) -> None:
        h.store(h.rs1 + h.imm, h.rs2 ^ 1 if int(h.read("x", 18)) == rounds else h.rs2)

    return WrongMaker("sd", sd)
