/* SPDX-License-Identifier: MIT
 * A share over prompts whose trials are not independent, and looking at it while it grows. */
#ifndef STATS_SHARE_H
#define STATS_SHARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "stats/interval.h"

/* Share of something over prompts with several trials each: v[i] in [0, 1] is the share within
 * prompt i. value is the mean of v; the interval is Clopper & Pearson's with the number of trials
 * that would be worth as much if they were independent: mean (1 - mean) / se^2, se the standard
 * error of the mean, times the squared ratio of the t quantiles with n_trials - 1 and n - 1 degrees
 * of freedom (Korn & Graubard 1998, Surv. Methodol. 24:193). One thing is added to theirs: mean and
 * se are those of the sample and one prompt more, with the value 0 for the lower end and 1 for the
 * upper. Without it rare prompts unlike all others, which the sample happens to miss, make an
 * interval far too sure of itself (60 prompts of 8 trials, 0.97: coverage 0.79).
 * It keeps its coverage near 0 and 1, where bootstraps fail: with all v equal to 0, or all to 1,
 * prompts count once. n_effective (of the end where it is smaller) is never above n_trials, the
 * trials in all (>= n). n = 0: [0, 1], value NaN. n = 1: [0, 1]. Values outside [0, 1] or NaN are
 * an error. */
struct stat_share { double value, low, high, n_effective; size_t n; };
int stat_share(struct stat_share *out, const double *v, size_t n, uint64_t n_trials,
               double confidence, struct idem_err *err);

/* Confidence sequence of the mean of independent values in [0, 1] with one common mean, e.g. one
 * per prompt in an order drawn beforehand: with probability `confidence` or more the mean lies in
 * the interval at all n at once, so that one may look after each value and stop when one likes.
 * sum of the n values so far (not whole numbers only). The values of p at which the likelihood
 * ratio of the uniform mixture, B(1 + sum, 1 + n - sum) / (p^sum (1 - p)^(n - sum)), is below
 * 1 / (1 - confidence) (Ville's inequality; Robbins 1970, Ann. Math. Stat. 41:1397; for bounded
 * values Howard, Ramdas, McAuliffe & Sekhon 2021, Ann. Stat. 49:1055, sub-Bernoulli). Wider than an
 * interval at a fixed n, by about half at n = 100. n = 0: [0, 1]. sum outside [0, n], NaN: NaN. */
struct stat_interval stat_sequence(double sum, uint64_t n, double confidence);

/* Stop this cell? The sequence is at most `width` wide. The interval at the stop, the one of
 * stat_sequence, has its coverage; the Wilson interval at the same n has not. */
bool stat_sequence_stop(double sum, uint64_t n, double confidence, double width);

/* The most values that a cell can need until stat_sequence_stop (its mean being 1/2); 0 for a
 * width that is not in (0, 1). For plans. */
uint64_t stat_sequence_most(double confidence, double width);

#endif
