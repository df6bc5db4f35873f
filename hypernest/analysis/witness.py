"""From the solver's model to states with numbers in them, and whether the reference engine agrees."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from hypernest.analysis.concrete import ConcreteMachine, ConcreteRun, ConcreteState
from hypernest.analysis.content import Reader
from hypernest.analysis.definitions import Outcome, Probes, control_places, result_differs, visible
from hypernest.analysis.expressions import Expressions, evaluate, walk
from hypernest.analysis.instances import Instance, Operands
from hypernest.analysis.model import MachineModel, Memory
from hypernest.analysis.presentation import assembly, place_text, value_text
from hypernest.analysis.results import Difference, Question, Run, State, Witness
from hypernest.analysis.states import MEMORY, Start
from hypernest.analysis.symbolic import OTHER_ACCESS
from hypernest.isa.row import Row
from hypernest.isa.word import Word, word
from hypernest.lowering.solver import Reply

PAGE = 4096
_REACH = 1 << 38  # virtual addresses of witnesses: below the sign, for any scheme of translation
_RAM = 1 << 40  # physical addresses of witnesses; page tables stand above

Condition = Callable[[Sequence[Outcome], Probes], Word]
_CONTROL = (Question.CONTROL_IN_SUPERVISOR, Question.CONTROL_IN_USER)
_BEHAVIOUR = (
    *(Question.LOCATION_IN_SUPERVISOR, Question.LOCATION_IN_USER, Question.MODE),
    *(Question.MODE_AND_LOCATION, Question.TIMING),
)


class Witnesses:
    """Builds and checks the witnesses for questions on one instruction."""

    def __init__(
        self, model: MachineModel, expressions: Expressions, reader: Reader, instance: Instance, operands: Operands
    ) -> None:
        self._model, self._expressions, self._reader = model, expressions, reader
        self._instance, self._operands = instance, operands
        self._machine = ConcreteMachine(model)

    def realizable(self, constraints: Iterable[Word], starts: Sequence[Start]) -> list[Word]:
        """What else must hold of states whose map is to be built, and which are therefore asked for first."""
        if self._model.memory is Memory.RELOCATED:
            return []
        found: list[Word] = []
        for each in walk(constraints):
            if each.op in ("faults", "maps", "tables"):
                address = each.args[1]
                assert isinstance(address, Word)
                found += [address < _REACH - PAGE, address >= PAGE, (address & (PAGE - 1)) < PAGE - 16]
                if each.op == "maps":
                    # A page of one address: the program sees different pages at different frames.
                    found += [each == address]
            elif each.op == "initial" and str(each.args[0]).endswith(MEMORY):
                address = each.args[1]
                assert isinstance(address, Word)
                found += [address < _REACH]
        shift = starts[-1].environment.shift
        if shift.value is None:
            found += [shift < _REACH, shift != 0]
        return found

    def build(
        self, question: Question, condition: Condition, constraints: Sequence[Word], starts: Sequence[Start],
        reply: Reply,
    ) -> Witness:  # fmt: skip
        """The witness that a model of the constraints describes, run on the reference engine."""
        values = _Values(self._expressions, constraints, reply)
        fields = {name: values.of(each) for name, each in self._operands.fields.items()}
        signed = {
            name: value - (1 << 64) if self._instance.row.fields[name].signed and value >> 63 else value
            for name, value in fields.items()
        }
        row = self._instance.row
        code = row.encode(**signed)
        runs = [self._machine.run(row, code, self._concrete(start, values)) for start in starts]
        holds = holds_of(self._machine, condition, runs)
        return shown(self._model, self._machine, row, signed, code, question, runs, holds)

    def _concrete(self, start: Start, values: _Values) -> ConcreteState:
        registers: dict[tuple[str, int], int] = {}
        for name, each in start.state.registers.items():
            registers[name, 0] = values.of(each)
        counts = self._machine.counts
        for name, content in start.state.files.items():
            for index in range(counts[name]):
                registers[name, index] = values.of(self._reader.read(content, word(index)))
        if self._model.isa.zero:
            registers[self._model.isa.zero, 0] = 0
        shift, tag = values.of(start.environment.shift), start.environment.tag
        held = values.table(start.memory_name)
        label = "another state" if tag.startswith("unrelated") else ""
        state = ConcreteState(start.mode, registers, {}, shift, values.of(start.environment.clock), label)
        if self._model.memory is Memory.RELOCATED:
            offset = shift * self._model.unit
            state.memory = {address + offset & (1 << 64) - 1: byte for address, byte in held.items()}
            return state
        map_tag = start.environment.map_tag
        leads = values.named("tables", f"{map_tag} at")
        table_pages = {address & -PAGE for address, leading in leads.items() if leading}
        touched = [
            address
            for access in ("read", "write", "execute", OTHER_ACCESS)
            for address in values.named("faults", f"{tag} {access}")
        ]
        state.seen = dict.fromkeys(touched, 0)
        state.seen |= {address: byte for address, byte in held.items() if address < _REACH}
        state.seen = {address: byte for address, byte in state.seen.items() if address & -PAGE not in table_pages}
        state.tables = dict.fromkeys(table_pages, 0)
        state.tables |= {
            address: byte
            for address, byte in values.table(f"{map_tag} tables").items()
            if address & -PAGE in table_pages
        }
        state.frames = {
            address & -PAGE: physical + shift & -PAGE for address, physical in values.named("maps", "address").items()
        }
        return state


def holds_of(machine: ConcreteMachine, condition: Condition, runs: Sequence[ConcreteRun]) -> bool:
    """Is the condition of a question true of runs on the reference engine?"""
    outcomes = [run.outcome for run in runs]
    return any(condition(outcomes, each).value == 1 for each in probes(machine.places(*runs)))


def shown(
    model: MachineModel, machine: ConcreteMachine, row: Row, operands: Mapping[str, int], code: int,
    question: Question, runs: Sequence[ConcreteRun], reproduced: bool,
) -> Witness:  # fmt: skip
    """Runs on the reference engine, written down."""
    return Witness(
        assembly(row, operands, model, code),
        code,
        dict(operands),
        tuple(_run_shown(model, machine, run, question) for run in runs),
        tuple(_differences(model, machine, question, runs)),
        reproduced,
    )


def _run_shown(model: MachineModel, machine: ConcreteMachine, run: ConcreteRun, question: Question) -> Run:
    label = f"in {run.before.mode} mode"
    if run.before.label:
        label = f"{run.before.label}, {label}"
    if run.before.shift:
        label += f", relocated by {run.before.shift:#x}"
    if question is Question.TIMING:
        label += f", at {run.before.clock} ns"
    before, after = (_state(model, machine, state) for state in (run.before, run.after))
    return Run(label, run.before.mode, before, after, _trap(model, run))


def _state(model: MachineModel, machine: ConcreteMachine, state: ConcreteState) -> State:
    hidden = model.ignored | {"remaining", "clock_end", "stop"}
    registers = {place: value for place, value in state.registers.items() if value and place[0] not in hidden}
    memory = machine.program_memory(state)
    return State(registers, {address: byte for address, byte in sorted(memory.items()) if byte})


def _differences(
    model: MachineModel, machine: ConcreteMachine, question: Question, runs: Sequence[ConcreteRun]
) -> Iterator[Difference]:
    """Where the property shows."""
    places = machine.places(*runs)

    def held(run: ConcreteRun, name: str, at: int) -> str:
        return f"{machine.seen(run.after).get(at, 0):#x}" if name == MEMORY else value_text(run.after, name, at)

    if question in _CONTROL:
        (run,) = runs
        for name, at in control_places(run.outcome, places):
            texts = value_text(run.before, name, at), value_text(run.after, name, at)
            yield Difference(place_text(model, name, at), *texts)
        before, after = machine.table_bytes(run.before), machine.table_bytes(run.after)
        for at in sorted(address for address, byte in after.items() if before.get(address, 0) != byte):
            yield Difference(f"translation structure byte {at:#x}", f"{before.get(at, 0):#x}", f"{after[at]:#x}")
    elif question in _BEHAVIOUR:
        first, second = runs
        for name in visible(model, first.outcome.after):
            for at in sorted(places.get(name, {0})):
                if result_differs(name, first.outcome, second.outcome, Probes({name: word(at)})).value == 1:
                    yield Difference(place_text(model, name, at), held(first, name, at), held(second, name, at))
    elif len(runs) > 1:
        yield Difference("trap", *(_trap(model, run) or "none" for run in runs[:2]))


def _trap(model: MachineModel, run: ConcreteRun) -> str | None:
    return None if run.trap is None else model.isa.causes.get(run.trap, f"trap {run.trap}")


def probes(places: dict[str, set[int]]) -> Iterable[Probes]:
    """Probes that together look at every place of every file."""
    ordered = {name: sorted(found) or [0] for name, found in places.items()}
    for at in range(max(map(len, ordered.values()), default=1)):
        yield Probes({name: word(found[min(at, len(found) - 1)]) for name, found in ordered.items()})


class _Values:
    """The values of expressions in the solver's model."""

    def __init__(self, expressions: Expressions, constraints: Sequence[Word], reply: Reply) -> None:
        self._expressions = expressions
        self._leaves: dict[tuple[object, ...], int] = {}
        self._known: dict[int, int] = {}
        for each in walk(constraints):
            if each.value is None and each.op in ("input", "initial", "faults", "maps", "tables"):
                names = tuple(arg for arg in each.args if not isinstance(arg, Word))
                given = tuple(
                    arg.value if arg.value is not None else reply.value(arg)
                    for arg in each.args
                    if isinstance(arg, Word)
                )
                self._leaves[(each.op, *names, *given)] = reply.value(each)

    def of(self, value: Word) -> int:
        """The value of an expression; what the question did not mention is zero."""
        return evaluate(value, self._leaf, self._known)

    def _leaf(self, leaf: Word, given: list[int]) -> int:
        names = tuple(arg for arg in leaf.args if not isinstance(arg, Word))
        if leaf.op == "apply":
            name, place = names
            pure = self._expressions.pures[str(name)]
            results = pure.function(*(word(value, width) for value, width in zip(given, pure.arguments, strict=True)))
            assert isinstance(place, int)
            return int(results[place] if isinstance(results, tuple) else results)
        return self._leaves.get((leaf.op, *names, *given), 0)

    def named(self, op: str, name: str) -> dict[int, int]:
        """A function of one word in the model: value by argument."""
        return {key[2]: value for key, value in self._leaves.items()
                if key[:2] == (op, name) and len(key) == 3 and isinstance(key[2], int)}  # fmt: skip

    def table(self, name: str) -> dict[int, int]:
        """What a state begins with: value by index."""
        return self.named("initial", name)
