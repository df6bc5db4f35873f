/* Matrix product in double precision with fused multiply-add. */
#include "workload.h"

#define ORDER 128

static double left[ORDER][ORDER], right[ORDER][ORDER], product[ORDER][ORDER];

void prepare(void)
{
    for (int i = 0; i < ORDER; i++)
        for (int j = 0; j < ORDER; j++) {
            left[i][j] = 1.0 / (i + j + 1);
            right[i][j] = (i - j) * 0.37;
        }
}

uint64_t workload(void)
{
    uint64_t checksum = 0;
    for (int round = 0; round < ITERS; round++) {
        for (int i = 0; i < ORDER; i++) {
            for (int j = 0; j < ORDER; j++)
                product[i][j] = 0;
            for (int k = 0; k < ORDER; k++)
                for (int j = 0; j < ORDER; j++)
                    product[i][j] = __builtin_fma(left[i][k], right[k][j], product[i][j]);
        }
        for (int i = 0; i < ORDER; i++)
            checksum = fold(checksum, bits_of(product[i][(i * 7 + round) % ORDER]));
        left[round % ORDER][3] += 0.125;
    }
    return checksum;
}
