# The guest `hello`: a whole operating system for a minute. It says what machine it is on, as far as the SBI below it,
# the device tree it was given and the devices themselves tell; then it echoes keys until Ctrl-D or Ctrl-C.
#
# Entered like Linux: S-mode, a0 the number of this hart, a1 the address of the device tree. It may lie anywhere.
#
# s0  this hart             s3  strings of the device tree       s6  harts found
# s1  device tree           s4  depth in the tree                s7  serial port, 0 if none was found
# s2  place in the tree     s5  record of the current node       s8  its interrupt's number     s9  the PLIC
#
# Functions take and return a0 and a1, may change the a and t registers, and keep the s registers.

.equ BASE, 0x10
.equ HSM, 0x48534D
.equ SRST, 0x53525354
.equ DBCN, 0x4442434E
.equ LEGACY_PUTCHAR, 1
.equ LEGACY_SHUTDOWN, 8

.equ TREE_MAGIC, 0xD00DFEED
.equ BEGIN_NODE, 1
.equ END_NODE, 2
.equ PROPERTY, 3
.equ NOP, 4

# A node's record: addresses in the tree of its name and of the values of its properties, 0 if there is none.
.equ NAME, 0
.equ REG, 8
.equ COMPATIBLE, 16
.equ MODEL, 24
.equ BOOTARGS, 32
.equ ISA, 40
.equ MMU, 48
.equ INTERRUPTS, 56
.equ RECORD_END, 64

# 16550
.equ RBR, 0
.equ IER, 1
.equ LSR, 5

.equ SEIE, 1 << 9

start:
    la   sp, stack_top
    mv   s0, a0
    mv   s1, a1
    csrw sie, x0
    la   t0, unexpected
    csrw stvec, t0
    call find_console

    la   a0, greeting
    call print
    call show_firmware
    call show_harts
    li   s7, 0
    li   s9, 0
    call show_tree
    beqz s7, no_serial_port
    la   a0, invitation
    call print
    j    echo

no_serial_port:
    la   a0, no_serial_port_text
    call print
    j    power_off

# --- the firmware ---------------------------------------------------------------------------------------------------

# SBI call: a7 extension, a6 function, a0 to a2 arguments; a0 error, a1 value.
# Legacy calls are made in place, as their results differ.

show_firmware:
    addi sp, sp, -16
    sd   ra, 0(sp)
    sd   s2, 8(sp)
    la   a0, firmware_text
    call print
    li   a6, 0                  # sbi_get_spec_version: minor in 24 bits, major above
    call base_call
    mv   s2, a0
    srliw a0, s2, 24
    call print_decimal
    la   a0, dot
    call print
    slli a0, s2, 40
    srli a0, a0, 40
    call print_decimal
    la   a0, implementation_text
    call print
    li   a6, 1                  # sbi_get_impl_id
    call base_call
    mv   s2, a0
    li   a1, 1
    call print_hex
    la   t0, opensbi_text
    li   t1, 1
    beq  s2, t1, 1f
    la   t0, hypernest_text
    li   t1, 0x686E
    bne  s2, t1, 2f
1:  mv   a0, t0
    call print
2:  la   a0, version_text
    call print
    li   a6, 2                  # sbi_get_impl_version
    call base_call
    li   a1, 1
    call print_hex
    la   a0, extensions_text
    call print
    la   s2, extensions
3:  ld   a0, 0(s2)
    beqz a0, 4f
    li   a6, 3                  # sbi_probe_extension
    call base_call
    beqz a0, 5f
    la   a0, space
    call print
    addi a0, s2, 8
    call print
5:  addi s2, s2, 16
    j    3b
4:  call print_newline
    ld   ra, 0(sp)
    ld   s2, 8(sp)
    addi sp, sp, 16
    ret

base_call:
    li   a7, BASE
    ecall
    mv   a0, a1
    ret

# --- the harts ------------------------------------------------------------------------------------------------------

# Counts the harts that hart state management knows, and starts each to see that it answers.
show_harts:
    addi sp, sp, -16
    sd   ra, 0(sp)
    sd   s2, 8(sp)
    li   s6, 0
    li   s2, 1                  # this one answers
