"""Instructions that move, load and examine selectors; most of them Robin and Irvine's (volume 2).

A segment register stored in 32 bits is extended with zeros. CS cannot be loaded like the others.
"""

from __future__ import annotations

from hypernest.isa.hart import Hart
from hypernest.isa.row import Extension, Semantics
from hypernest.isa.word import Word, select
from hypernest.isa.x86.descriptors import Descriptor, System, find, is_null, visible
from hypernest.isa.x86.encoding import FORMAT, dst, effective_address, extension, memory, opcode, set_dst, src
from hypernest.isa.x86.segments import checked_segment, far_pointer, peek, push, write_segment
from hypernest.isa.x86.state import ESP, SEGMENTS, Flag

SELECTORS = Extension("selectors", FORMAT)


def _from(name: str) -> Semantics:
    def execute(h: Hart) -> None:
        set_dst(h, h.read(name).zext(32))

    return execute


def _to(name: str) -> Semantics:
    def execute(h: Hart) -> None:
        write_segment(h, name, checked_segment(h, name, src(h).trunc(16)))

    return execute


def _push(name: str) -> Semantics:
    def execute(h: Hart) -> None:
        push(h, h.read(name).zext(32))

    return execute


def _pop(name: str) -> Semantics:
    def execute(h: Hart) -> None:
        (value,) = peek(h, 1)
        loaded = checked_segment(h, name, value.trunc(16))
        write_segment(h, name, loaded)
        h.write("r", h.read("r", ESP) + 4, ESP)

    return execute


def _far_load(name: str) -> Semantics:
    def execute(h: Hart) -> None:
        selector, offset = far_pointer(h.load(effective_address(h), 48))
        write_segment(h, name, checked_segment(h, name, selector))
        set_dst(h, offset)

    return execute


PUSH: dict[str, tuple[int, ...]] = {"es": (0x06,), "cs": (0x0E,), "ss": (0x16,), "ds": (0x1E,), "fs": (0x0F, 0xA0),
                                    "gs": (0x0F, 0xA8)}  # fmt: skip
POP: dict[str, tuple[int, ...]] = {"es": (0x07,), "ss": (0x17,), "ds": (0x1F,), "fs": (0x0F, 0xA1),
                                   "gs": (0x0F, 0xA9)}  # fmt: skip
FAR_LOAD: dict[str, tuple[int, ...]] = {"es": (0xC4,), "ds": (0xC5,), "ss": (0x0F, 0xB2), "fs": (0x0F, 0xB4),
                                        "gs": (0x0F, 0xB5)}  # fmt: skip
for name in SEGMENTS:
    number = extension(SEGMENTS.index(name))
    SELECTORS.add(f"mov.from.{name} dst", f"{opcode(0x8C)} 11 {number} dst", _from(name))
    SELECTORS.add(f"push.{name}", opcode(*PUSH[name]), _push(name))
    if name != "cs":
        SELECTORS.add(f"mov.to.{name} src", f"{opcode(0x8E)} 11 {number} src", _to(name), system=True)
        SELECTORS.add(f"pop.{name}", opcode(*POP[name]), _pop(name), system=True)
        SELECTORS.add(f"l{name} dst, imm(base)", f"{opcode(*FAR_LOAD[name])} {memory('dst')}", _far_load(name),
                      system=True)  # fmt: skip


# --- questions about a descriptor: ZF says whether there is an answer; none of them traps -----------------------------

_MEASURABLE = (System.TSS_16_AVAILABLE, System.LDT, System.TSS_16_BUSY, System.TSS_AVAILABLE, System.TSS_BUSY)
_GATES = (System.CALL_GATE_16, System.TASK_GATE, System.CALL_GATE)


def _examine(h: Hart, selector: Word) -> tuple[Descriptor, Word]:
    """(descriptor, 1 if there is one that CPL and RPL may see) of a selector."""
    descriptor, exists = find(h, selector)
    return descriptor, ~is_null(selector) & exists & visible(h, selector, descriptor)


def _answer(h: Hart, known: Word, value: Word) -> None:
    h.write("eflags", h.eflags.insert(Flag.ZF, known))
    set_dst(h, select(known, value, dst(h)))


@SELECTORS.row("lar dst, src", f"{opcode(0x0F, 0x02)} 11 dst src")
def lar(h: Hart) -> None:
    """Access rights where a descriptor has them, with the undefined limit bits as 0."""
    descriptor, seen = _examine(h, src(h).trunc(16))
    known = seen & (descriptor.segment | descriptor.is_system(*_MEASURABLE, *_GATES))
    _answer(h, known, descriptor.raw.bits(63, 32) & 0x00F0_FF00)


@SELECTORS.row("lsl dst, src", f"{opcode(0x0F, 0x03)} 11 dst src")
def lsl(h: Hart) -> None:
    """Limit in bytes."""
    descriptor, seen = _examine(h, src(h).trunc(16))
    _answer(h, seen & (descriptor.segment | descriptor.is_system(*_MEASURABLE)), descriptor.limit)


@SELECTORS.row("verr src", f"{opcode(0x0F, 0x00)} 11 {extension(4)} src")
def verr(h: Hart) -> None:
    descriptor, seen = _examine(h, src(h).trunc(16))
    h.write("eflags", h.eflags.insert(Flag.ZF, seen & descriptor.readable))


@SELECTORS.row("verw src", f"{opcode(0x0F, 0x00)} 11 {extension(5)} src")
def verw(h: Hart) -> None:
    descriptor, seen = _examine(h, src(h).trunc(16))
    h.write("eflags", h.eflags.insert(Flag.ZF, seen & descriptor.writable))
