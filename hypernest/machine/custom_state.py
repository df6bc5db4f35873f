"""The states of devices that a user adds: what they may be made of, and the way to bytes and back.

The board's own devices have states of a fixed shape, without negative numbers; what a user writes has more freedom, and
is checked whenever it is kept, so that whatever was kept can be put back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, TypeVar

import msgspec

from hypernest.devices.device import Device
from hypernest.errors import DeviceError
from hypernest.machine.state import BadState, encode_state

StateType = TypeVar("StateType")

_PLAIN = (bool, int, float, str, bytes, bytearray, Enum, type(None))
_ADVICE = "let it be a data class of numbers, bytes, strings, lists and data classes of these, annotated as such"


def encode_custom(device: Device) -> list[bytes]:
    """The states of a user's device; `DeviceError` if they could not be put back."""
    name = type(device).__name__
    encoded = []
    for owner in device.state_owners():
        state = owner.state
        problem = _not_plain(state)
        if problem:
            raise DeviceError(f"the state of {name} {problem}: {_ADVICE}")
        try:
            data = encode_state(state)
            decode_custom(data, state)
        except (BadState, TypeError, ValueError, OverflowError, NameError, RecursionError) as error:
            raise DeviceError(f"the state of {name} cannot be kept ({error}): {_ADVICE}") from error
        encoded.append(data)
    return encoded


def decode_custom(data: bytes, present: StateType) -> StateType:
    """The reverse, for a device that has the state `present`. Raises `BadState`."""
    kind = type(present)
    try:
        state = msgspec.msgpack.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadState(f"this is no {kind.__name__} ({error}): it is damaged or of another device") from None
    if encode_state(state) != data:
        raise BadState(f"this is no {kind.__name__}, which would be something else: it is damaged or of another device")
    return state


def _not_plain(state: Any) -> str:
    """What is wrong with a state, or nothing."""
    if not is_dataclass(state) or isinstance(state, type):
        return f"is {state!r}"
    for path, value in _leaves(state, ""):
        if not isinstance(value, _PLAIN):
            return f"has a {type(value).__name__} in {path}"
    return ""


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if is_dataclass(value) and not isinstance(value, type):
        for each in fields(value):
            yield from _leaves(getattr(value, each.name), f"{path}.{each.name}" if path else each.name)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _leaves(each, path)
    else:
        yield path, value
