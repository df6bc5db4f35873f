"""The kit of x86. The descriptor tables of the machine below are kept empty, so that using one traps if it can."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from hypernest.analysis.construction.embedding import Embedding, Place, RelocationBounds
from hypernest.analysis.construction.kit import Kit
from hypernest.analysis.construction.storage import Storage
from hypernest.analysis.model import Setting
from hypernest.engines.hart_state import HartState
from hypernest.isa.x86.descriptors import System
from hypernest.isa.x86.state import ARITHMETIC, ESP, SEGMENTS, Cr0, Flag, Rights

_MEMORY = 0x4000
_GDT, _IDT, _TSS, _LDT = 0x400, 0x600, 0x800, 0x900
_TSS_SIZE = 0x68
_CODE = range(0x1000, 0x1400)
_STACK = 0x3000
_VECTORS = 32
_BASES = (0, 0, 0x200, 0x400)  # of segments: no higher than the tables, which lie behind nothing that is executed

_PRESENT, _SEGMENT = 1 << Rights.PRESENT, 1 << Rights.SEGMENT | 1 << Rights.PRESENT
_EXECUTABLE = _SEGMENT | 1 << Rights.CODE | 1 << Rights.WRITABLE | 1 << Rights.BIG
_WRITABLE = _SEGMENT | 1 << Rights.WRITABLE | 1 << Rights.BIG
_USER = 3 << Rights.DPL


@dataclass(frozen=True)
class _Descriptor:
    """What a descriptor says of a segment; the limit is in bytes and has 20 bits."""

    base: int
    limit: int
    rights: int

    def packed(self) -> int:
        """The eight bytes of it."""
        low = self.limit & 0xFFFF | (self.base & 0xFF_FFFF) << 16
        return low | self.rights << 40 | (self.limit >> 16) << 48 | (self.base >> 24) << 56


def _gate(selector: int, offset: int, kind: System, level: int) -> int:
    """A call, interrupt or trap gate."""
    low = offset & 0xFFFF | selector << 16
    return low | (_PRESENT | level << Rights.DPL | kind) << 40 | (offset >> 16) << 48


def _descriptors(random: Random) -> list[_Descriptor]:
    """Those of the GDT from its second entry on: code and data of ring 0, of ring 3, TSS, LDT, and odd ones."""

    def somewhere(rights: int) -> _Descriptor:
        base = random.choice(_BASES)
        return _Descriptor(base, _MEMORY - base - 1 - random.choice((0, 0, 0x800)), rights)

    code = somewhere(_EXECUTABLE)
    return [
        *(code, somewhere(_WRITABLE)),
        *(_Descriptor(code.base, code.limit, _EXECUTABLE | _USER), somewhere(_WRITABLE | _USER)),
        _Descriptor(_TSS, _TSS_SIZE - 1, _PRESENT | System.TSS_AVAILABLE),
        _Descriptor(_LDT, 31, _PRESENT | System.LDT),
        somewhere(_EXECUTABLE | 1 << Rights.EXPAND_DOWN),  # conforming
        somewhere(_SEGMENT | _USER | 1 << Rights.BIG),  # cannot be written
        somewhere(_WRITABLE & ~_PRESENT),
    ]


_CODE_0, _DATA_0, _CODE_3, _DATA_3, _TASK, _LOCAL = 0x08, 0x10, 0x1B, 0x23, 0x28, 0x30
_SELECTORS = (
    0,
    3,
    _CODE_0,
    _DATA_0,
    _CODE_3,
    _DATA_3,
    _TASK,
    _LOCAL,
    0x38,
    0x43,
    0x48,
    0x53,
    0x58,
    0x0C,
    0x10 | 4,
    0x100,
)


def _load(state: HartState, name: str, selector: int, descriptor: _Descriptor) -> None:
    state[name] = selector
    state[f"{name}_base"], state[f"{name}_limit"] = descriptor.base, descriptor.limit
    state[f"{name}_rights"] = descriptor.rights


def _prepare(random: Random, state: HartState, memory: Storage, setting: Setting) -> None:
    descriptors = _descriptors(random)
    code, base = descriptors[0], descriptors[0].base

    def entry() -> int:
        return random.choice(_CODE) - base

    call_gate = _gate(_CODE_0, entry(), System.CALL_GATE, 3)
    for number, value in enumerate((0, *(each.packed() for each in descriptors), call_gate)):
        memory.write_integer(_GDT + 8 * number, 8, value)
    for number in range(4):
        memory.write_integer(_LDT + 8 * number, 8, random.choice(descriptors).packed())
    for vector in range(_VECTORS):
        kind = random.choice((System.INTERRUPT_GATE, System.TRAP_GATE))
        memory.write_integer(_IDT + 8 * vector, 8, _gate(_CODE_0, entry(), kind, random.choice((0, 3, 3))))
    memory.write_integer(_TSS + 4, 4, _STACK + 0x400)
    memory.write_integer(_TSS + 8, 4, _DATA_0)
    user = state["cs"] & 3 == 3
    data, selector = (descriptors[3], _DATA_3) if user else (descriptors[1], _DATA_0)
    _load(state, "cs", _CODE_3 if user else _CODE_0, descriptors[2] if user else code)
    for name in SEGMENTS:
        if name != "cs":
            _load(state, name, selector, data)
    state["gdtr_base"], state["gdtr_limit"] = _GDT, 8 * (len(descriptors) + 2) - 1
    state["idtr_base"], state["idtr_limit"] = _IDT, 8 * _VECTORS - 1
    _load(state, "tr", _TASK, _Descriptor(_TSS, _TSS_SIZE - 1, _PRESENT | System.TSS_BUSY))
    _load(state, "ldtr", _LOCAL, descriptors[5])
    state["eflags"] = random.getrandbits(32) & (ARITHMETIC | 1 << Flag.IF | 3 << Flag.IOPL) | 1 << Flag.ONE
    state["cr0"] = 1 << Cr0.PE | 1 << Cr0.ET | random.getrandbits(1) << Cr0.TS
    state["cr4"] = 0
    state["r", ESP] = _STACK + 4 * random.randrange(64)
    for index in (0, 3):
        state["r", index] = random.choice(_SELECTORS)
    state["pc"] = entry()


_RELOCATION = RelocationBounds(
    {f"{name}_base": f"{name}_limit" for name in SEGMENTS},
    last=True,
    lent=(*SEGMENTS, *(f"{name}_rights" for name in SEGMENTS)),
)


def _embedding(place: Place) -> Embedding:
    return _EmptyTables(_RELOCATION(place))


class _EmptyTables:
    """Segments are relocated; there is no descriptor on the machine below, no local table and no task."""

    def __init__(self, relocation: Embedding) -> None:
        self._relocation = relocation
        self.enter, self.leave = relocation.enter, relocation.leave
        self.repair, self.flush = relocation.repair, relocation.flush

    def configure(self, real: HartState) -> None:
        for name in ("gdtr_limit", "idtr_limit", "ldtr", "ldtr_limit", "ldtr_rights", "tr", "tr_limit", "tr_rights"):
            real[name] = 0


KIT = Kit(
    embedding=_embedding,
    memory=_MEMORY,
    code=_CODE,
    prepare=_prepare,
    likely={"sel": _SELECTORS},
)
