/* SPDX-License-Identifier: MIT
 * Coverage of the intervals of shares, means, survival, and of any statistic. */
#include <math.h>

#include "base/detmath.h"
#include "stats/agree.h"
#include "stats/check.h"
#include "stats/interval.h"
#include "stats/share.h"

enum { MOST = 512, RESAMPLES = 1999 };

static double wilson_few(struct rng *r)
{
    struct stat_interval i = stat_wilson(check_binomial(r, 20, 0.3), 20, 0.95);
    return check_hit(i.low, i.high, 0.3);
}

static double wilson_many(struct rng *r)
{
    struct stat_interval i = stat_wilson(check_binomial(r, 250, 0.92), 250, 0.95);
    return check_hit(i.low, i.high, 0.92);
}

static double exact_few(struct rng *r)
{
    struct stat_interval i = stat_clopper_pearson(check_binomial(r, 12, 0.2), 12, 0.95);
    return check_hit(i.low, i.high, 0.2);
}

static double exact_edge(struct rng *r)
{
    struct stat_interval i = stat_clopper_pearson(check_binomial(r, 100, 0.98), 100, 0.95);
    return check_hit(i.low, i.high, 0.98);
}

static double all_of_n(struct rng *r)
{
    uint32_t k = check_binomial(r, 60, 0.951);
    return k < 60 || stat_all_of_n_low(60, 0.95) <= 0.951;
}

/* ---- prompts with repeats ---------------------------------------------------------------------- */

/* A prompt's own probability: 0, 1 or in between with given chances, mean p. */
static double prompt_p(struct rng *r, double p, double alike)
{
    double u = check_uniform(r);
    return u < alike ? (u < alike * p ? 1.0 : 0.0) : p;
}

static double share_of(struct rng *r, size_t n, uint32_t k, double p, double alike)
{
    double v[MOST];
    for (size_t i = 0; i < n; i++)
        v[i] = check_binomial(r, k, prompt_p(r, p, alike)) / (double)k;
    struct stat_share s;
    if (stat_share(&s, v, n, n * k, 0.95, NULL) != 0)
        return NAN;
    return check_hit(s.low, s.high, p);
}

static double share_middle(struct rng *r)
{
    return share_of(r, 40, 5, 0.7, 0.5);
}

static double share_edge(struct rng *r)
{
    return share_of(r, 60, 8, 0.97, 0.6);
}

static double share_few(struct rng *r)
{
    return share_of(r, 10, 4, 0.5, 0.3);
}

enum values { NORMAL, SKEWED, BINARY };

/* n prompts of k values around a prompt's own level; the overall mean is 1 (BINARY: 0.7). */
static void fill(struct rng *r, double *v, size_t *start, size_t n, size_t k, enum values kind)
{
    for (size_t i = 0; i < n; i++) {
        double own = kind == NORMAL ? 1.0 + check_normal(r) : kind == SKEWED
                   ? check_exponential(r) : prompt_p(r, 0.7, 0.4);
        for (size_t j = 0; j < k; j++)
            v[i * k + j] = kind == BINARY ? check_coin(r, own) : own + 0.5 * check_normal(r);
        start[i] = i * k;
    }
    start[n] = n * k;
}

static double mean_of(struct rng *r, size_t n, size_t k, enum values kind, enum stat_ci ci,
                      enum stat_resample mode)
{
    double v[MOST];
    size_t start[MOST];
    fill(r, v, start, n, k, kind);
    struct stat_boot b = {check_seed(r), RESAMPLES, 0.95, mode, ci};
    struct stat_estimate e;
    if (stat_boot_mean(&e, v, start, n, &b, NULL) != 0)
        return NAN;
    return check_hit(e.low, e.high, kind == BINARY ? 0.7 : 1.0);
}

static double percentile_normal(struct rng *r)
{
    return mean_of(r, 100, 3, NORMAL, STAT_CI_PERCENTILE, STAT_RESAMPLE_CLUSTERS);
}

static double bca_normal(struct rng *r)
{
    return mean_of(r, 60, 3, NORMAL, STAT_CI_BCA, STAT_RESAMPLE_CLUSTERS);
}

static double bca_skewed(struct rng *r)
{
    return mean_of(r, 100, 3, SKEWED, STAT_CI_BCA, STAT_RESAMPLE_CLUSTERS);
}

