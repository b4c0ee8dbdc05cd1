/* SPDX-License-Identifier: MIT
 * Clustered and nested bootstrap of means and paired differences. */
#include "stats/boot.h"

#include <math.h>
#include <stdlib.h>

#include "stats/rng.h"

/* The values of one prompt on up to two sides; n[1] = 0 with one side only. */
struct cluster { const double *v[2]; uint32_t n[2]; double value; };

static double mean(const double *v, size_t n)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++)
        sum += v[i];
    return sum / (double)n;
}

static double drawn_mean(struct stat_rng *r, const double *v, uint32_t n)
{
    double sum = 0.0;
    for (uint32_t i = 0; i < n; i++)
        sum += v[stat_rng_below(r, n)];
    return sum / (double)n;
}

/* Side 1 minus side 0 if there are two. */
static double drawn_value(struct stat_rng *r, const struct cluster *c, enum stat_resample mode)
{
    if (mode == STAT_RESAMPLE_CLUSTERS)
        return c->value;
    double a = drawn_mean(r, c->v[0], c->n[0]);
    return c->n[1] ? drawn_mean(r, c->v[1], c->n[1]) - a : a;
}

static int by_double(const void *pa, const void *pb)
{
    double a = *(const double *)pa, b = *(const double *)pb;
    return (a > b) - (a < b);
}

/* sorted[n]: the interval from its order statistics number k and n + 1 - k, k = (n + 1) tail
 * rounded down, at least 1. */
static void percentile(struct stat_estimate *out, const double *sorted, size_t n, double confidence)
{
    size_t k = (size_t)((double)(n + 1) * (0.5 * (1.0 - confidence)));
    if (k < 1)
        k = 1;
    out->low = sorted[k - 1];
    out->high = sorted[n - k];
}

static int resample(struct stat_estimate *out, const struct cluster *c, size_t n,
                    const struct stat_boot *b, struct idem_err *err)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++)
        sum += c[i].value;
    out->value = sum / (double)n;
    out->n_clusters = n;
    out->se = out->low = out->high = NAN;
    if (n == 1 && b->mode == STAT_RESAMPLE_CLUSTERS)
        return 0;
    size_t n_re = b->n_resamples;
    double *re = calloc(n_re, sizeof *re);
    if (!re)
        return err_memory(err, "the bootstrap", n_re * sizeof *re);
    struct stat_rng rng;
    stat_rng_init(&rng, b->seed);
    for (size_t i = 0; i < n_re; i++) {
        double s = 0.0;
        for (size_t j = 0; j < n; j++)
            s += drawn_value(&rng, &c[stat_rng_below(&rng, (uint32_t)n)], b->mode);
        re[i] = s / (double)n;
    }
    double m = mean(re, n_re), square = 0.0;
    for (size_t i = 0; i < n_re; i++)
        square += (re[i] - m) * (re[i] - m);
    out->se = sqrt(square / (double)(n_re - 1));
    qsort(re, n_re, sizeof *re, by_double);
    percentile(out, re, n_re, b->confidence);
    free(re);
    return 0;
}

static int check_boot(const struct stat_boot *b, size_t n_clusters, struct idem_err *err)
{
    if (b->n_resamples < 100 || b->n_resamples > 1000000)
        return err_set(err, IDEM_ERR_USAGE, "n_resamples is %u, but it must be between 100 and "
                       "1000000", b->n_resamples);
    if (!(b->confidence > 0.0 && b->confidence < 1.0))
        return err_set(err, IDEM_ERR_USAGE, "confidence is %g, but it must be between 0 and 1",
                       b->confidence);
    if (n_clusters >= UINT32_MAX)
        return err_set(err, IDEM_ERR_LIMIT, "%zu prompts; the bootstrap takes up to %u",
                       n_clusters, UINT32_MAX - 1);
    return 0;
}

static int side(struct cluster *c, int s, const double *x, const size_t *start, size_t i,
                struct idem_err *err)
{
    if (start[i + 1] < start[i] || start[i + 1] - start[i] >= UINT32_MAX)
        return err_set(err, IDEM_ERR_USAGE, "prompt %zu has the values %zu up to %zu: not a range",
                       i, start[i], start[i + 1]);
    c->v[s] = x + start[i];
    c->n[s] = (uint32_t)(start[i + 1] - start[i]);
    for (uint32_t j = 0; j < c->n[s]; j++)
        if (!isfinite(c->v[s][j]))
            return err_set(err, IDEM_ERR_NUMERIC, "value %zu (of prompt %zu) is %g; leave out "
                           "what was not measured", start[i] + j, i, c->v[s][j]);
    return 0;
}

/* y == NULL: one side. */
static int estimate(struct stat_estimate *out, const double *x, const size_t *x_start,
                    const double *y, const size_t *y_start, size_t n_clusters,
                    const struct stat_boot *b, struct idem_err *err)
{
    *out = (struct stat_estimate){.value = NAN, .se = NAN, .low = NAN, .high = NAN};
    if (check_boot(b, n_clusters, err) != 0)
        return -1;
    struct cluster *c = calloc(n_clusters ? n_clusters : 1, sizeof *c);
    if (!c)
        return err_memory(err, "the bootstrap", n_clusters * sizeof *c);
    size_t n = 0;
    int rc = -1;
    for (size_t i = 0; i < n_clusters; i++) {
        struct cluster *k = &c[n];
        *k = (struct cluster){0};
        if (side(k, 0, x, x_start, i, err) != 0 ||
            (y_start && side(k, 1, y, y_start, i, err) != 0))
            goto out;
        if (k->n[0] == 0 || (y_start && k->n[1] == 0))
            continue;
        k->value = mean(k->v[0], k->n[0]);
        if (y_start)
            k->value = mean(k->v[1], k->n[1]) - k->value;
        out->n_values += (size_t)k->n[0] + k->n[1];
        n++;
    }
    if (n == 0)
        err_set(err, IDEM_ERR_USAGE, "none of the %zu prompts has values%s; nothing to estimate",
                n_clusters, y_start ? " on both sides" : "");
    else
        rc = resample(out, c, n, b, err);
out:
    free(c);
    return rc;
}

int stat_boot_mean(struct stat_estimate *out, const double *x, const size_t *start,
                   size_t n_clusters, const struct stat_boot *b, struct idem_err *err)
{
    return estimate(out, x, start, NULL, NULL, n_clusters, b, err);
}

int stat_boot_diff(struct stat_estimate *out, const double *x, const size_t *x_start,
                   const double *y, const size_t *y_start, size_t n_clusters,
                   const struct stat_boot *b, struct idem_err *err)
{
    return estimate(out, x, x_start, y, y_start, n_clusters, b, err);
}
