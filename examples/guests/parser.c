/* A parser of small pictures with a bug in it, as a program for a bare machine (S-mode, above the SBI).
 *
 * examples/fuzz_parser.py runs parser.elf, which was made of this by
 *     riscv64-linux-gnu-gcc -march=rv64imac_zicsr -mabi=lp64 -mcmodel=medany -O1 -g -ffreestanding -nostdlib -static \
 *         -fno-stack-protector -Wl,-Ttext=0x80200000 -Wl,--build-id=none -ffile-prefix-map="$PWD"=. \
 *         -o parser.elf parser.c
 *
 * A picture: the letters PIC, a version (1 or 2), then pieces: a letter, a length and that many bytes.
 *     d  width, height                 the canvas is width * height dots
 *     c  pairs of a count and a color  so many dots of that color
 *     t  text                          a title: printable letters only
 *     e                                the end
 */

typedef unsigned char byte;

#define STEP __attribute__((noinline)) static /* so that it is seen in a backtrace */

enum { CANVAS = 64, GUARD = 0x5AFE };

byte input[256];
static struct {
    byte canvas[CANVAS];
    volatile unsigned guard; /* nothing may write here */
} picture = {.guard = GUARD};
volatile int result;

__attribute__((noinline)) void panic(void) { asm volatile("ebreak"); }

STEP int dimensions(const byte *data, unsigned length, unsigned *dots)
{
    if (length != 2)
        return -1;
    byte area = data[0] * data[1]; /* the bug: 16 * 17 fits into the canvas, as it is 16 in a byte */
    if (area > CANVAS)
        return -2;
    *dots = data[0] * data[1];
    return 0;
}

STEP int colors(const byte *data, unsigned length, unsigned dots, unsigned *at)
{
    if (length % 2)
        return -3;
    for (unsigned i = 0; i < length; i += 2)
        for (unsigned count = data[i]; count; count--) {
            if (*at >= dots)
                return -4;
            picture.canvas[(*at)++] = data[i + 1];
        }
    return 0;
}

STEP int title(const byte *data, unsigned length)
{
    for (unsigned i = 0; i < length; i++)
        if (data[i] < ' ' || data[i] > '~')
            return -5;
    return 0;
}

__attribute__((noinline)) int parse(const byte *data, unsigned length)
{
    unsigned dots = 0, at = 0;
    if (length < 4 || data[0] != 'P' || data[1] != 'I' || data[2] != 'C')
        return -6;
    if (data[3] != 1 && data[3] != 2)
        return -7;
    for (unsigned i = 4; i + 2 <= length;) {
        byte kind = data[i], size = data[i + 1];
        i += 2;
        if (i + size > length)
            return -8;
        int problem = 0;
        if (kind == 'd')
            problem = dimensions(data + i, size, &dots);
        else if (kind == 'c')
            problem = colors(data + i, size, dots, &at);
        else if (kind == 't' && data[3] == 2)
            problem = title(data + i, size);
        else if (kind == 'e')
            return at == dots ? 0 : -9;
        else
            return -10;
        if (picture.guard != GUARD)
            panic();
        if (problem)
            return problem;
        i += size;
    }
    return -11;
}

__attribute__((noinline)) void finished(void) { for (;;) asm volatile("wfi"); }

void run(void)
{
    result = parse(input, 0); /* who runs this changes input and length */
    finished();
}

asm(".globl _start, crashed\n"
    "_start: la   sp, stack_end\n"
    "        la   t0, crashed\n"
    "        csrw stvec, t0\n"
    "        j    run\n"
    "        .align 2\n"
    "crashed: j   crashed\n" /* every trap ends here */
    "        .bss\n"
    "        .align 4\n"
    "        .space 4096\n"
    "stack_end:\n"
    "        .text");
