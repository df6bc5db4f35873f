/* What a bare-machine workload is: harness.c announces it, runs it and prints what it computed.
   The macro ITERS, given on the compiler's command line, says how much work to do. */
#ifndef WORKLOAD_H
#define WORKLOAD_H

#include <stdint.h>

/* Makes the data ready; not timed. */
void prepare(void);

/* The timed part; the result depends on all that was computed. */
uint64_t workload(void);

/* The same pseudo-random numbers everywhere (xorshift64). */
static inline uint64_t next_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *state = x;
}

/* Folds a value into a checksum so that order matters. */
static inline uint64_t fold(uint64_t checksum, uint64_t value)
{
    return (checksum ^ value) * 0x9e3779b97f4a7c15u + (checksum >> 29);
}

static inline uint64_t bits_of(double value)
{
    union { double number; uint64_t bits; } both = { value };
    return both.bits;
}

#endif
