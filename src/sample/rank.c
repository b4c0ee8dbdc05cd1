/* SPDX-License-Identifier: MIT
 * Ordering tokens by value and id: selection of the best k, and a heap. */
#include <string.h>

#include "base/half.h"
#include "sample/sampler.h"

uint64_t rank_key(float value, int32_t id)
{
    uint32_t u = half_f32_bits(value + 0.0f);   /* -0 becomes +0 */
    u ^= u & 0x80000000u ? 0xFFFFFFFFu : 0x80000000u;
    return (uint64_t)u << 32 | (uint32_t)~(uint32_t)id;
}

int32_t rank_id(uint64_t key)
{
    return (int32_t)~(uint32_t)key;
}

/* The largest of x[n], n >= 1; of -0 and +0 either. */
static float largest(const float *x, size_t n)
{
    typedef float lanes __attribute__((vector_size(16)));
    typedef int32_t lane_bits __attribute__((vector_size(16)));
    float max = x[0], part[4];
    size_t i = 0;
    if (n >= 16) {
        lanes m[4], v;
        memcpy(m, x, sizeof m);
        for (i = 16; i + 16 <= n; i += 16)
            for (int j = 0; j < 4; j++) {
                memcpy(&v, x + i + 4 * j, sizeof v);
                lane_bits larger = v > m[j];
                m[j] = (lanes)(((lane_bits)v & larger) | ((lane_bits)m[j] & ~larger));
            }
        for (int j = 0; j < 4; j++) {
            memcpy(part, &m[j], sizeof part);
            for (int l = 0; l < 4; l++)
                max = part[l] > max ? part[l] : max;
        }
    }
    for (; i < n; i++)
        max = x[i] > max ? x[i] : max;
    return max;
}

int32_t rank_best(const float *score, const int32_t *alive, size_t n)
{
    if ((size_t)alive[n - 1] == n - 1) {        /* all of 0 .. n - 1 */
        float max = largest(score, n);
        int32_t id = 0;
        while ((size_t)id < n - 1 && score[id] != max)
            id++;
        return id;
    }
    int32_t best = alive[0];
    for (size_t i = 1; i < n; i++)
        if (score[alive[i]] > score[best])
            best = alive[i];
    return best;
}

/* Sinks h[i] in a heap whose root is the least (sign = 0) or the largest (sign = all ones). */
static void sink(uint64_t *h, size_t n, size_t i, uint64_t sign)
{
    uint64_t x = h[i];
    for (;;) {
        size_t c = 2 * i + 1;
        if (c >= n)
            break;
        if (c + 1 < n && (h[c + 1] ^ sign) < (h[c] ^ sign))
            c++;
        if ((h[c] ^ sign) >= (x ^ sign))
            break;
        h[i] = h[c];
        i = c;
    }
    h[i] = x;
}

static void build(uint64_t *h, size_t n, uint64_t sign)
{
    for (size_t i = n / 2; i-- > 0;)
        sink(h, n, i, sign);
}

void rank_top(uint64_t *key, size_t k, const float *x, size_t n)
{
    for (size_t i = 0; i < k; i++)
        key[i] = rank_key(x[i], (int32_t)i);
    build(key, k, 0);
    float least = x[rank_id(key[0])];           /* the worst of the k best so far */
    for (size_t i = k; i < n; i++) {
        if (!(x[i] > least))                    /* an equal value has a higher id: worse */
            continue;
        key[0] = rank_key(x[i], (int32_t)i);
        sink(key, k, 0, 0);
        least = x[rank_id(key[0])];
    }
    for (size_t m = k; m > 1; m--) {            /* heap sort: the worst goes last */
        uint64_t worst = key[0];
        key[0] = key[m - 1];
        sink(key, m - 1, 0, 0);
        key[m - 1] = worst;
    }
}

void rank_heapify(uint64_t *h, size_t n)
{
    build(h, n, UINT64_MAX);
}

void rank_pop(uint64_t *h, size_t n)
{
    h[0] = h[n - 1];
    sink(h, n - 1, 0, UINT64_MAX);
}
