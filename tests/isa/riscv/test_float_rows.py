"""F and D instructions against QEMU, and what they do to the state of the floating-point unit."""

from __future__ import annotations

import random
import re
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hypernest.devices.bus import Bus
from hypernest.engines.hart_state import HartState
from hypernest.engines.reference import ReferenceHart
from hypernest.isa.decoder import Decoder
from hypernest.isa.floating_point import F32, F64, Format
from hypernest.isa.layout import Layout
from hypernest.isa.riscv.d import D
from hypernest.isa.riscv.f import F
from hypernest.isa.riscv.riscv64 import RISCV64
from hypernest.isa.riscv.state import Status
from hypernest.isa.row import Row
from hypernest.isa.trace import Tracer
from hypernest.memory import GuestMemory

ROWS = [*F.rows.values(), *D.rows.values()]
OPERATIONS = [row for row in ROWS if "(" not in row.syntax]  # not loads and stores
RAM, DATA = 0x8000_0000, 0x8000_0100
OFF, INITIAL, CLEAN, DIRTY = (n << Status.FS for n in range(4))
ILLEGAL = 2
CASES_PER_OPERATION = 200


class Machine:
    """A hart of the reference engine and a page of memory with one instruction in it."""

    def __init__(self, memory: GuestMemory) -> None:
        self.memory = memory
        self.state = HartState(Layout(RISCV64.registers))
        self.state["mstatus"] = CLEAN
        self.hart = ReferenceHart(RISCV64, self.state, memory, Bus())

    def step(self, code: int) -> None:
        """Run one instruction, or take its trap."""
        self.memory.write_integer(RAM, 4, code)
        self.state["pc"] = RAM
        self.hart.step(DECODER)

    @property
    def trapped(self) -> bool:
        return self.state["mcause"] == ILLEGAL


DECODER = Decoder(ROWS)


@pytest.fixture
def machine() -> Iterator[Machine]:
    with GuestMemory(RAM, 4096) as memory:
        yield Machine(memory)


def boxed(bits: int) -> int:
    return 0xFFFF_FFFF << 32 | bits


# --- against QEMU -------------------------------------------------------------------------------------------------


