/* n-body: double-precision gravity between eight bodies; square roots and divisions in a chain. */
#include "workload.h"

#define BODIES 8
#define STEPS 10000

struct body { double x, y, z, vx, vy, vz, mass; };

static struct body bodies[BODIES];

void prepare(void)
{
    for (int i = 0; i < BODIES; i++)
        bodies[i] = (struct body){
            .x = 3.0 * i - 8.0, .y = i % 3 * 2.5 - 1.0, .z = i % 2 * 1.5 - 0.75,
            .vx = 0.1 * (i % 4) - 0.15, .vy = 0.2 - 0.05 * i, .vz = 0.03 * (i % 5), .mass = 1.0 / (i + 1),
        };
}

static void advance(double step)
{
    for (int i = 0; i < BODIES; i++) {
        struct body *a = &bodies[i];
        for (int j = i + 1; j < BODIES; j++) {
            struct body *b = &bodies[j];
            double dx = a->x - b->x, dy = a->y - b->y, dz = a->z - b->z;
            double square = dx * dx + dy * dy + dz * dz + 0.01;
            double pull = step / (square * __builtin_sqrt(square));
            a->vx -= dx * b->mass * pull;
            a->vy -= dy * b->mass * pull;
            a->vz -= dz * b->mass * pull;
            b->vx += dx * a->mass * pull;
            b->vy += dy * a->mass * pull;
            b->vz += dz * a->mass * pull;
        }
    }
    for (int i = 0; i < BODIES; i++) {
        bodies[i].x += step * bodies[i].vx;
        bodies[i].y += step * bodies[i].vy;
        bodies[i].z += step * bodies[i].vz;
    }
}

uint64_t workload(void)
{
    uint64_t checksum = 0;
    for (int i = 0; i < ITERS; i++) {
        for (int step = 0; step < STEPS; step++)
            advance(0.001);
        for (int j = 0; j < BODIES; j++)
            checksum = fold(fold(checksum, bits_of(bodies[j].x)), bits_of(bodies[j].vz));
    }
    return checksum;
}
