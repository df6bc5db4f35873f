"""The dispatcher, the allocator and the interpreter routines, one instruction at a time."""

from __future__ import annotations

import pytest

from hypernest.analysis.construction import HybridMonitor, VirtualMachineMonitor
from hypernest.analysis.construction.construct import deciding_rows
from hypernest.analysis.construction.kits import pdp10, riscv64, third_generation
from hypernest.analysis.models import pdp10 as pdp10_model
from hypernest.analysis.models import riscv64 as riscv64_model
from hypernest.analysis.models import third_generation as third_generation_model
from hypernest.isa.riscv.state import Status
from hypernest.isa.riscv.traps import Cause as RiscvCause
from hypernest.isa.third_generation.third_generation import THIRD_GENERATION as ISA
from hypernest.isa.third_generation.traps import Cause
from tests.analysis.construction.machines import PDP10, RISCV64, THIRD_GENERATION, trial, verdict

ROWS = ISA.rows
PAGE = 4096
SV39 = 8 << 60


def virtual_machine(*levels: type[VirtualMachineMonitor]) -> VirtualMachineMonitor:
    """The model machine in a virtual machine of 512 words, supervisor mode, unrelocated."""
    machine = trial(third_generation_model.MODEL, third_generation.KIT, THIRD_GENERATION, *levels).monitored
    machine.state["bound"] = 512
    machine.state["pc"] = 8
    return machine


def put(machine: VirtualMachineMonitor, row: str, **operands: int) -> None:
    machine.memory.write_integer(machine.state["pc"] * 8, 8, ROWS[row].encode(**operands))


def test_the_rows_that_decide_are_those_that_trap_or_are_sensitive() -> None:
    verdicts = [
        verdict("lpsw", traps=True),
        verdict("add", traps=False),
        verdict("jrst.1", traps=False, sensitive=True),
    ]
    assert deciding_rows(verdicts) == {"lpsw", "jrst.1"}


def test_cache_management_that_the_machine_below_refuses_is_interpreted() -> None:
    machine = paged_machine()
    code(machine, ("cbo.zero", {"rs1": 10}))
    machine.state["x", 10], machine.state["menvcfg"] = 2 * PAGE, 1 << 7
    machine.memory.write_integer(2 * PAGE, 8, 1)
    assert machine.step() is None
    assert (machine.direct, machine.interpreted) == (0, 1)
    assert machine.memory.read_integer(2 * PAGE, 8) == 0


def test_an_innocuous_instruction_runs_on_the_machine_below() -> None:
    machine = virtual_machine()
    put(machine, "li", ra=3, imm=77)
    assert machine.step() is None
    assert (machine.direct, machine.interpreted) == (1, 0)
    assert machine.state["r", 3] == 77 == machine.machine.state["r", 3]
    assert machine.machine.state["mode"] == 1, "the machine below was in user mode"


def test_a_privileged_instruction_of_the_virtual_supervisor_is_interpreted() -> None:
    machine = virtual_machine()
    put(machine, "srb", ra=1, rb=2)
    assert machine.step() is None
    assert (machine.direct, machine.interpreted) == (0, 1)
    assert (machine.state["r", 1], machine.state["r", 2]) == (0, 512), "the virtual R, not the real one"
    assert machine.machine.state["location"] == machine.block.memory.base // 8


def test_a_privileged_instruction_of_the_virtual_user_is_the_virtual_supervisors_trap() -> None:
    machine = virtual_machine()
    machine.state["mode"] = 1
    put(machine, "halt")
    trap = machine.step()
    assert trap is not None and trap.cause == Cause.PRIVILEGED_INSTRUCTION
    assert machine.state["pc"] == 8, "it is handed out, and nothing has changed"
    machine.memory.write_integer(8, 8, 100 << 0 | 512 << 40)
    machine.take(trap)
    assert (machine.state["pc"], machine.state["mode"]) == (100, 0)
    assert machine.memory.read_integer(16, 8) == Cause.PRIVILEGED_INSTRUCTION, "E[2] of the virtual machine"


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_no_bound_reaches_beyond_the_region(depth: int) -> None:
    machine = virtual_machine(*[VirtualMachineMonitor] * depth)
    machine.state["location"], machine.state["bound"] = 100, 1 << 19
    machine.memory.write_integer((100 + 8) * 8, 8, ROWS["load"].encode(ra=1, rb=0, imm=412))
    trap = machine.step()
    assert trap is not None and trap.cause == Cause.MEMORY and trap.value == 412
    assert machine.machine.state["bound"] == 412
    assert machine.machine.state["location"] == 100 + machine.block.memory.base // 8


def test_a_location_outside_the_region_reaches_nothing() -> None:
    machine = virtual_machine()
    machine.state["location"] = 512
    trap = machine.step()
    assert trap is not None and trap.cause == Cause.MEMORY and trap.value == 8


def test_a_hybrid_monitor_interprets_the_virtual_supervisor_and_nothing_else() -> None:
    machine = virtual_machine(HybridMonitor)
    put(machine, "li", ra=3, imm=77)
    assert machine.step() is None
    machine.state["mode"] = 1
    put(machine, "li", ra=3, imm=78)
    assert machine.step() is None
    assert (machine.direct, machine.interpreted) == (1, 1)