1:  mv   a0, s6
    li   a7, HSM
    li   a6, 2                  # sbi_hart_get_status
    ecall
    bnez a0, 3f
    beq  s6, s0, 2f
    mv   a0, s6
    la   a1, other_hart
    li   a2, 0
    li   a7, HSM
    li   a6, 0                  # sbi_hart_start
    ecall
    bnez a0, 2f
    addi s2, s2, 1
2:  addi s6, s6, 1
    j    1b
3:  la   a0, harts_text
    call print
    mv   a0, s6
    call print_decimal
    la   a0, answered_text
    call print
    la   t0, answers
    li   t1, 1000000            # patience, in turns of the loop
4:  pause
    lw   a0, 0(t0)
    beq  a0, s2, 5f
    addi t1, t1, -1
    bnez t1, 4b
5:  call print_decimal
    call print_newline
    ld   ra, 0(sp)
    ld   s2, 8(sp)
    addi sp, sp, 16
    ret

other_hart:
    la   t0, answers
    li   t1, 1
    amoadd.w x0, t1, (t0)
    li   a7, HSM
    li   a6, 1                  # sbi_hart_stop
    ecall
1:  wfi
    j    1b

# --- the device tree (Devicetree Specification, chapter 5) ------------------------------------------------------------

show_tree:
    addi sp, sp, -16
    sd   ra, 0(sp)
    mv   a0, s1
    call cell
    li   t0, TREE_MAGIC
    bne  a0, t0, 9f
    addi a0, s1, 8              # offset of the structure
    call cell
    add  s2, s1, a0
    addi a0, s1, 12             # offset of the strings
    call cell
    add  s3, s1, a0
    li   s4, 0
    la   s5, record

next_token:
    mv   a0, s2
    call cell
    addi s2, s2, 4
    li   t0, NOP
    beq  a0, t0, next_token
    li   t0, PROPERTY
    beq  a0, t0, property
    li   t0, BEGIN_NODE
    beq  a0, t0, begin_node
    li   t0, END_NODE
    bne  a0, t0, 8f
    call show_node
    addi s4, s4, -1
    j    next_token

begin_node:
    call show_node              # the parent's properties are complete
    addi s4, s4, 1
    mv   t0, s5
    addi t1, s5, RECORD_END
1:  sd   x0, 0(t0)
    addi t0, t0, 8
    bne  t0, t1, 1b
    sd   s2, NAME(s5)
    mv   a0, s2
    call length
    add  s2, s2, a0
    addi s2, s2, 4              # the NUL, and up to a multiple of four
    andi s2, s2, -4
    j    next_token

property:
    mv   a0, s2
    call cell
    mv   a4, a0                 # size of the value
    addi a0, s2, 4
    call cell
    add  a3, s3, a0             # name
    addi s2, s2, 8              # value
    la   a5, properties
1:  lhu  t0, 0(a5)              # where the name to compare with is, 0 at the end of the table
    beqz t0, 2f
    la   a0, properties
    add  a0, a0, t0
    mv   a1, a3
    call equal
    bnez a0, 3f
    addi a5, a5, 4
    j    1b
3:  lhu  t0, 2(a5)
    add  t0, s5, t0
    sd   s2, 0(t0)
2:  add  s2, s2, a4
    addi s2, s2, 3
    andi s2, s2, -4
    j    next_token

9:  la   a0, no_tree_text
    call print
8:  ld   ra, 0(sp)
    addi sp, sp, 16
    ret

# Prints what the record says, once.
show_node:
    ld   t0, NAME(s5)
    beqz t0, 9f
    addi sp, sp, -16
    sd   ra, 0(sp)
    li   t0, 1
    beq  s4, t0, show_root
    li   t0, 2
    beq  s4, t0, show_top
    li   t0, 3
    beq  s4, t0, show_below
node_done:
    sd   x0, NAME(s5)
    ld   ra, 0(sp)
    addi sp, sp, 16
9:  ret

show_root:
    la   a0, board_text
    ld   a1, MODEL(s5)
    call print_line
    j    node_done

