"""ELF guests of a few functions, built by the cross compiler, whose cost is known to the instruction."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROUNDS, CHEAP, COSTLY = 250, 10, 30
INSTRUCTIONS = {"_start": 1 + ROUNDS * 4 + 4, "cheap": ROUNDS * CHEAP, "costly": ROUNDS * COSTLY}
"""What each function of `TWO_FUNCTIONS` executes."""

TWO_FUNCTIONS = f"""
    .option norelax
    .option norvc
    .globl _start
    .type _start, @function
_start:
    li    s0, {ROUNDS}
again:
    jal   cheap
    jal   costly
    addi  s0, s0, -1
    bnez  s0, again
    lui   t0, 0x100
    lui   t1, 5
    addi  t1, t1, 0x555
    sw    t1, 0(t0)
1:  j     1b
    .size _start, . - _start

    .type cheap, @function
cheap:
    .rept {CHEAP - 1}
    addi  s1, s1, 1
    .endr
label_without_size:
    ret
    .size cheap, . - cheap

    .zero 16
costly:
    .rept {COSTLY - 1}
    addi  s2, s2, 1
    .endr
    ret
"""

SPIN = """
    .globl _start
_start:
    lui   t0, 0x10000
    li    t1, '!'
    sb    t1, 0(t0)
    j     spin
spin:
    j     spin
"""
"""Prints an exclamation mark on the UART and never ends."""

KERNEL_SCRIPT = """
SECTIONS { .text 0xffffffff80000000 : AT(0x80200000) { *(.text) } }
"""
"""Linked high, loaded low, as Linux is."""


def build(source: str, folder: Path, *options: str, at: int | None = 0x8020_0000) -> Path:
    """The ELF file that the cross compiler makes of assembly `source`."""
    text, program = folder / "guest.S", folder / "guest.elf"
    text.write_text(source)
    place = () if at is None else ("-static", f"-Wl,-Ttext={at:#x}")
    command = ["riscv64-linux-gnu-gcc", "-nostdlib", "-Wl,--build-id=none", *place, *options, "-o", program, text]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return program
