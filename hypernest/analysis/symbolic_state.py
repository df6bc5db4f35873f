"""A set of states as one: what each register and memory holds, as expressions of unknown inputs."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypernest.analysis.content import Content, merge
from hypernest.isa.word import Word, select, word


@dataclass
class SymbolicState:
    """Expressions for every register and for memory, and whether something has trapped on the way."""

    registers: dict[str, Word]  # those that stand alone
    files: dict[str, Content]
    memory: Content  # bytes
    tables: Word  # MAPPED: changes when a translation structure does
    trap: Word = field(default_factory=lambda: word(0, 1))
    cause: Word = field(default_factory=lambda: word(0))

    def fork(self) -> SymbolicState:
        """A copy to go on with on one side of a branch."""
        return SymbolicState(dict(self.registers), dict(self.files), self.memory, self.tables, self.trap, self.cause)

    def trapped(self, condition: Word, cause: Word) -> None:
        """Where the condition holds, and nothing has trapped before, it traps now."""
        self.cause = select(self.trap | ~condition, self.cause, cause)
        self.trap = self.trap | condition


def merged(condition: Word, yes: SymbolicState, no: SymbolicState) -> SymbolicState:
    """One of two states."""
    registers = {name: select(condition, value, no.registers[name]) for name, value in yes.registers.items()}
    files = {name: merge(condition, content, no.files[name]) for name, content in yes.files.items()}
    return SymbolicState(
        registers,
        files,
        merge(condition, yes.memory, no.memory),
        select(condition, yes.tables, no.tables),
        select(condition, yes.trap, no.trap),
        select(condition, yes.cause, no.cause),
    )


@dataclass(frozen=True)
class Environment:
    """What distinguishes the runs of a pair besides their state."""

    tag: str  # names the faults of this run
    map_tag: str  # names the tables: they are the same for runs in the same place
    shift: Word  # how far real addresses are from those of the first run
    clock: Word
    tables_guarded: bool = True
