"""Ordinary instructions: arithmetic, moves, jumps and calls within the code segment, the stack (volume 2)."""

from __future__ import annotations

from collections.abc import Callable

from hypernest.isa.hart import Hart, Trap
from hypernest.isa.row import Extension, Semantics
from hypernest.isa.word import Word, select, word
from hypernest.isa.x86 import flags
from hypernest.isa.x86.encoding import FORMAT, IMM32, dst, effective_address, memory, opcode, set_dst, src
from hypernest.isa.x86.faults import Cause
from hypernest.isa.x86.segments import peek, push
from hypernest.isa.x86.state import ESP, Flag

BASE = Extension("base", FORMAT)


@BASE.row("nop", opcode(0x90))
def nop(h: Hart) -> None:
    pass


# --- moves -----------------------------------------------------------------------------------------------------------


@BASE.row("mov dst, src", f"{opcode(0x89)} 11 src dst")
def mov(h: Hart) -> None:
    set_dst(h, src(h))


@BASE.row("mov.imm dst, imm", f"10111 dst {IMM32}")
def mov_immediate(h: Hart) -> None:
    set_dst(h, h.imm.trunc(32))


@BASE.row("mov.load dst, imm(base)", f"{opcode(0x8B)} {memory('dst')}")
def mov_load(h: Hart) -> None:
    set_dst(h, h.load(effective_address(h), 32))


@BASE.row("mov.store imm(base), src", f"{opcode(0x89)} {memory('src')}")
def mov_store(h: Hart) -> None:
    h.store(effective_address(h), src(h))


@BASE.row("lea dst, imm(base)", f"{opcode(0x8D)} {memory('dst')}")
def lea(h: Hart) -> None:
    set_dst(h, effective_address(h).trunc(32))


@BASE.row("push src", "01010 src")
def push_register(h: Hart) -> None:
    push(h, src(h))


@BASE.row("pop dst", "01011 dst")
def pop_register(h: Hart) -> None:
    (value,) = peek(h, 1)
    h.write("r", h.read("r", ESP) + 4, ESP)
    set_dst(h, value)


# --- arithmetic ------------------------------------------------------------------------------------------------------

Operation = Callable[[Word, Word], Word]
Flags = Callable[[Word, Word, Word, Word], Word]


def _arithmetic(operation: Operation, leaves: Flags, keeps: bool) -> Semantics:
    def execute(h: Hart) -> None:
        a, b = dst(h), src(h)
        result = operation(a, b)
        h.write("eflags", leaves(h.eflags, a, b, result))
        if keeps:
            set_dst(h, result)

    return execute


ARITHMETIC: list[tuple[str, int, Operation, Flags]] = [
    ("add", 0x01, lambda a, b: a + b, flags.of_sum),
    ("and", 0x21, lambda a, b: a & b, flags.of_logic),
    ("sub", 0x29, lambda a, b: a - b, flags.of_difference),
    ("xor", 0x31, lambda a, b: a ^ b, flags.of_logic),
    ("cmp", 0x39, lambda a, b: a - b, flags.of_difference),
]
for name, code, operation, leaves in ARITHMETIC:
    BASE.add(f"{name} dst, src", f"{opcode(code)} 11 src dst", _arithmetic(operation, leaves, name != "cmp"))


@BASE.row("inc dst", "01000 dst")
def inc(h: Hart) -> None:
    old = dst(h)
    changed = flags.of_sum(h.eflags, old, word(1, 32), old + 1)
    h.write("eflags", changed.insert(Flag.CF, h.eflags.bit(Flag.CF)))
    set_dst(h, old + 1)


_STATUS = 1 << Flag.SF | 1 << Flag.ZF | 1 << Flag.AF | 1 << Flag.PF | 1 << Flag.CF


@BASE.row("lahf", opcode(0x9F))
def lahf(h: Hart) -> None:
    status = h.eflags.trunc(8) & _STATUS | 1 << Flag.ONE
    h.write("r", h.read("r", 0).insert(8, status), 0)


@BASE.row("sahf", opcode(0x9E))
def sahf(h: Hart) -> None:
    status = h.read("r", 0).bits(15, 8).zext(32) & _STATUS
    h.write("eflags", h.eflags & ~_STATUS | status)


@BASE.row("arpl dst, src", f"{opcode(0x63)} 11 src dst")
def arpl(h: Hart) -> None:
    """Two selectors in registers: raise the first one's RPL to the second one's."""
    mine, callers = dst(h), src(h).bits(1, 0)
    raised = mine.bits(1, 0) < callers
    h.write("eflags", h.eflags.insert(Flag.ZF, raised))
    set_dst(h, mine.insert(0, select(raised, callers, mine.bits(1, 0))))


def _text(letters: bytes) -> int:
    return int.from_bytes(letters, "little")


# CPUID: leaf -> eax, ecx, edx, ebx. Leaf 1: family 6; of the features TSC, MSR and SEP (EDX bits 4, 5, 11).
CPUID = {
    0: (1, _text(b"t   "), _text(b"rnes"), _text(b"hype")),
    1: (0x600, 0, 1 << 4 | 1 << 5 | 1 << 11, 0),
}


@BASE.row("cpuid", opcode(0x0F, 0xA2))
def cpuid(h: Hart) -> None:
    """A leaf that does not exist answers as the last one."""
    leaf = h.read("r", 0)
    for register, (first, last) in enumerate(zip(CPUID[0], CPUID[1], strict=True)):
        h.write("r", select(leaf == 0, word(first, 32), last), register)


# --- jumps within the segment ------------------------------------------------------------------------------------


def near(h: Hart, target: Word) -> Word:
    """A target (32 bits) as the next pc; a memory trap if it is outside the code segment."""
    if target > h.cs_limit:
        raise Trap(Cause.MEMORY_SEGMENT)
    return target.zext(64)


def relative(h: Hart) -> Word:
    """Where a displacement from the following instruction leads, 32 bits."""
    return (h.next_pc + h.imm).trunc(32)


@BASE.row("jmp.near imm", f"{opcode(0xE9)} {IMM32}")
def jmp_near(h: Hart) -> None:
    h.jump(near(h, relative(h)))


CONDITIONS: list[tuple[str, int, Callable[[Word], Word]]] = [
    ("jb", 0x82, lambda eflags: eflags.bit(Flag.CF)),
    ("je", 0x84, lambda eflags: eflags.bit(Flag.ZF)),
    ("jne", 0x85, lambda eflags: ~eflags.bit(Flag.ZF)),
    ("jl", 0x8C, lambda eflags: eflags.bit(Flag.SF) ^ eflags.bit(Flag.OF)),
]


def _jump_if(condition: Callable[[Word], Word]) -> Semantics:
    def execute(h: Hart) -> None:
        if condition(h.eflags):
            h.jump(near(h, relative(h)))

    return execute


for name, code, condition in CONDITIONS:
    BASE.add(f"{name} imm", f"{opcode(0x0F, code)} {IMM32}", _jump_if(condition))


@BASE.row("call.near imm", f"{opcode(0xE8)} {IMM32}")
def call_near(h: Hart) -> None:
    target = near(h, relative(h))
    push(h, h.next_pc.trunc(32))
    h.jump(target)


@BASE.row("ret.near", opcode(0xC3))
def ret_near(h: Hart) -> None:
    (value,) = peek(h, 1)
    target = near(h, value)
    h.write("r", h.read("r", ESP) + 4, ESP)
    h.jump(target)
