/* SPDX-License-Identifier: MIT
 * Clustered and nested bootstrap of means and paired differences. */
#include "stats/boot.h"

#include <math.h>
#include <stdlib.h>

#include "stats/rng.h"
#include "stats/stats_impl.h"

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

/* One resample: its mean, and the squared standard error of that mean. */
struct resampled { double mean, se2; };

static struct resampled draw(struct stat_rng *rng, const struct cluster *c, size_t n,
                             enum stat_resample mode, double around)
{
    double s = 0.0, square = 0.0, off = 0.0;
    for (size_t j = 0; j < n; j++) {
        double v = drawn_value(rng, &c[stat_rng_below(rng, (uint32_t)n)], mode);
        s += v;
        off += v - around;
        square += (v - around) * (v - around);
    }
    double var = square - off * off / (double)n;
    return (struct resampled){s / (double)n, var > 0.0 ? var / ((double)n * (double)(n - 1)) : 0.0};
}

/* Distance of the resampled mean in its own standard errors. */
static double studentised(struct resampled r, double value)
{
    double off = r.mean - value, least = 1e-12 * (fabs(value) + fabs(off));
    if (sqrt(r.se2) > least)
        return off / sqrt(r.se2);
    return fabs(off) <= least ? 0.0 : off > 0.0 ? INFINITY : -INFINITY;
}

static double values_se(const struct cluster *c, size_t n, double value)
{
    double square = 0.0;
    for (size_t i = 0; i < n; i++)
        square += (c[i].value - value) * (c[i].value - value);
    return sqrt(square / ((double)n * (double)(n - 1)));
}

/* out has value and se. re: resampled means, or studentised distances, sorted here. influence: room
 * for n. */
static void ends(struct stat_estimate *out, double *re, const struct cluster *c, size_t n,
                 double *influence, const struct stat_boot *b)
{
    size_t n_re = b->n_resamples;
    qsort(re, n_re, sizeof *re, stat_by_double);
    if (b->ci == STAT_CI_STUDENT) {
        double low, high, se = values_se(c, n, out->value);
        stat_ends_percentile(&low, &high, re, n_re, b->confidence);
        out->low = se > 0.0 ? out->value - high * se : out->value;
        out->high = se > 0.0 ? out->value - low * se : out->value;
    } else if (b->ci == STAT_CI_BCA) {
        for (size_t i = 0; i < n; i++)
            influence[i] = c[i].value - out->value;
        stat_ends_bca(&out->low, &out->high, re, n_re, out->value, influence, n, b->confidence);
    } else {
        stat_ends_percentile(&out->low, &out->high, re, n_re, b->confidence);
    }
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
    if (n == 1 && (b->mode == STAT_RESAMPLE_CLUSTERS || b->ci != STAT_CI_PERCENTILE))
        return 0;
    size_t n_re = b->n_resamples;
    double *re = calloc(n_re, sizeof *re), *t = calloc(n_re, sizeof *t);
    double *influence = calloc(n, sizeof *influence);
    int rc = -1;
    if (!re || !t || !influence) {
        err_memory(err, "the bootstrap", (2 * n_re + n) * sizeof *re);
        goto end;
    }
    struct stat_rng rng;
    stat_rng_init(&rng, b->seed);
    for (size_t i = 0; i < n_re; i++) {
        struct resampled r = draw(&rng, c, n, b->mode, out->value);
        re[i] = r.mean;
        t[i] = studentised(r, out->value);
    }
    out->se = sqrt(stat_squares(re, n_re, mean(re, n_re)) / (double)(n_re - 1));
    ends(out, b->ci == STAT_CI_STUDENT ? t : re, c, n, influence, b);
    rc = 0;
end:
    free(influence);
    free(t);
    free(re);
    return rc;
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
    if (stat_boot_check(b, n_clusters, err) != 0)
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
