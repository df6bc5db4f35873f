"""The coverage that is collected on a machine: what code is meant, and when its engine is told of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypernest.machine.coverage import Coverage, Module, known_code
from hypernest.machine.hooks.events import BadHook

if TYPE_CHECKING:
    from hypernest.machine.board import Board
    from hypernest.machine.machine import Machine

_ADDRESSES = 1 << 64
_MOST_COVERED = 256 << 20  # bytes of code in one coverage


class Coverages:
    """All that are attached to `machine`; they stay when it is reset."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._board: Board | None = None
        self._attached: list[Coverage] = []
        self._told_soon = False

    def attach(self, where: tuple[tuple[int, int] | str | Module, ...]) -> Coverage:
        """See `Hooks.coverage`."""
        modules = [self._module(each) for each in where] or known_code(self._machine.symbols.tables)
        if not modules or sum(each.end - each.start for each in modules) > _MOST_COVERED:
            raise BadHook("there is no code to cover, or more than 256 MiB: give (start, end) of what you mean")
        made = Coverage(modules, self._changed, self._detach)
        self._attached.append(made)
        self._changed(made)
        return made

    def install(self, board: Board) -> None:
        """The machine has a new board."""
        self._board, self._told_soon = board, False
        for each in self._attached:
            self._changed(each)

    def _module(self, where: tuple[int, int] | str | Module) -> Module:
        if isinstance(where, str):
            start = self._machine.symbols[where]
            end = max((each.end for each in self._machine.symbols if each.start == start), default=start)
            where = Module(where, start, end)
        named = where if isinstance(where, Module) else Module(f"{where[0]:#x}", *where)
        start, end = named.start & ~1, named.end + 1 & ~1
        if not 0 <= start < end <= _ADDRESSES or named.start >= named.end:
            raise BadHook(f"there is no code from {named.start:#x} to {named.end:#x}: give a start and a later end")
        return Module(named.name, start, end)

    def _changed(self, coverage: Coverage) -> None:
        if not self._told_soon and self._board is not None and coverage in self._attached:
            self._told_soon = True
            self._board.scheduler.call_soon(self._tell)

    def _detach(self, coverage: Coverage) -> None:
        self._changed(coverage)
        if coverage in self._attached:
            self._attached.remove(coverage)

    def _tell(self) -> None:
        self._told_soon = False
        assert self._board is not None
        self._board.engine.cover([each for coverage in self._attached for each in coverage.maps])
