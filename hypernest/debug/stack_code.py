"""What a function's own instructions say of its stack frame, where nobody describes it.

Compilers move the stack pointer and save registers in a function's first instructions, and undo both right before they
return (calling convention of the RISC-V psABI). Whatever else is there is not understood, and means that nothing is
known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache

from hypernest.isa.decoder import Decoder

RA, SP, T0, FP = 1, 2, 5, 8
_LONGEST_PROLOGUE = 64  # instructions
_LONGEST_EPILOGUE = 24
_ADDRESSES = (1 << 64) - 1
_BRANCHES = frozenset(("beq", "bne", "blt", "bge", "bltu", "bgeu", "jal"))
_ENDS = frozenset(("mret", "sret"))

Code = Callable[[int], int | None]
"""The instruction at an address, 32 bits of which the upper may be of the next one; None if there is none."""

Memory = Callable[[int], int]
"""The 64-bit number at an address; raises what the memory raises."""


@cache
def _decoder() -> Decoder:
    from hypernest.isa.riscv.riscv64 import RISCV64

    return Decoder(RISCV64.rows.values())


@dataclass(frozen=True, slots=True)
class _Instruction:
    """What an instruction means, compressed or not."""

    name: str
    operands: Mapping[str, int]
    length: int

    def is_(self, name: str, **operands: int) -> bool:
        return self.name == name and all(self.operands[each] == value for each, value in operands.items())

    @property
    def writes(self) -> int | None:
        """The number of the register that it writes, an integer one or not."""
        return self.operands.get("rd")


def _decode(code: Code, address: int) -> _Instruction | None:
    value = code(address)
    row = _decoder().decode(value) if value is not None else None
    if row is None or value is None:
        return None
    return _Instruction(row.meaning, row.operand_values(value), row.length)


@dataclass(slots=True)
class Prologue:
    """What was done by the time that a function's body runs.

    `size` is how far sp went down, `frame_pointer` how far below the CFA s0 points if it was set up, `saved` how far
    from the CFA registers were stored.
    """

    size: int = 0
    frame_pointer: int | None = None
    saved: dict[int, int] = field(default_factory=dict)


def prologue(code: Code, start: int, pc: int) -> Prologue:
    """What the instructions from the beginning of a function up to (not including) the one at `pc` have done."""
    found = Prologue()
    address = start
    for _ in range(_LONGEST_PROLOGUE):
        instruction = _decode(code, address) if address < pc else None
        if instruction is None or instruction.is_("jalr", rd=0, rs1=RA):
            break
        operands = instruction.operands
        if instruction.is_("addi", rd=SP, rs1=SP):
            found.size -= min(operands["imm"], 0)
        elif instruction.is_("addi", rd=FP, rs1=SP) and found.frame_pointer is None:
            found.frame_pointer = found.size - operands["imm"]
        elif instruction.is_("sd", rs1=SP) and operands["rs2"] not in found.saved:
            found.saved[operands["rs2"]] = operands["imm"] - found.size
        address += instruction.length
    return found


@dataclass(frozen=True, slots=True)
class Caller:
    """Where a function returns to, the caller's stack and frame pointers, and the CFA, which is the former."""

    pc: int
    cfa: int
    frame_pointer: int


def by_epilogue(code: Code, pc: int, registers: Mapping[int, int], memory: Memory) -> Caller | None:
    """The caller, if from `pc` on there is nothing but the way out: what the instructions do to sp, ra and s0."""
    now = {number: registers[number] for number in (RA, SP, FP)}
    stored: dict[int, int | None] = {}  # what is still to be written, None if that is not known
    address = pc
    for _ in range(_LONGEST_EPILOGUE):
        instruction = _decode(code, address)
        if instruction is None or instruction.name in _BRANCHES or instruction.name in _ENDS:
            return None
        operands = instruction.operands
        if instruction.name == "jalr":
            return Caller(now[RA], now[SP], now[FP]) if instruction.is_("jalr", rd=0, rs1=RA, imm=0) else None
        written = operands.get("rd")
        if instruction.name == "addi" and written in now and operands["rs1"] in (SP, FP):
            now[written] = now[operands["rs1"]] + operands["imm"] & _ADDRESSES
        elif instruction.name == "sd" and operands["rs1"] in (SP, FP):
            stored[now[operands["rs1"]] + operands["imm"] & _ADDRESSES] = now.get(operands["rs2"])
        elif instruction.name == "ld" and written in now and operands["rs1"] in (SP, FP):
            place = now[operands["rs1"]] + operands["imm"] & _ADDRESSES
            value = stored[place] if place in stored else memory(place)
            if value is None:
                return None
            now[written] = value
        elif written in now and not instruction.name.startswith("f"):
            return None
        address += instruction.length
    return None


def by_prologue(found: Prologue, registers: Mapping[int, int], memory: Memory, *, is_innermost: bool) -> Caller | None:
    """The caller of a function that has done this; None if it cannot be known.

    In the innermost frame ra may still hold where the function returns to, elsewhere it was overwritten by the call.
    """
    if found.frame_pointer is not None:
        cfa = registers[FP] + found.frame_pointer & _ADDRESSES
    else:
        cfa = registers[SP] + found.size & _ADDRESSES
    if RA in found.saved:
        pc = memory(cfa + found.saved[RA] & _ADDRESSES)
    elif is_innermost:
        pc = registers[RA]
    else:
        return None
    frame_pointer = memory(cfa + found.saved[FP] & _ADDRESSES) if FP in found.saved else registers[FP]
    return Caller(pc, cfa, frame_pointer)


def by_frame_pointer(registers: Mapping[int, int], memory: Memory) -> Caller:
    """The caller by the convention of -fno-omit-frame-pointer: ra and the caller's s0 below where s0 points."""
    cfa = registers[FP]
    return Caller(memory(cfa - 8 & _ADDRESSES), cfa, memory(cfa - 16 & _ADDRESSES))


def is_behind_call(code: Code, address: int) -> bool:
    """Is there a call right before `address`? Else nothing can return there."""
    for length in (4, 2):
        instruction = _decode(code, address - length)
        if (
            instruction is not None
            and instruction.length == length
            and instruction.name in ("jal", "jalr")
            and instruction.operands["rd"] in (RA, T0)
        ):
            return True
    return False
