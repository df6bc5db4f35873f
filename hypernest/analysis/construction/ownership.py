"""Whose each bit of the state is: the program's, and then it is on the machine below as it is, or the monitor's."""

from __future__ import annotations

from hypernest.analysis.model import MachineModel, Setting
from hypernest.analysis.states import ENGINE_OWN, WAITING
from hypernest.engines.hart_state import HartState


class Ownership:
    """Puts together the state of the machine below from the virtual one and the monitor's own bits, and takes it apart.

    The monitor's are mode and resources, as in section 4 of the paper. Its own values of them are kept here: the mode
    that the setting asks for, and the setting's control bits. What an engine counts by stays where it is.
    """

    def __init__(self, model: MachineModel, setting: Setting, real: HartState) -> None:
        layout = real.layout
        kinds: list[str] = []
        masks: list[int] = []  # bits of each word that are the program's
        for name, register in layout.registers.items():
            every = (1 << register.width) - 1
            own = model.resources.get(name, 0) | model.mode_mask(name)
            if name in model.ignored or name in ENGINE_OWN:
                own = every
            counted = name in ENGINE_OWN and name != WAITING
            kind = "counted" if counted else "monitor" if not every & ~own else "program" if not every & own else "both"
            masks += [every & ~own] * register.count
            kinds += [kind] * register.count
        self._program, self._monitor = _runs(kinds, "program"), _runs(kinds, "monitor")
        self._both = [(at, masks[at]) for at, kind in enumerate(kinds) if kind == "both"]
        self._kept = HartState(layout)
        self._kept.restore(real.snapshot())
        for bits in (setting.fixed, model.modes[setting.user]):
            for name, each in bits.items():
                for index in range(layout.registers[name].count):
                    self._kept[name, index] = self._kept[name, index] & ~each.mask | each.value

    @property
    def kept(self) -> HartState:
        """The monitor's own state of the machine below: the part that is the program's is of no interest."""
        return self._kept

    def compose(self, virtual: HartState, real: HartState) -> None:
        """The program's bits from `virtual`, the monitor's as they are kept."""
        source, kept, target = _words(virtual), _words(self._kept), _words(real)
        for first, end in self._program:
            target[first:end] = source[first:end]
        for first, end in self._monitor:
            target[first:end] = kept[first:end]
        for at, mask in self._both:
            target[at] = source[at] & mask | kept[at] & ~mask

    def extract(self, real: HartState, virtual: HartState) -> None:
        """The program's bits back into `virtual`."""
        source, target = _words(real), _words(virtual)
        for first, end in self._program:
            target[first:end] = source[first:end]
        for at, mask in self._both:
            target[at] = source[at] & mask | target[at] & ~mask


def _words(state: HartState) -> memoryview:
    return memoryview(state.words).cast("B").cast("Q")


def _runs(kinds: list[str], kind: str) -> list[tuple[int, int]]:
    """Where one word after the other is of a kind, as (first, end)."""
    runs: list[tuple[int, int]] = []
    for at, each in enumerate(kinds):
        if each != kind:
            continue
        if runs and runs[-1][1] == at:
            runs[-1] = (runs[-1][0], at + 1)
        else:
            runs.append((at, at + 1))
    return runs
