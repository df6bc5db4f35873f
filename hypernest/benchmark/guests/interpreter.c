/* A small register machine, as in the interpreters of scripting languages: bytecode of 32-bit words, a window of
   registers for each call, dispatch by a computed goto at the end of every instruction. COUNT times it runs a program
   that sieves primes, computes Fibonacci numbers by recursion and counts the hashes of strings. */
#include "linux_workloads.h"
#include "workload.h"

#define HEAP (1 << 16)
#define REGISTERS 1024
#define FRAMES 64
#define LONGEST_PROGRAM 128

/* An instruction is OPERATION A B C, a byte each, or OPERATION A and 16 bits; jumps are relative to the next one. */
enum operation {
    HALT,  /* the result is A */
    LOAD,  /* A = 16 bits, signed */
    MOVE,  /* A = B */
    ADD,   /* A = B + C; the next five likewise */
    SUB, MUL, DIV, REM, XOR,
    ADDI,  /* A = B + signed C */
    LOADB, /* A = heap[B + C] */
    STOREB,/* heap[B + C] = A */
    JUMP,  /* by 16 bits, signed */
    JLT,   /* if A < B, by signed C; the next one if A != B */
    JNE,
    CALL,  /* of the instruction at 16 bits; the callee's register 0 is A */
    RETURN /* with A in register 0 */
};

static uint32_t program[LONGEST_PROGRAM];
static int program_length;
static uint8_t heap[HEAP];
static uint64_t registers[REGISTERS];

/* --- Writing a program. --- */

static int emit(enum operation operation, int a, int b, int c)
{
    if (program_length == LONGEST_PROGRAM)
        fail("interpreter: the program is too long");
    program[program_length] = (uint32_t)operation | (uint32_t)(a & 255) << 8 | (uint32_t)(b & 255) << 16
                              | (uint32_t)(c & 255) << 24;
    return program_length++;
}

static int emit_wide(enum operation operation, int a, int value)
{
    return emit(operation, a, value & 255, value >> 8 & 255);
}

static void emit_compare(enum operation operation, int a, int b, int target)
{
    emit(operation, a, b, target - program_length - 1);
}

static void emit_jump(int target) { emit_wide(JUMP, 0, target - program_length - 1); }

/* Lets the comparison written at `place` jump to the next instruction. */
static void land(int place)
{
    program[place] = (program[place] & 0xffffff) | (uint32_t)((program_length - place - 1) & 255) << 24;
}

/* fibonacci(r0) */
static int write_fibonacci(void)
{
    int start = emit_wide(LOAD, 1, 2);
    int small = emit(JLT, 0, 1, 0);
    emit(ADDI, 3, 0, -1);
    emit_wide(CALL, 3, start);
    emit(ADDI, 4, 0, -2);
    emit_wide(CALL, 4, start);
    emit(ADD, 0, 3, 4);
    land(small);
    emit(RETURN, 0, 0, 0);
    return start;
}

/* The number of primes below r0, found in heap[0 .. r0). */
static int write_sieve(void)
{
    int start = emit_wide(LOAD, 1, 0); /* r1 = the number, r2 = 0, r3 = 1, r4 = primes */
    emit_wide(LOAD, 2, 0);
    emit_wide(LOAD, 3, 1);
    emit_wide(LOAD, 4, 0);
    int clear = emit(STOREB, 2, 1, 2);
    emit(ADDI, 1, 1, 1);
    emit_compare(JLT, 1, 0, clear);
    emit_wide(LOAD, 1, 2);
    int next = emit(LOADB, 5, 1, 2);
    int composite = emit(JNE, 5, 2, 0);
    emit(ADDI, 4, 4, 1);
    emit(MUL, 6, 1, 1);
    int test = program_length;
    int inside = emit(JLT, 6, 0, 0);
    emit_jump(program_length + 4); /* past the marking below */
    land(inside);
    emit(STOREB, 3, 6, 2);
    emit(ADD, 6, 6, 1);
    emit_jump(test);
    land(composite);
    emit(ADDI, 1, 1, 1);
    emit_compare(JLT, 1, 0, next);
    emit(MOVE, 0, 4, 0);
    emit(RETURN, 0, 0, 0);
    return start;
}

/* The decimal digits of all numbers below r0, last digit first, hashed as FNV-1a does with 64 bits but starting at 1;
   the result is the exclusive or of the hashes. */
