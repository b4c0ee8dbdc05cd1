/* SPDX-License-Identifier: MIT
 * The resampling stream. */
#include "stats/rng.h"

void stat_rng_init(struct stat_rng *r, uint64_t seed)
{
    rng_init(&r->r, seed, RNG_STREAM('b', 'o', 'o', 't'));
}

uint32_t stat_rng_below(struct stat_rng *r, uint32_t n)
{
    return rng_below(&r->r, n);
}
