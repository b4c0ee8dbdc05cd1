/* SPDX-License-Identifier: MIT
 * Size of the tests, and power where it is promised. */
#include <math.h>

#include "base/detmath.h"
#include "stats/check.h"
#include "stats/equiv.h"
#include "stats/interval.h"
#include "stats/paired.h"

enum { MOST = 512 };

/* Pairs that part with probability 0.3, either way alike. */
static void pairs(struct rng *r, size_t n, size_t *plus, size_t *minus)
{
    *plus = *minus = 0;
    for (size_t i = 0; i < n; i++)
        if (check_coin(r, 0.3)) {
            bool up = check_coin(r, 0.5);
            *plus += up;
            *minus += !up;
        }
}

static double mcnemar_exact(struct rng *r)
{
    size_t plus, minus;
    pairs(r, 60, &plus, &minus);
    return stat_mcnemar(plus, minus).exact <= 0.05;
}

static double mcnemar_mid_p(struct rng *r)
{
    size_t plus, minus;
    pairs(r, 60, &plus, &minus);
    return stat_mcnemar(plus, minus).mid_p <= 0.05;
}

/* Differences of two means of 5 0/1 trials; prompts have probabilities of their own. */
static void share_differences(struct rng *r, double *d, size_t n, double shift)
{
    for (size_t i = 0; i < n; i++) {
        double p = 0.9 * check_uniform(r);
        d[i] = (check_binomial(r, 5, p + shift) - (double)check_binomial(r, 5, p)) / 5.0;
    }
}

static double permute_exact(struct rng *r)
{
    double d[MOST];
    struct stat_permute p;
    for (size_t i = 0; i < 10; i++)
        d[i] = (check_coin(r, 0.5) ? 1 : -1) * check_exponential(r);
    return stat_permute(&p, d, 10, 1, 100, NULL) == 0 ? p.p <= 0.05 : NAN;
}

static double permute_sampled(struct rng *r)
{
    double d[MOST];
    struct stat_permute p;
    share_differences(r, d, 60, 0.0);
    return stat_permute(&p, d, 60, check_seed(r), 999, NULL) == 0 ? p.p <= 0.05 : NAN;
}

static double wilcoxon(struct rng *r)
{
    double d[MOST];
    struct stat_wilcoxon w;
    for (size_t i = 0; i < 30; i++)
        d[i] = check_normal(r);
    return stat_wilcoxon(&w, d, 30, NULL) == 0 ? w.p <= 0.05 : NAN;
}

static double sign(struct rng *r)
{
    double d[MOST];
    struct stat_sign s;
    for (size_t i = 0; i < 40; i++)
        d[i] = check_normal(r);
    return stat_sign_test(&s, d, 40, NULL) == 0 ? s.p <= 0.05 : NAN;
}

/* ---- families: 20 tests, the first 15 without an effect ------------------------------------------ */

static void family(struct rng *r, double *p)
{
    for (size_t i = 0; i < 20; i++) {
        double z = check_normal(r) + (i < 15 ? 0.0 : 3.0);
        p[i] = 2.0 * stat_normal_cdf(-fabs(z));
    }
}

static double holm(struct rng *r)
{
    double p[20];
    family(r, p);
    if (stat_holm(p, p, 20, NULL) != 0)
        return NAN;
    for (size_t i = 0; i < 15; i++)
        if (p[i] <= 0.05)
            return 1.0;
    return 0.0;
}

static double benjamini_hochberg(struct rng *r)
{
    double p[20], wrong = 0.0, all = 0.0;
    family(r, p);
    if (stat_benjamini_hochberg(p, p, 20, NULL) != 0)
        return NAN;
    for (size_t i = 0; i < 20; i++) {
        all += p[i] <= 0.05;
        wrong += i < 15 && p[i] <= 0.05;
    }
    return all > 0.0 ? wrong / all : 0.0;
}

/* ---- equivalence ------------------------------------------------------------------------------- */

static const struct stat_boot boot_90 = {.n_resamples = 1999, .confidence = 0.9};

static int tost(struct stat_tost *t, struct rng *r, const double *d, size_t n, double margin,
                double most)
{
    struct stat_boot b = boot_90;
    b.seed = check_seed(r);
    return stat_tost(t, d, n, margin, most, &b, NULL);
}

/* The true difference is the margin. */
static double tost_normal(struct rng *r)
{
    double d[MOST];
    struct stat_tost t;
    for (size_t i = 0; i < 20; i++)
        d[i] = 0.5 + 0.4 * check_normal(r);
    return tost(&t, r, d, 20, 0.5, 10.0) == 0 ? t.p_equal <= 0.05 : NAN;
}

static double tost_rare(struct rng *r)
{
    double d[MOST];
    struct stat_tost t;
    for (size_t i = 0; i < 100; i++)
        d[i] = check_coin(r, 0.05);
    return tost(&t, r, d, 100, 0.05, 1.0) == 0 ? t.p_equal <= 0.05 : NAN;
}