show_top:
    la   a0, command_line_text
    ld   a1, BOOTARGS(s5)
    call print_line
    la   a0, memory_name
    call name_begins
    beqz a0, node_done
    la   a0, memory_text
    call print
    ld   a0, REG(s5)
    addi a0, a0, 8
    call cell_pair
    srli a0, a0, 20
    call print_decimal
    la   a0, mebibytes_text
    call print
    ld   a0, REG(s5)
    call cell_pair
    li   a1, 8
    call print_hex
    call print_newline
    j    node_done

show_below:
    la   a0, cpu_name
    call name_begins
    beqz a0, show_device
    ld   a0, REG(s5)            # all harts are alike: this one speaks for them
    beqz a0, node_done
    call cell
    bne  a0, s0, node_done
    la   a0, isa_text
    ld   a1, ISA(s5)
    call print_line
    la   a0, mmu_text
    ld   a1, MMU(s5)
    call print_line
    j    node_done

show_device:
    ld   a0, REG(s5)
    beqz a0, node_done
    ld   t0, COMPATIBLE(s5)
    beqz t0, node_done
    call cell_pair
    mv   s10, a0
    la   a0, serial_name
    call name_begins
    beqz a0, 1f
    mv   s7, s10
    ld   a0, INTERRUPTS(s5)
    call cell
    mv   s8, a0
1:  la   a0, plic_name
    call name_begins
    beqz a0, 2f
    mv   s9, s10
2:  li   s11, 0
    la   a0, virtio_name
    call name_begins
    beqz a0, 3f
    lwu  s11, 8(s10)            # what is in the slot: DeviceID, 0 for nothing
    beqz s11, node_done
3:  la   a0, device_text
    call print
    mv   a0, s10
    li   a1, 8
    call print_hex
    la   a0, two_spaces
    call print
    ld   a0, COMPATIBLE(s5)
    call print
    la   t0, virtio_kinds
    beqz s11, 4f
5:  lbu  t1, 0(t0)
    beqz t1, 4f
    beq  t1, s11, 6f
    addi t0, t0, 16
    j    5b
6:  addi a0, t0, 1
    call print
4:  call print_newline
    j    node_done

# a0: does the name of the node begin with the text a0?
name_begins:
    ld   a1, NAME(s5)
1:  lbu  t0, 0(a0)
    beqz t0, 2f
    lbu  t1, 0(a1)
    addi a0, a0, 1
    addi a1, a1, 1
    beq  t0, t1, 1b
    li   a0, 0
    ret
2:  li   a0, 1
    ret

# a0: are the texts a0 and a1 equal?
equal:
    lbu  t0, 0(a0)
    lbu  t1, 0(a1)
    addi a0, a0, 1
    addi a1, a1, 1
    bne  t0, t1, 1f
    bnez t0, equal
    li   a0, 1
    ret
1:  li   a0, 0
    ret

# a0: the big-endian 32 bits at a0
cell:
    lwu  a0, 0(a0)
    rev8 a0, a0
    srli a0, a0, 32
    ret

# a0: the big-endian 64 bits at a0, which is a multiple of four
cell_pair:
    lwu  t0, 0(a0)
    lwu  a0, 4(a0)
    slli a0, a0, 32
    or   a0, a0, t0
    rev8 a0, a0
    ret

# --- keys -----------------------------------------------------------------------------------------------------------

# Interrupts stay disabled in sstatus; one that is pending ends wfi all the same.
echo:
    slli t0, s0, 1
    addi t0, t0, 1              # the PLIC has two contexts a hart, M-mode and S-mode
    beqz s9, 1f
    slli t1, s8, 2
    add  t1, s9, t1
    li   t2, 1
    sw   t2, 0(t1)              # priority of the interrupt
    slli t1, t0, 7
    add  t1, s9, t1
    li   t3, 0x2000
    add  t1, t1, t3
    srli t3, s8, 5
    slli t3, t3, 2
    add  t1, t1, t3
    sllw t2, t2, s8
    sw   t2, 0(t1)              # enable it in this context
    slli t1, t0, 12
    add  s9, s9, t1
    li   t1, 0x200000
    add  s9, s9, t1             # the context's threshold; claim and complete are behind it
    sw   x0, 0(s9)
    li   t0, SEIE
    csrs sie, t0
    li   t0, 1
    sb   t0, IER(s7)            # interrupt when a byte has arrived
