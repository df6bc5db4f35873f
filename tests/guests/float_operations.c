// Runs single floating-point instructions under qemu-riscv64, for tests/isa/test_floating_point.py to compare with.
//
// Reads `struct request`s from standard input and writes one `struct response` for each. The instructions are in
// operations.h, which the test writes: `OPERATION("fadd.d fa0, fa1, fa2")`, numbered from 0. They read fa1, fa2, fa3
// or a1 and write fa0 or a0; both are reported.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct request {
    uint64_t operation, rounding_mode, a, b, c;
};

struct response {
    uint64_t f, x, flags;
};

static struct response run(const struct request *request) {
    register uint64_t a0 asm("a0") = 0;
    register uint64_t a1 asm("a1") = request->a;
    struct response response;
    asm volatile("fmv.d.x fa0, zero\n fmv.d.x fa1, %0\n fmv.d.x fa2, %1\n fmv.d.x fa3, %2\n fsrm %3\n fsflags zero"
                 :
                 : "r"(request->a), "r"(request->b), "r"(request->c), "r"(request->rounding_mode)
                 : "fa0", "fa1", "fa2", "fa3");
    switch (request->operation) {
#define OPERATION(text) \
    case __COUNTER__: \
        asm volatile(text : "+r"(a0) : "r"(a1) : "fa0"); \
        break;
#include "operations.h"
    default:
        fprintf(stderr, "no operation %lu\n", (unsigned long)request->operation);
        exit(1);
    }
    asm volatile("fmv.x.d %0, fa0" : "=r"(response.f));
    asm volatile("frflags %0" : "=r"(response.flags));
    response.x = a0;
    return response;
}

int main(void) {
    struct request request;
    while (fread(&request, sizeof request, 1, stdin) == 1) {
        struct response response = run(&request);
        fwrite(&response, sizeof response, 1, stdout);
    }
    return 0;
}
