"""What the analysis proves things about is what the reference engine does: both from the same random states."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from hypernest.analysis.concrete import PAGE, ConcreteMachine, ConcreteState
from hypernest.analysis.expressions import Expressions, evaluate
from hypernest.analysis.instances import Instance, Operands, instances
from hypernest.analysis.isas import BUILT_IN, load_model
from hypernest.analysis.model import MachineModel, Memory
from hypernest.analysis.randomized import random_operands, random_states
from hypernest.analysis.states import ENGINE_OWN, MEMORY, States, Variation
from hypernest.analysis.symbolic import Executor
from hypernest.analysis.trees import Trees
from hypernest.isa.word import Word, word

STATES = 3  # random ones for each instruction and mode


def leaf_of(
    state: ConcreteState, fields: dict[str, int], code: int, make: Expressions
) -> Callable[[Word, list[int]], int]:
    """The value of each leaf in a concrete state."""

    def value(leaf: Word, given: list[int]) -> int:
        name = str(leaf.args[0])
        match leaf.op:
            case "input" if name.startswith("field "):
                return fields[name.removeprefix("field ")]
            case "input" if name == "instruction":
                return code
            case "input" if name == "clock":
                return state.clock
            case "input":
                return state.registers.get((name, 0), 0)
            case "initial" if name == MEMORY and state.places:
                (address,) = given
                page = state.places.get(address & -PAGE)
                return 0 if page is None else state.memory.get(page | address & PAGE - 1, 0)
            case "initial" if name == MEMORY:
                return state.memory.get(given[0], 0)
            case "initial":
                return state.registers.get((name, given[0]), 0)
            case "faults":
                return int(given[0] & -PAGE not in state.places)
            case "maps":
                return state.places.get(given[0] & -PAGE, 0) | given[0] & PAGE - 1
            case "apply":
                pure, place = make.pures[name], leaf.args[1]
                assert isinstance(place, int)
                results = pure.function(*(word(v, width) for v, width in zip(given, pure.arguments, strict=True)))
                return int(results[place] if isinstance(results, tuple) else results)
        raise AssertionError(leaf)

    return value


def check(model: MachineModel, trees: Trees, machine: ConcreteMachine, instance: Instance, seed: int) -> bool:
    """Run an instruction both ways from a random state of each mode; False if no state came out."""
    random, setting = Random(seed), model.settings[0]
    operands = random_operands(instance, random)
    if operands is None:
        return False
    code = instance.row.encode(**operands)
    compared = False
    for mode in (setting.supervisor, setting.user):
        variation = Variation(mode=mode)
        states = random_states(model, setting, random, operands, [variation])
        if states is None:
            continue
        make = Expressions()
        executor = Executor(model, trees, make)
        start = States(model, setting, trees, make, executor.reader).start(variation, "run")
        symbolic = Operands.of(instance, make)
        after = executor.execute(instance.row.name, symbolic.words, start.state, start.environment)
        run = machine.run(instance.row, code, states[0])
        if model.memory is Memory.MAPPED and crosses(after.trap, run.before, operands, code, make):
            continue
        bits = {name: each - instance.row.fields[name].offset for name, each in operands.items()}
        leaf = leaf_of(run.before, bits, code, make)
        known: dict[int, int] = {}
        assert evaluate(after.trap, leaf, known) == int(run.trap is not None), (instance.name, mode, seed)
        compared = True
        if run.trap is not None:
            if run.trap not in model.memory_traps:
                assert evaluate(after.cause, leaf, known) == run.trap, (instance.name, mode, seed)
            continue
        for name, value in after.registers.items():
            if name not in ENGINE_OWN:
                assert evaluate(value, leaf, known) == run.after.registers[name, 0], (instance.name, mode, name, seed)
        for name, content in after.files.items():
            for index in range(machine.counts[name]):
                if (name, index) == (model.isa.zero, 0):
                    continue
                value = executor.reader.read(content, word(index))
                assert evaluate(value, leaf, known) == run.after.registers[name, index], (instance.name, mode, name)
        changed = {address for address, byte in run.after.memory.items() if run.before.memory.get(address, 0) != byte}
        pages = {physical: virtual for virtual, physical in run.before.places.items()}
        for address in changed:
            place = address if not pages else pages.get(address & -PAGE, address & -PAGE) | address & PAGE - 1
            value = executor.reader.read(after.memory, word(place))
            assert evaluate(value, leaf, known) == run.after.memory[address], (instance.name, mode, hex(address), seed)
    return compared


def crosses(trap: Word, state: ConcreteState, operands: dict[str, int], code: int, make: Expressions) -> bool:
    """Does an access leave its page? The abstraction of a map knows one fault for an access, not one for each page."""
    addresses: list[int] = []
    inner = leaf_of(state, operands, code, make)

    def leaf(each: Word, given: list[int]) -> int:
        if each.op == "faults":
            addresses.append(given[0])
        return inner(each, given)

    evaluate(trap, leaf, {})
    return any(address & PAGE - 1 > PAGE - 64 for address in addresses)


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_every_instruction_does_what_its_expressions_say(name: str) -> None:
    model = load_model(name)
    trees, machine = Trees(model.isa), ConcreteMachine(model)
    compared = total = 0
    for number, instance in enumerate(instances(model)):
        if name == "riscv64" and "csr" in instance.row.fields and number % 7:
            continue
        for seed in range(STATES):
            total += 1
            compared += check(model, trees, machine, instance, seed * 10_000 + number)
    assert compared > total * 0.8
