/* The parts of linux_workloads that have a file of their own; each returns a checksum of all it computed. */
#ifndef LINUX_WORKLOADS_H
#define LINUX_WORKLOADS_H

#include <stdint.h>

/* Says what went wrong on standard error and exits with status 1. */
_Noreturn void fail(const char *what);

uint64_t compress_text(uint64_t count);
uint64_t interpret(uint64_t count);

#endif
