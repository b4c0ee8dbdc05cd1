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

struct stat_boot {
    uint64_t seed;             /* of the resampling's own Philox stream: same seed, same interval */
    uint32_t n_resamples;      /* 100 .. 1000000; 10000 as a rule */
    double confidence;         /* (0, 1) */
    enum stat_resample mode;
};

struct stat_estimate {
    double value;              /* mean over prompts of the mean over a prompt's values */
    double se;                 /* standard deviation of the resampled means */
    double low, high;          /* percentile interval (Efron & Tibshirani 1993, ch. 13) */
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

#endif
