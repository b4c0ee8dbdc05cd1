/* SPDX-License-Identifier: MIT
 * Random integers for resampling: base/rng.h, a stream per seed. */
#ifndef STATS_RNG_H
#define STATS_RNG_H

#include "base/rng.h"

struct stat_rng { struct rng r; };   /* stream "boot" of key `seed` */

void stat_rng_init(struct stat_rng *r, uint64_t seed);
uint32_t stat_rng_below(struct stat_rng *r, uint32_t n);   /* uniform on 0 .. n - 1, n >= 1 */

#endif
