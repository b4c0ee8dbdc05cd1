/* SPDX-License-Identifier: MIT
 * Least squares with blocks and clusters: e.g. stability against log popularity. */
#ifndef STATS_REGRESS_H
#define STATS_REGRESS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { STAT_MAX_COEFS = 256 };   /* columns and blocks together */

struct stat_coef {
    double value;             /* change of y per unit of the column, the others and the block kept */
    double se, low, high;     /* cluster-robust; value +- t * se */
    double p;                 /* two-sided, of value = 0 */
};

/* y[i] = level of block[i] + sum over c of coef[c] * x[i * n_x + c] + error, by least squares over n
 * rows. block (NULL: one for all): e.g. the relation of the question; every block has its own
 * level, so that only differences within blocks speak for a coefficient. cluster (NULL: each row
 * its own): rows that are not independent of one another, e.g. the prompt that they belong to;
 * errors may have any variance and any correlation within a cluster. For an effect over topics the
 * rows are prompts: y the stability, x log popularity and the subject's length in tokens.
 *
 * se: by leaving out one cluster at a time, sqrt((G - 1) / G * sum of (coef without g - coef)^2),
 * "CV3" of MacKinnon, Nielsen & Webb 2023, J. Econom. 232:272 (with clusters of one row: HC3 but
 * for the factor), t with G - 1 degrees of freedom: near its coverage from some 10 clusters on,
 * rather above it.
 *
 * coef[n_x] is written. Errors: fewer than 2 clusters, a value that is not finite, more than
 * STAT_MAX_COEFS columns and blocks, a column that is constant within all blocks or a combination
 * of others (its number is given), also when this is so only without one cluster. */
int stat_regress(struct stat_coef *coef, const double *y, const double *x, size_t n, size_t n_x,
                 const uint32_t *block, const uint32_t *cluster, double confidence,
                 struct idem_err *err);

#endif