static double student_normal(struct rng *r)
{
    return mean_of(r, 10, 3, NORMAL, STAT_CI_STUDENT, STAT_RESAMPLE_CLUSTERS);
}

static double student_skewed(struct rng *r)
{
    return mean_of(r, 20, 3, SKEWED, STAT_CI_STUDENT, STAT_RESAMPLE_CLUSTERS);
}

static double student_binary(struct rng *r)
{
    return mean_of(r, 30, 5, BINARY, STAT_CI_STUDENT, STAT_RESAMPLE_CLUSTERS);
}

static double student_nested(struct rng *r)
{
    return mean_of(r, 30, 5, NORMAL, STAT_CI_STUDENT, STAT_RESAMPLE_NESTED);
}

static double student_difference(struct rng *r)
{
    double a[MOST], b[MOST];
    size_t s[MOST], t[MOST];
    for (size_t i = 0; i < 25; i++) {
        double own = check_exponential(r);
        s[i] = i * 3;
        t[i] = i * 4;
        for (size_t j = 0; j < 3; j++)
            a[i * 3 + j] = own + 0.5 * check_normal(r);
        for (size_t j = 0; j < 4; j++)
            b[i * 4 + j] = own + 0.3 * own + 0.5 * check_normal(r);
    }
    s[25] = 75;
    t[25] = 100;
    struct stat_boot boot = {check_seed(r), RESAMPLES, 0.95, STAT_RESAMPLE_CLUSTERS, STAT_CI_STUDENT};
    struct stat_estimate e;
    if (stat_boot_diff(&e, a, s, b, t, 25, &boot, NULL) != 0)
        return NAN;
    return check_hit(e.low, e.high, 0.3);
}

/* ---- any statistic: a ratio of means ------------------------------------------------------------ */

struct pairs { double x[MOST], y[MOST]; };

static int ratio(void *ctx, const uint32_t *draw, size_t n, double *value, struct idem_err *err)
{
    (void)err;
    const struct pairs *p = ctx;
    double x = 0.0, y = 0.0;
    for (size_t i = 0; i < n; i++) {
        x += p->x[draw[i]];
        y += p->y[draw[i]];
    }
    *value = y / x;
    return 0;
}

static void fill_pairs(struct rng *r, struct pairs *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        p->x[i] = 1.0 + check_uniform(r);
        p->y[i] = 0.5 * p->x[i] * (1.0 + 0.3 * check_normal(r));
    }
}

static double bca_any(struct rng *r)
{
    struct pairs p;
    fill_pairs(r, &p, 60);
    struct stat_boot b = {check_seed(r), RESAMPLES, 0.95, STAT_RESAMPLE_CLUSTERS, STAT_CI_BCA};
    struct stat_estimate e;
    if (stat_boot_any(&e, 1, ratio, &p, 60, &b, NULL) != 0)
        return NAN;
    return check_hit(e.low, e.high, 0.5);
}

static double jackknife_any(struct rng *r)
{
    struct pairs p;
    fill_pairs(r, &p, 25);
    struct stat_estimate e;
    if (stat_jackknife(&e, 1, ratio, &p, 25, 0.95, NULL) != 0)
        return NAN;
    return check_hit(e.low, e.high, 0.5);
}

/* ---- survival ---------------------------------------------------------------------------------- */

/* Parts at each token with probability `hazard`; ends at a length between 5 and 30. At token 10. */
static double survival_of(struct rng *r, size_t n, double hazard, bool beta)
{
    uint64_t time[MOST];
    bool parted[MOST];
    struct stat_survival s[MOST];
    size_t n_points;
    double truth = 1.0;
    for (int t = 0; t < 10; t++)
        truth *= 1.0 - hazard;
    for (size_t i = 0; i < n; i++) {
        uint64_t end = 5 + rng_below(r, 26);
        for (time[i] = 1; time[i] < end && !check_coin(r, hazard);)
            time[i]++;
        parted[i] = time[i] < end;
    }
    if (stat_survival(s, &n_points, time, parted, n, 0.95, NULL) != 0)
        return NAN;
    size_t last = SIZE_MAX;
    for (size_t i = 0; i < n_points; i++)
        last = s[i].t <= 10 ? i : last;
    if (last == SIZE_MAX)
        return 0.0;   /* nothing to show is no hit */
    if (beta)
        return check_hit(s[last].beta_low, s[last].beta_high, truth);
    return check_hit(s[last].low, s[last].high, truth);   /* NaN: no hit */
}

