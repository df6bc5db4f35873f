"""The assembler against the disassembler, GNU as, and the sentences that its errors are."""

from __future__ import annotations

import re
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hypernest.isa.assembler import PSEUDO_INSTRUCTIONS, AssemblyError, assemble, load_immediate
from hypernest.isa.disassembler import Disassembler
from hypernest.isa.riscv.riscv64 import RISCV64
from hypernest.isa.row import Row
from tests.isa.objdump import ARCHITECTURE
from tests.isa.sampling import samples

CSRS = {csr.name: number for number, csr in RISCV64.csrs.items()}
DISASSEMBLER = Disassembler(RISCV64.rows, {number: name for name, number in CSRS.items()})
UNSAID = {"fence": ("fm", "rs1", "rd"), "fence.i": ("imm", "rs1", "rd")}  # fields that the text does not show


def machine_code(text: str, origin: int = 0) -> bytes:
    return assemble(text, origin, RISCV64.rows, CSRS)


def gnu_as(text: str, folder: Path) -> bytes:
    (folder / "text.s").write_text(f".option norelax\n.option norvc\n{text}\n")
    for command in (
        f"as -march={ARCHITECTURE} text.s -o text.o",
        "ld -Ttext=0x10000 -e 0 text.o -o text.elf",
        "objcopy -O binary -j .text text.elf text.bin",
    ):
        subprocess.run(f"riscv64-linux-gnu-{command}".split(), cwd=folder, capture_output=True, check=True)
    return (folder / "text.bin").read_bytes()


@pytest.mark.parametrize("row", RISCV64.rows.values(), ids=lambda row: row.name)
def test_what_the_disassembler_writes_is_read_back(row: Row) -> None:
    for code in samples(row, 20):
        values = {name: field.extract(code) for name, field in row.fields.items()}
        if values.get("rm") in (5, 6):
            continue  # reserved modes have no name
        code = row.encode(**{name: 0 if name in UNSAID.get(row.name, ()) else value for name, value in values.items()})
        text = DISASSEMBLER.write(row, values, 0x1000)
        assert machine_code(text, 0x1000) == code.to_bytes(row.length, "little"), text


def in_gnu_dialect(text: str) -> str:
    """What GNU as would do better (compress, pad with nops, long calls) taken away."""
    text = re.sub(r"^( *c\..*)$", r".option rvc\n\1\n.option norvc", text, flags=re.MULTILINE)
    return text.replace("call ", "jal ").replace(".align  3", ".align 3, 0")


# One use of every pseudo-instruction and of everything an operand can be, where GNU as reads the same text.
PROGRAM = """
start:  nop
        li a0, -2048
        li a0, 0x7fffffff
        li t0, 'A'
        la a1, message
        mv s0, fp
        not a2, a3
        neg a2, a3
        negw a2, a3
        sext.w a2, a3
        seqz a2, a3
        snez a2, a3
        sltz a2, a3
        sgtz a2, a3
1:      beqz a0, 1f
        bnez a0, 1b
        blez a0, 1b; bgez a0, 1b; bltz a0, 1b; bgtz a0, 1b
1:      bgt a0, a1, start
        ble a0, a1, 1b
        bgtu a0, a1, 1b
        bleu a0, a1, start + 4
        j 1b
        jal later
        jr t0
        jalr t0
        jalr x1, -4(t0)
        ret
        fence
        fence rw, w
        sfence.vma
        csrr a0, mstatus
        csrw mepc, a0
        csrs mie, a0
        csrc mip, a0
        csrwi mscratch, 31
        csrsi sstatus, 2
        csrci sstatus, 2
        csrrw a0, 0x340, a1
        fmv.s fa0, fs1
        fmv.d ft11, f0
        fadd.s fa0, fa1, fa2, rtz
        fadd.s fa0, fa1, fa2
        fcvt.w.d a0, fa0, rup
        lw a0, (sp)
        lw a0, 8+4*2(sp)        # a comment
        sd ra, -8(sp)
        fld fa0, 16(s1)
        lr.w.aq t0, (a0)
        sc.d.rl t0, t1, (a0)
        amoadd.w.aqrl t0, t1, (a0)
        lui a0, 0xfffff
        auipc a0, 1
        slli a0, a0, 63
        c.lwsp a0, 12(sp)
        c.addi16sp sp, -64
        c.nop
        c.addi a0, 1
later:  call start
.equ    SIZE, (1 << 4) + 3
        addi a0, a0, SIZE - 1
        lui a0, %hi(SIZE)
        addi a0, a0, %lo(SIZE)
.align  3
message: .asciz "a \\"quoted\\" # text, \\n"
        .ascii "x"
        .byte 1, -1, 255
.align  3
        .half 0x1234, -2
        .word message, 5
        .zero 3
        .byte ~1 & 0xf
        .dword start, -1
"""


def test_program_is_what_gnu_as_makes_of_it(tmp_path: Path) -> None:
    text = PROGRAM.replace("; ", "\n")
    theirs = gnu_as(in_gnu_dialect(text), tmp_path)
    ours = machine_code(text, 0x10000)
    assert ours == theirs


