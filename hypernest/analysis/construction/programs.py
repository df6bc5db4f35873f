"""Random programs: instructions made of the rows, with operands that often work, in random states of the machine."""

from __future__ import annotations

from collections.abc import Collection
from random import Random

from hypernest.analysis.construction.kit import Kit
from hypernest.analysis.construction.machine import Machine
from hypernest.analysis.model import MachineModel, Setting
from hypernest.analysis.states import ENGINE_OWN
from hypernest.isa.hart import Register
from hypernest.isa.row import Field, Row

_TRIES = 8  # at a value that an operand or a register can have
_NARROW = 6  # bits up to which a field holds a number of something, and not an address
_ARBITRARY_CODE = 0.03  # how often an instruction is random bits


class Programs:
    """Puts programs into machines; the same random numbers make the same program."""

    def __init__(self, model: MachineModel, setting: Setting, kit: Kit, preferred: Collection[str]) -> None:
        """`preferred` are the rows that half of the instructions are of: those that say something about monitors."""
        self._model, self._setting, self._kit = model, setting, kit
        self._rows = tuple(model.isa.rows.values())
        self._preferred = tuple(row for row in self._rows if row.name in preferred) or self._rows
        self._modes = (setting.supervisor, setting.user)
        self._likely = {name: tuple(values) for name, values in model.variants.items()} | dict(kit.likely)

    def load(self, random: Random, machine: Machine) -> None:
        """Fill memory, registers and mode of a machine that is as at reset."""
        kit, memory, state = self._kit, machine.memory, machine.state
        memory.view(0, kit.memory)[:] = random.randbytes(kit.memory)
        at = kit.code.start
        while at < kit.code.stop:
            code, size = self._instruction(random)
            size = min(size, kit.code.stop - at)
            memory.view(at, size)[:] = code.to_bytes(16, "little")[:size]
            at += size
        for register in self._model.isa.registers:
            own = self._model.resources.get(register.name, 0) | self._model.mode_mask(register.name)
            if register.name in self._model.ignored or register.name in ENGINE_OWN:
                continue
            for index in range(register.count):
                if self._model.isa.zero == register.name and not index:
                    continue
                value = self._value(random, register) & ~own | state[register.name, index] & own
                state[register.name, index] = value
        for name, bits in self._model.modes[random.choice(self._modes)].items():
            state[name] = state[name] & ~bits.mask | bits.value
        state["pc"] = random.choice(kit.code[:: self._step]) // kit.cell
        kit.prepare(random, state, memory, self._setting)

    @property
    def _step(self) -> int:
        return max(self._kit.cell, min(row.length for row in self._rows) * self._kit.cell)

    def _instruction(self, random: Random) -> tuple[int, int]:
        """(code, bytes)."""
        row = random.choice(self._preferred if random.random() < 0.5 else self._rows)
        size = row.length * self._kit.cell
        if random.random() < _ARBITRARY_CODE:
            return random.getrandbits(8 * size), size
        return self.encode(random, row), size

    def encode(self, random: Random, row: Row) -> int:
        """An instruction that is this row, with random operands."""
        return row.encode(**{name: self._operand(random, name, each) for name, each in row.fields.items()})

    def _operand(self, random: Random, name: str, field: Field) -> int:
        mask = sum(((1 << piece.width) - 1) << piece.at for piece in field.pieces)
        for _ in range(_TRIES):
            value = self._likely_operand(random, name, field) & mask
            if field.signed and value >> field.width - 1:
                value -= 1 << field.width
            value += field.offset
            if value not in field.excluded:
                return value
        return next(value for value in range(field.offset, field.offset + 2 + mask) if value not in field.excluded
                    and not (value - field.offset) & ~mask)  # fmt: skip

    def _likely_operand(self, random: Random, name: str, field: Field) -> int:
        chance = random.random()
        if name in self._likely and chance < 0.95:
            return random.choice(self._likely[name])
        if field.width <= _NARROW or chance < 0.05:
            return random.getrandbits(field.width)
        if chance < 0.5:
            return 8 // self._kit.cell * random.randint(-8 if field.signed else 0, 32)
        return self._address(random)

    def _address(self, random: Random) -> int:
        """Of code or of anything in memory, mostly aligned to eight bytes."""
        kit = self._kit
        at = random.choice(kit.code) if random.random() < 0.3 else random.randrange(kit.memory)
        return (at & -8 if random.random() < 0.8 else at) // kit.cell

    def _value(self, random: Random, register: Register) -> int:
        """What a register may hold."""
        legal, rule = self._model.legal.get(register.name, -1), self._model.rules.get(register.name)
        for _ in range(_TRIES):
            chance = random.random()
            if chance < 0.5:
                value = self._address(random)
            elif chance < 0.9:
                value = random.randrange(64)
            else:
                value = random.getrandbits(register.width)
            value &= legal & (1 << register.width) - 1
            if rule is None or rule(value):
                return value
        return register.reset