static double survival_greenwood(struct rng *r)
{
    return survival_of(r, 100, 0.06, false);
}

static double survival_beta(struct rng *r)
{
    return survival_of(r, 25, 0.06, true);
}

static double survival_beta_edge(struct rng *r)
{
    return survival_of(r, 40, 0.002, true);
}

/* ---- sequences --------------------------------------------------------------------------------- */

/* The mean lies in the sequence at every one of 300 looks. */
static double sequence_always(struct rng *r)
{
    double sum = 0.0;
    for (uint64_t n = 1; n <= 300; n++) {
        sum += check_coin(r, 0.3);
        struct stat_interval i = stat_sequence(sum, n, 0.95);
        if (!check_hit(i.low, i.high, 0.3))
            return 0.0;
    }
    return 1.0;
}

/* Stopped as soon as it is narrow; values between 0 and 1. */
static double sequence_stopped(struct rng *r)
{
    double sum = 0.0;
    for (uint64_t n = 1;; n++) {
        sum += check_coin(r, 0.5) ? check_uniform(r) : 1.0;
        if (stat_sequence_stop(sum, n, 0.95, 0.25)) {
            struct stat_interval i = stat_sequence(sum, n, 0.95);
            return check_hit(i.low, i.high, 0.75);
        }
    }
}

const struct check_case check_intervals[] = {
    {"stat_wilson", "20 trials, p 0.3", CHECK_COVERS_LEAST, wilson_few},
    {"stat_wilson", "250 trials, p 0.92", CHECK_COVERS_LEAST, wilson_many},
    {"stat_clopper_pearson", "12 trials, p 0.2", CHECK_COVERS_LEAST, exact_few},
    {"stat_clopper_pearson", "100 trials, p 0.98", CHECK_COVERS_LEAST, exact_edge},
    {"stat_all_of_n_low", "60 trials, p 0.951 (one-sided)", CHECK_COVERS_LEAST, all_of_n},
    {"stat_share", "40 prompts x 5, p 0.7, half of them all or none", CHECK_COVERS_LEAST, share_middle},
    {"stat_share", "60 prompts x 8, p 0.97", CHECK_COVERS_LEAST, share_edge},
    {"stat_share", "10 prompts x 4, p 0.5", CHECK_COVERS_LEAST, share_few},
    {"stat_boot_mean percentile", "100 prompts x 3, normal", CHECK_COVERS, percentile_normal},
    {"stat_boot_mean BCa", "60 prompts x 3, normal", CHECK_COVERS, bca_normal},
    {"stat_boot_mean BCa", "100 prompts x 3, exponential", CHECK_COVERS, bca_skewed},
    {"stat_boot_mean student", "10 prompts x 3, normal", CHECK_COVERS, student_normal},
    {"stat_boot_mean student", "20 prompts x 3, exponential", CHECK_COVERS, student_skewed},
    {"stat_boot_mean student", "30 prompts x 5, 0/1, p 0.7", CHECK_COVERS_LEAST, student_binary},
    {"stat_boot_mean student nested", "30 prompts x 5, normal", CHECK_COVERS, student_nested},
    {"stat_boot_diff student", "25 prompts x 3 and 4, exponential", CHECK_COVERS, student_difference},
    {"stat_boot_any BCa", "ratio of means, 60 prompts", CHECK_COVERS, bca_any},
    {"stat_jackknife", "ratio of means, 25 prompts", CHECK_COVERS, jackknife_any},
    {"stat_survival log-log", "100 outputs, hazard 0.06, censored, at token 10", CHECK_COVERS_LEAST,
     survival_greenwood},
    {"stat_survival beta product", "25 outputs, hazard 0.06, censored, at token 10",
     CHECK_COVERS_LEAST, survival_beta},
    {"stat_survival beta product", "40 outputs, hazard 0.002, censored, at token 10",
     CHECK_COVERS_LEAST, survival_beta_edge},
    {"stat_sequence", "all of 300 looks, p 0.3", CHECK_COVERS_LEAST, sequence_always},
    {"stat_sequence_stop", "values in [0, 1], stopped at width 0.25", CHECK_COVERS_LEAST,
     sequence_stopped},
};
const size_t check_n_intervals = sizeof check_intervals / sizeof check_intervals[0];