1:  lbu  t0, LSR(s7)
    andi t0, t0, 1
    bnez t0, key
    beqz s9, 1b
    wfi
    lwu  t0, 4(s9)              # claim
    sw   t0, 4(s9)              # complete
    j    1b

key:
    lbu  a0, RBR(s7)
    li   t0, 3                  # Ctrl-C
    beq  a0, t0, goodbye
    li   t0, 4                  # Ctrl-D
    beq  a0, t0, goodbye
    la   t1, newline
    li   t0, 13
    beq  a0, t0, 2f
    li   t0, 10
    beq  a0, t0, 2f
    la   t1, rub_out
    li   t0, 8
    beq  a0, t0, 2f
    li   t0, 127
    beq  a0, t0, 2f
    la   t1, one_key
    sb   a0, 0(t1)
    li   t0, 32
    bgeu a0, t0, 2f
    la   t1, control_key        # shown as ^ and a letter
    addi a0, a0, 64
    sb   a0, 1(t1)
2:  mv   a0, t1
    call print
    j    1b

goodbye:
    la   a0, goodbye_text
    call print

# --- the end --------------------------------------------------------------------------------------------------------

power_off:
    li   a1, 0                  # no reason
reset:
    li   a0, 0                  # shutdown
    li   a7, SRST
    li   a6, 0                  # sbi_system_reset
    ecall
    li   a7, LEGACY_SHUTDOWN
    ecall
1:  wfi
    j    1b

# Where a trap goes; stvec wants a multiple of four.
.align 2
unexpected:
    la   sp, stack_top
    la   t0, unexpected         # should printing fail as well, be quiet
    addi t0, t0, failed - unexpected
    csrw stvec, t0
    la   a0, unexpected_text
    call print
    csrr a0, scause
    li   a1, 1
    call print_hex
    la   a0, at_text
    call print
    csrr a0, sepc
    li   a1, 8
    call print_hex
    call print_newline
.align 2
failed:
    li   a1, 1                  # system failure
    j    reset

# --- text -----------------------------------------------------------------------------------------------------------

# The debug console if the SBI has one, else what SBI 0.1 had.
find_console:
    li   a0, DBCN
    li   a7, BASE
    li   a6, 3
    ecall
    la   t0, has_debug_console
    sb   a1, 0(t0)
    ret

# The text a0.
print:
    mv   t2, ra
    mv   t3, a0
    call length
    mv   ra, t2
    beqz a0, 9f
    la   t0, has_debug_console
    lbu  t0, 0(t0)
    beqz t0, 2f
1:  mv   t4, a0                 # bytes that are left
    mv   a1, t3
    li   a2, 0
    li   a7, DBCN
    li   a6, 0                  # sbi_debug_console_write: it may take fewer
    ecall
    bnez a0, 9f
    add  t3, t3, a1
    sub  a0, t4, a1
    bnez a0, 1b
    ret
2:  lbu  a0, 0(t3)
    beqz a0, 9f
    addi t3, t3, 1
    li   a7, LEGACY_PUTCHAR
    ecall
    j    2b
9:  ret

# The text a0, the text a1 and the end of the line; nothing if a1 is 0.
print_line:
    beqz a1, 9f
    addi sp, sp, -16
    sd   ra, 0(sp)
    sd   a1, 8(sp)
    call print
    ld   a0, 8(sp)
    call print
    call print_newline
    ld   ra, 0(sp)
    addi sp, sp, 16
9:  ret

print_newline:
    la   a0, newline
    j    print

print_decimal:
    la   t0, digits_end
    li   t1, 10
1:  remu t2, a0, t1
    divu a0, a0, t1
    addi t2, t2, '0'
    addi t0, t0, -1
    sb   t2, 0(t0)
    bnez a0, 1b
    mv   a0, t0
    j    print

# a0 in base 16, with at least a1 digits.
print_hex:
    la   t0, digits_end
1:  andi t2, a0, 15
    srli a0, a0, 4
    addi t2, t2, '0'
    li   t1, '9'
    ble  t2, t1, 2f
    addi t2, t2, 'a' - '9' - 1
