"""hypernest: a virtual machine monitor that people program in Python.

The names in `__all__` are the public ones. They are loaded when they are first used, so that importing stays fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hypernest.analysis.checking import BadDescription
    from hypernest.analysis.classification import ProcessLost, classify
    from hypernest.analysis.isas import BadIsaFile, NoSuchIsa, load_model
    from hypernest.analysis.results import Classification
    from hypernest.debug.backtrace import Frame
    from hypernest.debug.disassembly import Instruction
    from hypernest.debug.dwarf.lines import SourceLine
    from hypernest.debug.places import NoSuchPlace
    from hypernest.debug.symbols import Symbol, SymbolOffset
    from hypernest.devices import Access, Device, Register
    from hypernest.errors import (
        BadConfiguration,
        BadImage,
        BadValue,
        DeviceError,
        HypernestError,
        NotMapped,
        OutOfRange,
    )
    from hypernest.history.archive.errors import (
        BadSnapshot,
        SnapshotExists,
        SnapshotMissing,
        SnapshotNotKept,
        SnapshotTooLarge,
    )
    from hypernest.history.recording import Difference, Recording, Replay, Verdict, replay
    from hypernest.history.recording.errors import BadRecording, RecordingNotKept, RunRecorded
    from hypernest.history.timeline import NoHistory
    from hypernest.images.errors import ImageDamaged, ImageMissing, PullFailed
    from hypernest.isa.assembler import AssemblyError
    from hypernest.isa.riscv.assembly import assemble
    from hypernest.lowering.solver import SolverMissing
    from hypernest.machine import Machine, MachineClosed, Statistics, StopKind, StopReason, TextNotSeen
    from hypernest.machine.coverage import BadCoverage
    from hypernest.machine.hooks import BadHook, HookError, HookEvent
    from hypernest.machine.registers import NoSuchRegister
    from hypernest.machine.scheduler import RunsAlready
    from hypernest.machine.snapshot import Snapshot
    from hypernest.machine.state import BadState

__version__ = "0.1.0"
__all__ = [
    "Access",
    "AssemblyError",
    "BadConfiguration",
    "BadCoverage",
    "BadDescription",
    "BadHook",
    "BadImage",
    "BadIsaFile",
    "BadRecording",
    "BadSnapshot",
    "BadState",
    "BadValue",
    "Classification",
    "Device",
    "DeviceError",
    "Difference",
    "Frame",
    "HookError",
    "HookEvent",
    "HypernestError",
    "ImageDamaged",
    "ImageMissing",
    "Instruction",
    "Machine",
    "MachineClosed",
    "NoHistory",
    "NoSuchIsa",
    "NoSuchPlace",
    "NoSuchRegister",
    "NotMapped",
    "OutOfRange",
    "ProcessLost",
    "PullFailed",
    "Recording",
    "RecordingNotKept",
    "Register",
    "Replay",
    "RunRecorded",
    "RunsAlready",
    "Snapshot",
    "SnapshotExists",
    "SnapshotMissing",
    "SnapshotNotKept",
    "SnapshotTooLarge",
    "SolverMissing",
    "SourceLine",
    "Statistics",
    "StopKind",
    "StopReason",
    "Symbol",
    "SymbolOffset",
    "TextNotSeen",
    "Verdict",
    "__version__",
    "assemble",
    "classify",
    "load_model",
    "replay",
]

_HOMES = {
    "hypernest.analysis.checking": ("BadDescription",),
    "hypernest.analysis.classification": ("ProcessLost", "classify"),
    "hypernest.analysis.isas": (
        "BadIsaFile",
        "NoSuchIsa",
        "load_model",
    ),
    "hypernest.analysis.results": ("Classification",),
    "hypernest.lowering.solver": ("SolverMissing",),
    "hypernest.debug.backtrace": ("Frame",),
    "hypernest.debug.disassembly": ("Instruction",),
    "hypernest.debug.dwarf.lines": ("SourceLine",),
    "hypernest.debug.places": ("NoSuchPlace",),
    "hypernest.debug.symbols": ("Symbol", "SymbolOffset"),
    "hypernest.devices": ("Access", "Device", "Register"),
    "hypernest.errors": (
        "BadConfiguration",
        "BadImage",
        "BadValue",
        "DeviceError",
        "HypernestError",
        "NotMapped",
        "OutOfRange",
    ),
    "hypernest.history.archive.errors": (
        "BadSnapshot",
        "SnapshotExists",
        "SnapshotMissing",
        "SnapshotNotKept",
        "SnapshotTooLarge",
    ),
    "hypernest.history.recording": ("Difference", "Recording", "Replay", "Verdict", "replay"),
    "hypernest.history.recording.errors": ("BadRecording", "RecordingNotKept", "RunRecorded"),
    "hypernest.history.timeline": ("NoHistory",),
    "hypernest.images.errors": ("ImageDamaged", "ImageMissing", "PullFailed"),
    "hypernest.isa.assembler": ("AssemblyError",),
    "hypernest.isa.riscv.assembly": ("assemble",),
    "hypernest.machine": ("Machine", "MachineClosed", "Statistics", "StopKind", "StopReason", "TextNotSeen"),
    "hypernest.machine.coverage": ("BadCoverage",),
    "hypernest.machine.hooks": ("BadHook", "HookError", "HookEvent"),
    "hypernest.machine.registers": ("NoSuchRegister",),
    "hypernest.machine.scheduler": ("RunsAlready",),
    "hypernest.machine.snapshot": ("Snapshot",),
    "hypernest.machine.state": ("BadState",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
