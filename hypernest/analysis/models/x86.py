"""x86 in protected mode as the paper's machine: software for ring 0 run in ring 3.

The location is where the segments are: their bases are relocated with memory, as the paper's register is. The tables
and control registers that a monitor keeps for itself are configuration (rules 3B and 3C of Robin and Irvine 2000): a
virtual machine's real ones are the monitor's. Linear addresses do not wrap around, and no segment expands down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from hypernest.analysis.construction.kits.x86 import KIT
from hypernest.analysis.model import MachineModel, Rule, Setting
from hypernest.isa.trace import Bits
from hypernest.isa.x86.faults import MEMORY_TRAPS, OPERAND_FAULTS, Cause
from hypernest.isa.x86.state import CR0, CR4, EFLAGS, FLAT, RIGHTS, SEGMENTS, Cr0, Cr4, Flag, Rights
from hypernest.isa.x86.x86 import X86

_WORD, _LONG = (1 << 16) - 1, (1 << 32) - 1
_IOPL = 3 << Flag.IOPL
_CONTROL_FLAGS = 1 << Flag.IF | _IOPL | 1 << Flag.VIF | 1 << Flag.VIP
_SELECTED = (*SEGMENTS, "ldtr", "tr")

_TABLES = {
    "gdtr_base": _LONG, "gdtr_limit": _WORD, "idtr_base": _LONG, "idtr_limit": _WORD,
    **{f"{name}{part}": mask for name in ("ldtr", "tr")
       for part, mask in (("", _WORD), ("_base", _LONG), ("_limit", _LONG), ("_rights", RIGHTS))},
}  # fmt: skip
_REGISTERS = {"cr0": CR0, "cr2": _LONG, "cr3": _LONG, "cr4": CR4, "dr": _LONG, "sysenter": (1 << 64) - 1}
_CONFIGURATION = _TABLES | _REGISTERS | {"eflags": _CONTROL_FLAGS}
_RESOURCES = _CONFIGURATION | {
    f"{name}{part}": mask for name in SEGMENTS
    for part, mask in (("", _WORD), ("_base", _LONG), ("_limit", _LONG), ("_rights", RIGHTS))
}  # fmt: skip

_PRESENT, _CODE = 1 << Rights.PRESENT | 1 << Rights.SEGMENT, 1 << Rights.CODE
_WRITABLE, _DOWN = 1 << Rights.WRITABLE, 1 << Rights.EXPAND_DOWN
_SYSTEM_TYPE = 1 << Rights.PRESENT | 1 << Rights.SEGMENT | 0xF


def _system(kind: int) -> Rule:
    """A register of a system segment: null, or present and of this type."""
    return lambda value: (value == 0) | ((value & _SYSTEM_TYPE) == (1 << Rights.PRESENT | kind))


def _data(value: Any) -> Any:
    """A data segment register: null, a present data segment that expands up, or readable code."""
    data = (value & (_PRESENT | _CODE | _DOWN)) == _PRESENT
    code = (value & (_PRESENT | _CODE | _WRITABLE)) == (_PRESENT | _CODE | _WRITABLE)
    return (value == 0) | data | code


_RULES: dict[str, Rule] = {
    "cs_rights": lambda value: (value & (_PRESENT | _CODE)) == (_PRESENT | _CODE),
    "ss_rights": lambda value: (value & (_PRESENT | _CODE | _DOWN | _WRITABLE)) == (_PRESENT | _WRITABLE),
    **{f"{name}_rights": _data for name in ("ds", "es", "fs", "gs")},
    "ldtr_rights": _system(2),
    "tr_rights": _system(0xB),
    "cr0": lambda value: (value & (1 << Cr0.NW | 1 << Cr0.CD)) != 1 << Cr0.NW,
}


def _linear(register: Callable[[str], Any]) -> Iterator[Any]:
    """No segment reaches beyond the last linear address."""
    for name in _SELECTED:
        yield register(f"{name}_base") <= FLAT - register(f"{name}_limit")


def _fixed(umip: int) -> dict[str, Bits]:
    control = 1 << Cr4.UMIP | 1 << Cr4.TSD | 1 << Cr4.PVI | 1 << Cr4.VME
    return {
        "eflags": Bits(1 << Flag.ONE | _IOPL, 1 << Flag.ONE),
        "cr0": Bits(1 << Cr0.PE | 1 << Cr0.ET | 1 << Cr0.PG, 1 << Cr0.PE | 1 << Cr0.ET),
        "cr4": Bits(control, umip << Cr4.UMIP | 1 << Cr4.TSD),
    }


MODEL = MachineModel(
    isa=X86,
    title="x86 (IA-32) in protected mode",
    summary="system instructions, those of Robin and Irvine, and ordinary ones for contrast; segments, no paging",
    modes={f"ring {level}": {"cs": Bits(3, level), "ss": Bits(3, level)} for level in (0, 3)},
    resources=_RESOURCES,
    configuration=_CONFIGURATION,
    shifted=frozenset(f"{name}_base" for name in SEGMENTS),
    memory_size=1 << 33,  # all linear addresses, and above them the ports
    memory_traps=frozenset(map(int, MEMORY_TRAPS | OPERAND_FAULTS | {Cause.DEBUG_REGISTER_ACCESS})),
    legal={"pc": _LONG, "eflags": EFLAGS & ~(1 << Flag.VM), "cr0": CR0, "cr4": CR4, "shutdown": 0}
    | {f"{name}_rights": RIGHTS for name in _SELECTED},
    rules=_RULES,
    invariant=_linear,
    ignored=frozenset({"shutdown"}),
    settings=(
        Setting(
            name="ring-3",
            title="ring 0 software run in ring 3",
            summary="IOPL is 0, CR4.TSD is set, CR4.UMIP is clear as on every processor of the paper's time",
            supervisor="ring 0",
            user="ring 3",
            fixed=_fixed(0),
            expected="no monitor: 17 or 18 sensitive, unprivileged instructions (Robin and Irvine 2000)",
        ),
        Setting(
            name="ring-3-umip",
            title="ring 0 software run in ring 3, with CR4.UMIP set",
            summary="SGDT, SIDT, SLDT, STR and SMSW trap in ring 3",
            supervisor="ring 0",
            user="ring 3",
            fixed=_fixed(1),
            expected="no monitor: the others remain",
        ),
    ),
    kit=KIT,
)
