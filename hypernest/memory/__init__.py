"""Guest-physical memory, and images of it."""

from hypernest.memory.guest_memory import GuestMemory
from hypernest.memory.image import PAGE, MemoryImage

__all__ = ["PAGE", "GuestMemory", "MemoryImage"]
