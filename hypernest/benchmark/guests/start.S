# Entry of a bare-machine guest: hart 0 gets a stack and the floating-point unit, the others sleep.
# The loader has put .data in place and zero-filled .bss.

    .equ MSTATUS_FS_INITIAL, 1 << 13

    .section .text.start, "ax"
    .globl _start
_start:
    csrr    t0, mhartid
    bnez    t0, park
    li      t0, MSTATUS_FS_INITIAL
    csrs    mstatus, t0
    la      sp, stack_top
    call    main
park:
    wfi
    j       park
