"""The harts of a machine as a Python program sees and changes them."""

from __future__ import annotations

from collections.abc import Callable

from hypernest.engines.engine import Devices, Engine
from hypernest.engines.hart_state import HartState
from hypernest.engines.reference import ReferenceHart
from hypernest.isa.isa import Isa
from hypernest.isa.riscv.abi import FLOAT_NUMBERS, INTEGER_NUMBERS
from hypernest.isa.riscv.state import Privilege
from hypernest.isa.word import Word, word
from hypernest.machine.clock import MachineClock
from hypernest.machine.host_access import checked_address
from hypernest.machine.registers import Csrs, NamedRegisters, NoSuchRegister, Registers, RegisterValues
from hypernest.machine.virtual_memory import DebuggerHart, VirtualMemory
from hypernest.memory import GuestMemory

__all__ = ["Csrs", "HostHart", "MachineHart", "NoSuchRegister", "Registers"]


class HostHart(ReferenceHart):
    """A hart on which the host runs semantic functions between two turns, whatever engine runs it otherwise."""

    def __init__(
        self,
        isa: Isa,
        state: HartState,
        memory: GuestMemory,
        devices: Devices,
        engine: Engine,
        clock: MachineClock,
    ) -> None:
        super().__init__(isa, state, memory, devices)
        self._engine, self._clock = engine, clock
        self.guest_memory = memory
        """RAM."""
        self.debugger = DebuggerHart(isa, state, memory, devices)
        """The same hart to walk page tables with, whatever they permit."""

    def clock(self) -> Word:
        return word(self._clock.now(), 64)  # of all harts: this one may have waited for long

    def flush_translations(self) -> None:
        self._engine.flush_translations(self._state)

    def finish_jump(self) -> None:
        """Complete what `jump` began: continue at its target."""
        assert self._target is not None
        self._state["pc"] = int(self._target)
        self._target = None


class MachineHart:
    """One hart of a machine: its registers and memory, to read and to write while the machine does not run.

    `hart["a0"]`, `hart["mstatus"]`, `hart["fa0"]`, `hart["pc"]` are its registers by name.
    """

    def __init__(self, isa: Isa, view: Callable[[], HostHart], state: Callable[[], HartState]) -> None:
        self.x = Registers(state, "x", INTEGER_NUMBERS)
        self.f = Registers(state, "f", FLOAT_NUMBERS)
        self.csr = Csrs(isa, view)
        self.memory = VirtualMemory(lambda: view().guest_memory, lambda: view().debugger)
        """RAM at the virtual addresses that the hart uses now."""
        self._registers = NamedRegisters(state, self.x, self.f, self.csr)
        self._state, self._view = state, view

    def __getitem__(self, register: str) -> int:
        return self._registers.read(register)

    def __setitem__(self, register: str, value: int) -> None:
        self._registers.write(register, value)

    def registers(self) -> RegisterValues:
        """All registers and what they hold now, by name; made to be printed."""
        return self._registers.all()

    def translate(self, address: int) -> int | None:
        """The guest-physical address behind a virtual one, RAM or not; None if it is not mapped now.

        It is looked for as the hart's mode sees it and then in the page tables, whatever they permit. Changes nothing.
        """
        return self._view().debugger.mapping(checked_address(address)).physical

    @property
    def number(self) -> int:
        """Which hart of the machine this is, from 0: mhartid."""
        return self._state()["hartid"]

    @property
    def pc(self) -> int:
        """Address of the next instruction."""
        return self._state()["pc"]

    @pc.setter
    def pc(self, value: int) -> None:
        self._registers.write("pc", value)

    @property
    def privilege(self) -> int:
        """The privilege mode: 0 user, 1 supervisor, 3 machine."""
        return self._state()["priv"]

    @privilege.setter
    def privilege(self, value: int) -> None:
        self._registers.write("priv", value)

    def __repr__(self) -> str:
        mode = Privilege(self.privilege).name.lower()
        return f"<hart {self.number}: {mode} mode, pc {self.pc:#x}, {self.retired:,} instructions completed>"

    def _repr_html_(self) -> str:
        return self.registers()._repr_html_()

    @property
    def retired(self) -> int:
        """Instructions that this hart has completed without a trap."""
        return self._state()["retired"]
