/* SPDX-License-Identifier: MIT
 * How the chance of a flip falls with the margin between the two best tokens: fitted, without a
 * model, and from analysis. */
#ifndef STATS_CURVE_H
#define STATS_CURVE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "stats/interval.h"

/* ---- fitted ------------------------------------------------------------------------------------ */

/* Logistic curve p(x) = 1 / (1 + exp(-(a + b x))) through rows of k[i] flips in n[i] trials at x[i]
 * (the margin in nats, or its logarithm). Bias-reduced likelihood (Firth 1993, Biometrika 80:27), so
 * that it is finite where flips and others lie apart. covariance: by leaving out one cluster at a
 * time (one Newton step each), as in regress.h; cluster NULL: each row its own.
 * Errors: fewer than 2 clusters, k > n, x not finite, fewer than 2 distinct x with trials, no
 * convergence in 200 steps. */
struct stat_logit {
    double a, b;
    double var_a, var_b, cov;
    double df;                 /* clusters - 1 */
};
int stat_logit(struct stat_logit *out, const double *x, const uint32_t *k, const uint32_t *n,
               size_t n_rows, const uint32_t *cluster, struct idem_err *err);

/* The curve at x with its pointwise interval (on the logit's scale, t with df). */
struct stat_curve { double value, low, high; };
struct stat_curve stat_logit_at(const struct stat_logit *l, double x, double confidence);
/* The slope b with its interval. */
struct stat_curve stat_logit_slope(const struct stat_logit *l, double confidence);

/* ---- without a model ---------------------------------------------------------------------------- */

/* Isotonic fit: the falling (never rising) curve nearest to the rows' shares k / n, weighted by n
 * (pool adjacent violators: Ayer et al. 1955, Ann. Math. Stat. 26:641). value[i] at x[i]; rows in any
 * order, equal x are pooled; rows without trials get the value of their neighbour below (above, if
 * there is none). Errors: x not finite, k > n, no trials at all. */
int stat_isotonic(double *value, const double *x, const uint32_t *k, const uint32_t *n,
                  size_t n_rows, struct idem_err *err);

/* Interval for a falling curve at x0, from its being falling alone: the rows with x <= x0 nearest
 * to x0, `window` of them, have at least the curve's value at x0, so the Clopper-Pearson upper
 * limit of their share is one for the curve; the `window` rows from x0 upwards give the lower
 * limit. Holds its coverage for any falling curve, at each x0, for independent rows; it is wide
 * where the curve is steep. window is to be chosen without looking at k: the square root of the
 * number of rows as a rule. A side without rows has the limit 1, or 0. value: NaN (the fit has
 * it). Ties of x with the window's last row are taken in. x ascending; not ascending is an error. */
int stat_falling_at(struct stat_curve *out, double x0, const double *x, const uint32_t *k,
                    const uint32_t *n, size_t n_rows, size_t window, double confidence,
                    struct idem_err *err);

/* ---- from analysis ------------------------------------------------------------------------------ */

/* A greedy step flips when noise lifts another token over the best one. gap[j] >= 0: logit (or
 * log-probability) of the best token minus that of token j, j over all others that matter. Each
 * logit gets noise of its own; the answer bounds the probability of a flip.
 *
 * HARD: no noise exceeds `size` in absolute value (an error bound of the arithmetic): 0 if the
 * least gap is more than 2 * size, else 1.
 * NORMAL: independent normal noise of standard deviation `size`: the sum over j of
 * Phi(-gap[j] / (size sqrt 2)) (Boole's inequality; exact for a single j).
 * SUBGAUSSIAN: any independent noise with mean 0 that is sub-Gaussian with variance proxy size^2:
 * the sum of exp(-gap^2 / (4 size^2)) (Chernoff).
 * VARIANCE: any noise with mean 0 whose differences between two tokens have variance at most
 * 2 size^2, independent or not: the sum of v / (v + gap^2), v = 2 size^2 (Cantelli 1928).
 * At most 1. size >= 0; size = 0: 0 unless a gap is 0. A NaN, a negative gap or size gives NaN. */
enum stat_noise { STAT_NOISE_HARD, STAT_NOISE_NORMAL, STAT_NOISE_SUBGAUSSIAN, STAT_NOISE_VARIANCE };
double stat_flip_bound(enum stat_noise kind, const double *gap, size_t n, double size);

#endif
