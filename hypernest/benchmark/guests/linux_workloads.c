/* The workloads under Linux, one static program: linux_workloads NAME COUNT (compress.c, interpreter.c: see there)
   Prints the protocol of harness.c on its standard output; exit status 2 when called wrongly. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "linux_workloads.h"
#include "workload.h"

static const char *own_path;

void fail(const char *what)
{
    if (errno)
        perror(what);
    else
        fprintf(stderr, "%s\n", what);
    exit(1);
}

/* System calls that do nothing: the cost of getting into the kernel and out again. */
static uint64_t system_calls(uint64_t count)
{
    const long parent = getppid();
    uint64_t checksum = 0;
    for (uint64_t i = 0; i < count; i++)
        checksum += syscall(SYS_getppid) == parent;
    return checksum;
}

/* Fork, exec of this program, wait: page tables, copy on write, page cache, scheduling. */
static uint64_t fork_and_exec(uint64_t count)
{
    uint64_t checksum = 0;
    for (uint64_t i = 0; i < count; i++) {
        char argument[24];
        snprintf(argument, sizeof argument, "%d", (int)(i * 37 & 127));
        pid_t child = fork();
        if (child < 0)
            fail("fork");
        if (child == 0) {
            execl(own_path, own_path, "exit", argument, (char *)NULL);
            _exit(255);
        }
        int status;
        if (waitpid(child, &status, 0) != child || !WIFEXITED(status))
            fail("waitpid");
        checksum = fold(checksum, (uint64_t)WEXITSTATUS(status));
    }
    return checksum;
}

/* Maps 8 MiB, touches every page, unmaps: a page fault for each touch. */
static uint64_t fresh_pages(uint64_t count)
{
    const size_t size = 8 << 20, page = 4096;
    uint64_t checksum = 0;
    for (uint64_t i = 0; i < count; i++) {
        uint8_t *area = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (area == MAP_FAILED)
            fail("mmap");
        madvise(area, size, MADV_NOHUGEPAGE);
        for (size_t offset = 0; offset < size; offset += page) {
            checksum += area[offset + 1];
            area[offset] = (uint8_t)(offset / page + i);
        }
        for (size_t offset = 0; offset < size; offset += page)
            checksum += area[offset];
        munmap(area, size);
    }
    return checksum;
}

static uint32_t rotated(uint32_t value, int count) { return value >> count | value << (32 - count); }

/* The round constants of FIPS 180-4: fractions of the roots of the first 64 primes, found here by integer search. */
static uint32_t fraction_of_root(uint32_t prime, int power)
{
    /* The greatest r with r^power <= prime * 2^(32 * power): its low 32 bits are the fraction. */
    const unsigned __int128 one = 1;
    uint64_t root = 0;
    for (int bit = 35; bit >= 0; bit--) {
        uint64_t candidate = root | (uint64_t)1 << bit;
        unsigned __int128 square = (unsigned __int128)candidate * candidate;
        int fits;
        if (power == 2)
            fits = square <= (one * prime) << 64;
        else /* candidate^3 <= prime * 2^96, both sides divided by candidate */
            fits = square <= (((one * prime) << 96) / candidate);
        if (fits)
            root = candidate;
    }
    return (uint32_t)root;
}

static uint32_t sha256_constants[64], sha256_start[8];

static void make_sha256_constants(void)
{
    int found = 0;
    for (uint32_t number = 2; found < 64; number++) {
        int prime = 1;
        for (uint32_t divisor = 2; divisor * divisor <= number; divisor++)
            prime &= number % divisor != 0;
        if (!prime)
            continue;
        if (found < 8)
            sha256_start[found] = fraction_of_root(number, 2);
        sha256_constants[found++] = fraction_of_root(number, 3);
    }
}

