/* Pointer chase: a random cycle through 32 MiB, one cache line a step; every step waits for the one before. */
#include "workload.h"

#define NODES (1 << 19)
#define STEPS (1 << 20)

struct node { struct node *next; uint64_t value, padding[6]; };

static struct node nodes[NODES];

/* Sattolo's shuffle: one cycle through all nodes. */
void prepare(void)
{
    uint64_t seed = 88172645463325252u;
    for (uint64_t i = 0; i < NODES; i++) {
        nodes[i].next = &nodes[i];
        nodes[i].value = i;
    }
    for (uint64_t i = NODES - 1; i > 0; i--) {
        uint64_t j = (next_random(&seed) >> 20) % i;
        struct node *other = nodes[j].next;
        nodes[j].next = nodes[i].next;
        nodes[i].next = other;
    }
}

uint64_t workload(void)
{
    uint64_t checksum = 0;
    const struct node *node = nodes;
    for (uint64_t step = 0; step < (uint64_t)ITERS * STEPS; step++) {
        checksum = checksum * 31 + node->value;
        node = node->next;
    }
    return checksum;
}