def number(generator: random.Random, form: Format) -> int:
    """A corner, or exponent and fraction from where operations interact."""
    one, least = form.bias, 1 << form.fraction_bits
    if generator.random() < 0.25:
        ends = [0, 1, least - 1, least, least + 1, one << form.fraction_bits, form.infinity - 1, form.infinity]
        magnitude = generator.choice([*ends, form.canonical_nan, form.infinity + 1, form.canonical_nan + 7])
    else:
        exponent = generator.choice([
            generator.randrange(form.top_exponent),
            generator.randrange(one - 3, one + 4),
            generator.randrange(one - 70, one + 70),
            generator.randrange(one // 2 - 30, one // 2 + 2),
            generator.randrange(one + one // 2 - 2, one + one // 2 + 2),
            generator.randrange(4),
        ])  # fmt: skip
        low, high = sorted(generator.choices(range(form.precision), k=2))
        shapes = [generator.randrange(least), least - (1 << low), (1 << high) - (1 << low), 1 << low | 1 << high]
        magnitude = (exponent % form.top_exponent) << form.fraction_bits | generator.choice(shapes) % least
    return generator.choice([0, form.sign_bit]) | magnitude


def register(generator: random.Random, row: Row) -> int:
    """64 bits for an operand: a number of the format the row reads, seldom boxed wrongly, or an integer."""
    if " rs1" in row.syntax:
        edge = (1 << generator.randrange(65)) + generator.randrange(-2, 3)
        return generator.choice([edge, -edge, generator.getrandbits(64)]) % (1 << 64)
    single = row.extension == "F" or row.name == "fcvt.d.s"
    if not single or generator.random() < 0.02:
        return number(generator, F64)
    return boxed(number(generator, F32))


def operand_sets(row: Row, count: int) -> list[tuple[int, int, int, int]]:
    """(rounding mode, a, b, c); where there are three operands, the third often nearly cancels the product."""
    generator = random.Random(row.name)
    form, result = (F32 if row.extension == "F" else F64), []
    for i in range(count):
        a, b, c = (register(generator, row) for _ in range(3))
        if "fs3" in row.syntax and i % 2:
            form_mask, shift = (1 << form.width) - 1, form.fraction_bits
            exponent = (a >> shift) + (b >> shift) - form.bias + generator.choice([-60, -2, -1, 0, 0, 1, 2, 25, 53])
            fraction = generator.choice([0, 1, (1 << shift) - 1, generator.getrandbits(shift)])
            c = (exponent << shift | fraction) & form_mask
            c = boxed(c) if form is F32 else c
        if generator.random() < 0.05:
            b = a
        result.append((i % 5, a, b, c))
    return result


def assembly(row: Row) -> str:
    """The instruction in GNU syntax with the registers that the harness uses."""
    registers = {"fd": "fa0", "rd": "a0", "fs1": "fa1", "rs1": "a1", "fs2": "fa2", "fs3": "fa3"}
    name, _, operands = row.syntax.removesuffix(", rm").partition(" ")
    return f"{name} {re.sub(r'[a-z]+[0-9]?', lambda found: registers[found[0]], operands)}"


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("harness")
    lines = "".join(f'OPERATION("{assembly(row)}")\n' for row in OPERATIONS)
    (directory / "operations.h").write_text(lines)
    source = Path(__file__).parents[2] / "guests" / "float_operations.c"
    program = directory / "float_operations"
    compiler = ["riscv64-linux-gnu-gcc", "-O1", "-Wall", "-Werror", "-static"]
    subprocess.run([*compiler, "-I", str(directory), "-o", str(program), str(source)], check=True)
    return program


@pytest.fixture(scope="module")
def answers(harness: Path) -> dict[str, list[tuple[int, int, int]]]:
    """(f result, x result, flags) from QEMU for each of `operand_sets`."""
    requests = b"".join(
        struct.pack("<5Q", index, *operands)
        for index, row in enumerate(OPERATIONS)
        for operands in operand_sets(row, CASES_PER_OPERATION)
    )
    output = subprocess.run(["qemu-riscv64", harness], input=requests, stdout=subprocess.PIPE, check=True).stdout
    responses = list(struct.iter_unpack("<3Q", output))
    assert len(responses) == len(OPERATIONS) * CASES_PER_OPERATION
    return {
        row.name: responses[index * CASES_PER_OPERATION : (index + 1) * CASES_PER_OPERATION]
        for index, row in enumerate(OPERATIONS)
    }


@pytest.mark.parametrize("row", OPERATIONS, ids=lambda row: row.name)
def test_agrees_with_qemu(row: Row, machine: Machine, answers: dict[str, list[tuple[int, int, int]]]) -> None:
    state, fields = machine.state, {"rd": 10, "rs1": 11, "rs2": 12, "rs3": 13}
    code = row.encode(**{name: value for name, value in fields.items() if name in row.fields})
    operands = operand_sets(row, CASES_PER_OPERATION)
    for (mode, a, b, c), expected in zip(operands, answers[row.name], strict=True):
        state["frm"], state["fflags"], state["mstatus"] = mode, 0, CLEAN
        state["f", 10], state["f", 11], state["f", 12], state["f", 13] = 0, a, b, c
        state["x", 10], state["x", 11] = 0, a
        machine.hart.execute(row, code)
        result = state["f", 10], state["x", 10], state["fflags"]
        assert result == expected, f"mode {mode}, {a:#x} {b:#x} {c:#x}"
        changed = " fd" in row.syntax or state["fflags"]
        assert state["mstatus"] == (DIRTY if changed else CLEAN)


# --- the state of the unit ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_is_illegal_while_the_unit_is_off(row: Row, machine: Machine) -> None:
    machine.state["mstatus"] = OFF
    machine.state["x", 1] = DATA
    code = row.encode(rd=2, rs1=1) if "rd" in row.fields else row.encode(rs1=1, rs2=2)
    before = machine.state["f", 2], machine.state["x", 2], machine.state["fflags"]
    machine.step(code)
    assert machine.trapped and machine.state["mtval"] == code
    assert before == (machine.state["f", 2], machine.state["x", 2], machine.state["fflags"])


@pytest.mark.parametrize("row", [row for row in ROWS if "rm" in row.fields], ids=lambda row: row.name)
def test_reserved_rounding_modes_are_illegal(row: Row, machine: Machine) -> None:
    for rm in range(8):
        for frm in range(8):
            machine.state["mcause"], machine.state["frm"] = 0, frm
            machine.step(row.encode(rm=rm))
            assert machine.trapped == ((frm if rm == 7 else rm) > 4), (rm, frm)


def test_static_rounding_mode_overrules_the_dynamic_one(machine: Machine) -> None:
    machine.state["frm"] = 3  # up
    machine.state["f", 1] = machine.state["f", 2] = 0x3FF0_0000_0000_0000
    machine.state["f", 3] = 1
    for rm, expected in [(2, 0x3FF0_0000_0000_0000), (7, 0x3FF0_0000_0000_0001), (0, 0x3FF0_0000_0000_0000)]:
        machine.step(D["fmadd.d"].encode(rd=4, rs1=1, rs2=2, rs3=3, rm=rm))
        assert machine.state["f", 4] == expected
    assert machine.state["fflags"] == 1


def test_flags_accumulate(machine: Machine) -> None:
    machine.state["fflags"] = 0b10010
    machine.state["f", 1] = 0x3FF0_0000_0000_0000
    machine.step(D["fdiv.d"].encode(rd=4, rs1=1, rs2=2))
    assert machine.state["fflags"] == 0b11010


def test_quiet_operations_leave_the_unit_clean(machine: Machine) -> None:
    machine.state["mstatus"] = INITIAL
    for name in ("feq.d", "fclass.d", "fcvt.l.d", "fmv.x.d"):
        machine.step(D[name].encode(rd=5, rs1=1))
        assert not machine.trapped and machine.state["mstatus"] == INITIAL


def test_loads_and_stores(machine: Machine) -> None:
    machine.memory.write_integer(DATA, 8, 0x1122_3344_5566_7788)
    machine.state["x", 1] = DATA + 16
    machine.step(F["flw"].encode(rd=2, rs1=1, imm=-16))
    assert machine.state["f", 2] == boxed(0x5566_7788) and machine.state["mstatus"] == DIRTY
    machine.step(D["fld"].encode(rd=3, rs1=1, imm=-16))
    assert machine.state["f", 3] == 0x1122_3344_5566_7788

    machine.state["mstatus"] = CLEAN
    machine.state["f", 4] = 0x0102_0304_0506_0708  # not boxed: a store takes the bits as they are
    machine.step(F["fsw"].encode(rs2=4, rs1=1, imm=8))
    assert machine.memory.read_integer(DATA + 24, 8) == 0x0506_0708
    machine.step(D["fsd"].encode(rs2=4, rs1=1, imm=-2048 + 2032))
    assert machine.memory.read_integer(DATA, 8) == 0x0102_0304_0506_0708
    assert machine.state["mstatus"] == CLEAN


def test_faulting_load_changes_nothing(machine: Machine) -> None:
    machine.state["x", 1], machine.state["f", 2] = 0x10, 7
    machine.step(D["fld"].encode(rd=2, rs1=1))
    assert machine.state["mcause"] == 5 and machine.state["f", 2] == 7
    assert machine.state["mstatus"] & DIRTY == CLEAN


# --- as expressions -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_traces_to_few_paths(row: Row) -> None:
    registers = {register.name: register for register in RISCV64.registers}
    assert Tracer(registers).semantics(row.semantics).paths() <= 3
