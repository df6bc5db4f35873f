"""What the functions of an ISA do, as trees: each traced once for all instructions of a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypernest.isa.csr import Csr
from hypernest.isa.hart import Pure, Register, Routine
from hypernest.isa.isa import Isa
from hypernest.isa.layout import ENGINE_REGISTERS
from hypernest.isa.trace import Block, Tracer
from hypernest.isa.word import Word


class Trees:
    """The traced trees of an ISA's functions, each traced once."""

    def __init__(self, isa: Isa) -> None:
        self.isa = isa
        self.registers: dict[str, Register] = {each.name: each for each in (*isa.registers, *ENGINE_REGISTERS)}
        self._rows: dict[int, Block] = {}
        self._routines: dict[int, tuple[Block, tuple[Word, ...]]] = {}
        self._kept: list[object] = []  # what is remembered by identity

    def row(self, name: str) -> Block:
        """The tree of an instruction."""
        semantics = self.isa.rows[name].semantics
        if id(semantics) not in self._rows:
            self._rows[id(semantics)] = Tracer(self.registers).semantics(semantics)
        return self._rows[id(semantics)]

    def routine(self, called: Routine | Pure) -> tuple[Block, tuple[Word, ...]]:
        """(tree, parameters) of a routine or a pure function."""
        if id(called) not in self._routines:
            tracer = Tracer(self.registers)
            traced = tracer.routine(called) if isinstance(called, Routine) else tracer.pure(called)
            self._routines[id(called)] = traced
            self._kept.append(called)
        return self._routines[id(called)]

    def csr_read(self, csr: Csr) -> tuple[Block, tuple[Word, ...]]:
        """The tree of reading a CSR."""
        return self._access(csr.read, (), (64,))

    def csr_write(self, csr: Csr) -> tuple[Block, tuple[Word, ...]]:
        """The tree of writing a CSR that can be written."""
        assert csr.write is not None
        return self._access(csr.write, (64,), ())

    def _access(
        self, function: Callable[..., Any], arguments: tuple[int, ...], results: tuple[int, ...]
    ) -> tuple[Block, tuple[Word, ...]]:
        if id(function) not in self._routines:
            self._routines[id(function)] = Tracer(self.registers).routine(Routine(function, arguments, results))
            self._kept.append(function)
        return self._routines[id(function)]
