/* SPDX-License-Identifier: MIT
 * The resampling stream. */
#include "stats/rng.h"

#include <string.h>

#include <Random123/philox.h>

void stat_rng_init(struct stat_rng *r, uint64_t seed)
{
    *r = (struct stat_rng){.seed = seed, .used = 4};
}

static uint32_t next_word(struct stat_rng *r)
{
    if (r->used == 4) {
        philox4x32_ctr_t c = {{(uint32_t)r->next, (uint32_t)(r->next >> 32), 0, 0x626F6F74u}};
        philox4x32_key_t k = {{(uint32_t)r->seed, (uint32_t)(r->seed >> 32)}};
        c = philox4x32(c, k);
        memcpy(r->word, c.v, sizeof r->word);
        r->next++;
        r->used = 0;
    }
    return r->word[r->used++];
}

uint32_t stat_rng_below(struct stat_rng *r, uint32_t n)
{
    uint64_t m = (uint64_t)next_word(r) * n;
    if ((uint32_t)m < n) {
        uint32_t least = (0u - n) % n;   /* 2^32 mod n words are surplus */
        while ((uint32_t)m < least)
            m = (uint64_t)next_word(r) * n;
    }
    return (uint32_t)(m >> 32);
}
