/* SPDX-License-Identifier: MIT
 * Bootstrap and jackknife of any statistic of whole prompts; the ends of bootstrap intervals. */
#include <stdlib.h>

#include "stats/boot.h"
#include "stats/interval.h"
#include "stats/rng.h"
#include "stats/stats_impl.h"

int stat_boot_check(const struct stat_boot *b, size_t n_clusters, struct idem_err *err)
{
    if (b->n_resamples < 100 || b->n_resamples > 1000000)
        return err_set(err, IDEM_ERR_USAGE, "n_resamples is %u, but it must be between 100 and "
                       "1000000", b->n_resamples);
    if (n_clusters >= UINT32_MAX)
        return err_set(err, IDEM_ERR_LIMIT, "%zu prompts; the bootstrap takes up to %u",
                       n_clusters, UINT32_MAX - 1);
    return stat_check_confidence(b->confidence, err);
}

/* The order statistics number k and n + 1 - k, k = (n + 1) tail rounded down, at least 1. */
void stat_ends_percentile(double *low, double *high, const double *sorted, size_t n,
                          double confidence)
{
    size_t k = (size_t)((double)(n + 1) * (0.5 * (1.0 - confidence)));
    if (k < 1)
        k = 1;
    *low = sorted[k - 1];
    *high = sorted[n - k];
}

static double order_statistic(const double *sorted, size_t n, double p)
{
    size_t k = (size_t)((double)(n + 1) * p);
    return sorted[k < 1 ? 0 : k > n ? n - 1 : k - 1];
}

void stat_ends_bca(double *low, double *high, const double *sorted, size_t n, double value,
                   const double *influence, size_t m, double confidence)
{
    double below = 0.0, cube = 0.0, square = 0.0;
    for (size_t i = 0; i < n; i++)
        below += sorted[i] < value ? 1.0 : sorted[i] == value ? 0.5 : 0.0;
    below /= (double)n;
    double least = 0.5 / (double)n;
    below = below < least ? least : below > 1.0 - least ? 1.0 - least : below;
    for (size_t i = 0; i < m; i++) {
        square += influence[i] * influence[i];
        cube += influence[i] * influence[i] * influence[i];
    }
    double z0 = stat_normal_quantile(below);
    double a = square > 0.0 ? cube / (6.0 * square * sqrt(square)) : 0.0;
    double z = stat_normal_quantile(0.5 * (1.0 - confidence));
    double za = z0 + z, zb = z0 - z;
    *low = order_statistic(sorted, n, stat_normal_cdf(z0 + za / (1.0 - a * za)));
    *high = order_statistic(sorted, n, stat_normal_cdf(z0 + zb / (1.0 - a * zb)));
}

/* ---- any statistic ---------------------------------------------------------------------------- */

/* f with each prompt left out in turn: left_out[v * n + i]. */
static int leave_out(double *left_out, size_t n_values, stat_statistic_fn f, void *ctx, size_t n,
                     struct idem_err *err)
{
    uint32_t *draw = calloc(n, sizeof *draw);
    double *v = calloc(n_values, sizeof *v);
    int rc = -1;
    if (!draw || !v) {
        err_memory(err, "the jackknife", n * sizeof *draw);
        goto end;
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0, k = 0; j < n; j++)
            if (j != i)
                draw[k++] = (uint32_t)j;
        if (f(ctx, draw, n - 1, v, err) != 0)
            goto end;
        for (size_t k = 0; k < n_values; k++)
            left_out[k * n + i] = v[k];
    }
    rc = 0;
end:
    free(v);
    free(draw);
    return rc;
}

/* The sample's own values; everything else NaN. */
static int whole(struct stat_estimate *out, size_t n_values, stat_statistic_fn f, void *ctx,
                 size_t n, struct idem_err *err)
{
    uint32_t *draw = calloc(n, sizeof *draw);
    double *v = calloc(n_values, sizeof *v);
    int rc = -1;
    if (!draw || !v) {
        err_memory(err, "resampling", n * sizeof *draw);
        goto end;
    }
    for (size_t i = 0; i < n; i++)
        draw[i] = (uint32_t)i;
    if (f(ctx, draw, n, v, err) != 0)
        goto end;
    for (size_t k = 0; k < n_values; k++)
        out[k] = (struct stat_estimate){v[k], NAN, NAN, NAN, n, 0};
    rc = 0;
end:
    free(v);
    free(draw);
    return rc;
}

