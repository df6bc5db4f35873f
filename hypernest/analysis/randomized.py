"""Random states against what was proved: every *no* of the solver is also tried on the reference engine.

A proof is about the expressions that came out of the description; this is about what the description does when it runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from hypernest.analysis.concrete import ConcreteMachine, ConcreteRun, ConcreteState
from hypernest.analysis.inquiry import QUESTIONS, Role, variation
from hypernest.analysis.instances import Instance
from hypernest.analysis.model import MachineModel, Memory, Setting
from hypernest.analysis.results import Answer, Finding, Question, Witness
from hypernest.analysis.states import Variation, free_bits
from hypernest.analysis.witness import holds_of, shown
from hypernest.isa.hart import Register
from hypernest.isa.row import Field

_WINDOW = 128  # bytes of memory around the place that registers tend to point to
_TRIES = 40  # encodings
_DRAWS = 2000  # values of a register: a rule may allow one in a hundred
_ZEROS = 0.25
_PATIENCE = 8  # attempts for each pair: some random states are not legal


_IMPLIES = {
    Question.RUNS_IN_USER: (
        *(Question.CONTROL_IN_USER, Question.LOCATION_IN_USER, Question.TIMING),
        *(Question.MODE, Question.MODE_AND_LOCATION),
    ),
    Question.RUNS_AT_ALL: (
        *(Question.CONTROL_IN_SUPERVISOR, Question.LOCATION_IN_SUPERVISOR, Question.TRAPS_IN_SUPERVISOR),
        *(Question.MODE, Question.MODE_AND_LOCATION),
    ),
}
"""What is *no* besides if this is: where nothing completes there is nothing to compare."""


@dataclass(frozen=True)
class Trial:
    """What came of the random pairs of one instruction."""

    pairs: int
    failures: tuple[Witness, ...]


class RandomStates:
    """Runs an instruction from random pairs of states."""

    def __init__(self, model: MachineModel, setting: Setting) -> None:
        self._model, self._setting = model, setting
        self._machine = ConcreteMachine(model)

    def tried(self, instance: Instance, findings: Mapping[Question, Finding], pairs: int, seed: int = 0) -> Trial:
        """Look for a pair that contradicts an answer *no*."""
        denied = {question for question, finding in findings.items() if finding.answer is Answer.NO}
        implied = {each for question in denied for each in _IMPLIES.get(question, ())}
        claims = [question for question in findings if question in denied - implied]
        failures: list[Witness] = []
        tried = 0
        for number in range(pairs * _PATIENCE):
            try:
                failures += self._pair(instance, claims, Random(f"{seed} {instance.name} {number}"))  # noqa: S311
            except _Unfit:
                continue
            tried += 1
            if tried == pairs:
                break
        return Trial(tried, tuple(failures))

    def _pair(self, instance: Instance, claims: Sequence[Question], random: Random) -> list[Witness]:
        operands = random_operands(instance, random)
        if operands is None:
            raise _Unfit
        code = instance.row.encode(**operands)
        chosen = _Choice(self._model, self._setting, random, operands)
        runs: dict[Role, ConcreteRun] = {}
        failures: list[Witness] = []
        for question in claims:
            roles, condition = QUESTIONS[question]
            for role in roles:
                if role not in runs:
                    state = chosen.state(variation(self._setting, role))
                    runs[role] = self._machine.run(instance.row, code, state)
            concrete = [runs[role] for role in roles]
            if holds_of(self._machine, condition, concrete):
                failures.append(
                    shown(self._model, self._machine, instance.row, operands, code, question, concrete, True)
                )
        return failures


def random_operands(instance: Instance, random: Random) -> dict[str, int] | None:
    """Fields of a random encoding of the instruction."""
    row = instance.row
    for _ in range(_TRIES):
        values = {name: instance.fixed.get(name, _field(each, random)) for name, each in row.fields.items()}
        if any(value in instance.excluded.get(name, ()) for name, value in values.items()):
            continue
        if any(value in row.fields[name].excluded for name, value in values.items()):
            continue
        if instance.special and any(other.matches(row.encode(**values)) for other in instance.special):
            continue
        return values
    return None


def _field(each: Field, random: Random) -> int:
    """Often 0: what only one register does, such as x0 to read a CSR and not to write it, is register 0's to do."""
    if random.random() < _ZEROS:
        return each.extract(0)
    return each.extract(sum(random.getrandbits(piece.width) << piece.low for piece in each.pieces))


