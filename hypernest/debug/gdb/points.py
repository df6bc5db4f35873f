"""gdb's break- and watchpoints on a machine: each is a hook, and the guest's code is never patched."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from hypernest.debug.gdb.target import Cause, Point, Stop, TargetError

if TYPE_CHECKING:
    from hypernest.machine.hooks import Hook, HookEvent
    from hypernest.machine.machine import Machine

_MOST = 4096
_LARGEST_WATCH = 1 << 30
_BREAKPOINTS = (Point.SOFTWARE, Point.HARDWARE)


class Hit(NamedTuple):
    """A break- or watchpoint that a hart has come to, before the instruction."""

    point: Point
    address: int
    """As gdb gave it."""
    hart: int

    @property
    def is_watched(self) -> bool:
        """Is it about memory that the instruction accesses?"""
        return self.point not in _BREAKPOINTS

    def stop(self) -> Stop:
        """What gdb is told."""
        return Stop(Cause.WATCHPOINT if self.is_watched else Cause.BREAKPOINT, self.hart, self.point, self.address)


class Points:
    """The points that are set; `hits` are those that have stopped the machine."""

    def __init__(self, machine: Machine) -> None:
        self.hits: list[Hit] = []
        self._machine = machine
        self._hooks: dict[tuple[Point, int, int], Hook] = {}

    def insert(self, point: Point, address: int, length: int) -> None:
        """See `Target`."""
        key = (point, address, length)
        if key in self._hooks:
            return
        if len(self._hooks) >= _MOST:
            raise TargetError(f"there are {_MOST} break- and watchpoints already")
        if address + length > 1 << 64 or length > _LARGEST_WATCH or (point not in _BREAKPOINTS and not length):
            raise TargetError(f"{length} bytes at {address:#x} cannot be watched")
        hooks, callback = self._machine.hooks, partial(self._note, point, address)
        match point:
            case Point.SOFTWARE | Point.HARDWARE:
                self._hooks[key] = hooks.execute(address, callback)
            case Point.WRITE:
                self._hooks[key] = hooks.write(address, length, callback)
            case Point.READ:
                self._hooks[key] = hooks.read(address, length, callback)
            case Point.ACCESS:
                self._hooks[key] = hooks.access(address, length, callback)

    def remove(self, point: Point, address: int, length: int) -> None:
        """See `Target`."""
        hook = self._hooks.pop((point, address, length), None)
        if hook is not None:
            hook.detach()

    def remove_all(self) -> None:
        """See `Target`."""
        for key in list(self._hooks):
            self.remove(*key)

    def _note(self, point: Point, address: int, event: HookEvent) -> None:
        self.hits.append(Hit(point, address, event.hart.number))
        event.stop()

    @property
    def breakpoints(self) -> set[int]:
        """Addresses of instructions."""
        return {address for point, address, _ in self._hooks if point in _BREAKPOINTS}

    def go_back(self) -> list[Hit]:
        """Take the machine back to before the last instruction with a point; to the beginning if there is none."""
        if not self._hooks:
            self._machine.goto(self._machine.history.beginning)
            return []
        keys = {hook: key for key, hook in self._hooks.items()}
        self._machine.reverse_run(keys)
        return [Hit(*keys[hook][:2], number) for hook, number in self._machine.history.found]
