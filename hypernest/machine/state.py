"""The state of a machine as data: what a snapshot keeps besides memory and disks.

Everything is a data class of plain values, so that one encoder (MessagePack) writes it and one typed decoder reads it
back. What is not here is no state: decoded code, translations and statistics can be thrown away at any time, and
`Board.restore` puts a machine into exactly the state that it was captured in, on any engine.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass, replace
from hashlib import blake2b
from typing import Any, TypeVar

import msgspec

from hypernest.errors import HypernestError

StateType = TypeVar("StateType")


class BadState(HypernestError):
    """A state that this machine cannot take: damaged, made by another version, or of another kind of machine."""


@dataclass(frozen=True, slots=True)
class SchedulerState:
    """Whose turn it is, since which step and until when, and what each hart is doing (`scheduler.Activity`).

    Times are in nanoseconds. At a time that is `attended`, nothing that comes from outside can strike any more.
    """

    steps: int
    time: int
    idle_time: int
    current: int
    turn_end: int
    activities: list[int]
    timers: list[int]
    next_check: int
    retired_at_check: int
    turn_start: int
    attended: bool = False


@dataclass(frozen=True, slots=True)
class ConsoleState:
    """Which console takes input, the input that none has taken, the output that the host has not read, and the window.

    The window's size in columns and rows, if it is known, is what a board learns when it is switched on.
    """

    receiver: str
    settled: bool
    incoming: bytes
    unread: bytes
    size: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class BoardState:
    """Harts as their words in layout order, devices by their address, and the SBI's suspended harts."""

    harts: list[bytes]
    devices: dict[int, list[bytes]]
    scheduler: SchedulerState
    console: ConsoleState
    suspended: dict[int, int] = field(default_factory=dict)


def encode_state(state: Any) -> bytes:
    """A state, any data class of plain values, as bytes; equal states give equal bytes."""
    return msgspec.msgpack.encode(state)


def state_digest(state: BoardState, size: int = 16) -> bytes:
    """BLAKE2b of what a machine's course depends on, memory and disks apart; the same however its runs were cut."""
    console, scheduler = replace(state.console, unread=b""), replace(state.scheduler, attended=False)
    return blake2b(encode_state(replace(state, console=console, scheduler=scheduler)), digest_size=size).digest()


def decode_state(data: bytes, kind: type[StateType]) -> StateType:
    """The reverse. Raises `BadState` if `data` is no `kind`, or has a negative number, which no state has."""
    try:
        state = msgspec.msgpack.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        what = f"this is no {kind.__name__} ({error})"
        raise BadState(f"{what}: it is damaged or of another version") from None
    _refuse_negative(state)
    return state


def decode_like(data: bytes, present: StateType) -> StateType:
    """The same for the state of a device that has one at present: its lists must be as long as those are."""
    if data == encode_state(present):
        return present
    state = decode_state(data, type(present))
    _refuse_other_shape(state, present)
    return state


def _refuse_negative(value: Any) -> None:
    if isinstance(value, int) and value < 0:
        raise BadState("a negative number is in the state: it is damaged")
    for part in _parts(value):
        _refuse_negative(part)


def _refuse_other_shape(state: Any, present: Any) -> None:
    mine, theirs = _parts(present), _parts(state)
    if len(mine) != len(theirs) or (isinstance(state, list) and len(state) != len(present)):
        raise BadState("the state is that of another kind of machine: give it as many harts and devices as it has")
    for one, other in zip(mine, theirs, strict=True):
        _refuse_other_shape(other, one)


def _parts(value: Any) -> list[Any]:
    """What a value consists of; a list of numbers, which may be long, is told by its length and its least one."""
    if is_dataclass(value):
        return [getattr(value, each.name) for each in fields(value)]
    if not isinstance(value, list):
        return []
    numbers = all(type(each) is int for each in value)
    return value if not numbers or not value else [len(value), min(value)]
