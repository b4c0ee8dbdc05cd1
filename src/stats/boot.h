/* SPDX-License-Identifier: MIT
 * Means over prompts with bootstrap intervals that respect the nesting of repeats in prompts. */
#ifndef STATS_BOOT_H
#define STATS_BOOT_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* CLUSTERS draws prompts with replacement and takes each with its values as they are; NESTED
 * draws values with replacement within each drawn prompt too (Davison & Hinkley 1997, §3.8: the
 * first is the better match of the variance when prompts are a sample from many, and is the
 * default; the second is more conservative). */
enum stat_resample { STAT_RESAMPLE_CLUSTERS = 0, STAT_RESAMPLE_NESTED };

/* How the resampled values become an interval. PERCENTILE (Efron & Tibshirani 1993, ch. 13) is too
 * narrow with few prompts. BCA corrects bias and skewness (Efron 1987, J. Am. Stat. Assoc. 82:171;
 * acceleration from leaving out one prompt at a time) and is still too narrow below some 30
 * prompts. STUDENT (bootstrap-t; Efron & Tibshirani 1993, 12.5; means only) resamples the mean's
 * distance in units of its own standard error: the one to use for means, 10 prompts and skewed
 * values included. An end of it can be infinite, when too many resamples have equal values
 * throughout: there the sample says nothing; clip it to the range that the values can have. */
enum stat_ci { STAT_CI_PERCENTILE = 0, STAT_CI_BCA, STAT_CI_STUDENT };

struct stat_boot {
    uint64_t seed;             /* of the resampling's own Philox stream: same seed, same interval */
    uint32_t n_resamples;      /* 100 .. 1000000; 10000 as a rule */
    double confidence;         /* (0, 1) */
    enum stat_resample mode;
    enum stat_ci ci;
};

struct stat_estimate {
    double value;              /* mean over prompts of the mean over a prompt's values */
    double se;                 /* standard deviation of the resampled means */
    double low, high;          /* interval as asked for */
    size_t n_clusters, n_values;
};

/* x[start[i] .. start[i+1]) are the values of prompt i; start has n_clusters + 1 entries. Every
 * prompt counts once, however many values it has. Prompts without values are left out. A value
 * that is NaN or infinite is an error (its index is named); no prompt with values is one too.
 * With a single prompt low and high are NaN in mode CLUSTERS: nothing was seen of the variation
 * between prompts. When all values agree, low = high = value: a bootstrap cannot see beyond its
 * sample, so quote stat_all_of_n_low() beside it. */
int stat_boot_mean(struct stat_estimate *out, const double *x, const size_t *start,
                   size_t n_clusters, const struct stat_boot *b, struct idem_err *err);

/* Paired: prompt i has x[x_start[i] ..) under setting A and y[y_start[i] ..) under B; value is the
 * mean over prompts of mean(y) - mean(x). Prompts that lack either side are left out. */
int stat_boot_diff(struct stat_estimate *out, const double *x, const size_t *x_start,
                   const double *y, const size_t *y_start, size_t n_clusters,
                   const struct stat_boot *b, struct idem_err *err);

/* Any statistic of whole prompts: f is called with the n prompts that were drawn (indices below
 * n_clusters, some more than once) and writes n_values numbers; NaN: no value with this draw. It
 * returns 0, or -1 with err. out[n_values]: value with every prompt once; se, and the interval
 * (PERCENTILE or BCA) from the draws that have a value; all NaN if less than half of them have one.
 * n_clusters is set in out, n_values there is 0. Mode CLUSTERS. With one prompt the interval is
 * NaN. */
typedef int (*stat_statistic_fn)(void *ctx, const uint32_t *draw, size_t n, double *values,
                                 struct idem_err *err);
int stat_boot_any(struct stat_estimate *out, size_t n_values, stat_statistic_fn f, void *ctx,
                  size_t n_clusters, const struct stat_boot *b, struct idem_err *err);

/* The same by leaving out one prompt at a time (Quenouille 1956, Tukey 1958; Efron & Tibshirani
 * 1993, ch. 11): value +- t * se, t with n_clusters - 1 degrees of freedom. Takes n_clusters calls
 * and no random numbers; for smooth statistics. A value of NaN without some prompt makes all NaN. */
int stat_jackknife(struct stat_estimate *out, size_t n_values, stat_statistic_fn f, void *ctx,
                   size_t n_clusters, double confidence, struct idem_err *err);

#endif
