"""How instructions, places and values are written for people."""

from __future__ import annotations

from collections.abc import Mapping

from hypernest.analysis.concrete import ConcreteState
from hypernest.analysis.model import MachineModel
from hypernest.isa.disassembler import disassemble
from hypernest.isa.row import Row


def assembly(row: Row, operands: Mapping[str, int], model: MachineModel, code: int) -> str:
    """An instruction as text: in RISC-V's assembly, or its name and what its fields hold."""
    if model.isa.name.startswith("riscv"):
        return disassemble(code)
    return " ".join([row.name, ", ".join(f"{name}={value:#x}" for name, value in operands.items())]).strip()


def place_text(model: MachineModel, name: str, at: int) -> str:
    """A register or a byte of memory."""
    if name == "memory":
        return f"memory byte {at:#x}"
    register = model.isa.registers_by_name.get(name)
    return f"{name}[{at}]" if register is not None and register.count > 1 else name


def value_text(state: ConcreteState, name: str, at: int) -> str:
    """What a register holds."""
    return f"{state.registers.get((name, at), 0):#x}"
