"""The virtual machine monitor of section 4: <D, A, {v_i}>, derived from the description of an ISA.

`A`, the allocator, is the embedding. `v_i` interprets instruction i: what it does is the semantic function itself, on
the control block. `D`, the dispatcher, is what the machine below traps to: `VirtualMachineMonitor.step`.

The paper has v_i for privileged instructions only, because on its machine no others trap, but for memory. Here some
trap in some states, such as floating point while it is off and cache management unless it is enabled; so there is a
routine for every instruction, and only those that trap ever come to it. It hides no violation: that is not to trap.

The proof of theorem 1 lets D look at the virtual mode, hand the trap of a virtual program in user mode to the virtual
supervisor, and call v_i otherwise. Here v_i is called in both cases: on the control block, in virtual user mode, it
raises the trap that belongs to the virtual supervisor, with the cause and value of the virtual mode, not the real one.

A memory trap that the allocator cannot repair is asked of the control block too: the instruction is interpreted there,
and ends in the virtual machine's own trap, or completes if only the real map was in its way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hypernest.analysis.construction.control_block import ControlBlock
from hypernest.analysis.construction.embedding import Place
from hypernest.analysis.construction.kit import Kit
from hypernest.analysis.construction.machine import Machine
from hypernest.analysis.construction.ownership import Ownership
from hypernest.analysis.construction.storage import Region, Storage
from hypernest.analysis.model import MachineModel, Setting
from hypernest.engines.hart_state import HartState
from hypernest.engines.reference import ReferenceHart
from hypernest.isa.decoder import Decoder
from hypernest.isa.hart import Trap
from hypernest.isa.row import Row

Interpreter = Callable[[ReferenceHart, int], None]
"""An interpreter routine: what an instruction does to the hart of a control block. Raises `Trap` before it does."""


def interpreter_routines(model: MachineModel) -> dict[str, Interpreter]:
    """{v_i}: for each row the routine that runs its semantic function."""
    return {name: _interpreter(row) for name, row in model.isa.rows.items()}


def _interpreter(row: Row) -> Interpreter:
    return lambda hart, code: hart.execute(row, code)


@dataclass(frozen=True)
class Skeleton:
    """What is derived once from a description, for any number of monitors under a setting."""

    model: MachineModel
    setting: Setting
    kit: Kit
    routines: Mapping[str, Interpreter]
    decoder: Decoder


class VirtualMachineMonitor:
    """A `Machine` that is a virtual one: its instructions run on the machine below wherever that lets them.

    `state` is the control block. `interpreted` and `direct` count the instructions that completed in either way.
    """

    def __init__(self, skeleton: Skeleton, machine: Machine, region: Region, own: Region) -> None:
        """`region` of the memory of `machine` is the virtual machine's, `own` the monitor's."""
        self.machine, self._skeleton = machine, skeleton
        model, self.setting = skeleton.model, skeleton.setting
        self.block = ControlBlock(model, region)
        self._isa, self._memory_traps = model.isa, model.memory_traps
        self._ownership = Ownership(model, self.setting, machine.state)
        self._embedding = skeleton.kit.embedding(Place(model, self.setting, self.block, machine, own))
        self._embedding.configure(self._ownership.kept)
        self.interpreted = self.direct = 0

    @property
    def state(self) -> HartState:
        return self.block.state

    @property
    def memory(self) -> Storage:
        return self.block.memory

    def step(self) -> Trap | None:
        self.state["remaining"] -= 1
        if self.interprets():
            return self._interpret_next()
        return self._run()

    def take(self, trap: Trap) -> None:
        self._isa.take_trap(self.block.hart, trap.cause, trap.value)

    def flush(self) -> None:
        self._embedding.flush()

    def interprets(self) -> bool:
        """Is the next instruction none for the machine below? Modes that the setting does not name are interpreted."""
        return not self._in_user_mode() and self.block.mode != self.setting.supervisor

    def _in_user_mode(self) -> bool:
        return self.block.mode == self.setting.user and not self._skeleton.kit.interpreted(self.state)

    def _run(self) -> Trap | None:
        """The next instruction on the machine below; this is the dispatcher D."""
        real, repaired = self.machine.state, set()
        while True:
            self._ownership.compose(self.state, real)
            self._embedding.enter(real)
            trap = self.machine.step()
            if trap is None:
                self._ownership.extract(real, self.state)
                self._embedding.leave(real)
                self.direct += 1
                self.state["retired"] += 1
                return None
            if trap.cause not in self._memory_traps:
                return self._dispatch(trap)
            fault = trap.cause, int(trap.value)
            if fault in repaired or not self._embedding.repair(trap):
                return self._interpret_next()  # what the trap is to the virtual machine, its own state tells
            repaired.add(fault)

    def _dispatch(self, trap: Trap) -> Trap | None:
        """The interpreter routine of the instruction that trapped; without one the trap is the virtual machine's."""
        hart = self.block.hart
        try:
            code = int(self._isa.fetch(hart, hart.pc))
            row = self._skeleton.decoder.decode(code)
            routine = None if row is None else self._skeleton.routines.get(row.name)
            if routine is None:
                return trap
            routine(hart, code)
        except Trap as virtual:
            return virtual
        self._completed()
        return None

    def _interpret_next(self) -> Trap | None:
        """The next instruction on the control block, whatever it is."""
        hart = self.block.hart
        try:
            code = int(self._isa.fetch(hart, hart.pc))
            hart.execute(self._skeleton.decoder.decode(code), code)
        except Trap as virtual:
            return virtual
        self._completed()
        return None

    def _completed(self) -> None:
        self.interpreted += 1
        self.state["retired"] += 1


class HybridMonitor(VirtualMachineMonitor):
    """The monitor of theorem 3: all that is not virtual user mode is interpreted, instruction by instruction."""

    def interprets(self) -> bool:
        return not self._in_user_mode()
