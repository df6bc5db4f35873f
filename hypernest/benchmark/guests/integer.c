/* Integer mix: byte stores, table look-ups, multiplication, division, calls and short lists. */
#include "workload.h"

#define SIEVE (1 << 20)
#define ORDER 64
#define NODES (1 << 14)

struct node { struct node *next; uint64_t value; };

static uint8_t composite[SIEVE];
static uint32_t crc_table[256];
static uint64_t left[ORDER][ORDER], right[ORDER][ORDER];
static struct node nodes[NODES];

static uint64_t count_primes(void)
{
    uint64_t count = 0;
    for (int i = 0; i < SIEVE; i++)
        composite[i] = 0;
    for (int i = 2; i * i < SIEVE; i++)
        if (!composite[i])
            for (int j = i * i; j < SIEVE; j += i)
                composite[j] = 1;
    for (int i = 2; i < SIEVE; i++)
        count += !composite[i];
    return count;
}

static uint64_t crc32_of_sieve(void)
{
    uint32_t crc = ~0u;
    for (int i = 0; i < SIEVE; i++)
        crc = crc_table[(crc ^ composite[i]) & 255] ^ (crc >> 8);
    return crc;
}

static uint64_t trace_of_product(void)
{
    uint64_t trace = 0;
    for (int i = 0; i < ORDER; i++)
        for (int j = 0; j < ORDER; j++) {
            uint64_t sum = 0;
            for (int k = 0; k < ORDER; k++)
                sum += left[i][k] * right[k][j];
            trace = i == j ? trace + sum : trace ^ sum;
        }
    return trace;
}

static uint64_t walk_list(void)
{
    uint64_t sum = 0;
    struct node *node = nodes;
    for (int i = 0; i < 1 << 18; i++, node = node->next)
        sum += node->value;
    return sum;
}

static uint64_t greatest_common_divisors(uint64_t seed)
{
    uint64_t sum = 0;
    for (int i = 0; i < 4096; i++) {
        uint32_t a = (uint32_t)next_random(&seed) | 1, b = (uint32_t)(seed >> 32) | 1;
        while (b) {
            uint32_t rest = a % b;
            a = b;
            b = rest;
        }
        sum += a;
    }
    return sum;
}

static uint64_t fibonacci(uint64_t n)
{
    return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

void prepare(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? 0xedb88320u ^ (crc >> 1) : crc >> 1;
        crc_table[i] = crc;
    }
    for (int i = 0; i < ORDER; i++)
        for (int j = 0; j < ORDER; j++) {
            left[i][j] = (uint64_t)(i + j);
            right[i][j] = (uint64_t)(i * j);
        }
    for (int i = 0; i < NODES; i++) {
        nodes[i].next = &nodes[(i * 7919 + 1) & (NODES - 1)];
        nodes[i].value = (uint64_t)i;
    }
}

uint64_t workload(void)
{
    uint64_t checksum = 0;
    for (int i = 0; i < ITERS; i++) {
        checksum = fold(checksum, count_primes());
        checksum = fold(checksum, crc32_of_sieve());
        left[i & 63][i & 31] += checksum;
        checksum = fold(checksum, trace_of_product());
        checksum = fold(checksum, walk_list());
        checksum = fold(checksum, greatest_common_divisors(checksum | 1));
        checksum = fold(checksum, fibonacci(24));
    }
    return checksum;
}
