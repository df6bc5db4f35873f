"""The harts of a machine as a Python program sees and changes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hypernest.engines.engine import Devices, Engine
from hypernest.engines.hart_state import HartState
from hypernest.engines.reference import ReferenceHart
from hypernest.errors import HypernestError
from hypernest.isa.hart import Access, Trap
from hypernest.isa.isa import Isa
from hypernest.isa.riscv.abi import FLOAT_NUMBERS, INTEGER_NUMBERS
from hypernest.isa.riscv.state import Privilege
from hypernest.isa.riscv.translation import DONE, walk
from hypernest.isa.word import Word, word
from hypernest.memory import GuestMemory


class NoSuchRegister(HypernestError, KeyError):
    """A register that the hart does not have, or that cannot be accessed."""

    def __str__(self) -> str:  # KeyError would print the sentence in quotes.
        return str(self.args[0])


class HostHart(ReferenceHart):
    """A hart on which the host runs semantic functions between two turns, whatever engine runs it otherwise."""

    def __init__(self, isa: Isa, state: HartState, memory: GuestMemory, devices: Devices, engine: Engine) -> None:
        super().__init__(isa, state, memory, devices)
        self._engine = engine

    def find_code(self, address: int) -> int | None:
        """The guest-physical address in RAM of the code at a virtual one; None if there is none. Changes nothing.

        The tables in force are asked for the mode that the hart is in, then for the others that use them.
        """
        looking = _LookingHart(self._isa, self._state, self._memory, self._devices)
        present = self._state["priv"]
        for privilege in dict.fromkeys((present, Privilege.SUPERVISOR, Privilege.USER)):
            physical, outcome = walk(looking, word(address), word(Access.EXECUTE, 2), word(privilege, 2))
            if int(outcome) == DONE and self._memory.contains(int(physical), 2):
                return int(physical)
        return None

    def flush_translations(self) -> None:
        self._engine.flush_translations(self._state)

    def finish_jump(self) -> None:
        """Complete what `jump` began: continue at its target."""
        assert self._target is not None
        self._state["pc"] = int(self._target)
        self._target = None


class _LookingHart(ReferenceHart):
    """A hart whose page walks leave no trace: accessed bits stay as they are."""

    def physical_store(self, address: Word, value: Word) -> Word:
        return word(1, 1)


class Registers:
    """The integer or floating-point registers of a hart, by number or name (`x[10]`, `x["a0"]`), as 64-bit ints."""

    def __init__(self, state: Callable[[], HartState], file: str, numbers: Mapping[str, int]) -> None:
        self._state, self._file, self._numbers = state, file, numbers

    def __getitem__(self, register: int | str) -> int:
        return self._state()[self._file, self._number(register)]

    def __setitem__(self, register: int | str, value: int) -> None:
        number = self._number(register)
        if self._file == "x" and number == 0:
            raise NoSuchRegister("x0 is always zero: write another register")
        self._state()[self._file, number] = value

    def _number(self, register: int | str) -> int:
        number = self._numbers.get(register, -1) if isinstance(register, str) else register
        if not 0 <= number < 32:
            raise NoSuchRegister(f"there is no register {register!r}: use 0 to 31 or a name such as {self._example()}")
        return number

    def _example(self) -> str:
        return "a0" if self._file == "x" else "fa0"

    def __len__(self) -> int:
        return 32


class Csrs:
    """The control and status registers of a hart, by number or the manual's name, with all their access rules."""

    def __init__(self, isa: Isa, view: Callable[[], HostHart]) -> None:
        self._isa, self._view = isa, view
        self._numbers = {row.name: number for number, row in isa.csrs.items()}

    def __getitem__(self, register: int | str) -> int:
        return self._guarded(register, lambda number: int(self._view().csr_read(word(number))))

    def __setitem__(self, register: int | str, value: int) -> None:
        def write(number: int) -> int:
            view = self._view()
            view.csr_write(word(number), word(value))
            view.flush_translations()
            return 0

        self._guarded(register, write)

    def _guarded(self, register: int | str, access: Callable[[int], int]) -> int:
        number = self._numbers.get(register, -1) if isinstance(register, str) else register
        if number not in self._isa.csrs:
            raise NoSuchRegister(f"there is no CSR {register!r}: use a name of the privileged manual such as mstatus")
        try:
            return access(number)
        except Trap:
            raise NoSuchRegister(f"the CSR {register!r} cannot be accessed in the state that the hart is in") from None


class MachineHart:
    """One hart of a machine: its registers, to read and to write while the machine does not run."""

    def __init__(self, isa: Isa, view: Callable[[], HostHart], state: Callable[[], HartState]) -> None:
        self.x = Registers(state, "x", INTEGER_NUMBERS)
        self.f = Registers(state, "f", FLOAT_NUMBERS)
        self.csr = Csrs(isa, view)
        self._state, self._view = state, view

    @property
    def pc(self) -> int:
        """Address of the next instruction."""
        return self._state()["pc"]

    @pc.setter
    def pc(self, value: int) -> None:
        self._state()["pc"] = value

    def find_code(self, address: int) -> int | None:
        """The guest-physical address in RAM of the code at a virtual one, None if there is none; changes nothing.

        User addresses mean the process whose page tables are in force.
        """
        return self._view().find_code(address)

    @property
    def privilege(self) -> int:
        """The privilege mode: 0 user, 1 supervisor, 3 machine."""
        return self._state()["priv"]

    @property
    def retired(self) -> int:
        """Instructions that this hart has completed without a trap."""
        return self._state()["retired"]