static int write_hashes(void)
{
    int start = emit_wide(LOAD, 1, 0); /* r1 = the number, r2 = 0, r3 = 10, r4 = 2^40 + 0x1b3, r5 = the result */
    emit_wide(LOAD, 2, 0);
    emit_wide(LOAD, 3, 10);
    emit_wide(LOAD, 4, 1 << 14);
    emit(MUL, 4, 4, 4);
    emit_wide(LOAD, 5, 1 << 12);
    emit(MUL, 4, 4, 5);
    emit_wide(LOAD, 5, 0x1b3);
    emit(ADD, 4, 4, 5);
    emit_wide(LOAD, 5, 0);
    emit_wide(LOAD, 10, '0');
    int number = emit(MOVE, 6, 1, 0);
    emit_wide(LOAD, 7, 0); /* the string's length */
    int digit = emit(REM, 8, 6, 3);
    emit(ADD, 8, 8, 10);
    emit(STOREB, 8, 7, 2);
    emit(ADDI, 7, 7, 1);
    emit(DIV, 6, 6, 3);
    emit_compare(JNE, 6, 2, digit);
    emit_wide(LOAD, 9, 1); /* the hash */
    emit_wide(LOAD, 6, 0);
    int letter = emit(LOADB, 8, 6, 2);
    emit(XOR, 9, 9, 8);
    emit(MUL, 9, 9, 4);
    emit(ADDI, 6, 6, 1);
    emit_compare(JLT, 6, 7, letter);
    emit(XOR, 5, 5, 9);
    emit(ADDI, 1, 1, 1);
    emit_compare(JLT, 1, 0, number);
    emit(MOVE, 0, 5, 0);
    emit(RETURN, 0, 0, 0);
    return start;
}

/* Calls the function at `function` with one argument; returns where to start. */
static int write_call(int function, int argument)
{
    int start = emit_wide(LOAD, 0, argument);
    emit_wide(CALL, 0, function);
    emit(HALT, 0, 0, 0);
    return start;
}

/* --- Running it. --- */

static uint64_t execute(int start)
{
    static const void *const handlers[] = {
        [HALT] = &&halt, [LOAD] = &&load, [MOVE] = &&move, [ADD] = &&add, [SUB] = &&sub, [MUL] = &&mul, [DIV] = &&div,
        [REM] = &&rem, [XOR] = &&xor, [ADDI] = &&addi, [LOADB] = &&loadb, [STOREB] = &&storeb, [JUMP] = &&jump,
        [JLT] = &&jlt, [JNE] = &&jne, [CALL] = &&call, [RETURN] = &&ret,
    };
    struct { const uint32_t *next; uint64_t *registers; } frames[FRAMES];
    int depth = 0;
    const uint32_t *next = program + start;
    uint64_t *r = registers;
    uint32_t word;

#define A r[word >> 8 & 255]
#define B r[word >> 16 & 255]
#define C r[word >> 24]
#define SIGNED_C ((int32_t)word >> 24)
#define WIDE ((int32_t)word >> 16)
#define NEXT word = *next++; goto *handlers[word & 255]

    NEXT;
halt:
    return A;
load:
    A = (uint64_t)(int64_t)WIDE;
    NEXT;
move:
    A = B;
    NEXT;
add:
    A = B + C;
    NEXT;
sub:
    A = B - C;
    NEXT;
mul:
    A = B * C;
    NEXT;
div:
    A = C ? B / C : ~(uint64_t)0;
    NEXT;
rem:
    A = C ? B % C : B;
    NEXT;
xor:
    A = B ^ C;
    NEXT;
addi:
    A = B + (uint64_t)(int64_t)SIGNED_C;
    NEXT;
loadb:
    A = heap[(B + C) % HEAP];
    NEXT;
storeb:
    heap[(B + C) % HEAP] = (uint8_t)A;
    NEXT;
jump:
    next += WIDE;
    NEXT;
jlt:
    if (A < B)
        next += SIGNED_C;
    NEXT;
jne:
    if (A != B)
        next += SIGNED_C;
    NEXT;
call:
    if (depth == FRAMES || &A + 256 > registers + REGISTERS)
        fail("interpreter: too many calls");
    frames[depth].next = next;
    frames[depth++].registers = r;
    next = program + WIDE;
    r = &A;
    NEXT;
ret:
    r[0] = A;
    next = frames[--depth].next;
    r = frames[depth].registers;
    NEXT;
}

uint64_t interpret(uint64_t count)
{
    program_length = 0;
    int sieve = write_call(write_sieve(), 20000);
    int fibonacci = write_call(write_fibonacci(), 17);
    int hashes = write_call(write_hashes(), 2000);
    uint64_t checksum = 0;
    for (uint64_t i = 0; i < count; i++) {
        checksum = fold(checksum, execute(sieve));
        checksum = fold(checksum, execute(fibonacci));
        checksum = fold(checksum, execute(hashes));
    }
    return checksum;
}
