"""Virtio devices (Virtual I/O Device specification 1.2): transport, queues, and one file for each device."""

from __future__ import annotations

from hypernest.devices.virtio.block import VirtioBlock
from hypernest.devices.virtio.console import VirtioConsole
from hypernest.devices.virtio.entropy import SeededGenerator, VirtioEntropy
from hypernest.devices.virtio.mmio import VirtioMmio

__all__ = ["SeededGenerator", "VirtioBlock", "VirtioConsole", "VirtioEntropy", "VirtioMmio"]
