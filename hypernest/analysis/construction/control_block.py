"""The control block of a virtual machine: all of its state as if it were bare, whoever keeps the pieces at the moment.

The monitor runs semantic functions on it: for an interpreter routine, to take a virtual trap, to walk the virtual
machine's own page tables. The hart that does it tells what the monitor must hear of: the map, and writes to memory.
"""

from __future__ import annotations

from collections.abc import Callable

from hypernest.analysis.concrete import NoDevices
from hypernest.analysis.construction.storage import Region
from hypernest.analysis.model import MachineModel
from hypernest.engines.hart_state import HartState
from hypernest.engines.reference import ReferenceHart
from hypernest.isa.layout import Layout
from hypernest.isa.word import Word

_PAGE = 4096


class ControlBlock:
    """The virtual machine `state` and `memory`, and a hart to interpret on."""

    def __init__(self, model: MachineModel, memory: Region) -> None:
        self.model, self.memory = model, memory
        self.state = HartState(Layout(model.isa.registers))
        self.hart = VirtualHart(self)

    @property
    def mode(self) -> str | None:
        """The virtual mode, by its name in the model; None if the model has no name for it."""
        for name, bits in self.model.modes.items():
            if all(self.state[register] & each.mask == each.value for register, each in bits.items()):
                return name
        return None


class VirtualHart(ReferenceHart):
    """A hart over a control block. `forget` is called when the virtual machine asks its translations to be forgotten,
    `wrote` with the address of everything that is written to its memory, `read` of all that is read physically."""

    def __init__(self, block: ControlBlock) -> None:
        super().__init__(block.model.isa, block.state, block.memory, NoDevices())
        self.forget: Callable[[], None] = _nothing
        self.wrote: Callable[[int], None] | None = None
        self.read_from: set[int] | None = None

    def flush_translations(self) -> None:
        self.forget()

    def flush_translation(self, address: Word) -> None:
        self.forget()

    def physical_load(self, address: Word, bits: int) -> tuple[Word, Word]:
        if self.read_from is not None:
            self.read_from.add(int(address))
        return super().physical_load(address, bits)

    def physical_store(self, address: Word, value: Word) -> Word:
        if self.wrote is not None:
            self.wrote(int(address))
        return super().physical_store(address, value)


def _nothing() -> None:
    """Nobody has to forget anything."""
