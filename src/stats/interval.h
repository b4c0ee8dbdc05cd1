/* SPDX-License-Identifier: MIT
 * Intervals of a share k of n, and the normal distribution behind other intervals. */
#ifndef STATS_INTERVAL_H
#define STATS_INTERVAL_H

#include <stdint.h>

struct stat_interval { double low, high; };

/* Two-sided intervals of the probability of which k successes in n independent trials are a
 * sample. confidence in (0, 1), 0.95 as a rule. n = 0 gives [0, 1]; k > n or a confidence outside
 * its range gives NaN. Outputs of one prompt are not independent: count prompts, or use
 * stats/boot.h. */

/* Score interval without continuity correction. Coverage near the nominal on average.
 * Wilson 1927, J. Am. Stat. Assoc. 22:209. */
struct stat_interval stat_wilson(uint64_t k, uint64_t n, double confidence);

/* "Exact" interval: never less than the nominal coverage, wider than Wilson's.
 * Clopper & Pearson 1934, Biometrika 26:404. */
struct stat_interval stat_clopper_pearson(uint64_t k, uint64_t n, double confidence);

/* n successes of n: the one-sided lower bound (1 - confidence)^(1/n) of the probability; at 0.95
 * about 1 - 3/n, the rule of three (Hanley & Lippman-Hand 1983, JAMA 249:1743). n = 0 gives 0. */
double stat_all_of_n_low(uint64_t n, double confidence);

/* All n values that were seen are c, values between least and most are possible: an interval of
 * their mean. With probability (1 - confidence) / 2 or more no other value is seen while their share
 * is q = 1 - ((1 - confidence) / 2)^(1 / n); at worst they all are least, or most. n = 0: [least,
 * most]. c or confidence out of range: NaN. A bootstrap of such a sample has no width. */
struct stat_interval stat_all_equal(double c, uint64_t n, double least, double most,
                                    double confidence);

/* Standard normal distribution and its inverse; p in (0, 1), else NaN. */
double stat_normal_cdf(double z);
double stat_normal_quantile(double p);

/* Student's t with df > 0 degrees of freedom (any real number) and its inverse; p in (0, 1). */
double stat_t_cdf(double t, double df);
double stat_t_quantile(double p, double df);

/* log Gamma(x), x > 0. */
double stat_log_gamma(double x);

/* Regularised incomplete beta function I_x(a, b), a, b > 0, x in [0, 1] (DLMF 8.17), and its
 * inverse in x. */
double stat_beta_cdf(double x, double a, double b);
double stat_beta_quantile(double p, double a, double b);

#endif
