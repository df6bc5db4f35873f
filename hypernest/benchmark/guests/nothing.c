/* No work: shows how long it takes until a guest runs at all. */
#include "workload.h"

void prepare(void) { }

uint64_t workload(void) { return ITERS; }
