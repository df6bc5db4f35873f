"""System calls that have been made and have not returned, for hooks that want to know their results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hypernest.isa.riscv.state import Privilege
from hypernest.machine.hooks.hook import SyscallHook

if TYPE_CHECKING:
    from hypernest.engines.hart_state import HartState

_ECALL_BYTES = 4
_SP, _TP = 2, 4
_ASID = 0xFFFF << 44  # of satp: an address space keeps its tables, but not this number
_MOST_CALLS = 4096  # that may be without a return at a time


@dataclass(frozen=True, slots=True)
class Call:
    """A system call that has not returned: who made it, and who wants to know the result."""

    number: int
    arguments: tuple[int, ...]
    hooks: tuple[SyscallHook, ...]


class SystemCalls:
    """Calls by where they return to: the address, the address space, and which thread (stack and thread pointer)."""

    def __init__(self) -> None:
        self.places: frozenset[int] = frozenset()
        """Where calls have returned to; stays watched, as most calls are made at a few places."""
        self._calls: dict[tuple[int, ...], Call] = {}

    def begin(self, hart: HartState, call: Call) -> bool:
        """A call is made; is its place new?"""
        place = hart["pc"] + _ECALL_BYTES
        key = self._key(hart, place)
        self._calls.pop(key, None)
        self._calls[key] = call
        if len(self._calls) > _MOST_CALLS:  # many never return: exit, execve, rt_sigreturn
            del self._calls[next(iter(self._calls))]
        if place in self.places:
            return False
        self.places |= {place}
        return True

    def end(self, hart: HartState) -> Call | None:
        """Is this where a call returns to?"""
        return self._calls.pop(self._key(hart, hart["pc"]), None) if hart["priv"] == Privilege.USER else None

    def forget(self) -> None:
        self.places = frozenset()
        self._calls.clear()

    @staticmethod
    def _key(hart: HartState, place: int) -> tuple[int, ...]:
        return place, hart["satp"] & ~_ASID, hart["x", _SP], hart["x", _TP]
