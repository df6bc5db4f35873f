"""States with numbers in them, run on the reference engine: where every witness has to prove itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from hypernest.analysis.checking import BadDescription
from hypernest.analysis.content import Content, Listed, Reader
from hypernest.analysis.definitions import Outcome
from hypernest.analysis.expressions import Expressions
from hypernest.analysis.model import MachineModel, Memory
from hypernest.analysis.states import MEMORY
from hypernest.analysis.symbolic_state import SymbolicState
from hypernest.analysis.trial import reason
from hypernest.devices.device import BusError
from hypernest.engines.hart_state import HartState
from hypernest.engines.reference import ReferenceHart
from hypernest.isa.hart import Trap
from hypernest.isa.layout import Layout
from hypernest.isa.row import Row
from hypernest.isa.word import Word, word

PAGE = 4096
_ALL = (1 << 64) - 1


class SparseMemory:
    """Physical memory of any size, zero where nothing was written."""

    def __init__(self, size: int, data: Mapping[int, int] | None = None) -> None:
        self.size = size
        self.data: dict[int, int] = dict(data or {})

    def contains(self, address: int, count: int) -> bool:
        return address >= 0 and address + count <= self.size

    def read_integer(self, address: int, count: int) -> int:
        get = self.data.get
        return int.from_bytes(bytes(get(address + place, 0) for place in range(count)), "little")

    def write_integer(self, address: int, count: int, value: int) -> None:
        for place, byte in enumerate(value.to_bytes(count, "little")):
            self.data[address + place] = byte


class NoDevices:
    """What lies outside memory: nothing. Devices are reached through the map, which a monitor does not give away."""

    def read(self, address: int, size: int) -> int:
        raise BusError(f"nothing is at {address:#x}")

    def write(self, address: int, size: int, value: int) -> None:
        raise BusError(f"nothing is at {address:#x}")


@dataclass
class ConcreteState:
    """A state as numbers: registers by (name, number), memory by physical address."""

    mode: str
    registers: dict[tuple[str, int], int]
    memory: dict[int, int]
    shift: int = 0  # how far real addresses are from those of the pair's first state
    clock: int = 0
    label: str = ""  # what it is, where the mode does not say it
    seen: dict[int, int] = field(default_factory=dict)  # MAPPED: bytes by virtual address, to be put behind the map
    tables: dict[int, int] = field(default_factory=dict)  # MAPPED: the same, of translation structures
    frames: dict[int, int] = field(default_factory=dict)  # MAPPED: physical by virtual page, where that is prescribed
    places: dict[int, int] = field(default_factory=dict)  # MAPPED: physical by virtual page, once it is realized
    table_pages: frozenset[int] = frozenset()  # MAPPED: physical pages of `tables`, once they are realized
    compared: dict[int, int] | None = None  # what `ConcreteMachine.seen` found, once it was asked


@dataclass(frozen=True)
class ConcreteRun:
    """A state before an instruction and after it."""

    outcome: Outcome
    before: ConcreteState
    after: ConcreteState
    trap: int | None  # the cause


class ConcreteMachine:
    """Runs single instructions on concrete states."""

    def __init__(self, model: MachineModel) -> None:
        self._model = model
        self._layout = Layout(model.isa.registers)
        self._registers = self._layout.registers
        self._layout_order = [(name, index) for name, each in self._registers.items() for index in range(each.count)]
        self._reader = Reader(Expressions())

    def run(self, row: Row, code: int, state: ConcreteState) -> ConcreteRun:
        """The instruction `code`, which `row` describes, from this state, which is realized if that is still to do."""
        model = self._model
        if model.memory is Memory.MAPPED and model.realize is not None and not state.places:
            model.realize(state)
        hart_state = HartState(self._layout)
        held = state.registers
        hart_state.words[: len(self._layout_order)] = [held.get(place, 0) for place in self._layout_order]
        hart_state["waiting"], hart_state["remaining"], hart_state["clock_end"] = 0, 0, state.clock
        before = self._registers_of(hart_state)
        memory = SparseMemory(model.memory_size, state.memory)
        trap: int | None = None
        try:
            ReferenceHart(model.isa, hart_state, memory, NoDevices()).execute(row, code)
        except Trap as raised:
            trap = int(raised.cause)
        except Exception as error:
            raise BadDescription(
                f"{model.isa.name}: row {row.name}: run on the reference engine, {reason(error)}"
            ) from error
        after = replace(state, registers=self._registers_of(hart_state), memory=memory.data, compared=None)
        state = replace(state, registers=before, compared=None)
        outcome = Outcome(
            model,
            self._symbolic(state, None, 0),
            self._symbolic(after, trap, int(_tables(state) != _tables(after))),
            word(state.shift),
            self._reader,
        )
        return ConcreteRun(outcome, state, after, trap)

    def _registers_of(self, state: HartState) -> dict[tuple[str, int], int]:
        return dict(zip(self._layout_order, state.words, strict=False))

    def _symbolic(self, state: ConcreteState, trap: int | None, tables: int) -> SymbolicState:
        registers: dict[str, Word] = {}
        files: dict[str, Content] = {}
        for name, each in self._registers.items():
            if each.count == 1:
                registers[name] = Word(state.registers[name, 0], each.width)
            else:
                files[name] = Listed({at: state.registers[name, at] for at in range(each.count)}, each.width)
        memory = Listed(self.seen(state), 8)
        return SymbolicState(registers, files, memory, word(tables, 1), word(trap is not None, 1), word(trap or 0))

    def seen(self, state: ConcreteState) -> dict[int, int]:
        """Memory as the definitions compare it: by the first state's addresses, or by the program's."""
        if state.compared is None:
            state.compared = self._seen(state)
        return state.compared

    def _seen(self, state: ConcreteState) -> dict[int, int]:
        if self._model.memory is Memory.RELOCATED:
            offset = state.shift * self._model.unit
            return {address - offset & _ALL: byte for address, byte in state.memory.items()}
        places = {page: physical for page, physical in state.places.items() if physical not in state.table_pages}
        return _through(places, state.memory)

    @property
    def counts(self) -> dict[str, int]:
        """How many registers each file has."""
        return {name: each.count for name, each in self._registers.items() if each.count > 1}

    def program_memory(self, state: ConcreteState) -> dict[int, int]:
        """Memory to be shown: physical, or as the program sees it, translation structures within reach included."""
        return state.memory if self._model.memory is Memory.RELOCATED else _through(state.places, state.memory)

    def table_bytes(self, state: ConcreteState) -> dict[int, int]:
        """What translation structures within reach hold, by the program's addresses."""
        places = {page: physical for page, physical in state.places.items() if physical in state.table_pages}
        return _through(places, state.memory)

    def places(self, *runs: ConcreteRun) -> dict[str, set[int]]:
        """Every place at which files of registers or memory differ between any two states of these runs."""
        states = [state for run in runs for state in (run.before, run.after)]
        found: dict[str, set[int]] = {name: {0} for name in self.counts}
        first = states[0].registers
        for state in states[1:]:
            for name, index in (place for place, value in state.registers.items() if first[place] != value):
                if name in found:
                    found[name].add(index)
        memories = [self.seen(state) for state in states]
        found[MEMORY] = {
            address
            for memory in memories[1:]
            if memory != memories[0]
            for address in memory.keys() | memories[0].keys()
            if memory.get(address, 0) != memories[0].get(address, 0)
        } | {0}
        return found


def _through(places: Mapping[int, int], memory: Mapping[int, int]) -> dict[int, int]:
    """Physical memory by the virtual addresses that lead to it."""
    pages = {physical: page for page, physical in places.items()}
    return {
        pages[address & -PAGE] | address & PAGE - 1: byte
        for address, byte in memory.items()
        if address & -PAGE in pages
    }


def _tables(state: ConcreteState) -> dict[int, int]:
    return {address: byte for address, byte in state.memory.items() if address & -PAGE in state.table_pages}
