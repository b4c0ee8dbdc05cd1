/* SPDX-License-Identifier: MIT
 * Coverage of regressions, curves and the variance split. */
#include <math.h>

#include "base/detmath.h"
#include "stats/check.h"
#include "stats/curve.h"
#include "stats/regress.h"
#include "stats/split.h"

enum { MOST = 1024 };

/* ---- stability against log popularity ----------------------------------------------------------- */

/* Blocks with levels of their own, a second column that goes with the first, errors that grow. */
static double regress_rows(struct rng *r)
{
    enum { N = 60 };
    double y[N], x[2 * N];
    uint32_t block[N];
    struct stat_coef c[2];
    for (size_t i = 0; i < N; i++) {
        block[i] = (uint32_t)i % 5;
        double pop = 3.0 + check_normal(r) + 0.3 * block[i];
        double length = 6.0 - pop + check_exponential(r);
        x[2 * i] = pop;
        x[2 * i + 1] = length;
        y[i] = 0.2 * pop - 0.1 * length + block[i] + (0.1 + 0.1 * length * length / 9.0) * check_normal(r);
    }
    return stat_regress(c, y, x, N, 2, block, NULL, 0.95, NULL) == 0
               ? check_hit(c[0].low, c[0].high, 0.2) : NAN;
}

/* Rows of a cluster share an error; the column differs mostly between clusters. */
static double regress_clusters(struct rng *r)
{
    enum { G = 15, K = 6 };
    double y[G * K], x[G * K];
    uint32_t cluster[G * K];
    struct stat_coef c;
    for (size_t g = 0; g < G; g++) {
        double place = check_normal(r), shared = check_normal(r);
        for (size_t k = 0; k < K; k++) {
            size_t i = g * K + k;
            cluster[i] = (uint32_t)g;
            x[i] = place + 0.3 * check_normal(r);
            y[i] = 0.5 * x[i] + shared + 0.5 * check_normal(r);
        }
    }
    return stat_regress(&c, y, x, G * K, 1, NULL, cluster, 0.95, NULL) == 0
               ? check_hit(c.low, c.high, 0.5) : NAN;
}

static double regress_size(struct rng *r)
{
    enum { N = 40 };
    double y[N], x[N];
    struct stat_coef c;
    for (size_t i = 0; i < N; i++) {
        x[i] = check_normal(r);
        y[i] = check_binomial(r, 4, 0.8) / 4.0;
    }
    return stat_regress(&c, y, x, N, 1, NULL, NULL, 0.95, NULL) == 0 ? c.p <= 0.05 : NAN;
}

/* ---- flips against the margin -------------------------------------------------------------------- */

enum { PROMPTS = 60, PLACES = 8 };
static const double level = 0.5, slope = -1.5;

static double flip_p(double x)
{
    return 1.0 / (1.0 + det_exp(-(level + slope * x)));
}

static int flips(struct rng *r, struct stat_logit *l)
{
    double x[PROMPTS * PLACES];
    uint32_t k[PROMPTS * PLACES], n[PROMPTS * PLACES], cluster[PROMPTS * PLACES];
    for (size_t i = 0; i < PROMPTS * PLACES; i++) {
        x[i] = 1.5 * check_exponential(r);
        n[i] = 2;
        k[i] = check_binomial(r, n[i], flip_p(x[i]));
        cluster[i] = (uint32_t)(i / PLACES);
    }
    return stat_logit(l, x, k, n, PROMPTS * PLACES, cluster, NULL);
}

static double logit_slope(struct rng *r)
{
    struct stat_logit l;
    if (flips(r, &l) != 0)
        return NAN;
    struct stat_curve c = stat_logit_slope(&l, 0.95);
    return check_hit(c.low, c.high, slope);
}

static double logit_at(struct rng *r)
{
    struct stat_logit l;
    if (flips(r, &l) != 0)
        return NAN;
    struct stat_curve c = stat_logit_at(&l, 2.0, 0.95);
    return check_hit(c.low, c.high, flip_p(2.0));
}

