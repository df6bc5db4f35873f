"""The monitors of Popek and Goldberg's theorems, built from a description and run against the bare machine."""

from __future__ import annotations

from hypernest.analysis.construction.construct import MONITORS, construct
from hypernest.analysis.construction.embedding import Embedding, EmbeddingFactory, Place, RelocationBounds
from hypernest.analysis.construction.homomorphism import Trial
from hypernest.analysis.construction.kit import Kit
from hypernest.analysis.construction.machine import BareMachine, Machine
from hypernest.analysis.construction.monitor import HybridMonitor, Skeleton, VirtualMachineMonitor
from hypernest.analysis.construction.shadow_tables import ShadowTables

__all__ = [
    "MONITORS",
    "BareMachine",
    "Embedding",
    "EmbeddingFactory",
    "HybridMonitor",
    "Kit",
    "Machine",
    "Place",
    "RelocationBounds",
    "ShadowTables",
    "Skeleton",
    "Trial",
    "VirtualMachineMonitor",
    "construct",
]
