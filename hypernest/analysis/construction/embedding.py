"""f of the homomorphism: how the state of a virtual machine lies within that of the machine it runs on (section 4).

Mode and registers are the same for every ISA (`ownership.py`). The map is not: with a relocation-bounds register it is
added to, with page tables it is composed. `Embedding` is what a monitor needs of either; it is also the allocator A,
which decides what of the real machine a virtual one gets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from hypernest.analysis.model import MachineModel, Setting
from hypernest.engines.hart_state import HartState
from hypernest.isa.hart import Trap

if TYPE_CHECKING:
    from hypernest.analysis.construction.control_block import ControlBlock
    from hypernest.analysis.construction.machine import Machine
    from hypernest.analysis.construction.storage import Region


@dataclass(frozen=True)
class Place:
    """Where a virtual machine is: its control block, the machine below, and what of that the monitor keeps."""

    model: MachineModel
    setting: Setting
    block: ControlBlock
    machine: Machine
    own: Region  # memory of the machine below that is the monitor's: for tables of its map


class Embedding(Protocol):
    """Makes the resources of the machine below what those of the virtual machine ask for."""

    def configure(self, real: HartState) -> None:
        """Set what stays as it is while the virtual machine runs; once, before it does."""

    def enter(self, real: HartState) -> None:
        """The virtual machine is about to run: f. Mode and the program's own registers are there already."""

    def leave(self, real: HartState) -> None:
        """It has run an instruction: undo f in the control block, which has the program's registers as they are."""

    def repair(self, trap: Trap) -> bool:
        """A memory trap: was it the monitor's doing, and is it worthwhile to try again?"""

    def flush(self) -> None:
        """The virtual machine's memory or state was changed from outside."""


EmbeddingFactory = Callable[[Place], Embedding]


@dataclass(frozen=True)
class RelocationBounds:
    """The paper's own: a location is the virtual one plus the region's, and no bound reaches beyond the region.

    `bounds` names the register with the bound of each location; both count `MachineModel.unit` bytes. `last` says that
    a bound is the last valid address and not the first invalid one. `lent` are resources that the machine below is
    given as the virtual machine has them, but for the mode. `active` answers whether the virtual machine relocates in
    its present mode; where it does not it is given all of its region.
    """

    bounds: Mapping[str, str] = field(default_factory=dict)
    last: bool = False
    lent: tuple[str, ...] = ()
    active: Callable[[HartState], bool] = lambda state: True

    def __call__(self, place: Place) -> Embedding:
        return _Relocation(place, self)


class _Relocation:
    def __init__(self, place: Place, rule: RelocationBounds) -> None:
        unit, region = place.model.unit, place.block.memory
        if region.base % unit or region.size % unit:
            raise ValueError(f"the region of a virtual machine is no multiple of {unit} bytes")
        self._rule, self._state = rule, place.block.state
        self._base, self._size = region.base // unit, region.size // unit
        self._names = tuple(sorted(place.model.shifted))
        self._own = tuple(name for name in self._names if name not in place.model.resources)
        self._lent = tuple((name, place.model.mode_mask(name)) for name in rule.lent)
        self._entered: dict[
            str, tuple[int, int, int, int]
        ] = {}  # virtual and real location and bound, of the program's
        registers = self._state.layout.registers
        self._highest = {name: (1 << registers[name].width) - 1 for name in self._names}

    def configure(self, real: HartState) -> None:
        """All depends on the virtual state."""

    def enter(self, real: HartState) -> None:
        for name, mode in self._lent:
            real[name] = self._state[name] & ~mode | real[name] & mode
        active = self._rule.active(self._state)
        for name in self._names:
            bound = self._rule.bounds.get(name)
            location = self._state[name] if active or bound is None else 0
            highest = self._highest[name]
            if bound is None:
                real[name] = location + self._base
            elif location < self._size and location + self._base <= highest:
                most = self._size - location - self._rule.last
                real[name] = location + self._base
                real[bound] = min(self._state[bound], most) if active else most
            else:  # nothing of it is within the region, and nothing is behind the last location
                real[name], real[bound] = highest, 0
            if name in self._own and bound is not None:
                self._entered[name] = self._state[name], self._state[bound], real[name], real[bound]

    def leave(self, real: HartState) -> None:
        for name in self._own:
            bound = self._rule.bounds.get(name)
            location, limit, *entered = self._entered.get(name, (0, 0))
            if bound is not None and entered == [real[name], real[bound]]:  # as it was given
                self._state[name], self._state[bound] = location, limit
            else:
                self._state[name] = real[name] - self._base

    def repair(self, trap: Trap) -> bool:
        return False  # no more of the region is to be had

    def flush(self) -> None:
        """Nothing is remembered."""
