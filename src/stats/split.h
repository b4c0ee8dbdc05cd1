/* SPDX-License-Identifier: MIT
 * The variance of an outcome split over the factors of an experiment. */
#ifndef STATS_SPLIT_H
#define STATS_SPLIT_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { STAT_SPLIT_FACTORS = 32, STAT_SPLIT_TERMS = 16 };

struct stat_part {
    double variance;      /* estimate, unbiased, so below 0 at times */
    double share;         /* of the total, both with parts below 0 taken as 0; NaN if all are */
    double low, high;     /* of share */
};

/* Random-effects model: y = level + one independent effect per level of each term + noise, every
 * effect of a term with the term's variance. Rows in any numbers per cell, cells may be missing.
 * y[i] (an answer's correctness, agreement with the modal answer, a margin ...) was measured at
 * level[i * n_factors + f] of factor f. A term is a set of factors, terms[t] their bits: 1 << f for
 * factor f alone, several bits for an interaction. out[n_terms + 1]: the terms, then the rest: the
 * noise between rows that agree in every term (run noise, where runs are the only difference).
 *
 * Estimates by equating the sums of squares of the terms' level means with their expectations
 * (Henderson 1953, Biometrics 9:226, method 1; Searle, Casella & McCulloch 1992, section 5.3):
 * unbiased for random effects however unbalanced the rows. For a factor whose levels are all that
 * is of interest (settings) the variance is the one of these levels, divisor levels - 1; unbiased
 * then if each of its levels met the same mix of the other factors.
 *
 * Intervals: the levels of factor `cluster` (prompts) are a sample of many; one of them is left out
 * at a time, t with levels - 1 degrees of freedom, on the scale log(share / (1 - share)) where all
 * those shares are strictly between 0 and 1, else on the plain scale and clipped to [0, 1].
 *
 * Errors: y not finite, fewer than 3 levels of `cluster`, a bit without a factor, the same term
 * twice, more than STAT_SPLIT_TERMS terms, terms that cannot be told apart with these rows (an
 * interaction of all factors without repeats is the noise itself). */
int stat_split(struct stat_part *out, const double *y, const uint32_t *level, size_t n,
               size_t n_factors, const uint32_t *terms, size_t n_terms, size_t cluster,
               double confidence, struct idem_err *err);

#endif
