"""The memory-mapped transport of virtio, version 2 (Virtio 1.2, section 4.2).

All work happens inside the guest's write that asks for it, so that a run repeats to the bit.
"""

from __future__ import annotations

from dataclasses import dataclass

from hypernest.devices.device import Access, Device, InterruptLine, Register, StateOwner
from hypernest.devices.virtio.device import VERSION_1, VirtioDevice
from hypernest.devices.virtio.queue import EVENT_IDX, INDIRECT_DESC, Queue, QueueError, QueueState
from hypernest.errors import OutOfRange
from hypernest.memory import GuestMemory

_MAGIC = int.from_bytes(b"virt", "little")
_VENDOR = int.from_bytes(b"QEMU", "little")  # Small kernels (xv6) refuse any other.
_CONFIGURATION = 0x100
_DRIVER_OK, _FEATURES_OK, _NEEDS_RESET = 0x04, 0x08, 0x40
_USED_BUFFER, _CONFIGURATION_CHANGE = 1, 2
_LOW = 0xFFFF_FFFF


@dataclass(slots=True)
class MmioState:
    """The registers of the same names, and the queues."""

    queues: list[QueueState]
    device_features_select: int = 0
    driver_features_select: int = 0
    driver_features: int = 0
    queue_select: int = 0
    interrupt_status: int = 0
    status: int = 0
    configuration_generation: int = 0


def _area(offset: int, name: str) -> tuple[Register, Register]:
    """The two write-only registers that hold the address of one part of the selected queue."""
    return (
        Register(offset, f"{name}_low", (4,), Access.WRITE, f"address of the queue's {name}, low half"),
        Register(offset + 4, f"{name}_high", (4,), Access.WRITE, f"address of the queue's {name}, high half"),
    )


_READ, _WRITE = Access.READ, Access.WRITE
_REGISTERS = (
    Register(0x000, "magic_value", (4,), _READ, '"virt"', reset=_MAGIC),
    Register(0x004, "version", (4,), _READ, "2: not the legacy interface", reset=2),
    Register(0x008, "device_id", (4,), _READ, "kind of device, 0 if the slot is empty"),
    Register(0x00C, "vendor_id", (4,), _READ, "as on QEMU", reset=_VENDOR),
    Register(0x010, "device_features", (4,), _READ, "the selected half of what the device offers"),
    Register(0x014, "device_features_select", (4,), _WRITE, "which half, 0 or 1"),
    Register(0x020, "driver_features", (4,), _WRITE, "the selected half of what the driver accepts"),
    Register(0x024, "driver_features_select", (4,), _WRITE, "which half, 0 or 1"),
    Register(0x030, "queue_select", (4,), _WRITE, "the queue that the registers below are about"),
    Register(0x034, "queue_size_max", (4,), _READ, "largest size of the queue, 0 if there is none"),
    Register(0x038, "queue_size", (4,), _WRITE, "size that the driver uses"),
    Register(0x044, "queue_ready", (4,), Access.READ_WRITE, "1 while the device may use the queue"),
    Register(0x050, "queue_notify", (4,), _WRITE, "number of a queue with new requests"),
    Register(0x060, "interrupt_status", (4,), _READ, "bit 0: used buffers; bit 1: configuration change"),
    Register(0x064, "interrupt_acknowledge", (4,), _WRITE, "bits of interrupt_status to clear"),
    Register(0x070, "status", (4,), Access.READ_WRITE, "device status; writing 0 resets the device"),
    *_area(0x080, "descriptor_area"),
    *_area(0x090, "driver_area"),
    *_area(0x0A0, "device_area"),
    Register(0x0AC, "shared_memory_select", (4,), _WRITE, "there is no shared memory"),
    Register(0x0B0, "shared_memory", (4,), _READ, "length and base: none", reset=_LOW, count=4, stride=4),
    Register(0x0FC, "configuration_generation", (4,), _READ, "changes with the configuration space"),
)