2:  addi t0, t0, -1
    sb   t2, 0(t0)
    addi a1, a1, -1
    bnez a0, 1b
    bgtz a1, 1b
    addi t0, t0, -2
    li   t1, '0'
    sb   t1, 0(t0)
    li   t1, 'x'
    sb   t1, 1(t0)
    mv   a0, t0
    j    print

# a0: the number of bytes before the NUL
length:
    mv   t0, a0
1:  lbu  t1, 0(t0)
    addi t0, t0, 1
    bnez t1, 1b
    addi t0, t0, -1
    sub  a0, t0, a0
    ret

# --- data -----------------------------------------------------------------------------------------------------------

# Property names and their places in a node's record.
.align 2
properties:
    .half reg_text - properties, REG
    .half compatible_text - properties, COMPATIBLE
    .half model_text - properties, MODEL
    .half bootargs_text - properties, BOOTARGS
    .half riscv_isa_text - properties, ISA
    .half mmu_type_text - properties, MMU
    .half interrupts_text - properties, INTERRUPTS
    .half 0
reg_text:          .asciz "reg"
compatible_text:   .asciz "compatible"
model_text:        .asciz "model"
bootargs_text:     .asciz "bootargs"
riscv_isa_text:    .asciz "riscv,isa"
mmu_type_text:     .asciz "mmu-type"
interrupts_text:   .asciz "interrupts"

memory_name:       .asciz "memory@"
cpu_name:          .asciz "cpu@"
serial_name:       .asciz "serial@"
plic_name:         .asciz "plic@"
virtio_name:       .asciz "virtio_mmio@"

# An extension's number and its name, which ends in zeros up to eight bytes.
.align 3
extensions:
    .dword 0x54494D45
    .ascii "TIME\0\0\0\0"
    .dword 0x735049
    .ascii "IPI\0\0\0\0\0"
    .dword 0x52464E43
    .ascii "RFENCE\0\0"
    .dword 0x48534D
    .ascii "HSM\0\0\0\0\0"
    .dword 0x53525354
    .ascii "SRST\0\0\0\0"
    .dword 0x4442434E
    .ascii "DBCN\0\0\0\0"
    .dword 0

# Virtio's device numbers and what they are, in 16 bytes each.
virtio_kinds:
    .ascii "\x01, network\0\0\0\0\0\0"
    .ascii "\x02, disk\0\0\0\0\0\0\0\0\0"
    .ascii "\x03, console\0\0\0\0\0\0"
    .ascii "\x04, entropy\0\0\0\0\0\0"
    .byte 0

greeting:            .asciz "Hello! I am a guest of a few hundred instructions. This is where I live:\r\n\n"
firmware_text:       .asciz "firmware      SBI "
implementation_text: .asciz ", implementation "
opensbi_text:        .asciz " (OpenSBI)"
hypernest_text:      .asciz " (hypernest)"
version_text:        .asciz ", version "
extensions_text:     .asciz "\r\nextensions   "
harts_text:          .asciz "harts         "
answered_text:       .asciz ", answered: "
board_text:          .asciz "board         "
isa_text:            .asciz "isa           "
mmu_text:            .asciz "mmu           "
memory_text:         .asciz "memory        "
mebibytes_text:      .asciz " MiB at "
command_line_text:   .asciz "command line  "
device_text:         .asciz "device        "
no_tree_text:        .asciz "There is no device tree.\r\n"
no_serial_port_text: .asciz "\nThere is no serial port to read keys from.\r\n"
invitation:          .asciz "\nWhat you type comes back. Ctrl-D or Ctrl-C ends it.\r\n"
goodbye_text:        .asciz "\r\nGood-bye.\r\n"
unexpected_text:     .asciz "\r\nunexpected trap, cause "
at_text:             .asciz " at "
dot:                 .asciz "."
space:               .asciz " "
two_spaces:          .asciz "  "
newline:             .asciz "\r\n"
rub_out:             .asciz "\x08 \x08"
one_key:             .asciz "?"
control_key:         .asciz "^?"

has_debug_console:   .byte 0
    .zero 24
digits_end:
    .byte 0
.align 3
answers:
    .word 1                     # this hart's own
.align 3
record:
    .zero RECORD_END
.align 4
    .zero 1024
stack_top:
