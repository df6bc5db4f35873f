"""Devices that a user adds to the board: where they go, what is asked of them, and what happens when they raise.

A board is made anew for every reset and every fork, and its devices with it. So the user gives no device but what makes
one: a class, or a function without arguments. What a device's method raises ends the run, not the machine: the access
is completed, as a read of 0 or a write without effect, and `DeviceError` leaves `Machine.run` before the next
instruction, on every engine.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from hypernest.devices.device import NEVER, BusError, Device
from hypernest.devices.direct_memory import DirectMemory
from hypernest.devices.plic import SOURCES, Plic
from hypernest.devices.tree import INTERRUPT_CONTROLLER, TreeNode
from hypernest.errors import BadConfiguration, DeviceError, OutOfRange
from hypernest.machine.custom_state import encode_custom
from hypernest.machine.device_tree import flatten

if TYPE_CHECKING:
    from hypernest.machine.board import Board

FIRST, END = 0x400_0000, 0x600_0000
"""Where devices go that are given no address: what QEMU's `virt` board calls its platform bus."""

FIRST_INTERRUPT = 32
"""From here on interrupts are given to devices that ask for none in particular; those below are the board's."""

_PAGE = 0x1000
_LOWEST = 0x1_0000  # below is the reset ROM
_SIZES = (1, 2, 4, 8)
_NODE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9,._+-]{0,30}@[0-9a-f]+")  # Devicetree Specification 0.4, section 2.2.1

MakeDevice = Callable[[], Device]
DeviceChoice = MakeDevice | tuple[MakeDevice, int] | tuple[MakeDevice, int, int]
"""What makes a device, and where wanted the address and the interrupt that it shall have."""


@dataclass(frozen=True, slots=True)
class DeviceMaker:
    """What makes a device, and the address and the interrupt it shall have, if not any free one."""

    make: MakeDevice
    address: int | None = None
    interrupt: int | None = None

    @property
    def name(self) -> str:
        """For messages."""
        return getattr(self.make, "__name__", None) or repr(self.make)


def device_makers(devices: Sequence[DeviceChoice]) -> tuple[DeviceMaker, ...]:
    """The user's choice, checked as far as it can be without a board; `BadConfiguration` if it makes no sense."""
    if not isinstance(devices, Iterable):
        raise BadConfiguration(f"{devices!r} is no list of devices: give one, as in devices=[Class]")
    makers = []
    for choice in devices:
        parts: tuple[Any, ...] = choice if isinstance(choice, tuple) else (choice,)
        if not 1 <= len(parts) <= 3 or not all(part is None or isinstance(part, int) for part in parts[1:]):
            raise BadConfiguration(
                f"{choice!r} is no device: give a class, (class, address) or (class, address, interrupt)"
            )
        maker = DeviceMaker(*parts)
        if isinstance(maker.make, Device):
            kind = type(maker.make).__name__
            raise BadConfiguration(
                f"devices are made anew for every reset and fork: give the class {kind}, or a function that makes one"
                f" (lambda: {kind}(...)), instead of one that is made already"
            )
        if not callable(maker.make):
            raise BadConfiguration(f"{maker.make!r} makes no device: give a class, or a function without arguments")
        makers.append(maker)
    return tuple(makers)


