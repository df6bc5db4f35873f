"""Small guests in which much goes on at once: timers, interrupts between harts, input, reservations, atomic counters.

What they compute depends on when each interrupt struck, so that two courses that differ anywhere soon differ in memory.
"""

from __future__ import annotations

from typing import Any

from hypernest.machine import Machine
from tests.machine.small_guests import bare, hosted

BARE = """
        csrr  s0, mhartid
        la    t0, handler
        csrw  mtvec, t0
        la    s1, shared
        la    s2, own
        slli  t0, s0, 6
        add   s2, s2, t0
        li    s3, 0x2004000     # mtimecmp
        slli  t0, s0, 3
        add   s3, s3, t0
        addi  t0, s0, 3
        sd    t0, 0(s3)
        li    s4, 0x2000000     # msip
        bnez  s0, ready
        li    t0, 0xC000000     # PLIC: priority and enable of the serial port, for hart 0
        li    t1, 1
        sw    t1, 40(t0)
        li    t0, 0xC002000
        li    t1, 0x400
        sw    t1, 0(t0)
        li    t0, 0x10000000    # UART: interrupt when input comes
        li    t1, 1
        sb    t1, 1(t0)
ready:
        li    t0, 0x2000        # floating point
        csrs  mstatus, t0
        li    t0, 0x888
        csrw  mie, t0
        csrsi mstatus, 8
loop:
        lr.d  t0, (s1)
        addi  t0, t0, 1
        xor   t2, t0, s0
        sc.d  t1, t0, (s1)
        bnez  t1, loop
        ld    t0, 0(s2)
        slli  t1, t0, 5
        add   t0, t0, t1
        add   t0, t0, t2
        sd    t0, 0(s2)
        fcvt.d.l f1, t0
        fadd.d f2, f2, f1
        addi  s5, s5, 1
        andi  t1, s5, 7
        bnez  t1, loop
        wfi
        j     loop
        .align 2
handler:
        csrr  s8, mcause
        bgez  s8, exception
        andi  s8, s8, 0xf
        li    s9, 7
        beq   s8, s9, timer
        li    s9, 3
        beq   s8, s9, software
        li    s9, 11
        beq   s8, s9, external
exception:                      # the other hart is not there: leave the store out
        csrr  s8, mepc
        addi  s8, s8, 4
        csrw  mepc, s8
        mret
timer:
        ld    s9, 0(s3)
        addi  s9, s9, 4
        add   s9, s9, s0
        sd    s9, 0(s3)
        addi  s6, s6, 1
        ld    s9, 0(s2)
        xor   s9, s9, s6
        sd    s9, 0(s2)
        andi  s9, s6, 3
        bnez  s9, 1f
        li    s9, 1             # tell the other hart
        xori  s10, s0, 1
        slli  s10, s10, 2
        add   s10, s10, s4
        sw    s9, 0(s10)
1:      mret
software:
        slli  s10, s0, 2
        add   s10, s10, s4
        sw    zero, 0(s10)
        addi  s7, s7, 1
        ld    s9, 8(s2)
        add   s9, s9, s7
        sd    s9, 8(s2)
        mret
external:
        li    s10, 0xC200004
        lw    s8, 0(s10)
        li    s9, 0x10000000
        lbu   s11, 0(s9)
        sb    s11, 0(s9)        # echo
        ld    s9, 16(s2)
        slli  s9, s9, 8
        add   s9, s9, s11
        sd    s9, 16(s2)
        sw    s8, 0(s10)
        mret
        .align 6
shared: .dword 0
        .align 6
own:    .dword 0
"""
"""M-mode on any number of harts; what is typed comes back."""

HOSTED = """
        mv    s0, a0
        bnez  s0, work
        li    a0, 1             # start the other hart, which may not exist
        la    a1, work
        li    a7, 0x48534D
        li    a6, 0
        ecall
        li    a0, 0
work:
        mv    s0, a0
        la    t0, handler
        csrw  stvec, t0
        la    s1, own
        slli  t0, s0, 6
        add   s1, s1, t0
        rdtime_s3
        addi  s3, s3, 5
        csrw  stimecmp, s3
        li    t0, 0x22
        csrw  sie, t0
        csrsi sstatus, 2
loop:
        addi  s4, s4, 1
        ld    t0, 0(s1)
        slli  t1, t0, 7
        xor   t0, t0, t1
        add   t0, t0, s4
        sd    t0, 0(s1)
        andi  t1, s4, 7
        bnez  t1, loop
        li    a7, 2             # getchar of the old SBI
        ecall
        bltz  a0, 1f
        li    a7, 1             # putchar
        ecall
        ld    t0, 8(s1)
        slli  t0, t0, 8
        add   t0, t0, a0
        sd    t0, 8(s1)
1:      andi  t1, s4, 31
        bnez  t1, loop
        li    a0, 3             # send an interrupt to both
        li    a1, 0
        li    a7, 0x735049
        li    a6, 0
        ecall
        wfi
        j     loop
        .align 2
handler:
        csrr  s8, scause
        andi  s8, s8, 0xf
        li    s9, 1
        beq   s8, s9, software
        addi  s3, s3, 6
        add   s3, s3, s0
        csrw  stimecmp, s3
        addi  s6, s6, 1
        sd    s6, 16(s1)
        sret
software:
        csrci sip, 2
        ld    s9, 24(s1)
        add   s9, s9, s4
        sd    s9, 24(s1)
        sret
        .align 6
own:    .dword 0
""".replace("rdtime_s3", "csrr s3, time")
"""S-mode above the SBI on one or two harts; what is typed comes back."""

PRINT_AND_REBOOT = """
        la    s0, 1f
1:      li    s2, 0x10000000
        li    t0, 65
        sb    t0, 0(s2)
        li    s1, 100
2:      addi  s1, s1, -1
        bnez  s1, 2b
        li    t0, 66
        sb    t0, 0(s2)
        li    t0, {finish:#x}
        li    t1, 0x100000
        sw    t0, 0(t1)
"""
RESET, POWER_OFF = 0x7777, 0x5555


def bare_machine(harts: int = 2, **options: Any) -> Machine:
    """`BARE`, that takes turns of 100,000 steps."""
    return bare(BARE, harts=harts, memory="1M", **options)


def hosted_machine(harts: int = 2, **options: Any) -> Machine:
    """`HOSTED`."""
    return hosted(HOSTED, harts=harts, memory="4M", **options)


GUESTS = {"bare": bare_machine, "hosted": hosted_machine}
ENGINES = ("reference", "interpreter", "translator")


def course(machine: Machine, counts: range | list[int]) -> list[str]:
    """The state at each of these counts, in their order."""
    found = []
    for count in counts:
        machine.run(count - machine.instructions)
        assert machine.instructions == count
        found.append(machine.state_hash())
    return found
