/* SPDX-License-Identifier: MIT
 * Random integers for resampling: Philox4x32-10 (Salmon et al. 2011), a stream per seed. */
#ifndef STATS_RNG_H
#define STATS_RNG_H

#include <stdint.h>

/* Output block i is Philox with key words (low, high half of seed) and counter words (low, high
 * half of i, 0, 0x626F6F74); its four words are used in order. */
struct stat_rng {
    uint64_t seed, next;   /* next block */
    uint32_t word[4];
    unsigned used;         /* words of the block that are spent; 4: none left */
};

void stat_rng_init(struct stat_rng *r, uint64_t seed);
/* Uniform on 0 .. n - 1, n >= 1, without bias: multiply and reject (Lemire 2019, ACM TOMACS 29:3). */
uint32_t stat_rng_below(struct stat_rng *r, uint32_t n);

#endif
