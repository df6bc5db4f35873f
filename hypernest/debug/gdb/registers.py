"""The registers of a hart under the numbers that gdb knows them by, derived from the ISA's tables.

gdb fixes the numbers (`riscv-tdep.h`): x0 to x31, pc, f0 to f31, then all 4096 CSRs by number, and last the privilege
mode, which is no register to RISC-V but one to debuggers.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from hypernest.isa.isa import Isa
from hypernest.isa.riscv.abi import FLOAT_ABI, INTEGER_ABI

PC, FIRST_FLOAT, FIRST_CSR = 32, 33, 65
PRIVILEGE = FIRST_CSR + 4096

_FLOAT_CSRS = ("fflags", "frm", "fcsr")  # CSRs that gdb looks for among the floating-point registers


class Feature(Enum):
    """The groups in which gdb looks for registers (its manual, section G.5.11)."""

    CPU = "org.gnu.gdb.riscv.cpu"
    FLOAT = "org.gnu.gdb.riscv.fpu"
    VIRTUAL = "org.gnu.gdb.riscv.virtual"
    CSR = "org.gnu.gdb.riscv.csr"


class File(Enum):
    """Where a register is found; see `GdbRegister.index`."""

    INTEGER = "x"
    PC = "pc"
    FLOAT = "f"
    CSR = "csr"
    PRIVILEGE = "priv"


@dataclass(frozen=True, slots=True)
class GdbRegister:
    """One register, 64 bits wide: its number and name in gdb, and what it is: register `index` of `file`."""

    number: int
    name: str
    feature: Feature
    file: File
    index: int = 0
    type: str = "int"

    @property
    def size(self) -> int:
        """Bytes."""
        return 8


def gdb_registers(isa: Isa) -> dict[int, GdbRegister]:
    """All registers of a hart by gdb's number, ascending."""
    pointers = {"ra": "code_ptr", "sp": "data_ptr", "gp": "data_ptr", "tp": "data_ptr"}
    rows = [
        GdbRegister(number, name, Feature.CPU, File.INTEGER, number, pointers.get(name, "int"))
        for number, name in enumerate(INTEGER_ABI)
    ]
    rows.append(GdbRegister(PC, "pc", Feature.CPU, File.PC, type="code_ptr"))
    rows += [
        GdbRegister(FIRST_FLOAT + number, name, Feature.FLOAT, File.FLOAT, number, "riscv_double")
        for number, name in enumerate(FLOAT_ABI)
    ]
    rows += [
        GdbRegister(
            FIRST_CSR + number, csr.name, Feature.FLOAT if csr.name in _FLOAT_CSRS else Feature.CSR, File.CSR, number
        )
        for number, csr in sorted(isa.csrs.items())
    ]
    rows.append(GdbRegister(PRIVILEGE, "priv", Feature.VIRTUAL, File.PRIVILEGE))
    return {row.number: row for row in rows}
