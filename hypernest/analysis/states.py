"""The states that a question is about: all that are legal in a mode under a setting, or differ from them as it asks."""

from __future__ import annotations

from dataclasses import dataclass

from hypernest.analysis.content import Content, Fixed, Initial, Reader
from hypernest.analysis.expressions import Expressions
from hypernest.analysis.model import MachineModel, Setting
from hypernest.analysis.symbolic_state import Environment, SymbolicState
from hypernest.analysis.trees import Trees
from hypernest.isa.hart import Register
from hypernest.isa.layout import ENGINE_REGISTERS
from hypernest.isa.word import Word, word

ENGINE_OWN = frozenset(register.name for register in ENGINE_REGISTERS)
MEMORY = "memory"
WAITING = "waiting"  # the one of them that programs change: wfi and halt give up the processor, a resource


@dataclass(frozen=True)
class Free:
    """Which bits of a register a state may choose, and what the others are."""

    mask: int
    value: int


def free_bits(model: MachineModel, setting: Setting, mode: str, register: Register) -> Free:
    """What the legality of states, the mode and the setting leave open of a register."""
    every = (1 << register.width) - 1
    mask, value = model.legal.get(register.name, every) & every, 0
    for fixed in (setting.fixed.get(register.name), model.modes[mode].get(register.name)):
        if fixed is not None:
            mask, value = mask & ~fixed.mask, value & ~fixed.mask | fixed.value
    if register.name == WAITING:
        mask, value = 0, 0
    return Free(mask, value)


@dataclass(frozen=True)
class Start:
    """A set of states: the expressions of their registers, what must hold of the inputs, and what surrounds the run."""

    mode: str
    state: SymbolicState
    environment: Environment
    constraints: tuple[Word, ...]

    @property
    def memory_name(self) -> str:
        """What its memory is called in expressions."""
        assert isinstance(self.state.memory, Initial)
        return self.state.memory.name


@dataclass(frozen=True, kw_only=True)
class Variation:
    """How the second state of a pair differs from the first."""

    mode: str
    moved: bool = False  # another location and configuration
    later: bool = False  # another time
    unrelated: bool = False  # nothing in common but the instruction


class States:
    """Makes the starts of a question; those of a pair share inputs wherever they do not differ."""

    def __init__(
        self, model: MachineModel, setting: Setting, trees: Trees, expressions: Expressions, reader: Reader
    ) -> None:
        self._model, self._setting, self._trees = model, setting, trees
        self._expressions, self._reader = expressions, reader

    def start(self, variation: Variation, run: str) -> Start:
        """All states of a variation; `run` names what only this run of the pair has."""
        model, make = self._model, self._expressions
        kind = "unrelated " if variation.unrelated else ""
        relocates = variation.moved and model.relocates
        # Upwards: of two places one is the higher, and which of the states is called the first does not matter.
        width = min((self._trees.registers[name].width for name in model.shifted), default=64)
        shift = make.input("shift", width).zext(64) & -model.granule if relocates else word(0)
        registers: dict[str, Word] = {}
        files: dict[str, Content] = {}
        constraints: list[Word] = []
        for register in self._trees.registers.values():
            free = free_bits(model, self._setting, variation.mode, register)
            own = model.configuration.get(register.name, 0) & free.mask if variation.moved else 0
            if variation.later and register.name == "retired":
                own = free.mask
            if register.count > 1:
                files[register.name] = self._file(kind, register, free, own)
            else:
                value = make.input(kind + register.name, register.width) & (free.mask & ~own) | free.value
                if own:
                    value = value | make.input(f"{register.name}'", register.width) & own
                if register.name in model.shifted and variation.moved:
                    there = value.zext(64) + shift
                    value = there.trunc(register.width)
                    constraints.append(value.zext(64) == there)  # no bit of the address is lost on the way
                registers[register.name] = value
            constraints += self._legal(register, registers, files, variation.moved)
        if model.invariant is not None:
            constraints += [each for each in model.invariant(registers.__getitem__) if isinstance(each, Word)]
        environment = Environment(
            kind + run,
            kind + ("there" if variation.moved else "here"),
            shift,
            make.input("clock'" if variation.later else "clock", 64),
            self._setting.tables_guarded,
        )
        state = SymbolicState(registers, files, Initial(kind + MEMORY, 8), word(0, 1))
        return Start(variation.mode, state, environment, tuple(constraints))

    def _file(self, kind: str, register: Register, free: Free, own: int) -> Content:
        base, every = Initial(kind + register.name, register.width), (1 << register.width) - 1
        if free.mask == every and not own:
            return base
        other = Initial(f"{register.name}'", register.width) if own else None
        return Fixed(base, every & ~free.mask, free.value, other, own)

    def _legal(
        self, register: Register, registers: dict[str, Word], files: dict[str, Content], moved: bool
    ) -> list[Word]:
        """That the rules of the model hold; what was shifted must not have lost a bit on the way."""
        rule, legal = self._model.rules.get(register.name), []
        if rule is not None:
            values = (
                [registers[register.name]]
                if register.count == 1
                else [self._reader.read(files[register.name], word(index)) for index in range(register.count)]
            )
            legal += [each for each in map(rule, values) if isinstance(each, Word)]
        bits = self._model.legal.get(register.name)
        if moved and bits is not None and register.name in self._model.shifted:
            legal.append((registers[register.name] & ~bits) == 0)
        return legal