class VirtioMmio(Device):
    """A slot on the bus, with `backend` plugged in; with None it is empty and says so by device ID 0.

    A queue that breaks the rules stops the device until the driver resets it: DEVICE_NEEDS_RESET is set and a
    configuration change is signalled (section 2.1.2).
    """

    registers = _REGISTERS
    tree_name = "virtio_mmio"
    compatible = ("virtio,mmio",)

    state: MmioState

    def __init__(self, backend: VirtioDevice | None, memory: GuestMemory, line: InterruptLine) -> None:
        self.backend = backend
        self._memory = memory
        self._line = line
        self.state = MmioState([])
        self._offered = 0
        super().__init__()
        if backend is not None:
            backend.transport = self
            self.state.queues = [QueueState() for _ in backend.queue_sizes]
            self._offered = backend.features | VERSION_1 | INDIRECT_DESC | EVENT_IDX
            self._file.add(backend, backend.configuration, at=_CONFIGURATION)

    @property
    def features(self) -> int:
        """The feature bits that device and driver have agreed on."""
        return self.state.driver_features & self._offered

    def state_owners(self) -> tuple[StateOwner, ...]:
        return (self,) if self.backend is None else (self, self.backend)

    def update(self) -> None:
        self._line.set(bool(self.state.interrupt_status))

    def _interrupt(self, bit: int) -> None:
        self.state.interrupt_status |= bit
        self.update()

    def process(self, index: int) -> None:
        """Serve queue `index` if the driver is up, the queue is ready and the device is not broken."""
        state = self.state
        if self.backend is None or index >= len(state.queues) or not state.queues[index].ready:
            return
        if not state.status & _DRIVER_OK or state.status & _NEEDS_RESET:
            return
        queue = Queue(self._memory, state.queues[index], self.features)
        try:
            self.backend.serve(index, queue)
            if queue.wants_interrupt():
                self._interrupt(_USED_BUFFER)
        except (QueueError, OutOfRange):
            self._break()

    def _break(self) -> None:
        self.state.status |= _NEEDS_RESET
        self._interrupt(_CONFIGURATION_CHANGE)

    def configuration_changed(self) -> None:
        """Note the change; the driver is told once it is up."""
        self.state.configuration_generation = self.state.configuration_generation + 1 & _LOW
        if self.state.status & _DRIVER_OK:
            self._interrupt(_CONFIGURATION_CHANGE)

    def _queue(self) -> QueueState | None:
        """The queue that the driver has selected, if there is one with that number."""
        queues = self.state.queues
        return queues[self.state.queue_select] if self.state.queue_select < len(queues) else None

    def _reset(self) -> None:
        """Back to what the device is at start, except that the generation goes on and so does the back end."""
        generation = self.state.configuration_generation
        queues = [QueueState() for _ in self.state.queues]
        self.state = MmioState(queues, configuration_generation=generation)
        if self.backend is not None:
            self.backend.reset()
        self.update()

    def read_device_id(self) -> int:
        return 0 if self.backend is None else self.backend.device_id

    def read_device_features(self) -> int:
        select = self.state.device_features_select
        return self._offered >> 32 * select & _LOW if select < 2 else 0

    def write_driver_features(self, value: int) -> None:
        state = self.state
        if state.driver_features_select < 2 and not state.status & _FEATURES_OK:
            shift = 32 * state.driver_features_select
            state.driver_features = state.driver_features & ~(_LOW << shift) | value << shift

    def read_queue_size_max(self) -> int:
        if self.backend is None or self._queue() is None:
            return 0
        return self.backend.queue_sizes[self.state.queue_select]

    def write_queue_size(self, value: int) -> None:
        queue = self._queue()
        if queue is not None and not queue.ready:
            queue.size = value

    def read_queue_ready(self) -> int:
        queue = self._queue()
        return queue.ready if queue is not None else 0

    def write_queue_ready(self, value: int) -> None:
        queue = self._queue()
        if queue is None:
            return
        if not value & 1:
            queue.ready = 0
            return
        if queue.ready:
            return
        try:
            if queue.size > self.read_queue_size_max():
                raise QueueError(f"queue size {queue.size} is above the maximum")
            Queue(self._memory, queue, self.features).validate()
        except QueueError:
            self._break()
            return
        queue.ready = 1
        queue.next_available = queue.next_used = queue.signalled = 0

    def write_queue_notify(self, value: int) -> None:
        self.process(value)

    def write_interrupt_acknowledge(self, value: int) -> None:
        self.state.interrupt_status &= ~value
        self.update()

    def write_status(self, value: int) -> None:
        state = self.state
        value &= 0xFF
        if not value:
            self._reset()
            return
        if state.driver_features & ~self._offered:
            value &= ~_FEATURES_OK
        started = value & ~state.status & _DRIVER_OK
        state.status = value | state.status & _NEEDS_RESET
        if started:
            for index in range(len(state.queues)):
                self.process(index)

    def _set_address(self, area: str, shift: int, value: int) -> None:
        queue = self._queue()
        if queue is not None and not queue.ready:
            address = getattr(queue, area) & ~(_LOW << shift) | value << shift
            setattr(queue, area, address)

    def write_descriptor_area_low(self, value: int) -> None:
        self._set_address("descriptor_area", 0, value)

    def write_descriptor_area_high(self, value: int) -> None:
        self._set_address("descriptor_area", 32, value)

    def write_driver_area_low(self, value: int) -> None:
        self._set_address("driver_area", 0, value)

    def write_driver_area_high(self, value: int) -> None:
        self._set_address("driver_area", 32, value)

    def write_device_area_low(self, value: int) -> None:
        self._set_address("device_area", 0, value)

    def write_device_area_high(self, value: int) -> None:
        self._set_address("device_area", 32, value)

    def write_shared_memory_select(self, value: int) -> None:
        pass
