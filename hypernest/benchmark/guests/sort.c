/* Branchy sort: quicksort with insertion sort below, and heapsort, of random keys: nobody can predict the branches. */
#include "workload.h"

#define KEYS (1 << 17)
#define SMALL 16

static uint32_t keys[KEYS];

static void insertion_sort(uint32_t *first, uint32_t *last)
{
    for (uint32_t *next = first + 1; next <= last; next++) {
        uint32_t key = *next, *hole = next;
        for (; hole > first && hole[-1] > key; hole--)
            *hole = hole[-1];
        *hole = key;
    }
}

static void quicksort(uint32_t *first, uint32_t *last)
{
    while (last - first >= SMALL) {
        uint32_t pivot = first[(last - first) / 2];
        uint32_t *low = first, *high = last;
        while (low <= high) {
            while (*low < pivot)
                low++;
            while (*high > pivot)
                high--;
            if (low <= high) {
                uint32_t key = *low;
                *low++ = *high;
                *high-- = key;
            }
        }
        if (high - first < last - low) {
            quicksort(first, high);
            first = low;
        } else {
            quicksort(low, last);
            last = high;
        }
    }
    insertion_sort(first, last);
}

static void sift_down(uint32_t root, uint32_t count)
{
    uint32_t key = keys[root];
    for (uint32_t child; (child = 2 * root + 1) < count; root = child) {
        if (child + 1 < count && keys[child] < keys[child + 1])
            child++;
        if (keys[child] <= key)
            break;
        keys[root] = keys[child];
    }
    keys[root] = key;
}

static void heapsort(void)
{
    for (uint32_t root = KEYS / 2; root-- > 0;)
        sift_down(root, KEYS);
    for (uint32_t count = KEYS - 1; count > 0; count--) {
        uint32_t greatest = keys[0];
        keys[0] = keys[count];
        keys[count] = greatest;
        sift_down(0, count);
    }
}

static uint64_t digest(void)
{
    uint64_t checksum = 0;
    for (int i = 0; i < KEYS; i++)
        checksum = fold(checksum, keys[i]) + (i > 0 && keys[i - 1] > keys[i]);
    return checksum;
}

static void shuffle(uint64_t seed)
{
    for (int i = 0; i < KEYS; i++)
        keys[i] = (uint32_t)next_random(&seed);
}

void prepare(void) { shuffle(1); }

uint64_t workload(void)
{
    uint64_t checksum = 1;
    for (int i = 0; i < ITERS; i++) {
        shuffle(checksum | 1);
        quicksort(keys, keys + KEYS - 1);
        checksum = fold(checksum, digest());
        shuffle(checksum | 1);
        heapsort();
        checksum = fold(checksum, digest());
    }
    return checksum;
}
