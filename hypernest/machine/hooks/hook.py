"""A hook: a callback, what an engine must watch for it, and whether it is called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypernest.engines.watched import Watched
from hypernest.isa.riscv.traps import Cause
from hypernest.machine.hooks.events import Callback, HookEvent

if TYPE_CHECKING:
    from hypernest.machine.hooks.hooks import Hooks


class Hook:
    """An attached hook."""

    def __init__(self, owner: Hooks, watched: Watched, callback: Callback, about: str) -> None:
        self._owner, self._callback, self._about = owner, callback, about
        self.watched = watched
        """What it needs an engine to watch."""
        self.hits = 0
        """How often the callback was called."""
        self._enabled = self._attached = True

    @property
    def enabled(self) -> bool:
        """Is the callback called? May be set; a hook that is not enabled costs nothing."""
        return self._enabled

    @enabled.setter
    def enabled(self, value: bool) -> None:
        self._enabled = value
        self._owner.changed()

    @property
    def active(self) -> bool:
        """Attached and enabled."""
        return self._enabled and self._attached

    def detach(self) -> None:
        """Never call the callback again. Harmless when repeated."""
        self._attached = False
        self._owner.remove(self)

    def call(self, event: HookEvent) -> None:
        """Count and call, if active."""
        if self.active:
            self.hits += 1
            self._callback(event)

    def __enter__(self) -> Hook:
        return self

    def __exit__(self, *_: object) -> None:
        self.detach()

    def __repr__(self) -> str:
        state = "" if self.active else ", disabled" if self._attached else ", detached"
        return f"<hook on {self._about}, {self.hits} hits{state}>"


class SyscallHook(Hook):
    """A hook on system calls: the number that it wants (None: all), and what it calls when they return."""

    def __init__(
        self, owner: Hooks, number: int | None, callback: Callback | None, on_return: Callback | None, about: str
    ) -> None:
        watched = Watched(traps=frozenset({int(Cause.USER_ECALL)}))
        super().__init__(owner, watched, callback or (lambda event: None), about)
        self.number, self.on_return = number, on_return

    def wants(self, number: int) -> bool:
        """Is it about the system call with this number?"""
        return self.active and self.number in (None, number)

    def returned(self, event: HookEvent) -> None:
        """Tell of the result, if active."""
        if self.active and self.on_return is not None:
            self.on_return(event)
