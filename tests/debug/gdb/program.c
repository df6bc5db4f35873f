/* What the tests debug: bare metal, M-mode; hart 0 does the work, the others count until they are told to wait. */

typedef unsigned long word;

volatile word ticks[8];
volatile word told_to_wait;
word total, touched, table[8] = {3, 1, 4, 1, 5, 9, 2, 6};
volatile int rounds = 20000; char name[] = "hypernest";

__attribute__((noinline)) word add(word a, word b)
{
    word sum = a + b;
    return sum;
}

__attribute__((noinline)) word sum_up(const word *values, int count)
{
    word sum = 0;
    for (int i = 0; i < count; i++)
        sum = add(sum, values[i]);
    return sum;
}

__attribute__((noinline)) void corrupt(word *where)
{
    *where = 0xbad;
}

__attribute__((noinline)) void finish(void)
{
    *(volatile unsigned *)0x100000 = 0x5555;
    for (;;)
        ;
}

int main(void)
{
    total = sum_up(table, 8);
    touched = table[2];
    total = total + 1;
    corrupt(&table[5]);
    for (volatile int i = 0; i < rounds; i++)
        ;
    total = sum_up(table, 8);
    finish();
    return 0;
}

void other(word hart)
{
    while (!told_to_wait)
        ticks[hart]++;
    for (;;)
        asm volatile("wfi");
}

asm(".section .text.start, \"ax\"\n"
    ".globl _start\n"
    "_start:\n"
    "    csrr a0, mhartid\n"
    "    la   sp, stacks\n"
    "    addi t0, a0, 1\n"
    "    slli t0, t0, 12\n"
    "    add  sp, sp, t0\n"
    "    li   t0, 0x2000\n"
    "    csrs mstatus, t0\n"
    "    fmv.d.x fa0, zero\n"
    "    bnez a0, 1f\n"
    "    call main\n"
    "1:  call other\n"
    ".bss\n"
    ".balign 16\n"
    "stacks: .space 8 * 4096\n"
    ".text\n");