def test_user_in_out_of_the_pdp10_is_no_user_mode_to_run_directly() -> None:
    machine = trial(pdp10_model.MODEL, pdp10.KIT, PDP10, HybridMonitor).monitored
    machine.state["user"] = 1
    assert not machine.interprets()
    machine.state["user_io"] = 1
    assert machine.interprets()


# --- shadow tables ---------------------------------------------------------------------------------------------------


def paged_machine(*levels: type[VirtualMachineMonitor]) -> VirtualMachineMonitor:
    """S-mode with Sv39: the tables in pages 8 to 10, pages 1 (code), 2 (data) and 10 mapped to themselves."""
    machine = trial(riscv64_model.MODEL, riscv64.KIT, RISCV64, *levels).monitored
    for table, below in ((8, 9), (9, 10)):
        machine.memory.write_integer(table * PAGE, 8, below << 10 | 1)
    for page in (1, 2, 10):
        map_page(machine, page, page)
    state = machine.state
    state["priv"], state["satp"], state["pc"] = 1, SV39 | 8, PAGE
    state["medeleg"], state["stvec"] = 0xB3FF, 0x1800
    state["pmpcfg", 0], state["pmpaddr", 0] = 0x1F, (1 << 54) - 1
    return machine


def map_page(machine: VirtualMachineMonitor, virtual: int, physical: int, marks: int = 0xCF) -> None:
    machine.memory.write_integer(10 * PAGE + virtual * 8, 8, physical << 10 | marks)


def code(machine: VirtualMachineMonitor, *rows: tuple[str, dict[str, int]]) -> None:
    isa = riscv64_model.MODEL.isa
    for number, (row, operands) in enumerate(rows):
        machine.memory.write_integer(PAGE + 4 * number, 4, isa.rows[row].encode(**operands))


LOAD = ("ld", {"rd": 11, "rs1": 10, "imm": 0})
STORE = ("sd", {"rs1": 10, "rs2": 12, "imm": 0})


@pytest.mark.parametrize("depth", [1, 2])
def test_a_hidden_page_fault_is_repaired(depth: int) -> None:
    machine = paged_machine(*[VirtualMachineMonitor] * depth)
    code(machine, LOAD)
    machine.memory.write_integer(2 * PAGE, 8, 0x1234)
    machine.state["x", 10] = 2 * PAGE
    assert machine.step() is None
    assert (machine.direct, machine.interpreted) == (1, 0)
    assert machine.state["x", 11] == 0x1234


def test_a_page_fault_of_the_virtual_machine_is_its_own() -> None:
    machine = paged_machine()
    code(machine, LOAD)
    machine.state["x", 10] = 3 * PAGE + 8
    trap = machine.step()
    assert trap is not None and trap.cause == RiscvCause.LOAD_PAGE_FAULT and trap.value == 3 * PAGE + 8


def test_accessed_and_dirty_bits_are_set_when_hardware_would() -> None:
    machine = paged_machine()
    machine.state["menvcfg"] = 1 << 61
    map_page(machine, 2, 2, 0x07)
    code(machine, LOAD, STORE)
    machine.state["x", 10] = 2 * PAGE
    marks = []
    for _ in range(2):
        assert machine.step() is None
        marks.append(machine.memory.read_integer(10 * PAGE + 16, 8) & 0xFF)
    assert marks == [0x47, 0xC7]
    assert machine.direct == 2


def test_a_store_to_a_table_in_use_is_interpreted_and_counts_at_once() -> None:
    machine = paged_machine()
    code(machine, LOAD, STORE, LOAD)
    state = machine.state
    state["x", 10] = 2 * PAGE
    assert machine.step() is None
    state["x", 10], state["x", 12] = 10 * PAGE + 16, 0
    assert machine.step() is None
    assert (machine.direct, machine.interpreted) == (1, 1)
    state["x", 10] = 2 * PAGE
    trap = machine.step()
    assert trap is not None and trap.cause == RiscvCause.LOAD_PAGE_FAULT


def test_modes_do_not_share_shadows() -> None:
    machine = paged_machine()
    code(machine, LOAD, LOAD)
    machine.state["x", 10] = 2 * PAGE
    assert machine.step() is None
    machine.state["priv"] = 0
    trap = machine.step()
    assert trap is not None and trap.cause == RiscvCause.INSTRUCTION_PAGE_FAULT, "the page is not for U-mode"


def test_the_program_marks_its_own_float_state_dirty() -> None:
    machine = paged_machine()
    code(machine, ("fmv.d.x", {"rd": 1, "rs1": 10}), ("csrrs", {"rd": 11, "csr": 0x100, "rs1": 0}))
    machine.state["mstatus"] = 1 << Status.FS
    assert machine.step() is None and machine.step() is None
    assert (machine.direct, machine.interpreted) == (1, 1)
    assert machine.state["mstatus"] >> Status.FS & 3 == 3 == machine.state["x", 11] >> Status.FS & 3