static void sha256_block(uint32_t state[8], const uint8_t *block)
{
    uint32_t schedule[64];
    for (int i = 0; i < 16; i++, block += 4)
        schedule[i] = (uint32_t)block[0] << 24 | (uint32_t)block[1] << 16 | (uint32_t)block[2] << 8 | block[3];
    for (int i = 16; i < 64; i++) {
        uint32_t early = schedule[i - 15], late = schedule[i - 2];
        schedule[i] = schedule[i - 16] + (rotated(early, 7) ^ rotated(early, 18) ^ early >> 3) + schedule[i - 7]
                      + (rotated(late, 17) ^ rotated(late, 19) ^ late >> 10);
    }
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
    for (int i = 0; i < 64; i++) {
        uint32_t t1 = h + (rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)) + ((e & f) ^ (~e & g))
                      + sha256_constants[i] + schedule[i];
        uint32_t t2 = (rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
        h = g, g = f, f = e, e = d + t1;
        d = c, c = b, b = a, a = t1 + t2;
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d;
    state[4] += e, state[5] += f, state[6] += g, state[7] += h;
}

/* SHA-256 of COUNT times a buffer of 256 KiB; the checksum is the digest's first 64 bits. */
static uint64_t sha256(uint64_t count)
{
    static uint8_t buffer[256 << 10];
    for (size_t i = 0; i < sizeof buffer; i++)
        buffer[i] = (uint8_t)(i * 7 + (i >> 8));
    make_sha256_constants();
    uint32_t state[8];
    memcpy(state, sha256_start, sizeof state);
    for (uint64_t i = 0; i < count; i++)
        for (size_t offset = 0; offset < sizeof buffer; offset += 64)
            sha256_block(state, buffer + offset);
    uint8_t last[64] = {0x80};
    uint64_t bits = count * sizeof buffer * 8;
    for (int i = 0; i < 8; i++)
        last[63 - i] = (uint8_t)(bits >> 8 * i);
    sha256_block(state, last);
    return (uint64_t)state[0] << 32 | state[1];
}

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorts COUNT lines of words with the C library's qsort and strcmp. */
static uint64_t sort_text(uint64_t count)
{
    enum { LONGEST = 48 };
    static const char *const words[] = {"hart", "trap", "page", "walk", "fence", "guest", "host", "nest"};
    char *text = malloc(count * LONGEST);
    const char **lines = malloc(count * sizeof *lines);
    if (!text || !lines)
        fail("malloc");
    uint64_t seed = 42;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t random = next_random(&seed);
        char *line = text + i * LONGEST;
        snprintf(line, LONGEST, "%s %s %s %u", words[random & 7], words[random >> 3 & 7], words[random >> 6 & 7],
                 (unsigned)(random >> 40));
        lines[i] = line;
    }
    qsort(lines, count, sizeof *lines, compare_lines);
    uint64_t checksum = 0;
    for (uint64_t i = 0; i < count; i++)
        for (const char *c = lines[i]; *c; c++)
            checksum = fold(checksum, (uint8_t)*c);
    free(lines);
    free(text);
    return checksum;
}

static const struct {
    const char *name;
    uint64_t (*run)(uint64_t count);
} workloads[] = {
    {"syscalls", system_calls}, {"forkexec", fork_and_exec}, {"freshpages", fresh_pages},
    {"sha256", sha256},         {"sorttext", sort_text},     {"compress", compress_text},
    {"interpreter", interpret},
};

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    own_path = argv[0];
    uint64_t count = strtoull(argv[2], NULL, 10);
    if (strcmp(argv[1], "exit") == 0)
        return (int)(count & 127);
    for (size_t i = 0; i < sizeof workloads / sizeof workloads[0]; i++)
        if (strcmp(argv[1], workloads[i].name) == 0) {
            puts("bench: begin");
            fflush(stdout);
            uint64_t checksum = workloads[i].run(count);
            printf("bench: end 0x%016lx\n", (unsigned long)checksum);
            return fflush(stdout) == 0 ? 0 : 1;
        }
    return 2;
}
