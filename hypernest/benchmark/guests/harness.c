/* Runs one workload and reports it in the protocol the runner reads:
       bench: begin
       bench: end 0x0123456789abcdef
   On a bare RISC-V machine (QEMU's virt memory map) or, for comparison, as a program of the host. */
#include "workload.h"

#ifdef BARE

#define UART_DATA (*(volatile uint8_t *)0x10000000)
#define UART_LINE_STATUS (*(volatile uint8_t *)0x10000005)
#define TRANSMITTER_EMPTY 0x20
#define TEST_FINISHER (*(volatile uint32_t *)0x100000)
#define FINISHER_PASS 0x5555

static void print(const char *text)
{
    for (; *text; text++) {
        while (!(UART_LINE_STATUS & TRANSMITTER_EMPTY))
            ;
        UART_DATA = (uint8_t)*text;
    }
}

static void power_off(void) { TEST_FINISHER = FINISHER_PASS; }

/* The compiler may call these two even in freestanding code. */
void *memset(void *start, int value, __SIZE_TYPE__ count)
{
    for (uint8_t *p = start; count--; p++)
        *p = (uint8_t)value;
    return start;
}

void *memcpy(void *to, const void *from, __SIZE_TYPE__ count)
{
    uint8_t *p = to;
    for (const uint8_t *q = from; count--;)
        *p++ = *q++;
    return to;
}

#else

#include <stdio.h>

static void print(const char *text)
{
    fputs(text, stdout);
    fflush(stdout);
}

static void power_off(void) { }

#endif

int main(void)
{
    static char line[] = "bench: end 0x0000000000000000\n";

    prepare();
    print("bench: begin\n");
    uint64_t checksum = workload();
    for (char *digit = line + sizeof line - 3; *digit != 'x'; digit--, checksum >>= 4)
        *digit = "0123456789abcdef"[checksum & 15];
    print(line);
    power_off();
    return 0;
}