int stat_jackknife(struct stat_estimate *out, size_t n_values, stat_statistic_fn f, void *ctx,
                   size_t n, double confidence, struct idem_err *err)
{
    if (stat_check_confidence(confidence, err) != 0)
        return -1;
    if (n == 0 || n_values == 0 || n >= UINT32_MAX)
        return err_set(err, IDEM_ERR_USAGE, "%zu values of %zu prompts: nothing to estimate",
                       n_values, n);
    if (whole(out, n_values, f, ctx, n, err) != 0)
        return -1;
    if (n == 1)
        return 0;
    double *v = calloc(n_values * n, sizeof *v);
    if (!v)
        return err_memory(err, "the jackknife", n_values * n * sizeof *v);
    int rc = leave_out(v, n_values, f, ctx, n, err);
    double t = -stat_t_quantile(0.5 * (1.0 - confidence), (double)(n - 1));
    for (size_t k = 0; k < n_values && rc == 0; k++) {
        const double *w = v + k * n;
        out[k].se = sqrt(stat_squares(w, n, stat_mean(w, n)) * ((double)(n - 1) / (double)n));
        out[k].low = out[k].value - t * out[k].se;
        out[k].high = out[k].value + t * out[k].se;
        if (out[k].se != out[k].se)
            out[k].value = NAN;
    }
    free(v);
    return rc;
}

/* One value's draws to its estimate. re[n]: draws, NaN among them; left_out NULL: percentile. */
static void estimate(struct stat_estimate *e, double *re, size_t n, double *left_out, size_t m,
                     double confidence)
{
    size_t used = 0;
    for (size_t i = 0; i < n; i++)
        if (re[i] == re[i])
            re[used++] = re[i];
    if (2 * used < n || e->value != e->value) {
        *e = (struct stat_estimate){NAN, NAN, NAN, NAN, e->n_clusters, 0};
        return;
    }
    e->se = sqrt(stat_squares(re, used, stat_mean(re, used)) / (double)(used - 1));
    qsort(re, used, sizeof *re, stat_by_double);
    if (!left_out) {
        stat_ends_percentile(&e->low, &e->high, re, used, confidence);
        return;
    }
    double centre = stat_mean(left_out, m);
    for (size_t i = 0; i < m; i++)
        left_out[i] = left_out[i] == left_out[i] ? centre - left_out[i] : 0.0;
    stat_ends_bca(&e->low, &e->high, re, used, e->value, left_out, m, confidence);
}

int stat_boot_any(struct stat_estimate *out, size_t n_values, stat_statistic_fn f, void *ctx,
                  size_t n, const struct stat_boot *b, struct idem_err *err)
{
    if (stat_boot_check(b, n, err) != 0)
        return -1;
    if (n == 0 || n_values == 0 || b->mode != STAT_RESAMPLE_CLUSTERS || b->ci == STAT_CI_STUDENT)
        return err_set(err, IDEM_ERR_USAGE, "the bootstrap of any statistic needs prompts, draws "
                       "whole prompts, and gives percentile or BCa intervals");
    if (whole(out, n_values, f, ctx, n, err) != 0)
        return -1;
    if (n == 1)
        return 0;
    size_t n_re = b->n_resamples;
    double *re = calloc(n_values * n_re, sizeof *re), *v = calloc(n_values, sizeof *v);
    double *left_out = calloc(n_values * n, sizeof *left_out);
    uint32_t *draw = calloc(n, sizeof *draw);
    int rc = -1;
    if (!re || !v || !left_out || !draw) {
        err_memory(err, "the bootstrap", n_values * n_re * sizeof *re);
        goto end;
    }
    struct stat_rng rng;
    stat_rng_init(&rng, b->seed);
    for (size_t i = 0; i < n_re; i++) {
        for (size_t j = 0; j < n; j++)
            draw[j] = stat_rng_below(&rng, (uint32_t)n);
        if (f(ctx, draw, n, v, err) != 0)
            goto end;
        for (size_t k = 0; k < n_values; k++)
            re[k * n_re + i] = v[k];
    }
    if (b->ci == STAT_CI_BCA && leave_out(left_out, n_values, f, ctx, n, err) != 0)
        goto end;
    for (size_t k = 0; k < n_values; k++)
        estimate(&out[k], re + k * n_re, n_re, b->ci == STAT_CI_BCA ? left_out + k * n : NULL, n,
                 b->confidence);
    rc = 0;
end:
    free(draw);
    free(left_out);
    free(v);
    free(re);
    return rc;
}
