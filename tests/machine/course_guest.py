"""A guest whose course depends on everything at once: what is typed, when, timers, turns of harts, idleness."""

from __future__ import annotations

from typing import Any

from hypernest.machine import Machine
from tests.machine.small_guests import CLINT, FINISHER, UART, bare

LISTEN = """
    li    t0, 1
    sb    t0, 1(s0)         # IER: received data
    li    t0, 0x0C000028    # PLIC: priority of source 10
    li    t1, 1
    sw    t1, 0(t0)
    li    t0, 0x0C002000    # enable it for M-mode of hart 0
    li    t1, 0x400
    sw    t1, 0(t0)
"""
"""What has the UART at s0 interrupt M-mode of hart 0 when something was typed."""

# Registers: s0 UART, s1 a mixture of everything, s2 rounds, s4-s10 the handler's, s11 the hart's number.
TYPED_AT = f"""
    csrr  s11, mhartid
    la    t0, handler
    csrw  mtvec, t0
    li    s0, {UART:#x}
    li    s9, {CLINT + 0x4000:#x}    # mtimecmp
    slli  t0, s11, 3
    add   s9, s9, t0
    bnez  s11, ready
{LISTEN}
ready:
    slli  t0, s11, 2
    addi  t0, t0, 23
    sd    t0, 0(s9)
    li    t0, 0x880         # external and timer interrupts
    csrw  mie, t0
    csrsi mstatus, 8
    la    s3, shared
loop:
    amoadd.d t1, s1, (s3)
    slli  t2, s1, 5
    xor   s1, s1, t2
    srli  t2, s1, 7
    add   s1, s1, t2
    add   s1, s1, t1
    addi  s2, s2, 1
    andi  t3, s2, 255
    bnez  t3, loop
    sd    s1, 8(s3)
    wfi
    j     loop
    .align 2
handler:
    csrr  s4, mcause
    slli  s4, s4, 1
    li    s5, 22            # 11, external
    beq   s4, s5, external
    li    s6, {CLINT + 0xBFF8:#x}    # mtime
    ld    s6, 0(s6)
    add   s1, s1, s6
    addi  s6, s6, 61
    add   s6, s6, s11
    sd    s6, 0(s9)
    mret
external:
    li    s7, 0x0C200004    # claim
    lw    s8, 0(s7)
1:  lbu   s4, 5(s0)         # LSR
    andi  s4, s4, 1
    beqz  s4, 2f
    lbu   s4, 0(s0)
    sb    s4, 0(s0)         # echo
    slli  s1, s1, 1
    add   s1, s1, s4
    csrr  s5, time
    add   s1, s1, s5
    li    s5, 113           # q
    li    s6, 0x5555
    beq   s4, s5, 3f
    li    s5, 114           # r
    li    s6, 0x7777
    bne   s4, s5, 1b
3:  li    s5, {FINISHER:#x}
    sw    s6, 0(s5)
2:  sw    s8, 0(s7)         # complete
    mret
    .align 3
shared: .dword 0
        .dword 0
"""


def course(**options: Any) -> Machine:
    """A machine with that guest, which runs until a `q` is typed, and resets itself at an `r`."""
    return bare(TYPED_AT, **{"memory": "1M", **options})
