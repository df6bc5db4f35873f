"""Random user-level programs in one bare-machine guest, which runs on our engines and on QEMU alike.

Each program loads all registers from its area of memory, computes, and saves them there with fcsr. The guest runs
them one after the other, sets a flag, prints the areas on the serial port and powers off.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from hypernest.isa.assembler import assemble
from hypernest.isa.riscv.riscv64 import RISCV64
from hypernest.isa.row import Row
from tests.engines.equivalence import RAM
from tests.engines.programs import CSRS
from tests.engines.random_states import CORNERS, encoding, float_value

SCRATCH = 640  # bytes of data at the start of an area, reached by loads, stores and atomics
INTEGERS, FLOATS, ROUNDING, FCSR = SCRATCH, SCRATCH + 256, SCRATCH + 512, SCRATCH + 520
AREA = SCRATCH + 528
FLAG, AREAS, CODE = RAM, RAM + 0x1000, RAM + 0x8_0000  # the guest starts at RAM and jumps over the areas
SIZE = 1 << 21
FINISHED, TRAPPED = 1, 2

# QEMU 7.2 has no Zicond; system instructions and jumps to computed addresses are not for user-level programs.
EXTENSIONS = ("I", "M", "A", "F", "D", "C", "Zba", "Zbb", "Zbs")
_LEFT_OUT = {"ecall", "ebreak", "c.ebreak", "jalr", "c.jr", "c.jalr", "fence", "fence.tso"}
ROWS = [row for row in RISCV64.rows.values() if row.extension in EXTENSIONS and row.name not in _LEFT_OUT]

_PROLOGUE = "\n".join(
    [
        "csrr x31, mscratch",
        f"ld x1, {ROUNDING}(x31)",
        "csrw fcsr, x1",
        *(f"fld f{number}, {FLOATS + 8 * number}(x31)" for number in range(32)),
        *(f"ld x{number}, {INTEGERS + 8 * number}(x31)" for number in range(1, 31)),
    ]
)
_EPILOGUE = "\n".join(
    [
        *(f"sd x{number}, {INTEGERS + 8 * number}(x31)" for number in range(1, 31)),
        *(f"fsd f{number}, {FLOATS + 8 * number}(x31)" for number in range(32)),
        "csrr x1, fcsr",
        f"sd x1, {FCSR}(x31)",
        f"addi x31, x31, {AREA}",
        "csrw mscratch, x31",
    ]
)
_START = f"""
    j    start
    .align 3
flag: .dword 0
start:
    la   t0, trapped
    csrw mtvec, t0
    li   t0, 0x2000
    csrs mstatus, t0
    li   t0, {AREAS}
    csrw mscratch, t0
    li   t0, {CODE}
    jr   t0
trapped:
    li   t1, {TRAPPED}
    j    1f
finished:
    li   t1, {FINISHED}
1:  la   t0, flag
    sd   t1, 0(t0)
    li   t0, {AREAS}
    li   t3, 0x10000000
2:  lbu  t4, 5(t3)
    andi t4, t4, 0x20
    beqz t4, 2b
    lbu  t4, 0(t0)
    sb   t4, 0(t3)
    addi t0, t0, 1
    csrr t2, mscratch
    bltu t0, t2, 2b
    li   t0, 0x100000
    li   t1, 0x5555
    sw   t1, 0(t0)
3:  j    3b
"""


@dataclass(frozen=True)
class Guest:
    """`image` is loaded and started at RAM; `programs` are the codes of each program's instructions."""

    image: bytes
    programs: list[list[int]]

    @property
    def areas_size(self) -> int:
        return AREA * len(self.programs)


def _assemble(text: str, origin: int = RAM) -> bytes:
    return assemble(text, origin, RISCV64.rows, CSRS)


