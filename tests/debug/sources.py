"""C programs for a bare machine, built with debug information by the cross compiler."""

from __future__ import annotations

import subprocess
from pathlib import Path

CALLS = r"""
typedef unsigned long word;

static volatile word sink;

__attribute__((noinline)) static word leaf(word n)
{
    word sum = 0;
    for (word i = 0; i < n; i++)
        sum += i ^ sink;
    return sum;
}

__attribute__((noinline)) static word middle(word n)
{
    volatile word room[n + 4];
    room[n] = leaf(n);
    sink = room[n];
    return room[n] + 1;
}

__attribute__((noinline)) static word recurse(word depth)
{
    if (depth == 0)
        return middle(3);
    return recurse(depth - 1) + depth;
}

__attribute__((noinline, noreturn)) static void never_returns(void)
{
    sink = recurse(3);
    *(volatile unsigned *)0x100000 = 0x5555;
    for (;;)
        ;
}

void c_main(void)
{
    sink = 1;
    never_returns();
}
"""

# Without relaxation, as the assembler gives its own code a size that is wrong after it.
START = r"""
    .option norelax
    .globl _start
    .type _start, @function
_start:
    .cfi_startproc
    .cfi_undefined ra
    la    sp, stack_end
    li    s0, 0
    call  c_main
    .cfi_endproc
    .size _start, . - _start
    .bss
    .balign 16
    .zero 65536
stack_end:
"""


def compile_program(folder: Path, *options: str, source: str = CALLS, start: str = START) -> Path:
    """The ELF file for 0x80200000 of `source` behind `start`, with debug information."""
    (folder / "calls.c").write_text(source)
    (folder / "start.S").write_text(start)
    program = folder / "calls.elf"
    command = ["riscv64-linux-gnu-gcc", "-g", "-nostdlib", "-static", "-ffreestanding", "-mcmodel=medany", "-fno-pie"]
    command += [
        "-mno-relax",
        "-no-pie",
        "-Wl,--build-id=none",
        "-Wl,-Ttext=0x80200000",
        *options,
        "-o",
        "calls.elf",
        "start.S",
    ]
    subprocess.run([*command, "calls.c"], check=True, capture_output=True, timeout=60, cwd=folder)
    return program


def tool(name: str, *arguments: str | Path) -> str:
    """What a program of the cross binutils prints."""
    command = [f"riscv64-linux-gnu-{name}", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def code_addresses(program: Path) -> list[int]:
    """Where instructions begin, as objdump sees it."""
    lines = tool("objdump", "-d", program).splitlines()
    heads = (line.partition(":")[0].strip() for line in lines if ":\t" in line)
    return [int(head, 16) for head in heads]
