"""What every virtio device has in common, whatever carries it: features, queues, configuration space."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

from hypernest.devices.device import Register
from hypernest.devices.virtio.queue import Queue

VERSION_1 = 1 << 32
"""Feature bit: the device follows the specification from version 1 on."""


class Transport(Protocol):
    """What carries a virtio device, as the device sees it."""

    @property
    def features(self) -> int:
        """The feature bits that the driver has accepted."""

    def process(self, index: int) -> None:
        """Have the device serve queue `index`, if the driver has it ready; a broken queue is dealt with there."""

    def configuration_changed(self) -> None:
        """Tell the driver to read the configuration space again."""


class VirtioDevice:
    """Base of the virtio devices. The rows of `configuration` count offsets from the start of that space."""

    device_id: ClassVar[int]
    queue_sizes: ClassVar[tuple[int, ...]]
    """The largest size, a power of two, that the driver may give to each queue."""

    configuration: ClassVar[tuple[Register, ...]] = ()
    features: int = 0
    """Feature bits of this kind of device; those of queues and transport come on top."""

    state: Any
    transport: Transport
    """Set by the transport when the device is plugged into it."""

    def serve(self, index: int, queue: Queue) -> None:
        """Serve the requests in queue `index`; raises `QueueError` for one that cannot even be answered."""
        raise NotImplementedError

    def reset(self) -> None:
        """The driver has reset the device."""
