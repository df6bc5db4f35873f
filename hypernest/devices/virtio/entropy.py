"""The virtio entropy device (Virtio 1.2, section 5.4), fed by a seeded generator so that runs repeat to the bit."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from hypernest.devices.virtio.device import VirtioDevice
from hypernest.devices.virtio.queue import Queue

_LARGEST_ANSWER = 1 << 16  # A driver that gets less than it asked for asks again; this bounds one request.
_COUNTS = (1 << 64) - 1  # what a state can hold


@dataclass(slots=True)
class SeededGenerator:
    """Random bytes that follow from `seed` alone: BLAKE2b of the seed and a counter."""

    seed: bytes
    counter: int = 0

    def randbytes(self, count: int) -> bytes:
        """The next `count` bytes; what is left of the last block is thrown away."""
        blocks = []
        for _ in range(-(-count // hashlib.blake2b.MAX_DIGEST_SIZE)):
            blocks.append(hashlib.blake2b(self.seed + self.counter.to_bytes(16, "little")).digest())
            self.counter = self.counter + 1 & _COUNTS
        return b"".join(blocks)[:count]


@dataclass(slots=True)
class EntropyState:
    """Where the generator stands."""

    source: SeededGenerator


class VirtioEntropy(VirtioDevice):
    """Fills the driver's buffers with random bytes from `source`."""

    device_id = 4
    queue_sizes = (64,)

    state: EntropyState

    def __init__(self, source: SeededGenerator) -> None:
        self.state = EntropyState(source)

    def serve(self, index: int, queue: Queue) -> None:
        for chain in queue:
            count = min(chain.writable_size, _LARGEST_ANSWER)
            queue.put(chain, chain.write(0, self.state.source.randbytes(count)))
