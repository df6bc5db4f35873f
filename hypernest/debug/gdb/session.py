"""One conversation with gdb: which hart is selected, what was agreed, how stops are told."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from functools import cached_property

from hypernest.debug.gdb.description import target_description
from hypernest.debug.gdb.registers import PC, GdbRegister
from hypernest.debug.gdb.target import NOWHERE, Cause, Go, GuestFile, Point, Stop, Target, TargetError
from hypernest.errors import HypernestError

SIGINT, SIGTRAP = 2, 5
_LARGEST_MEMORY_WRITE = 1 << 16
_SIGNALS = {Cause.INTERRUPTED: SIGINT}
_WATCHES = {Point.WRITE: "watch", Point.READ: "rwatch", Point.ACCESS: "awatch"}
_BREAKS = {Point.SOFTWARE: "swbreak", Point.HARDWARE: "hwbreak"}
_EXPEDITED = (PC, 2, 8)  # what gdb asks for after every stop: pc, sp, fp


class Departure(Enum):
    """How a conversation ended."""

    DETACHED = "gdb let the machine go on"
    KILLED = "gdb switched the machine off"
    ENDED = "the machine stopped for good while nobody was connected"


class Session:
    """Answers gdb's requests with what `target` says; knows no sockets.

    `registers` are the target's by number. `poll` is asked while the machine runs whether it must stop; `say` shows the
    user a text while it does.
    """

    def __init__(
        self,
        target: Target,
        registers: dict[int, GdbRegister],
        poll: Callable[[], bool] = lambda: False,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.target, self.registers = target, registers
        self.poll, self.say = poll, say
        self.description = target_description(registers.values()).encode()
        self.packets = 0
        """How many have been answered."""
        self.departure: Departure | None = None
        self.acknowledges = True
        """Does each side acknowledge packets? Until gdb asks for the end of that."""
        self.features: frozenset[str] = frozenset()
        """What gdb says it can take."""
        self.selected = target.current
        """The hart of register and memory accesses."""
        self.stepped: int | None = None
        """The hart that steps concern, if gdb has chosen one."""
        self.last_stop = Stop(Cause.STEPPED, target.current)

    @cached_property
    def program(self) -> GuestFile | None:
        """What runs, for a gdb that was started without a file. Found when it is asked for: that takes a while."""
        return self.target.program()

    # --- harts as threads: numbered from 1 -------------------------------------------------------------------------

    def hart_of(self, thread: int) -> int | None:
        """The hart with a thread number of gdb's; None for all (-1) and any (0)."""
        if thread in (-1, 0):
            return None
        if not 0 < thread <= self.target.harts:
            raise TargetError(f"there is no thread {thread}")
        return thread - 1

    @property
    def chosen(self) -> int:
        """The hart that a step concerns which names none."""
        return self.selected if self.stepped is None else self.stepped

    # --- running ---------------------------------------------------------------------------------------------------

    def resume(self, go: Go, hart: int | None = None, within: range = NOWHERE) -> bytes:
        """Let the machine run, and tell why it stopped. See `Target.resume`."""
        target = self.target
        if target.ended is not None and go in (Go.STEP, Go.CONTINUE):
            self.departure = Departure.DETACHED
            return b"W%02x" % target.ended
        if hart is None:
            hart = self.chosen
        try:
            self.last_stop = target.resume(go, hart, self.poll, within)
        except HypernestError as error:
            self.last_stop = Stop(Cause.TROUBLE, target.current, message=f"hypernest: {error}")
        self.selected = self.last_stop.hart  # gdb takes that for granted
        if self.last_stop.message:
            self.say(f"{self.last_stop.message}\n")
        return self.stop_reply()

    def stop_reply(self) -> bytes:
        """The last stop, as gdb is told of it (its manual, section E.3)."""
        stop = self.last_stop
        fields = [f"T{_SIGNALS.get(stop.cause, SIGTRAP):02x}", *self._reason(stop), f"thread:{stop.hart + 1:x};"]
        for number in _EXPEDITED:
            value = self.target.read_register(stop.hart, self.registers[number])
            fields += [] if value is None else [f"{number:x}:{value.to_bytes(8, 'little').hex()};"]
        return "".join(fields).encode()

    def _reason(self, stop: Stop) -> list[str]:
        match stop.cause:
            case Cause.HISTORY_BEGIN:
                return ["replaylog:begin;"]
            case Cause.HISTORY_END:
                return ["replaylog:end;"]
            case Cause.WATCHPOINT if stop.point in _WATCHES:
                return [f"{_WATCHES[stop.point]}:{stop.address:x};"]
            case Cause.BREAKPOINT if stop.point in _BREAKS and _BREAKS[stop.point] in self.features:
                return [f"{_BREAKS[stop.point]}:;"]
        return []
