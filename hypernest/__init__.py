"""hypernest: a virtual machine monitor that people program in Python.

The names in `__all__` are the public ones. They are loaded when they are first used, so that importing stays fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from hypernest.errors import DeviceError, HypernestError

if TYPE_CHECKING:
    from hypernest.devices import Access, Device, Register
    from hypernest.machine import Machine, Statistics, StopKind, StopReason

__version__ = "0.1.0"
__all__ = [
    "Access",
    "Device",
    "DeviceError",
    "HypernestError",
    "Machine",
    "Register",
    "Statistics",
    "StopKind",
    "StopReason",
    "__version__",
]
_OF_DEVICES = {"Access", "Device", "Register"}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("hypernest.devices" if name in _OF_DEVICES else "hypernest.machine"), name)
