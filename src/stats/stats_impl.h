/* SPDX-License-Identifier: MIT
 * Small things that several files of src/stats share. */
#ifndef STATS_IMPL_H
#define STATS_IMPL_H

#include <math.h>
#include <stddef.h>

#include "base/err.h"
#include "stats/boot.h"

static inline int stat_check_confidence(double confidence, struct idem_err *err)
{
    if (confidence > 0.0 && confidence < 1.0)
        return 0;
    return err_set(err, IDEM_ERR_USAGE, "confidence is %g, but it must be between 0 and 1",
                   confidence);
}

/* what: "difference", "value" ... */
static inline int stat_check_finite(const double *v, size_t n, const char *what,
                                    struct idem_err *err)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(v[i]))
            return err_set(err, IDEM_ERR_NUMERIC, "%s %zu is %g; leave out what was not measured",
                           what, i, v[i]);
    return 0;
}

static inline int stat_by_double(const void *pa, const void *pb)
{
    double a = *(const double *)pa, b = *(const double *)pb;
    return (a > b) - (a < b);
}

/* n >= 1. As a deviation from the first value, so that equal values have exactly their mean. */
static inline double stat_mean(const double *v, size_t n)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++)
        sum += v[i] - v[0];
    return v[0] + sum / (double)n;
}

/* Sum of squared deviations from m. */
static inline double stat_squares(const double *v, size_t n, double m)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++)
        sum += (v[i] - m) * (v[i] - m);
    return sum;
}

/* boot_any.c: checks of the options; the ends of an interval from n ascending resampled values.
 * value: the sample's own; influence[m]: of each prompt on it, with any positive factor. */
int stat_boot_check(const struct stat_boot *b, size_t n_clusters, struct idem_err *err);
void stat_ends_percentile(double *low, double *high, const double *sorted, size_t n,
                          double confidence);
void stat_ends_bca(double *low, double *high, const double *sorted, size_t n, double value,
                   const double *influence, size_t m, double confidence);

#endif