def make_guest(seed: str, programs: int, instructions: int) -> Guest:
    """A guest with so many programs of so many instructions; every row occurs in each few programs."""
    random = Random(seed)
    image = bytearray(SIZE)
    start = _assemble(_START)
    image[: len(start)] = start
    prologue, epilogue = _assemble(_PROLOGUE), _assemble(_EPILOGUE)
    at, made = CODE - RAM, []
    rows: list[Row] = []
    for number in range(programs):
        codes: list[int] = []
        while len(codes) < instructions:
            rows = rows or random.sample(ROWS, len(ROWS))
            codes += _sequence(rows.pop(), random)
        code = prologue + b"".join(code.to_bytes(4 if code & 3 == 3 else 2, "little") for code in codes) + epilogue
        image[at : at + len(code)] = code
        at += len(code)
        area = AREAS - RAM + number * AREA
        image[area : area + AREA] = _initial_area(random)
        made.append(codes)
    assert AREAS + programs * AREA <= CODE
    end = _assemble(f"li t0, {RAM + start.index(_assemble(f'li t1, {FINISHED}'))}\n jr t0")
    image[at : at + len(end)] = end
    return Guest(bytes(image), made)


def _initial_area(random: Random) -> bytes:
    words = [random.choice((random.getrandbits(64), float_value(random))) for _ in range(SCRATCH // 8)]
    words += [random.choice((random.choice(CORNERS), random.getrandbits(64))) for _ in range(32)]
    words += [float_value(random) for _ in range(32)]
    words += [random.randrange(5) << 5, 0]
    return b"".join(word.to_bytes(8, "little") for word in words)


def _row(name: str, **operands: int) -> int:
    return RISCV64.rows[name].encode(**operands)


def _sequence(row: Row, random: Random) -> list[int]:
    """The row's instruction, with what it needs in front: an address in its base register, something to jump over."""
    while True:
        code = encoding(row, random)
        operands = row.operand_values(code)
        if operands.get("rm", 0) in (5, 6) or (operands.get("rd") == 31 and not _is_float(row)):
            continue
        break
    if row.name == "ctzw":  # QEMU before 8.0 counts on beyond 32 zeros
        return [
            _row("ori", rd=30, rs1=random.randrange(32), imm=1 << random.randrange(11)),
            row.encode(rd=operands["rd"], rs1=30),
        ]
    if row.extension == "A":
        return _atomic(row, random)
    if "imm" in operands and "(" in row.syntax:
        return _memory_access(row, random)
    if "target" in row.syntax:
        skipped = [_row("addi", rd=random.randrange(1, 31), rs1=random.randrange(32), imm=random.randrange(2048))
                   for _ in range(random.randint(1, 3))]  # fmt: skip
        values = {name: each.extract(code) for name, each in row.fields.items()}
        return [row.encode(**values | {"imm": row.length + 4 * len(skipped)}), *skipped]
    return [code]


def _is_float(row: Row) -> bool:
    return "fd" in row.syntax.replace(",", " ").split()


def _atomic(row: Row, random: Random) -> list[int]:
    rd, rs2 = random.randrange(30), random.randrange(31)
    address = _row("addi", rd=30, rs1=31, imm=8 * random.randrange(SCRATCH // 8))
    order = {"aq": random.randrange(2), "rl": random.randrange(2)}
    if row.name.startswith("lr"):
        return [address, row.encode(rd=rd, rs1=30, **order)]
    code = row.encode(rd=rd, rs1=30, rs2=rs2, **order)
    if row.name.startswith("sc"):
        return [address, _row(f"lr{row.name[2:]}", rd=random.choice((0, 29)), rs1=30), code]
    return [address, code]


def _memory_access(row: Row, random: Random) -> list[int]:
    """Based on x31, or on a copy of it where the encoding has no x31; aligned or not."""
    while True:
        code = encoding(row, random)
        operands = row.operand_values(code)
        base = operands["rs1"]
        if "rs1" in row.fields and not row.fields["rs1"].offset:
            code = row.encode(**{name: each.extract(code) for name, each in row.fields.items()} | {"rs1": 31})
            base = 31
        fits = 0 <= operands["imm"] <= SCRATCH - 8
        if fits and base and (operands.get("rd") != 31 or _is_float(row)):
            return [code] if base == 31 else [_row("addi", rd=base, rs1=31, imm=0), code]
