/* SPDX-License-Identifier: MIT
 * Showing that two settings are equal within a margin, and what a run can detect before it is run. */
#ifndef STATS_EQUIV_H
#define STATS_EQUIV_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "stats/boot.h"

/* Two one-sided tests (Schuirmann 1987, J. Pharmacokinet. Biopharm. 15:657) that the mean
 * difference lies in (-margin, margin). d[n]: one difference per prompt (means over its repeats),
 * so that trials of one prompt count as one. The distribution of the studentised mean is
 * resampled over prompts (bootstrap-t, see boot.h) and not taken as Student's: differences are
 * mostly 0 with a few large ones, and Student's t would call such samples equal far too often.
 *
 * p_equal: the greater of the two one-sided p-values; p_equal <= alpha shows equality.
 * p_differ: two-sided, that the mean is 0. Both can be small: a difference that is real and
 * within the margin. Neither small is "inconclusive", never "equal".
 * low, high: the 1 - 2 alpha interval, alpha = (1 - boot.confidence) / 2 the level of each test;
 * p_equal <= alpha exactly when it lies within the margins (up to the grain of the resamples).
 *
 * With all differences equal to c, resampling sees nothing. Then prompts with another difference
 * are at most a share q of all with probability (1 - q)^n, and |d| <= most (1 for shares, declared
 * by the caller) bounds what they can do: p_equal = (1 - q)^n at the q that would take the mean to
 * the nearer margin, p_differ = 1 if c is 0 and 2^(1 - n) else (the sign test).
 *
 * n < 2 or |c| >= margin there: p_equal = 1. Errors: d not finite or |d| > most, margin not in
 * (0, most]. */
struct stat_tost { double mean, se, low, high, p_equal, p_differ; size_t n; };
int stat_tost(struct stat_tost *out, const double *d, size_t n, double margin, double most,
              const struct stat_boot *b, struct idem_err *err);

/* ---- before the run ---------------------------------------------------------------------------- */

/* Standard deviation over prompts of the difference between two settings, each the mean of
 * n_repeats 0/1 trials per prompt with overall share p: sqrt(2 p (1 - p) (icc (1 - same) +
 * (1 - icc) / n_repeats)). icc in [0, 1]: the part of p (1 - p) that lies between prompts (their
 * intraclass correlation); same in [-1, 1]: correlation of a prompt's probabilities under the two
 * settings (1: prompts differ, settings do not). NaN outside the ranges. */
double stat_share_difference_sd(double p, double icc, double same, uint32_t n_repeats);

/* The smallest true mean of n paired differences with standard deviation sd that a two-sided test
 * at level alpha finds with probability `power`: (t(1 - alpha / 2) + t(power)) sd / sqrt(n), t with
 * n - 1 degrees of freedom (Bloom 1995, Eval. Rev. 19:547). Divide alpha by the size of the family
 * for Holm's first step. n < 2, or a probability outside (0, 1): NaN. */
double stat_detectable(double sd, uint64_t n, double alpha, double power);

/* The smallest probability of a deviation that n independent trials show at least once with
 * probability `power`: 1 - (1 - power)^(1 / n). What "identical in n of n" can have missed. */
double stat_detectable_flip(uint64_t n, double power);

/* Prompts needed for stat_detectable to be at most `effect`; 0: a billion do not suffice. */
uint64_t stat_prompts_needed(double sd, double effect, double alpha, double power);

#endif