class CustomDevices:
    """The user's devices on one board, which is complete otherwise. Raises `BadConfiguration` or `DeviceError`."""

    def __init__(self, board: Board, plic: Plic, makers: Sequence[DeviceMaker]) -> None:
        self._board, self._plic = board, plic
        self._failure: DeviceError | None = None
        self._memory = DirectMemory(board.memory, self._drop_reservations)
        self.devices = tuple(self._make(maker) for maker in makers)
        """In the order in which they were given."""
        self._identities = frozenset(map(id, self.devices))
        placed = list(zip(self.devices, makers, self._interrupts(makers), strict=True))
        # Those that know their place come first, so that the others go where room is left.
        for device, maker, interrupt in sorted(placed, key=lambda each: each[1].address is None):
            self._attach(device, maker.address, interrupt)
            self._check_node(device)

    def __contains__(self, device: Device) -> bool:
        return id(device) in self._identities

    # --- making ----------------------------------------------------------------------------------------------------

    def _make(self, maker: DeviceMaker) -> Device:
        try:
            device = maker.make()
        except Exception as error:
            what = f"the device {maker.name} could not be made ({type(error).__name__}: {error})"
            raise DeviceError(f"{what}: mend that, or give a function without arguments that makes it") from error
        if not isinstance(device, Device):
            raise DeviceError(f"{maker.name} made {device!r}: let it be a subclass of hypernest.Device, or make one")
        if not hasattr(device, "read"):
            raise DeviceError(f"{maker.name} is not complete: let its constructor end with super().__init__()")
        if hasattr(device, "interrupt_line"):
            raise DeviceError(f"{maker.name} gave a device that is on a board already: let it make a new one each time")
        _check_registers(device)
        encode_custom(device)
        return device

    def _attach(self, device: Device, address: int | None, interrupt: int) -> None:
        board, name = self._board, type(device).__name__
        base = self._free_address(device.size) if address is None else address
        if base % _PAGE or base < _LOWEST or base + device.size > board.memory.base:
            raise BadConfiguration(
                f"{name} cannot be at {base:#x}: give an address in whole pages from {_LOWEST:#x} on,"
                f" with its end before RAM at {board.memory.base:#x}"
            )
        board.bus.attach(base, device, interrupt)
        device.connect(board.clock, self._plic.line(interrupt), self._memory)
        device.read, device.write = partial(self._read, device, device.read), partial(self._write, device, device.write)
        if _acts_by_itself(device):
            board.bus.follow(device, board.scheduler.reconsider_deadlines, reads=True)
            board.scheduler.timed = (*board.scheduler.timed, _Timed(self, device))

    def _check_node(self, device: Device) -> None:
        """Can the guest be told of it?"""
        try:
            node = device.tree_node(self._board.memory.base, 0)
            fits = bool(_NODE_NAME.fullmatch(node.name))
            flatten(TreeNode("", {}, [TreeNode(INTERRUPT_CONTROLLER, label=INTERRUPT_CONTROLLER), node]))
        except Exception as error:
            raise DeviceError(f"the device tree cannot tell of {type(device).__name__} ({error}): mend that") from error
        if not fits:
            raise DeviceError(f"{node.name!r} is no name in a device tree: give the class another `tree_name`")

    def _interrupts(self, makers: Sequence[DeviceMaker]) -> list[int]:
        """The number of each one's interrupt."""
        used = {attachment.interrupt for attachment in self._board.bus.attachments}
        for maker in makers:
            if maker.interrupt is not None:
                if not 1 <= maker.interrupt <= SOURCES or maker.interrupt in used:
                    message = f"{maker.name} cannot have interrupt {maker.interrupt}"
                    raise BadConfiguration(f"{message}: give a free one from 1 to {SOURCES}")
                used.add(maker.interrupt)
        free = (number for number in range(FIRST_INTERRUPT, SOURCES + 1) if number not in used)
        found = [next(free, 0) if maker.interrupt is None else maker.interrupt for maker in makers]
        if not all(found):
            raise BadConfiguration(
                f"no interrupt is left for {makers[found.index(0)].name}: give the machine fewer devices"
            )
        return found

    def _free_address(self, size: int) -> int:
        base = FIRST
        for other in self._board.bus.attachments:
            if other.base < base + size and base < other.end:
                base = -(-other.end // _PAGE) * _PAGE
        if base + size > END:
            raise BadConfiguration(f"{size} bytes of address space are not free: give the device an address")
        return base

    # --- calling ---------------------------------------------------------------------------------------------------

    def _read(self, device: Device, read: Callable[[int, int], int], offset: int, size: int) -> int:
        try:
            value = read(offset, size)
            if not isinstance(value, int) or value >> 8 * size:
                raise ValueError(f"{value!r} is no value of {size} bytes")
        except BusError:
            raise
        except OutOfRange as error:
            raise BusError(str(error)) from error
        except Exception as error:
            self.fail(device, f"when {size} bytes at offset {offset:#x} were read", error)
            return 0
        return value

    def _write(
        self, device: Device, write: Callable[[int, int, int], None], offset: int, size: int, value: int
    ) -> None:
        try:
            write(offset, size, value)
        except BusError:
            raise
        except OutOfRange as error:
            raise BusError(str(error)) from error
        except Exception as error:
            self.fail(device, f"when {value:#x} ({size} bytes) was written at offset {offset:#x}", error)

    def fail(self, device: Device, when: str, error: Exception) -> None:
        """End the run with this, after the current instruction. Of several failures the first is told."""
        if self._failure is not None:
            return
        hart = self._board.clock.running
        where = "" if hart is None else f" by hart {hart['hartid']} at pc {hart['pc']:#x}"
        what = f"the device {type(device).__name__} raised {type(error).__name__} {when}{where}"
        self._failure = DeviceError(f"{what}: {error}; mend it, or go on behind that access by running again")
        self._failure.__cause__ = error
        self._board.scheduler.call_soon(self._raise)

    def _raise(self) -> None:
        failure, self._failure = self._failure, None
        assert failure is not None
        raise failure

    def _drop_reservations(self) -> None:
        """Of load-reserved, when a device writes memory (unprivileged manual, section 13.2)."""
        for hart in self._board.harts:
            hart["reservation_valid"] = 0


class _Timed:
    """A device with a will of its own, as the run loop sees it."""

    def __init__(self, owner: CustomDevices, device: Device) -> None:
        self._owner, self._device = owner, device

    def update(self) -> None:
        try:
            self._device.update()
        except Exception as error:
            self._owner.fail(self._device, "in update", error)

    def next_deadline(self) -> int | None:
        try:
            deadline = self._device.next_deadline()
            if deadline is None or (isinstance(deadline, int) and deadline >= NEVER):
                return None
            if not isinstance(deadline, int) or deadline < 0:
                raise ValueError(f"{deadline!r} is no time")
        except Exception as error:
            self._owner.fail(self._device, "in next_deadline", error)
            return None
        return deadline


def _acts_by_itself(device: Device) -> bool:
    return any(getattr(type(device), name) is not getattr(Device, name) for name in ("update", "next_deadline"))


def _check_registers(device: Device) -> None:
    name = type(device).__name__
    if not isinstance(device.size, int) or device.size <= 0 or device.size % _PAGE:
        raise DeviceError(f"{name} has a size of {device.size!r}: give it one in whole pages of {_PAGE} bytes")
    for register in device.registers:
        stride, count = register.stride, max(register.count, 1)
        end = register.offset + stride * (count - 1) + register.width
        fits = register.offset >= 0 and end <= device.size and (count == 1 or stride >= register.width)
        aligned = register.offset % register.width == 0 and stride % register.width == 0
        if not set(register.sizes) <= set(_SIZES) or not fits or not aligned:
            raise DeviceError(
                f"the register {register.name} of {name} cannot be: give it sizes of 1, 2, 4 or 8 bytes and an offset"
                f" that is a multiple of its width, within {device.size:#x} bytes"
            )
    try:
        device.check_tables()
    except AssertionError as error:
        raise DeviceError(f"the registers of {name} cannot be: {error}") from error