static double tost_rare_many(struct rng *r)
{
    double d[MOST];
    struct stat_tost t;
    for (size_t i = 0; i < 300; i++)
        d[i] = check_coin(r, 0.03);
    return tost(&t, r, d, 300, 0.03, 1.0) == 0 ? t.p_equal <= 0.05 : NAN;
}

static double tost_shares(struct rng *r)
{
    double d[MOST];
    struct stat_tost t;
    share_differences(r, d, 60, 0.1);
    return tost(&t, r, d, 60, 0.1, 1.0) == 0 ? t.p_equal <= 0.05 : NAN;
}

static double tost_differ(struct rng *r)
{
    double d[MOST];
    struct stat_tost t;
    share_differences(r, d, 60, 0.0);
    return tost(&t, r, d, 60, 0.1, 1.0) == 0 ? t.p_differ <= 0.05 : NAN;
}

static double tost_interval(struct rng *r)
{
    double d[MOST];
    struct stat_tost t;
    share_differences(r, d, 60, 0.07);
    return tost(&t, r, d, 60, 0.1, 1.0) == 0 ? check_hit(t.low, t.high, 0.07) : NAN;
}

/* ---- smallest detectable effects ----------------------------------------------------------------- */

static double detectable(struct rng *r)
{
    double d[MOST], effect = stat_detectable(1.0, 40, 0.05, 0.8);
    struct stat_permute p;
    for (size_t i = 0; i < 40; i++)
        d[i] = effect + check_normal(r);
    return stat_permute(&p, d, 40, check_seed(r), 999, NULL) == 0 ? p.p <= 0.05 : NAN;
}

/* Prompts' probabilities are p +- s with the same sign under both settings, so icc = s^2 / (p q)
 * and same = 1; the shift is small beside p q. */
static double detectable_shares(struct rng *r)
{
    const double p = 0.5, s = 0.3;
    double d[MOST], sd = stat_share_difference_sd(p, s * s / (p * (1.0 - p)), 1.0, 5);
    double effect = stat_detectable(sd, 150, 0.05, 0.8);
    struct stat_permute t;
    for (size_t i = 0; i < 150; i++) {
        double own = p + (check_coin(r, 0.5) ? s : -s);
        d[i] = (check_binomial(r, 5, own + 0.5 * effect) -
                (double)check_binomial(r, 5, own - 0.5 * effect)) / 5.0;
    }
    return stat_permute(&t, d, 150, check_seed(r), 999, NULL) == 0 ? t.p <= 0.05 : NAN;
}

static double detectable_flip(struct rng *r)
{
    return check_binomial(r, 200, stat_detectable_flip(200, 0.8)) > 0;
}

const struct check_case check_tests[] = {
    {"stat_mcnemar exact", "60 pairs, 0.3 of them part", CHECK_SIZE_MOST, mcnemar_exact},
    {"stat_mcnemar mid-p", "60 pairs, 0.3 of them part", CHECK_SIZE_MOST, mcnemar_mid_p},
    {"stat_sign_test", "40 differences", CHECK_SIZE_MOST, sign},
    {"stat_wilcoxon", "30 differences, normal", CHECK_SIZE, wilcoxon},
    {"stat_permute exact", "10 differences, exponential either way", CHECK_SIZE, permute_exact},
    {"stat_permute sampled", "60 prompts x 5 twice, 0/1", CHECK_SIZE, permute_sampled},
    {"stat_holm", "15 without effect, 5 with: any of the 15", CHECK_SIZE_MOST, holm},
    {"stat_benjamini_hochberg", "the same: share of the 15 among the rejected", CHECK_SIZE_MOST,
     benjamini_hochberg},
    {"stat_tost", "20 prompts, normal, difference = margin", CHECK_SIZE, tost_normal},
    {"stat_tost", "100 prompts, 0.05 of them differ, = margin", CHECK_SIZE_MOST, tost_rare},
    {"stat_tost", "300 prompts, 0.03 of them differ, = margin", CHECK_SIZE_MOST, tost_rare_many},
    {"stat_tost", "60 prompts x 5 twice, 0/1, difference = margin", CHECK_SIZE, tost_shares},
    {"stat_tost p_differ", "60 prompts x 5 twice, 0/1, no difference", CHECK_SIZE, tost_differ},
    {"stat_tost interval", "60 prompts x 5 twice, 0/1", CHECK_COVERS_90, tost_interval},
    {"stat_detectable", "40 prompts, normal, by stat_permute", CHECK_POWER, detectable},
    {"stat_share_difference_sd", "150 prompts x 5 twice, 0/1, by stat_permute", CHECK_POWER,
     detectable_shares},
    {"stat_detectable_flip", "200 trials", CHECK_POWER, detectable_flip},
};
const size_t check_n_tests = sizeof check_tests / sizeof check_tests[0];
