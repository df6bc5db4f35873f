"""What an instruction with known operands does, as far as forming and lowering regions must know it.

The description is traced with the operands as constants, so that everything that depends on them alone is decided here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from hypernest.isa.hart import Pure
from hypernest.isa.isa import NativeIsa
from hypernest.isa.row import Row
from hypernest.isa.trace import Block, Branch, Effect, Returned, Tracer
from hypernest.isa.word import Word, signed, word
from hypernest.lowering.expressions import FunctionText
from hypernest.lowering.host_operations import attempt, has_mode

Place = tuple[str, int]
"""A register: its name in the state table and its index."""

# What a region leaves to complete execution.
LEFT_OUT = {"call", "csr_read", "csr_write", "clock", "wait", "reschedule", "physical_load", "physical_store",
            "flush_translations", "flush_translation", "note_mapping", "announce"}  # fmt: skip
_MAY_LEAVE = {"load", "store", "locate"}


@dataclass(frozen=True, eq=False)
class Meaning:
    """The trace of an instruction and what follows from it."""

    tracer: Tracer
    block: Block
    reads: frozenset[Place]
    writes: frozenset[Place]
    """Registers that every path writes."""
    may_write: frozenset[Place]
    quick: bool
    """Can some path be followed without leaving native code? Otherwise the instruction ends a region."""
    may_leave: bool
    """Can it turn out during execution that the instruction must be left to complete execution?"""
    stores: bool
    """Does it change memory, so that it must not be done twice?"""
    steps: frozenset[Place]
    """Registers to which it only adds a constant."""
    assumes: frozenset[Place]
    """Registers that must hold what they usually do."""
    branches: tuple[int, ...]
    """Distances to the targets of relative jumps."""
    jumps: bool
    """Does a path jump to a computed address?"""
    falls_through: bool
    """Does a path go on with the instruction that follows?"""
    computed: bool
    """Does it jump to a computed address that is no return?"""
    calls: bool
    """Does it jump and keep the address of the following instruction, so that something will return to it?"""


class RegionTracer(Tracer):
    """Traces for the case that registers hold what they usually do.

    The inexact flag is set already, then, and mstatus.FS is Dirty; so arithmetic that the host can do raises no flag
    that matters, and what raises another is left to complete execution. Its flags are zero here.
    """

    def call_pure(self, called: Pure, arguments: tuple[Word, ...]) -> Any:
        if not on_host(called, arguments):
            return super().call_pure(called, arguments)
        result, flags = super().call_pure(called, arguments)
        return result, word(0, flags.width)


def on_host(called: Pure, arguments: tuple[Word, ...]) -> bool:
    """Can the host's floating point stand for this function?"""
    values = tuple(arguments[-1:]) if has_mode(called.name) else ()
    return _can_do(called.name, len(called.arguments), *(each.value for each in values))


@cache
def _can_do(name: str, count: int, mode: int | None = None) -> bool:
    operands = [f"%{n}" for n in range(count)]
    if mode is not None:
        operands[-1] = str(mode)
    return attempt(FunctionText(), name, operands) is not None


class Meanings:
    """The meanings of instructions of one ISA, remembered."""

    def __init__(self, isa: NativeIsa) -> None:
        self._isa = isa
        self._find = lru_cache(maxsize=4096)(self._trace)

    def __call__(self, row: Row, operands: dict[str, int]) -> Meaning:
        """The meaning of a row (by its own operands, as `Row.operand_values` gives them)."""
        return self._find(row.meaning, tuple(sorted(operands.items())))

    def _trace(self, meaning: str, operands: tuple[tuple[str, int], ...]) -> Meaning:
        row = self._isa.rows[meaning]
        register = self._isa.zero
        tracer = RegionTracer(self._isa.registers_by_name, dict(operands), self._isa.usual)
        block = tracer.semantics(row.semantics)
        effects = list(_effects(block))
        branches = sorted({signed(_constant(e.arguments[0]), 64) for e in effects if e.kind == "branch"})
        jumps = any(effect.kind == "jump" for effect in effects)
        links = any(
            effect.kind == "write" and effect.arguments[2].op == "next_pc" and place_of(effect)[1] != 0
            for effect in effects
        )
        ignored = (register, 0)
        reads = frozenset(place_of(e) for e in effects if e.kind == "read") - {ignored}
        return Meaning(
            tracer,
            block,
            reads,
            frozenset(_always_written(block) - {ignored}),
            frozenset(place_of(e) for e in effects if e.kind == "write") - {ignored},
            not row.system and _quick(block),
            any(effect.kind in _MAY_LEAVE or effect.kind == "pure" for effect in effects) or _traps(block),
            any(effect.kind == "store" for effect in effects),
            frozenset(place_of(e) for e in effects if e.kind == "write" and _is_step(e, effects)),
            frozenset(tracer.relied_on),
            tuple(branches),
            jumps,
            _falls_through(block),
            jumps and not links and not reads & self._isa.link_registers,
            links and (jumps or bool(branches)),
        )


def _effects(block: Block) -> Iterator[Effect]:
    yield from block.effects
    if isinstance(block.end, Branch):
        yield from _effects(block.end.yes)
        yield from _effects(block.end.no)


def _constant(value: Word | int) -> int:
    number = value.value if isinstance(value, Word) else value
    assert number is not None, "a register's number or a branch's distance is an operand"
    return number


def place_of(effect: Effect) -> Place:
    """The register that is read or written."""
    return effect.arguments[0], _constant(effect.arguments[1])


def split_sum(word: Word) -> tuple[Word, int]:
    """A word as another one plus a constant, which may be 0."""
    if word.op == "add":
        for base, other in (word.args, word.args[::-1]):
            if isinstance(base, Word) and isinstance(other, Word) and other.value is not None:
                return base, signed(other.value, 64)
    return word, 0


def _is_step(write: Effect, effects: list[Effect]) -> bool:
    """Does it write what the register held plus a constant?"""
    value = write.arguments[2]
    if not isinstance(value, Word) or value.op != "add":
        return False
    base, constant = (arg for arg in value.args if isinstance(arg, Word))
    return constant.value is not None and any(
        e.kind == "read" and e.results[0] is base and place_of(e) == place_of(write) for e in effects
    )


def _always_written(block: Block) -> set[Place]:
    written = {place_of(e) for e in block.effects if e.kind == "write"}
    if isinstance(block.end, Branch):
        sides = [_always_written(side) for side in (block.end.yes, block.end.no) if not _leaves(side)]
        if sides:
            written |= set.intersection(*sides)
    return written


def _leaves(block: Block) -> bool:
    """Does every path trap or need something that a region leaves out?"""
    if any(effect.kind in LEFT_OUT for effect in block.effects):
        return True
    if isinstance(block.end, Branch):
        return _leaves(block.end.yes) and _leaves(block.end.no)
    return not isinstance(block.end, Returned)


def _quick(block: Block) -> bool:
    return not _leaves(block)


def _traps(block: Block) -> bool:
    if isinstance(block.end, Branch):
        return any(_leaves(side) or _traps(side) for side in (block.end.yes, block.end.no))
    return _leaves(block)


def _falls_through(block: Block) -> bool:
    if any(effect.kind in ("branch", "jump") for effect in block.effects):
        return False
    if isinstance(block.end, Branch):
        return _falls_through(block.end.yes) or _falls_through(block.end.no)
    return isinstance(block.end, Returned)
