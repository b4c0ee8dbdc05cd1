/* SPDX-License-Identifier: MIT
 * Random integers that are a function of a key and a place: Philox4x32-10 (Salmon et al. 2011). */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include <stdint.h>

/* Output block i is Philox with key words (low, high half of key) and counter words (low, high
 * half of i, 0, stream); its four words are used in order. Different uses of one key take
 * different streams, four letters each: "boot" resampling, "pert" perturbations. */
struct rng {
    uint64_t key, next;    /* next block */
    uint32_t stream, word[4];
    unsigned used;         /* words of the block that are spent; 4: none left */
};

#define RNG_STREAM(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))

void rng_init(struct rng *r, uint64_t key, uint32_t stream);
/* Uniform on 0 .. n - 1, n >= 1, without bias: multiply and reject (Lemire 2019, ACM TOMACS 29:3). */
uint32_t rng_below(struct rng *r, uint32_t n);

#endif
