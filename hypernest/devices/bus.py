"""The bus: which device answers at which guest-physical address."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from hypernest.devices.device import BusError, Device
from hypernest.errors import BadConfiguration


@dataclass(frozen=True, slots=True)
class Attachment:
    """A device, the address of its first register, and the number of its interrupt if it has one."""

    base: int
    device: Device
    interrupt: int | None = None

    @property
    def end(self) -> int:
        return self.base + self.device.size


class Bus:
    """Routes accesses by address. Called for every MMIO access of the guest, so the path is short."""

    def __init__(self) -> None:
        self._bases: list[int] = []
        self._attachments: list[Attachment] = []

    @property
    def attachments(self) -> Sequence[Attachment]:
        """What is on the bus, by rising address."""
        return tuple(self._attachments)

    def attach(self, base: int, device: Device, interrupt: int | None = None) -> None:
        """Let `device` answer at `base` and up; `interrupt` is the number the device tree tells the guest.

        Raises `BadConfiguration` when it would overlap a device that is already there.
        """
        new = Attachment(base, device, interrupt)
        for old in self._attachments:
            if new.base < old.end and old.base < new.end:
                raise BadConfiguration(
                    f"{type(device).__name__} at {base:#x} overlaps {type(old.device).__name__} at {old.base:#x}:"
                    f" place it outside {old.base:#x} to {old.end:#x}"
                )
        index = bisect_right(self._bases, base)
        self._bases.insert(index, base)
        self._attachments.insert(index, new)

    def read(self, address: int, size: int) -> int:
        """What the guest reads at `address`; raises `BusError` when nothing answers there."""
        index = bisect_right(self._bases, address) - 1
        if index < 0:
            raise BusError(f"no device at {address:#x}")
        # An address behind the device's end is in no table, so the device itself refuses it.
        return self._attachments[index].device.read(address - self._bases[index], size)

    def write(self, address: int, size: int, value: int) -> None:
        """Write the low `size` bytes of `value` at `address`; raises `BusError` when nothing answers there."""
        index = bisect_right(self._bases, address) - 1
        if index < 0:
            raise BusError(f"no device at {address:#x}")
        self._attachments[index].device.write(address - self._bases[index], size, value)
