/* Mandelbrot set: double-precision additions and multiplications with a compare and a branch a step. */
#include "workload.h"

#define WIDTH 160
#define HEIGHT 120
#define LIMIT 200

void prepare(void) { }

static int escape_time(double re, double im)
{
    double x = 0, y = 0;
    int count = 0;
    for (; count < LIMIT; count++) {
        double xx = x * x, yy = y * y;
        if (xx + yy > 4.0)
            break;
        y = 2.0 * x * y + im;
        x = xx - yy + re;
    }
    return count;
}

uint64_t workload(void)
{
    uint64_t checksum = 0;
    for (int i = 0; i < ITERS; i++)
        for (int row = 0; row < HEIGHT; row++)
            for (int column = 0; column < WIDTH; column++)
                checksum = fold(checksum, (uint64_t)escape_time(
                    -2.2 + 3.2 * column / WIDTH + 0.0001 * i, -1.2 + 2.4 * row / HEIGHT));
    return checksum;
}
