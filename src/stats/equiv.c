/* SPDX-License-Identifier: MIT
 * Equivalence by two one-sided bootstrap-t tests; smallest detectable effects. */
#include "stats/equiv.h"

#include <math.h>
#include <stdlib.h>

#include "base/detmath.h"
#include "stats/interval.h"
#include "stats/rng.h"
#include "stats/stats_impl.h"

/* All n differences are c. */
static void all_equal(struct stat_tost *out, double c, double margin, double most)
{
    double size = fabs(c), n = (double)out->n;
    out->se = 0.0;
    out->low = out->high = c;
    out->p_differ = c == 0.0 ? 1.0 : det_exp((1.0 - n) * det_log(2.0));
    out->p_equal = 1.0;
    if (size < margin) {   /* others are at +-most: the mean moves by q (most -+ c) */
        double q = (margin - size) / (most - size);
        out->p_equal = q < 1.0 ? det_exp(n * det_log1p(-q)) : 0.0;
    }
}

/* t[n_re]: studentised distances of resampled means; infinite where a resample has no spread. */
static void distances(double *t, const double *d, size_t n, double m, const struct stat_boot *b)
{
    struct stat_rng rng;
    stat_rng_init(&rng, b->seed);
    for (size_t i = 0; i < b->n_resamples; i++) {
        double off = 0.0, square = 0.0;
        for (size_t j = 0; j < n; j++) {
            double v = d[stat_rng_below(&rng, (uint32_t)n)] - m;
            off += v;
            square += v * v;
        }
        off /= (double)n;
        double var = square / (double)n - off * off;
        double se = var > 1e-24 * square ? sqrt(var / (double)(n - 1)) : 0.0;
        t[i] = se > 0.0 ? off / se : off > 0.0 ? INFINITY : off < 0.0 ? -INFINITY : 0.0;
    }
    qsort(t, b->n_resamples, sizeof *t, stat_by_double);
}

/* (1 + number of t <= x) / (n + 1); of t >= x with upper. */
static double tail(const double *t, size_t n, double x, int upper)
{
    double hits = 1.0;
    for (size_t i = 0; i < n; i++)
        hits += upper ? t[i] >= x : t[i] <= x;
    return hits / ((double)n + 1.0);
}

int stat_tost(struct stat_tost *out, const double *d, size_t n, double margin, double most,
              const struct stat_boot *b, struct idem_err *err)
{
    *out = (struct stat_tost){NAN, NAN, NAN, NAN, 1.0, 1.0, n};
    if (stat_boot_check(b, n, err) != 0 || stat_check_finite(d, n, "difference", err) != 0)
        return -1;
    if (!(margin > 0.0 && margin <= most))
        return err_set(err, IDEM_ERR_USAGE, "a margin of %g for differences up to %g; it must be "
                       "above 0 and not above them", margin, most);
    for (size_t i = 0; i < n; i++)
        if (fabs(d[i]) > most)
            return err_set(err, IDEM_ERR_USAGE, "difference %zu is %g, but %g was declared the "
                           "most", i, d[i], most);
    if (n == 0)
        return 0;
    out->mean = stat_mean(d, n);
    if (n < 2)
        return 0;
    out->se = sqrt(stat_squares(d, n, out->mean) / ((double)n * (double)(n - 1)));
    if (!(out->se > 0.0)) {
        all_equal(out, d[0], margin, most);
        return 0;
    }
    size_t n_re = b->n_resamples;
    double *t = calloc(n_re, sizeof *t), low, high;
    if (!t)
        return err_memory(err, "the equivalence test", n_re * sizeof *t);
    distances(t, d, n, out->mean, b);
    double below = tail(t, n_re, (out->mean - margin) / out->se, 0);
    double above = tail(t, n_re, (out->mean + margin) / out->se, 1);
    out->p_equal = below > above ? below : above;
    double null = out->mean / out->se, side = tail(t, n_re, null, 0);
    double other = tail(t, n_re, null, 1);
    side = side < other ? side : other;
    out->p_differ = 2.0 * side < 1.0 ? 2.0 * side : 1.0;
    stat_ends_percentile(&low, &high, t, n_re, b->confidence);
    out->low = out->mean - high * out->se;
    out->high = out->mean - low * out->se;
    free(t);
    return 0;
}

double stat_share_difference_sd(double p, double icc, double same, uint32_t n_repeats)
{
    if (!(p >= 0.0 && p <= 1.0 && icc >= 0.0 && icc <= 1.0 && same >= -1.0 && same <= 1.0) ||
        n_repeats == 0)
        return NAN;
    return sqrt(2.0 * p * (1.0 - p) * (icc * (1.0 - same) + (1.0 - icc) / (double)n_repeats));
}

double stat_detectable(double sd, uint64_t n, double alpha, double power)
{
    if (!(sd >= 0.0 && alpha > 0.0 && alpha < 1.0 && power > 0.0 && power < 1.0) || n < 2)
        return NAN;
    double df = (double)(n - 1);
    return (stat_t_quantile(1.0 - 0.5 * alpha, df) + stat_t_quantile(power, df)) * sd /
           sqrt((double)n);
}

double stat_detectable_flip(uint64_t n, double power)
{
    if (!(power > 0.0 && power < 1.0) || n == 0)
        return NAN;
    return 1.0 - det_exp(det_log1p(-power) / (double)n);
}

uint64_t stat_prompts_needed(double sd, double effect, double alpha, double power)
{
    const uint64_t most = 1000000000;
    if (!(effect > 0.0) || !(stat_detectable(sd, most, alpha, power) <= effect))
        return 0;
    uint64_t low = 1, high = 2;
    while (!(stat_detectable(sd, high, alpha, power) <= effect)) {
        low = high;
        high *= 2;
    }
    while (high - low > 1) {
        uint64_t mid = low + (high - low) / 2;
        if (stat_detectable(sd, mid, alpha, power) <= effect)
            high = mid;
        else
            low = mid;
    }
    return high;
}