def test_program_uses_every_pseudo_instruction() -> None:
    used = {line.split(":")[-1].split()[0] for line in PROGRAM.replace(";", "\n").splitlines() if line.split(":")[-1]}
    assert {name for name, _ in PSEUDO_INSTRUCTIONS} <= used


def run(texts: list[str]) -> int:
    """What the instructions that `li` stands for leave in the register."""
    value = 0
    for text in texts:
        name, _, operands = text.partition(" ")
        last = int(operands.split(", ")[-1], 0)
        if name == "lui":
            value = (last << 12) - ((last >> 19) << 32)
        elif name == "slli":
            value <<= last
        else:
            value = last if ", x0, " in operands else value + last
        value &= (1 << 64) - 1
        if name == "addiw":
            value = (value & 0xFFFFFFFF) - ((value >> 31 & 1) << 32) & (1 << 64) - 1
    return value


@given(
    st.integers(-(1 << 63), (1 << 64) - 1) | st.integers(-5000, 5000) | st.sampled_from(range(64)).map((1).__lshift__)
)
@example(0x7FFFFFFF)
@example(-0x80000000)
@example(0xFFFFFFFF)
@example(0x7FFFFFFFFFFFFFFF)
@example(0x7FFFFFFFFFFFF800)
@example(-(1 << 63))
def test_li_loads_any_value(value: int) -> None:
    texts = list(load_immediate("a0", value))
    assert run(texts) == value & ((1 << 64) - 1)
    assert len(texts) <= 8
    assert len(machine_code(f"li a0, {value}")) == 4 * len(texts)


def test_labels_follow_the_origin() -> None:
    assert machine_code("start: .dword start, end\nend:", 0x8000_0000) == (
        (0x8000_0000).to_bytes(8, "little") + (0x8000_0010).to_bytes(8, "little")
    )


def test_here_is_the_address_of_the_statement() -> None:
    assert machine_code("nop\njal x0, .") == machine_code("nop\n1: j 1b")


def test_several_labels_on_a_line() -> None:
    assert machine_code("a: b: .dword a, b", 8) == 2 * (8).to_bytes(8, "little")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nop\nfoo a0", "line 2: there is no instruction foo"),
        ("addi a0, a0, 5000", "line 1: imm cannot be 5000"),
        ("addi a0", "line 1: 'addi rd, rs1, imm' has 3 operands, not 1"),
        ("addi a0, q0, 1", "line 1: 'q0' is not an integer register"),
        ("fadd.s a0, f1, f2", "line 1: 'a0' is not a floating-point register"),
        ("fadd.s f0, f1, f2, up", "line 1: 'up' is not a rounding mode: rne, rtz, rdn, rup, rmm, dyn"),
        ("lw a0, 4", "line 1: '4' does not fit 'lw rd, imm(rs1)'"),
        ("lr.w a0, 4(a0)", "line 1: '4(a0)' does not fit 'lr.w rd, (rs1)'"),
        ("c.lwsp a0, 4(a1)", "line 1: 'c.lwsp rd, uimm(x2)' needs x2, not a1"),
        ("c.lw t0, 4(a1)", "line 1: rd cannot be 5"),
        ("\n\nbeq a0, a1, nowhere", "line 3: nowhere is not defined"),
        ("j 1f\n1b: nop", "line 2: '1b' cannot be the name of a symbol"),
        ("j 1f", "line 1: there is no label 1 after this line"),
        ("j 1b\n1:", "line 1: there is no label 1 before this line"),
        ("a:\na: nop", "line 2: a is defined twice"),
        (".equ a, later\nlater:", "line 1: later is not defined"),
        ("li a0, 1 << 64", "line 1: 18446744073709551616 does not fit into 64 bits"),
        ("lui a0, 0x100000", "line 1: 0x100000 does not fit into 20 bits"),
        ("addi a0, a0, 1 +", "line 1: cannot read the expression '1 +'"),
        ("addi a0, a0, 1.5", "line 1: cannot read the expression '1.5'"),
        ("addi a0, a0, print(1)", "line 1: cannot read the expression 'print(1)'"),
        ("fence a, b", "line 1: 'a' is not a set of accesses such as rw or iorw"),
        ("csrr a0, nosuch", "line 1: nosuch is not defined"),
        ("amoadd.w.x a0, a0, (a0)", "line 1: there is no instruction amoadd.w.x"),
        ("add.aq a0, a0, a0", "line 1: there is no instruction add.aq"),
        (".byte 256", "line 1: 256 does not fit into 1 bytes"),
        (".ascii text", "line 1: text is not a string in double quotes"),
        (".zero -1", "line 1: .zero of -1 is out of range"),
        (".align 60", "line 1: .align of 60 is out of range"),
        (".section .text", "line 1: .section .text is not a directive of this assembler"),
    ],
)
def test_errors_name_the_line_and_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(AssemblyError) as caught:
        machine_code(text)
    assert str(caught.value) == message


@given(st.text("abi0x1.,:()\"'#% \n-+<flwnopvda", max_size=40))
def test_garbage_is_an_error_or_a_program(text: str) -> None:
    with suppress(AssemblyError):
        machine_code(text)
