/* SPDX-License-Identifier: MIT
 * Counter-based random integers. */
#include "base/rng.h"

#include <string.h>

#include <Random123/philox.h>

void rng_init(struct rng *r, uint64_t key, uint32_t stream)
{
    *r = (struct rng){.key = key, .stream = stream, .used = 4};
}

static uint32_t next_word(struct rng *r)
{
    if (r->used == 4) {
        philox4x32_ctr_t c = {{(uint32_t)r->next, (uint32_t)(r->next >> 32), 0, r->stream}};
        philox4x32_key_t k = {{(uint32_t)r->key, (uint32_t)(r->key >> 32)}};
        c = philox4x32(c, k);
        memcpy(r->word, c.v, sizeof r->word);
        r->next++;
        r->used = 0;
    }
    return r->word[r->used++];
}

uint32_t rng_below(struct rng *r, uint32_t n)
{
    uint64_t m = (uint64_t)next_word(r) * n;
    if ((uint32_t)m < n) {
        uint32_t least = (0u - n) % n;   /* 2^32 mod n words are surplus */
        while ((uint32_t)m < least)
            m = (uint64_t)next_word(r) * n;
    }
    return (uint32_t)(m >> 32);
}
