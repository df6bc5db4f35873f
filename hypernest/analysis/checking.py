"""What a description must be for the classifier to analyse it, and which row is to blame where it is not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hypernest.analysis.expressions import Expressions
from hypernest.analysis.model import MachineModel, Memory
from hypernest.analysis.trial import Traced, Trials
from hypernest.errors import HypernestError
from hypernest.isa.decoder import exclusions
from hypernest.isa.hart import Pure, Register, Routine
from hypernest.isa.isa import Isa
from hypernest.isa.layout import ENGINE_REGISTERS
from hypernest.isa.row import Field, Row
from hypernest.isa.trace import Bits
from hypernest.isa.word import Word


class BadDescription(HypernestError):
    """An ISA, or its model, that cannot be analysed. The message names the first row, routine or setting at fault."""


def check(model: MachineModel) -> None:
    """Raises BadDescription if the model cannot be analysed: one sentence for the first fault, and how many follow."""
    found = faults(model)
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise BadDescription(f"{model.isa.name}: {found[0]}{more}")


def faults(model: MachineModel) -> tuple[str, ...]:
    """Everything that is wrong with a model, in the order of the description."""
    found: list[str] = []
    for part in (_registers, _encodings, _functions, _modes, _bits, _variants, _settings):
        try:
            found += dict.fromkeys(part(model))
        except Exception as error:  # a table holds what does not belong there
            why = f"{type(error).__name__}: {' '.join(str(error).split())}"
            found.append(f"its {part.__name__.strip('_')} cannot be read ({why})")
        if part is _registers and found:
            break  # nothing else makes sense without them
    return tuple(found)


# --- the ISA's tables -------------------------------------------------------------------------------------------------


def _registers(model: MachineModel) -> Iterator[str]:
    isa, seen = model.isa, {each.name for each in ENGINE_REGISTERS}
    for each in isa.registers:
        if not isinstance(each, Register):
            yield f"{each!r} among its registers is no Register"
            continue
        if each.name in seen:
            engine = any(each.name == other.name for other in ENGINE_REGISTERS)
            yield f"register {each.name} " + ("has a name that engines use: rename it" if engine else "is there twice")
        seen.add(each.name)
        if not 1 <= each.width <= 64:
            yield f"register {each.name} has {each.width} bits: 1 to 64 are possible"
        elif each.reset >> each.width:
            yield f"register {each.name} has {each.width} bits, its value at reset does not fit in them"
        if each.count < 1:
            yield f"register {each.name} is there {each.count} times"
    pc = isa.registers_by_name.get("pc")
    if pc is None or (pc.width, pc.count) != (64, 1):
        yield "it needs a program counter: Register('pc'), 64 bits wide"
    if isa.zero and isa.zero not in isa.registers_by_name:
        yield f"`zero` names the register {isa.zero!r}, which does not exist"


def _encodings(model: MachineModel) -> Iterator[str]:
    rows = model.isa.rows
    if not rows:
        yield "it has no rows, so there is nothing to classify"
    good = []
    for name, row in rows.items():
        if not isinstance(row, Row):
            yield f"row {name}: {row!r} is no Row: take the rows of an Extension"
        elif row.name != name:
            yield f"row {name}: it is listed under this name, but called {row.name}"
        else:
            good.append(row)
            yield from (f"row {name}: {fault}" for each in row.fields.values() for fault in _field(each))
    excluded = {row.name: exclusions(row) for row in good}
    for index, row in enumerate(good):
        for earlier in good[:index]:
            if _meet(row, earlier) and not any(
                other.mask & mask == mask and other.match & mask == match
                for one, other in ((row, earlier), (earlier, row))
                for mask, match in excluded[one.name]
            ):
                yield (
                    f"row {row.name}: its encoding ({row.pattern}) contradicts that of {earlier.name}"
                    f" ({earlier.pattern}): some instructions are both"
                )


def _field(each: Field) -> Iterator[str]:
    bits = [bit for piece in each.pieces for bit in range(piece.at, piece.at + piece.width)]
    if len(bits) != len(set(bits)):
        yield f"its encoding says the same bits of {each.name} twice"


def _meet(first: Row, second: Row) -> bool:
    """Is some instruction both, and neither row a special case of the other?"""
    common = first.mask & second.mask
    if (first.match ^ second.match) & common:
        return False
    return first.mask == second.mask or common not in (first.mask, second.mask)


# --- functions --------------------------------------------------------------------------------------------------------


def _functions(model: MachineModel) -> Iterator[str]:
    isa = model.isa
    reached = _Reached(Trials(isa), isa)
    meanings: dict[str, Row] = {}
    for row in (row for row in isa.rows.values() if isinstance(row, Row)):
        if row.semantics is None:
            yield f"row {row.name}: it has no semantic function"
        elif not callable(row.semantics):
            yield f"row {row.name}: its semantics, {row.semantics!r}, is no function"
        else:
            if meanings.setdefault(row.meaning, row).semantics is not row.semantics:
                other = meanings[row.meaning].name
                yield f"row {row.name}: it means {row.meaning}, but has another semantic function than {other}"
            yield from _row(row, reached)
    for name, (called, arguments, results) in _routines(isa).items():
        if not isinstance(called, Routine):
            yield f"{name} is {called!r}, no @routine"
        elif called.arguments not in arguments or (results is not None and called.results != results):
            yield f"{name} must be a @routine({arguments[0]}, {results}), not ({called.arguments}, {called.results})"
        else:
            yield from (f"{name}: {fault}" for fault in reached.faults(called))
            for operand in sorted(reached.operands(called) - {"instruction"}):
                yield f"{name}: it asks for the operand {operand!r}, but runs without an instruction"
    for csr in isa.csrs.values():
        yield from (f"reading CSR {csr.name}: {fault}" for fault in reached.trials.access(csr.read, (), (64,)).faults)
        if csr.write is not None:
            written = reached.trials.access(csr.write, (64,), ())
            yield from (f"writing CSR {csr.name}: {fault}" for fault in written.faults)
    yield from reached.clashes()
    if isa.illegal_instruction not in isa.causes:
        yield f"`illegal_instruction` is {isa.illegal_instruction!r}, which `causes` does not name"


Arguments = tuple[tuple[int, ...], ...]  # any of these


def _routines(isa: Isa) -> Mapping[str, tuple[object, Arguments, tuple[int, ...] | None]]:
    """The routines that engines call, with the widths they take and give (None: any)."""
    return {
        "translate": (isa.translate, ((64, 64), (64, 2)), (64,)),
        **{f"load[{bits}]": (each, ((64,),), (bits,)) for bits, each in isa.load.items()},
        **{f"store[{bits}]": (each, ((64, bits),), ()) for bits, each in isa.store.items()},
        "fetch": (isa.fetch, ((64,),), None),
        "take_trap": (isa.take_trap, ((64, 64),), ()),
        "interrupt_due": (isa.interrupt_due, ((),), (64,)),
        "take_interrupt": (isa.take_interrupt, ((),), (64,)),
        "interrupt_pending": (isa.interrupt_pending, ((),), (1,)),
    }


def _row(row: Row, reached: _Reached) -> Iterator[str]:
    traced = reached.trials.semantics(row.semantics)
    yield from (f"row {row.name}: {fault}" for fault in traced.faults)
    for called in traced.called:
        yield from (f"row {row.name}: in {called.name}, {fault}" for fault in reached.faults(called))
    asked = traced.operands.union(*(reached.operands(called) for called in traced.called))
    for operand in sorted(asked - set(row.operands) - {"instruction"}):
        yield f"row {row.name}: it asks for the operand {operand!r}, which its encoding ({row.pattern}) lacks"
    for operand, file in sorted(traced.indices):
        highest, count = _highest(row, operand), reached.registers[file].count
        if highest >= count:
            yield f"row {row.name}: its operand {operand} can be {highest}, but {file} has {count} registers"


def _highest(row: Row, operand: str) -> int:
    source = row.operands.get(operand, 0)
    if isinstance(source, int):
        return source
    each = row.fields[source]
    highest = each.offset + sum(((1 << piece.width) - 1) << piece.at for piece in each.pieces)
    while highest in each.excluded:
        highest -= 1
    return highest


class _Reached:
    """The routines and pure functions that others call, however far down."""

    def __init__(self, trials: Trials, isa: Isa) -> None:
        self.trials = trials
        self.registers = {each.name: each for each in (*isa.registers, *ENGINE_REGISTERS)}
        self._pures: dict[str, list[Pure]] = {}
        self._all: dict[int, tuple[Routine | Pure, ...]] = {}

    def faults(self, called: Routine | Pure) -> list[str]:
        """What is wrong with it, or with what it calls."""
        everything = self._closure(called)
        found = [f"{fault}" for fault in self._traced(called).faults]
        found += [f"in {each.name}, {fault}" for each in everything[1:] for fault in self._traced(each).faults]
        return found + [f"{each.name} calls itself" for each in everything if self._recurs(each)]

    def operands(self, called: Routine | Pure) -> set[str]:
        """The operands it asks for, itself or through what it calls."""
        return set().union(*(self._traced(each).operands for each in self._closure(called)))

    def clashes(self) -> Iterator[str]:
        """Pure functions are known by their names."""
        for name, functions in self._pures.items():
            if len(functions) > 1:
                yield f"two @pure functions are called {name}: give one of them another name, @pure(..., name=...)"

    def _traced(self, called: Routine | Pure) -> Traced:
        if isinstance(called, Routine):
            return self.trials.routine(called)
        known = self._pures.setdefault(called.name, [])
        if not any(each is called for each in known):
            known.append(called)
        return self.trials.pure(called)

    def _recurs(self, called: Routine | Pure) -> bool:
        return any(called is inner for each in self._traced(called).called for inner in self._closure(each))

    def _closure(self, called: Routine | Pure) -> tuple[Routine | Pure, ...]:
        """It, and all that it calls."""
        if id(called) not in self._all:
            found = {id(called): called}
            waiting = [called]
            while waiting:
                for each in self._traced(waiting.pop()).called:
                    if id(each) not in found:
                        found[id(each)] = each
                        waiting.append(each)
            self._all[id(called)] = tuple(found.values())
        return self._all[id(called)]


# --- the model --------------------------------------------------------------------------------------------------------


def _modes(model: MachineModel) -> Iterator[str]:
    names = list(model.modes)
    for name in names:
        if not model.modes[name]:
            yield f"mode {name} has no bits, so that every state is in it"
        for register, bits in model.modes[name].items():
            yield from _fits(model, f"mode {name}", register, bits)
    for index, first in enumerate(names):
        for second in names[index + 1 :]:
            if not _exclusive(model.modes[first], model.modes[second]):
                same = dict(model.modes[first]) == dict(model.modes[second])
                yield f"the modes {first} and {second} " + (
                    "are the same bits" if same else "overlap: a state can be in both at once"
                )


def _exclusive(first: Mapping[str, Bits], second: Mapping[str, Bits]) -> bool:
    return any(
        (bits.value ^ second[name].value) & bits.mask & second[name].mask
        for name, bits in first.items()
        if name in second
    )


def _fits(model: MachineModel, what: str, name: str, bits: Bits) -> Iterator[str]:
    width = model.isa.registers_by_name[name].width
    if bits.mask & ~_ones(width):
        yield f"{what}: its mask of {name}, {bits.mask:#x}, names bits that a register of {width} bits lacks"
    elif bits.value & ~bits.mask:
        yield f"{what}: its value of {name}, {bits.value:#x}, has bits outside its mask, {bits.mask:#x}"


def _ones(width: int) -> int:
    return (1 << width) - 1


def _bits(model: MachineModel) -> Iterator[str]:
    registers = model.isa.registers_by_name
    for what, masks in (("resources", model.resources), ("configuration", model.configuration), ("legal", model.legal)):
        for name, mask in masks.items():
            width = registers[name].width
            if mask != -1 and mask & ~_ones(width):
                yield f"{what}: its mask of {name}, {mask:#x}, names bits that a register of {width} bits lacks"
    for name, rule in model.rules.items():
        yield from _rule(name, rule, registers[name])
    unnamed = sorted(model.memory_traps - set(model.isa.causes))
    if unnamed:
        yield f"memory_traps has the cause {unnamed[0]}, which `causes` does not name"
    if model.memory is Memory.MAPPED and not model.memory_traps:
        yield "memory_traps is empty: with mapped memory, say which traps an access that is not allowed ends in"
    if model.memory is Memory.MAPPED and model.realize is None:
        yield "realize is missing: with mapped memory, witnesses need page tables to run with"
    if not model.relocates:
        yield "shifted is empty: with relocated memory, say which registers hold where the program is"
    if model.memory_size < 8 or model.unit < 1:
        yield f"a memory of {model.memory_size} bytes in units of {model.unit} bytes holds no word"


def _rule(name: str, rule: Any, register: Register) -> Iterator[str]:
    try:
        answer = rule(Expressions().input(name, register.width))
        rule(register.reset)
    except Exception as error:
        yield (
            f"the rule of register {name} raises {type(error).__name__}: {' '.join(str(error).split())}"
            " (it must work for an int and for a Word)"
        )
        return
    if not isinstance(answer, bool | int) and not (isinstance(answer, Word) and answer.width == 1):
        yield f"the rule of register {name} answers {answer!r} instead of a word of 1 bit"


def _variants(model: MachineModel) -> Iterator[str]:
    rows = [row for row in model.isa.rows.values() if isinstance(row, Row)]
    for operand, values in model.variants.items():
        fields = [row.fields[operand] for row in rows if operand in row.fields]
        if not fields:
            yield f"variants: no row has a field {operand!r}"
        for value in values:
            if fields and value >> max(each.width for each in fields):
                yield f"variants: {operand} cannot be {value:#x}, which its field has no bits for"


def _settings(model: MachineModel) -> Iterator[str]:
    if not model.settings:
        yield "it has no settings: say which mode's software is to run in which mode"
    names = [setting.name for setting in model.settings]
    for setting in model.settings:
        if names.count(setting.name) > 1:
            yield f"setting {setting.name} is there twice"
        if setting.supervisor == setting.user:
            yield f"setting {setting.name}: supervisor and user are both the mode {setting.user}"
        for name, bits in setting.fixed.items():
            yield from _fits(model, f"setting {setting.name}", name, bits)
            for mode in (setting.supervisor, setting.user):
                other = model.modes[mode].get(name, Bits(0, 0))
                if (bits.value ^ other.value) & bits.mask & other.mask:
                    yield f"setting {setting.name}: it fixes bits of {name} at what they are not in mode {mode}"