/* A step, which no logistic curve fits. */
static double falling(struct rng *r)
{
    double x[200];
    uint32_t k[200], n[200];
    for (size_t i = 0; i < 200; i++) {
        x[i] = 0.01 * (double)i;
        n[i] = 1;
        k[i] = check_coin(r, x[i] < 1.0 ? 0.4 : 0.02);
    }
    struct stat_curve c;
    return stat_falling_at(&c, 1.2, x, k, n, 200, 14, 0.95, NULL) == 0
               ? check_hit(c.low, c.high, 0.02) : NAN;
}

/* ---- variance split ------------------------------------------------------------------------------ */

enum { SPLIT_PROMPTS = 40, SPLIT_SETTINGS = 4, SPLIT_RUNS = 3 };

/* Prompts normal with sd 1, settings fixed, prompt x setting sd 0.5, runs sd 0.5; a fifth of the
 * rows is missing. which: 0 prompts, 1 settings, 2 both together, 3 runs. */
static double split(struct rng *r, size_t which)
{
    static const double setting[SPLIT_SETTINGS] = {-0.6, -0.1, 0.1, 0.6};   /* variance 0.24667 */
    static const uint32_t terms[] = {1, 2, 3};
    static const double truth[] = {1.0, 0.74 / 3.0, 0.25, 0.25};
    double y[MOST], all = 0.0;
    uint32_t at[2 * MOST];
    size_t n = 0;
    for (uint32_t p = 0; p < SPLIT_PROMPTS; p++) {
        double own = check_normal(r);
        for (uint32_t s = 0; s < SPLIT_SETTINGS; s++) {
            double both = 0.5 * check_normal(r);
            for (int k = 0; k < SPLIT_RUNS; k++) {
                double v = own + setting[s] + both + 0.5 * check_normal(r);
                if (check_coin(r, 0.2))
                    continue;
                at[2 * n] = p;
                at[2 * n + 1] = s;
                y[n++] = v;
            }
        }
    }
    struct stat_part part[4];
    if (stat_split(part, y, at, n, 2, terms, 3, 0, 0.95, NULL) != 0)
        return NAN;
    for (size_t i = 0; i < 4; i++)
        all += truth[i];
    return check_hit(part[which].low, part[which].high, truth[which] / all);
}

static double split_prompts(struct rng *r)
{
    return split(r, 0);
}

static double split_settings(struct rng *r)
{
    return split(r, 1);
}

static double split_both(struct rng *r)
{
    return split(r, 2);
}

static double split_runs(struct rng *r)
{
    return split(r, 3);
}

const struct check_case check_models[] = {
    {"stat_regress", "60 prompts, 5 blocks, 2 columns, uneven errors", CHECK_COVERS, regress_rows},
    {"stat_regress", "15 clusters of 6 rows with a common error", CHECK_COVERS, regress_clusters},
    {"stat_regress p", "40 prompts, shares of 4, no slope", CHECK_SIZE, regress_size},
    {"stat_logit_slope", "60 prompts x 8 margins x 2", CHECK_COVERS, logit_slope},
    {"stat_logit_at", "60 prompts x 8 margins x 2, at 2 nats", CHECK_COVERS, logit_at},
    {"stat_falling_at", "200 margins, a step, window 14", CHECK_COVERS_LEAST, falling},
    {"stat_split share of prompts", "40 prompts x 4 settings x 3 runs, a fifth missing",
     CHECK_COVERS, split_prompts},
    {"stat_split share of settings", "40 prompts x 4 settings x 3 runs, a fifth missing",
     CHECK_COVERS, split_settings},
    {"stat_split share of both", "40 prompts x 4 settings x 3 runs, a fifth missing",
     CHECK_COVERS, split_both},
    {"stat_split share of runs", "40 prompts x 4 settings x 3 runs, a fifth missing",
     CHECK_COVERS, split_runs},
};
const size_t check_n_models = sizeof check_models / sizeof check_models[0];
