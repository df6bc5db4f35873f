"""A machine that runs programs: the bare one, and what every monitor makes of it again.

A monitor is written against `Machine` and is one, so that it runs on itself (theorem 2). Traps are handed out instead
of being taken: whoever owns the machine, its monitor, gets them first, and takes them on the machine only if they
belong to the program.
"""

from __future__ import annotations

from typing import Protocol

from hypernest.analysis.concrete import NoDevices
from hypernest.analysis.construction.storage import PhysicalMemory, Storage
from hypernest.engines.hart_state import HartState
from hypernest.engines.reference import ReferenceHart
from hypernest.isa.decoder import Decoder
from hypernest.isa.hart import Trap
from hypernest.isa.isa import Isa
from hypernest.isa.layout import Layout


class Machine(Protocol):
    """<E, M, P, R> of section 2, with the step from one state to the next."""

    @property
    def state(self) -> HartState:
        """M, P, R and the other registers, to be read and written between steps."""

    @property
    def memory(self) -> Storage:
        """E. Who writes there what the machine's map is made of says so by `flush`."""

    def step(self) -> Trap | None:
        """One instruction. A trap that it ends in is returned and not taken; the state is as before it."""

    def take(self, trap: Trap) -> None:
        """Enter the handler, as the hardware does for a trap that nobody else wants."""

    def flush(self) -> None:
        """The map has changed: remember nothing of it."""


class BareMachine:
    """The ISA's own machine, on the reference engine. Every step, completed or not, is one nanosecond of its time."""

    def __init__(self, isa: Isa, size: int, decoder: Decoder) -> None:
        """`size` bytes of memory, registers as at reset; `decoder` knows the rows of `isa`."""
        self._isa = isa
        self.state = HartState(Layout(isa.registers))
        self.memory: Storage = PhysicalMemory(size)
        self._hart = ReferenceHart(isa, self.state, self.memory, NoDevices())
        self._decoder = decoder
        self.instruction: int | None = None
        """What the last step has fetched, if it could."""

    def step(self) -> Trap | None:
        self.state["remaining"] -= 1
        self.instruction = None
        try:
            self.instruction = int(self._isa.fetch(self._hart, self._hart.pc))
            self._hart.execute(self._decoder.decode(self.instruction), self.instruction)
        except Trap as trap:
            return trap
        self.state["retired"] += 1
        return None

    def take(self, trap: Trap) -> None:
        self._isa.take_trap(self._hart, trap.cause, trap.value)

    def flush(self) -> None:
        """Nothing is remembered."""
