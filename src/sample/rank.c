/* SPDX-License-Identifier: MIT
 * Ordering tokens by value and id: selection of the best k, and a heap. */
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
