"""The devices of the board: each a register table, a behaviour and a state, knowing nothing of harts or kernels."""

from __future__ import annotations

from hypernest.devices.bus import Attachment, Bus
from hypernest.devices.clint import Clint
from hypernest.devices.device import Access, BusError, Clock, Device, InterruptLine, Register, Wire
from hypernest.devices.finisher import Finish, FinishKind, TestFinisher
from hypernest.devices.plic import Plic
from hypernest.devices.rtc import GoldfishRtc
from hypernest.devices.uart import Uart

__all__ = [
    "Access",
    "Attachment",
    "Bus",
    "BusError",
    "Clint",
    "Clock",
    "Device",
    "Finish",
    "FinishKind",
    "GoldfishRtc",
    "InterruptLine",
    "Plic",
    "Register",
    "TestFinisher",
    "Uart",
    "Wire",
]
