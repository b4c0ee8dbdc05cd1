/* SPDX-License-Identifier: MIT
 * Simulation of intervals and tests of src/stats: how often they are right. */
#ifndef TESTS_STATS_CHECK_H
#define TESTS_STATS_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/rng.h"
#include "stats/boot.h"

/* What the share of hits over the runs must be. */
enum check_bar {
    CHECK_COVERS,       /* a 95 % interval of something smooth: 0.93 .. 0.97 */
    CHECK_COVERS_LEAST, /* ... of counts, or conservative by design: 0.93 or more */
    CHECK_COVERS_90,    /* a 90 % interval: 0.88 .. 0.92 */
    CHECK_SIZE,         /* a test at 0.05, its null hypothesis true: 0.03 .. 0.07 */
    CHECK_SIZE_MOST,    /* ... of counts: 0.07 or less */
    CHECK_POWER         /* a test at the effect it is said to find with 0.8: 0.77 .. 0.83 */
};

/* One line of the table. run simulates one sample and returns 1 for a hit, 0 for none (or a share);
 * NaN when something failed. r is the run's own stream of random numbers. */
struct check_case {
    const char *what, *model;
    enum check_bar bar;
    double (*run)(struct rng *r);
};

extern const struct check_case check_intervals[], check_tests[], check_models[];
extern const size_t check_n_intervals, check_n_tests, check_n_models;

/* ---- random numbers for the models ---- */

double check_uniform(struct rng *r);                       /* (0, 1) */
double check_normal(struct rng *r);
double check_exponential(struct rng *r);                   /* mean 1 */
bool check_coin(struct rng *r, double p);
uint32_t check_binomial(struct rng *r, uint32_t n, double p);
uint64_t check_seed(struct rng *r);                        /* for the bootstrap of this run */

static inline double check_hit(double low, double high, double truth)
{
    return low <= truth && truth <= high;
}

#endif
