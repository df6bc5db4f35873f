"""Guest-physical memory: what the harts and the devices of a machine share."""

from __future__ import annotations

from hypernest.memory.guest_memory import GuestMemory

__all__ = ["GuestMemory"]
