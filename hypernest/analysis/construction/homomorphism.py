"""Equivalence, tried out: f(e(S)) = e'(f(S)) for instruction after instruction of random programs (section 4).

The bare machine and the monitored one start in the same state and take step by step; a step is an instruction that
completes or a trap that is taken. After each step the virtual state must be the bare one, and the memory below that is
not the virtual machine's must be as it was (resource control). There are no interrupts, as in the paper.

A random handler seldom leads back. So after most traps both machines go on where the program was, behind the
instruction that trapped, or that led to where nothing can be fetched: one more state to begin with.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from random import Random

from hypernest.analysis.construction.machine import BareMachine, Machine
from hypernest.analysis.construction.monitor import Skeleton, VirtualMachineMonitor
from hypernest.analysis.construction.programs import Programs
from hypernest.analysis.construction.storage import Region
from hypernest.analysis.presentation import assembly, place_text
from hypernest.analysis.results import Difference, Divergence
from hypernest.analysis.states import ENGINE_OWN, WAITING
from hypernest.isa.row import Row

STEPS = 40
_SHOWN = 12  # places of a divergence
_GUARD = 0xA5
_GOES_BACK = 0.9


class Trial:
    """A bare machine, and monitors one inside the other with a virtual machine in the innermost."""

    def __init__(
        self, skeleton: Skeleton, levels: Sequence[type[VirtualMachineMonitor]], preferred: Collection[str]
    ) -> None:
        """`levels` from the outermost monitor to the innermost; `preferred` rows are in programs more often."""
        kit = skeleton.kit
        self._model, self._kit, self._decoder = skeleton.model, kit, skeleton.decoder
        self._programs = Programs(skeleton.model, skeleton.setting, kit, kit.preferred.union(preferred))
        self.bare = BareMachine(skeleton.model.isa, kit.memory, skeleton.decoder)
        sizes = [kit.memory]
        for _ in levels:
            sizes.append(2 * kit.alignment + sizes[-1] + kit.own)
        below: Machine = BareMachine(skeleton.model.isa, sizes.pop(), skeleton.decoder)
        self._guards: list[Region] = []
        self._monitors: list[VirtualMachineMonitor] = []
        for level in levels:
            size, gap = sizes.pop(), kit.alignment
            memory = below.memory
            self._guards += [Region(memory, 0, gap), Region(memory, gap + size + kit.own, gap)]
            region, own = Region(memory, gap, size), Region(memory, gap + size, kit.own)
            below = level(skeleton, below, region, own)
            self._monitors.append(below)
        self.monitored = self._monitors[-1]
        layout = self.bare.state.layout
        self._reset = self.bare.state.snapshot()
        self._guard = bytes([_GUARD]) * kit.alignment
        self._compared = [
            (name, layout.index[name], register.count)
            for name, register in layout.registers.items()
            if name == WAITING or name not in ENGINE_OWN | self._model.ignored
        ]

    @property
    def interpreted(self) -> int:
        """Instructions that the innermost monitor has interpreted in all programs so far."""
        return self.monitored.interpreted

    def run(self, number: int, steps: int = STEPS) -> tuple[int, Divergence | None]:
        """The random program of this number: how many steps it made, and where the machines differed first, if so."""
        random = self._load(number)
        good: bytes | None = None  # the registers before the last instruction that could be fetched
        row: Row | None = None
        for step in range(steps):
            before, trapped = self.bare.state.snapshot(), False
            for machine in (self.bare, self.monitored):
                machine.state[WAITING] = 0
                trap = machine.step()
                if trap is not None:
                    machine.take(trap)
                    trapped |= machine is self.bare
            differences = self._differences()
            if differences:
                return step + 1, Divergence(number, step, self._instruction(), tuple(differences[:_SHOWN]))
            if self.bare.instruction is not None:
                good, row = before, self._decoder.decode(self.bare.instruction)
            if trapped and random.random() < _GOES_BACK:
                if good is None:
                    return step + 1, None
                for machine in (self.bare, self.monitored):
                    machine.state.restore(good)
                    machine.state["pc"] += 1 if row is None else row.length
                if self.bare.instruction is None:
                    good = None  # if it cannot be fetched there either, this is the end
        return steps, None

    def _load(self, number: int) -> Random:
        random = Random(number)  # noqa: S311 (it has to repeat)
        bare, monitored = self.bare, self.monitored
        bare.state.restore(self._reset)
        self._programs.load(random, bare)
        monitored.state.restore(bare.state.snapshot())
        monitored.memory.view(0, self._kit.memory)[:] = bare.memory.view(0, self._kit.memory)
        for guard in self._guards:
            guard.view(0, guard.size)[:] = self._guard
        for each in self._monitors:
            each.flush()
        return random

    def _instruction(self) -> str:
        """What the bare machine executed last."""
        code = self.bare.instruction
        if code is None:
            return "an instruction that could not be fetched"
        row = self._decoder.decode(code)
        if row is None:
            return f"{code:#x}, which is no instruction"
        return assembly(row, {name: each.extract(code) for name, each in row.fields.items()}, self._model, code)

    def _differences(self) -> list[Difference]:
        """Where the virtual machine is not what the bare one is; and what has been done to the rest of memory."""
        size, found = self._kit.memory, []
        for guard in self._guards:
            if bytes(guard.view(0, guard.size)) != self._guard:
                found.append(Difference("memory outside the virtual machine", "as it was", "written to"))
        bare, virtual = self.bare.state.words, self.monitored.state.words
        for name, first, count in self._compared:
            if bare[first : first + count] != virtual[first : first + count]:
                found += [
                    Difference(place_text(self._model, name, at - first), f"{bare[at]:#x}", f"{virtual[at]:#x}")
                    for at in range(first, first + count)
                    if bare[at] != virtual[at]
                ]
        ours, theirs = bytes(self.bare.memory.view(0, size)), bytes(self.monitored.memory.view(0, size))
        if ours != theirs:
            found += [
                Difference(place_text(self._model, "memory", at), f"{ours[at]:#x}", f"{theirs[at]:#x}")
                for at in range(size)
                if ours[at] != theirs[at]
            ]
        return found