def random_states(
    model: MachineModel, setting: Setting, random: Random, operands: Mapping[str, int], variations: Sequence[Variation]
) -> list[ConcreteState] | None:
    """Legal states that differ as the variations say and share the rest; None if none came out."""
    for _ in range(_PATIENCE):
        chosen = _Choice(model, setting, random, operands)
        try:
            return [chosen.state(each) for each in variations]
        except _Unfit:
            continue
    return None


class _Unfit(Exception):
    """No legal instruction or state came out."""


class _Choice:
    """The random values behind the states of a pair: what they share, and what distinguishes them."""

    def __init__(self, model: MachineModel, setting: Setting, random: Random, operands: Mapping[str, int]) -> None:
        self._model, self._setting, self._random = model, setting, random
        granule = model.granule
        self._reach = min(model.memory_size // model.unit, 1 << 32) // 4  # of relocation; the rest is room
        addresses = min(model.memory_size // model.cell, 1 << 32) // 4
        self._base = random.choice((granule, random.randrange(addresses) & -granule & -64))
        self._near = [0, operands.get("imm", 0)]
        self._shared: dict[tuple[str, int], int] = {}
        self._own: dict[tuple[str, int], int] = {}
        self._bytes = random.randbytes(_WINDOW * model.cell)
        self._low = random.randbytes(16 * model.cell)
        self._shift = (
            random.choice((1, 3, random.randrange(1, self._reach // granule))) * granule if model.relocates else 0
        )
        self._clock, self._later = random.getrandbits(40), random.getrandbits(40)

    def state(self, variation: Variation) -> ConcreteState:
        model, registers = self._model, {}
        shift, starts = self._shift if variation.moved else 0, [self._base * model.cell]
        for register in model.isa.registers:
            free = free_bits(model, self._setting, variation.mode, register)
            own = model.configuration.get(register.name, 0) if variation.moved else 0
            for index in range(register.count):
                place = register.name, index
                value = self._value(self._shared, place, register)
                if own:
                    value = value & ~own | self._value(self._own, place, register) & own
                value = value & free.mask | free.value
                if register.name in model.shifted:
                    value %= self._reach
                    starts.append((self._base * model.cell + value * model.unit) % model.memory_size)
                    value += shift
                registers[place] = value
        if model.isa.zero:
            registers[model.isa.zero, 0] = 0
        invariant = model.invariant
        if invariant is not None and not all(invariant(lambda name: registers[name, 0])):
            raise _Unfit
        registers["retired", 0] = self._later if variation.later else self._clock
        state = ConcreteState(variation.mode, registers, {}, shift, self._later if variation.later else self._clock)
        if model.memory is Memory.MAPPED:
            state.seen = {self._base + at: byte for at, byte in enumerate(self._bytes)}
        else:
            offset = shift * model.unit
            held = dict(enumerate(self._low))
            for start in starts:
                held |= {start + at: byte for at, byte in enumerate(self._bytes)}
            state.memory = {at + offset: byte for at, byte in held.items()}
        return state

    def _value(self, remembered: dict[tuple[str, int], int], place: tuple[str, int], register: Register) -> int:
        if place not in remembered:
            remembered[place] = self._drawn(register)
        return remembered[place]

    def _drawn(self, register: Register) -> int:
        random, every = self._random, (1 << register.width) - 1
        rule = self._model.rules.get(register.name)
        legal = self._model.legal.get(register.name, every) & every
        for _ in range(_DRAWS):
            kind = random.random()
            if kind < 0.5:
                value = self._base + random.randrange(_WINDOW) - random.choice(self._near)
            elif kind < 0.75:
                value = random.randrange(64)
            else:
                value = random.getrandbits(register.width)
            if rule is None or rule(value & legal):
                return value & legal
        raise _Unfit
