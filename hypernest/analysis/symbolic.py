"""A semantic function run on all states at once: the counterpart of the reference engine for proofs.

The trees of `isa/trace.py` are walked as a lowering walks them, but out come expressions of the initial state:
for each register what it holds afterwards, whether and how the instruction trapped. Both sides of a branch are followed
and merged. A state after a trap is of no interest to the definitions, so it is not kept: only that it trapped, and why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hypernest.analysis.content import Content, Reader, Written, merge
from hypernest.analysis.expressions import Expressions
from hypernest.analysis.model import MachineModel, Memory
from hypernest.analysis.symbolic_state import Environment, SymbolicState, merged
from hypernest.analysis.trees import Trees
from hypernest.isa.csr import Csr
from hypernest.isa.hart import Access, Pure, Routine
from hypernest.isa.trace import Block, Branch, Returned, Trapped
from hypernest.isa.word import Word, concat, select, word

_YES = word(1, 1)


OTHER_ACCESS = "other"  # than those of `Access`: an ISA's `translate` may know more
Tree = tuple[Block, tuple[Word, ...]]  # with its parameters
End = tuple[SymbolicState, tuple[Word, ...] | None]  # of a function: no results if it traps on every path


def _either(condition: Word, yes: End, no: End) -> End:
    """One of two ends."""
    (first, first_results), (second, second_results) = yes, no
    if first_results is None:
        second.trap, second.cause = condition | second.trap, select(condition, first.cause, second.cause)
        return second, second_results
    if second_results is None:
        first.trap, first.cause = ~condition | first.trap, select(condition, first.cause, second.cause)
        return first, first_results
    results = tuple(select(condition, a, b) for a, b in zip(first_results, second_results, strict=True))
    return merged(condition, first, second), results


class Executor:
    """Runs instructions on symbolic states."""

    def __init__(self, model: MachineModel, trees: Trees, expressions: Expressions, inline: bool = False) -> None:
        """`inline`: follow pure functions instead of leaving them uninterpreted."""
        self.model, self.trees, self.expressions, self.inline = model, trees, expressions, inline
        self.reader = Reader(expressions)
        self.accesses: list[Word] = []  # the places of physical memory that were accessed, by the first run's addresses

    def execute(
        self, row: str, operands: Mapping[str, Word], state: SymbolicState, environment: Environment
    ) -> SymbolicState:
        """The state after an instruction, whose `trap` says where there is none."""
        after = state.fork()
        following = state.registers["pc"] + self.trees.isa.rows[row].length
        after.registers[_TARGET] = following
        after, _ = _Frame(self, operands, following, environment).run(self.trees.row(row), after)
        after.registers["pc"] = after.registers.pop(_TARGET)
        return after

    def call(self, called: Routine, arguments: tuple[Word, ...], state: SymbolicState, environment: Environment) -> End:
        """(the state after a routine, its results), from outside of any instruction; no results if it always traps."""
        frame = _Frame(self, {}, state.registers["pc"], environment)
        return frame.call(state.fork(), called, arguments)


_TARGET = " target"  # a register of the executor's own: where execution goes on


class _Frame:
    """One function under execution: what the words of its tree are worth."""

    def __init__(
        self, executor: Executor, operands: Mapping[str, Word], following: Word, environment: Environment
    ) -> None:
        self.executor, self.operands, self.following, self.environment = executor, operands, following, environment
        self.expressions, self.model = executor.expressions, executor.model
        self.known: dict[Word, Word] = {}

    def _inside(self, parameters: Sequence[Word], arguments: Sequence[Word]) -> _Frame:
        frame = _Frame(self.executor, self.operands, self.following, self.environment)
        frame.known = dict(zip(parameters, arguments, strict=True))
        return frame

    def _fork(self) -> _Frame:
        return self._inside(tuple(self.known), tuple(self.known.values()))

    def value(self, tree: Word) -> Word:
        """A word of the tree as an expression of the initial state."""
        if tree.value is not None:
            return tree
        stack = [tree]
        while stack:
            each = stack[-1]
            if each in self.known:
                stack.pop()
                continue
            missing = [
                arg for arg in each.args if isinstance(arg, Word) and arg.value is None and arg not in self.known
            ]
            if missing:
                stack.extend(missing)
                continue
            self.known[each] = self._make(each)
            stack.pop()
        return self.known[tree]

    def _make(self, tree: Word) -> Word:
        if tree.op == "operand":
            name = tree.args[0]
            assert isinstance(name, str)
            return self.operands[name]
        if tree.op == "next_pc":
            return self.following
        args = tuple(
            (arg if arg.value is not None else self.known[arg]) if isinstance(arg, Word) else arg for arg in tree.args
        )
        return self.expressions.unique(tree.op, args, tree.width)

    def run(self, block: Block, state: SymbolicState) -> End:
        """(state afterwards, results); no results if it trapped on every path."""
        for effect in block.effects:
            if state.trap.value == 1:
                return state, None
            results = getattr(self, f"_effect_{effect.kind}")(state, *effect.arguments)
            if effect.kind in ("call", "csr_read", "csr_write"):
                state, results = results
                if results is None:
                    return state, None
            for tree, value in zip(effect.results, results or (), strict=True):
                self.known[tree] = value
        match block.end:
            case Trapped(cause):
                state.trapped(_YES, word(cause))
                return state, None
            case Returned(values):
                return state, tuple(self.value(each) for each in values)
            case Branch(condition, yes, no):
                return self._branch(self.value(condition), yes, no, state)

    def _branch(self, condition: Word, yes: Block, no: Block, state: SymbolicState) -> End:
        if condition.value is not None:
            return self.run(yes if condition.value else no, state)
        return _either(condition, self._fork().run(yes, state.fork()), self.run(no, state))

    # --- effects: the primitives of `Hart` --------------------------------------------------------------------------

    def _index(self, index: Word | int) -> Word:
        return self.value(index) if isinstance(index, Word) else word(index)

    def _effect_read(self, state: SymbolicState, register: str, index: Word | int) -> tuple[Word]:
        if register in state.registers:
            return (state.registers[register],)
        at = self._index(index)
        value = self.executor.reader.read(state.files[register], at)
        if register == self.model.isa.zero:
            value = select(at == 0, word(0, value.width), value)
        return (value,)

    def _effect_write(self, state: SymbolicState, register: str, index: Word | int, value: Word) -> None:
        new = self.value(value)
        if register in state.registers:
            state.registers[register] = new
            return
        at, file = self._index(index), state.files[register]
        written: Content = Written(file, at, new)
        if register == self.model.isa.zero:
            nowhere = at == 0
            written = file if nowhere.value == 1 else written if nowhere.value == 0 else merge(nowhere, file, written)
        state.files[register] = written

    def _effect_call(self, state: SymbolicState, called: Routine, *arguments: Word) -> Any:
        if called is self.model.isa.translate and self.model.memory is Memory.MAPPED:
            address, access = arguments
            return state, (self._mapped(state, self.value(address), self.value(access)),)
        return self.call(state, called, tuple(self.value(each) for each in arguments))

    def call(self, state: SymbolicState, called: Routine, arguments: tuple[Word, ...]) -> End:
        block, parameters = self.executor.trees.routine(called)
        return self._inside(parameters, arguments).run(block, state)

    def _effect_pure(self, state: SymbolicState, called: Pure, *arguments: Word) -> tuple[Word, ...]:
        given = tuple(self.value(each) for each in arguments)
        if self.executor.inline or all(each.value is not None for each in given):
            block, parameters = self.executor.trees.routine(called)
            _, results = self._inside(parameters, given).run(block, state)
            assert results is not None
            return results
        self.expressions.pures[called.name] = called
        return tuple(
            self.expressions.unique("apply", (called.name, place, *given), width)
            for place, width in enumerate(called.results)
        )

    def _effect_repeat(
        self, state: SymbolicState, count: int, loop: tuple[Word, ...], after: tuple[Word, ...],
        initial: tuple[Word, ...],
    ) -> tuple[Word, ...]:  # fmt: skip
        values = tuple(self.value(each) for each in initial)
        for _ in range(count):
            inside = self._fork()
            inside.known |= dict(zip(loop, values, strict=True))
            values = tuple(inside.value(each) for each in after)
        return values

    def _effect_load(self, state: SymbolicState, address: Word, bits: int) -> Any:
        at = self.value(address)
        if self.model.memory is Memory.RELOCATED:
            return self._relocated(state, self.model.isa.load[bits], (at,))
        self._fault(state, word(Access.READ), at)
        return (self._read_mapped(state, at, bits // 8),)

    def _effect_store(self, state: SymbolicState, address: Word, value: Word) -> Any:
        at, new = self.value(address), self.value(value)
        if self.model.memory is Memory.RELOCATED:
            return self._relocated(state, self.model.isa.store[new.width], (at, new))
        self._fault(state, word(Access.WRITE), at)
        self._write_mapped(state, at, new)
        return ()

    def _effect_locate(self, state: SymbolicState, address: Word, access: int) -> Any:
        at = self.value(address)
        if self.model.memory is Memory.RELOCATED:
            return self._relocated(state, self.model.isa.translate, (at, word(access, 2)))
        return (self._mapped(state, at, word(access)),)

    def _mapped(self, state: SymbolicState, address: Word, access: Word) -> Word:
        """The real address behind a virtual one, if the map allows this access."""
        self._fault(state, access, address)
        return self.expressions.unique("maps", ("address", address), 64) + self.environment.shift

    def _relocated(self, state: SymbolicState, routine: Routine, arguments: tuple[Word, ...]) -> tuple[Word, ...]:
        """An access by the ISA's own routine. Its state changes in place; a trap is in it."""
        widths = routine.results
        after, results = self.call(state, routine, arguments)
        if after is not state:
            vars(state).update(vars(after))
        return results if results is not None else tuple(word(0, width) for width in widths)

    def _fault(self, state: SymbolicState, access: Word, address: Word) -> None:
        """The map may not allow it: nothing is known about that but that equal accesses of a run do alike."""
        fault = self._faults(OTHER_ACCESS, address)
        for kind in Access:
            fault = select(access == kind, self._faults(kind.name.lower(), address), fault)
        state.trapped(fault, word(min(self.model.memory_traps)))

    def _faults(self, access: str, address: Word) -> Word:
        return self.expressions.unique("faults", (f"{self.environment.tag} {access}", address), 1)

    def _read_mapped(self, state: SymbolicState, address: Word, size: int) -> Word:
        value = self._seen(state, address, size)
        if self.environment.tables_guarded:
            return value
        return select(self._leads_to_tables(address), self._of_tables(address, size), value)

    def _write_mapped(self, state: SymbolicState, address: Word, value: Word) -> None:
        if not self.environment.tables_guarded:
            changes = self._leads_to_tables(address) & (self._of_tables(address, value.width // 8) != value)
            state.tables = select(changes, ~state.tables, state.tables)
        for place in range(value.width // 8):
            state.memory = Written(state.memory, address + place, value.bits(place * 8 + 7, place * 8))

    def _leads_to_tables(self, address: Word) -> Word:
        return self.expressions.unique("tables", (f"{self.environment.map_tag} at", address), 1)

    def _of_tables(self, address: Word, size: int) -> Word:
        return concat(
            *(
                self.expressions.unique("initial", (f"{self.environment.map_tag} tables", address + place), 8)
                for place in reversed(range(size))
            )
        )

    def _seen(self, state: SymbolicState, address: Word, size: int) -> Word:
        read = self.executor.reader.read
        return concat(*(read(state.memory, address + place) for place in reversed(range(size))))

    def _effect_physical_load(self, state: SymbolicState, address: Word, bits: int) -> tuple[Word, Word]:
        at = self.value(address)
        place = self._place(at)
        if self.model.memory is Memory.MAPPED:
            return self._read_mapped(state, place, bits // 8), _YES
        return self._seen(state, place, bits // 8), self._in_memory(at, bits // 8)

    def _effect_physical_store(self, state: SymbolicState, address: Word, value: Word) -> tuple[Word]:
        at, new = self.value(address), self.value(value)
        place = self._place(at)
        if self.model.memory is Memory.MAPPED:  # a page of the program's at the frame of the same number
            self._write_mapped(state, place, new)
            return (_YES,)
        answered, memory = self._in_memory(at, new.width // 8), state.memory
        for offset in range(new.width // 8):
            memory = Written(memory, place + offset, new.bits(offset * 8 + 7, offset * 8))
        state.memory = memory if answered.value == 1 else merge(answered, memory, state.memory)
        return (answered,)

    def _place(self, address: Word) -> Word:
        """Where an address is in the memory of the first run."""
        place = address - self.environment.shift * self.model.unit
        self.executor.accesses.append(place)
        return place

    def _effect_is_memory(self, state: SymbolicState, address: Word, size: int) -> tuple[Word]:
        return (self._in_memory(self.value(address), size),)

    def _in_memory(self, address: Word, size: int) -> Word:
        if self.model.memory is Memory.MAPPED:
            return _YES  # what is no memory is not mapped: the access has faulted
        return address <= self.model.memory_size - size

    def _effect_announce(self, state: SymbolicState, *arguments: object) -> None:
        """Nothing watches."""

    def _effect_csr_read(self, state: SymbolicState, number: Word) -> End:
        return self._csr(state, number, self.executor.trees.csr_read, ())

    def _effect_csr_write(self, state: SymbolicState, number: Word, value: Word) -> End:
        trees, values = self.executor.trees, (self.value(value),)
        return self._csr(state, number, lambda csr: trees.csr_write(csr) if csr.write else None, values)

    def _csr(
        self, state: SymbolicState, number: Word, traced: Callable[[Csr], Tree | None], values: tuple[Word, ...]
    ) -> End:
        """An access to whichever CSR the number is of; `traced` gives what it does, None where that is nothing."""
        at, before = self.value(number), state.fork()
        state.trapped(_YES, word(self.model.isa.illegal_instruction))
        end: End = state, None  # of the numbers that are none's
        for each, csr in self.model.isa.csrs.items():
            here = at == each
            if here.value == 0:
                continue
            found = traced(csr)
            one: End = before.fork(), ()
            if found is not None:
                block, parameters = found
                one = self._inside(parameters, values).run(block, before.fork())
            if here.value == 1:
                return one
            end = _either(here, one, end)
        return end

    def _effect_clock(self, state: SymbolicState) -> tuple[Word]:
        return (self.environment.clock,)

    def _nothing(self, state: SymbolicState, *arguments: object) -> None:
        """What engines remember is no part of the state."""

    _effect_flush_translations = _effect_flush_translation = _effect_note_mapping = _nothing
    _effect_flush_instructions = _effect_reschedule = _nothing

    def _effect_wait(self, state: SymbolicState) -> None:
        state.registers["waiting"] = _YES

    def _effect_branch(self, state: SymbolicState, offset: Word) -> None:
        state.registers[_TARGET] = state.registers["pc"] + self.value(offset)

    def _effect_jump(self, state: SymbolicState, target: Word) -> None:
        state.registers[_TARGET] = self.value(target)
