/* SPDX-License-Identifier: MIT
 * Normal equations with block levels, solved whole and without each cluster. */
#include "stats/regress.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "stats/interval.h"
#include "stats/stats_impl.h"

/* The design: n_block level columns, then n_x. xx is [q][q + 1], the last column x'y. */
struct design {
    const double *y, *x;
    double *centre;           /* mean of each x column, taken off for accuracy */
    uint32_t *block;          /* 0 .. n_block - 1 */
    size_t n, n_x, n_block, q;
};

struct row { uint32_t id; size_t at; };

static int by_id(const void *pa, const void *pb)
{
    const struct row *a = pa, *b = pb;
    if (a->id != b->id)
        return a->id < b->id ? -1 : 1;
    return (a->at > b->at) - (a->at < b->at);
}

/* Rows ordered by id (NULL: all one; or, with apart, each its own). */
static struct row *order(const uint32_t *id, size_t n, int apart)
{
    struct row *r = calloc(n ? n : 1, sizeof *r);
    for (size_t i = 0; r && i < n; i++)
        r[i] = (struct row){id ? id[i] : apart ? (uint32_t)i : 0, i};
    if (r && id)
        qsort(r, n, sizeof *r, by_id);
    return r;
}

/* Adds row i to the normal equations, `times` 1 or -1. */
static void add_row(double *xx, const struct design *d, size_t i, double times)
{
    double v[STAT_MAX_COEFS + 1];
    size_t at[STAT_MAX_COEFS + 1], m = 0;
    v[m] = 1.0;
    at[m++] = d->block[i];
    for (size_t c = 0; c < d->n_x; c++) {
        v[m] = d->x[i * d->n_x + c] - d->centre[c];
        at[m++] = d->n_block + c;
    }
    v[m] = d->y[i];
    at[m++] = d->q;
    for (size_t a = 0; a + 1 < m; a++)
        for (size_t b = 0; b < m; b++)
            xx[at[a] * (d->q + 1) + at[b]] += times * v[a] * v[b];
}

/* Gauss-Jordan over a copy; a level without rows is passed over. Coefficients of the columns in
 * out[n_x]; or returns -1 with the column that the others determine in *bad. whole: with all rows,
 * for the scale. */
static int solve(double *out, size_t *bad, double *a, const double *xx, const double *whole,
                 const struct design *d)
{
    size_t q = d->q, w = q + 1;
    memcpy(a, xx, q * w * sizeof *a);
    for (size_t k = 0; k < q; k++) {
        double pivot = a[k * w + k];
        if (!(pivot > 1e-10 * whole[k * w + k])) {
            if (k < d->n_block && xx[k * w + k] < 0.5)
                continue;
            *bad = k - d->n_block;
            return -1;
        }
        for (size_t j = k; j < w; j++)
            a[k * w + j] /= pivot;
        for (size_t i = 0; i < q; i++) {
            double f = a[i * w + k];
            if (i == k || f == 0.0)
                continue;
            for (size_t j = k; j < w; j++)
                a[i * w + j] -= f * a[k * w + j];
        }
    }
    for (size_t c = 0; c < d->n_x; c++)
        out[c] = a[(d->n_block + c) * w + q];
    return 0;
}

static int design_open(struct design *d, const uint32_t *block, struct idem_err *err)
{
    d->centre = calloc(d->n_x, sizeof *d->centre);
    d->block = calloc(d->n, sizeof *d->block);
    struct row *r = order(block, d->n, 0);
    int rc = -1;
    if (!d->centre || !d->block || !r) {
        err_memory(err, "the regression", d->n * sizeof *r);
        goto end;
    }
    for (size_t c = 0; c < d->n_x; c++) {
        double sum = 0.0;
        for (size_t i = 0; i < d->n; i++)
            sum += d->x[i * d->n_x + c];
        d->centre[c] = sum / (double)d->n;
    }
    for (size_t i = 0; i < d->n; i++) {
        d->n_block += i == 0 || r[i].id != r[i - 1].id;
        d->block[r[i].at] = (uint32_t)(d->n_block - 1);
    }
    d->q = d->n_block + d->n_x;
    if (d->q > STAT_MAX_COEFS) {
        err_set(err, IDEM_ERR_LIMIT, "%zu columns and %zu blocks; together at most %d", d->n_x,
                d->n_block, STAT_MAX_COEFS);
        goto end;
    }
    rc = 0;
end:
    free(r);
    return rc;
}

/* xx: whole, restored behind each cluster. square[n_x]: sum of squared changes. */
static int leave_out(double *square, size_t *n_clusters, double *xx, const struct stat_coef *coef,
                     double *a, const struct design *d, const struct row *r, struct idem_err *err)
{
    double without[STAT_MAX_COEFS];
    double *kept = calloc(d->q * (d->q + 1), sizeof *kept);
    if (!kept)
        return err_memory(err, "the regression", d->q * d->q * sizeof *kept);
    memcpy(kept, xx, d->q * (d->q + 1) * sizeof *kept);
    int rc = 0;
    for (size_t i = 0, j; i < d->n && rc == 0; i = j) {
        size_t bad;
        for (j = i; j < d->n && r[j].id == r[i].id; j++)
            add_row(xx, d, r[j].at, -1.0);
        if (solve(without, &bad, a, xx, kept, d) != 0) {
            rc = err_set(err, IDEM_ERR_NUMERIC, "without cluster %u column %zu is constant in all "
                         "blocks or a combination of others: it has no interval", r[i].id, bad);
            break;
        }
        for (size_t c = 0; c < d->n_x; c++)
            square[c] += (without[c] - coef[c].value) * (without[c] - coef[c].value);
        memcpy(xx, kept, d->q * (d->q + 1) * sizeof *kept);
        (*n_clusters)++;
    }
    free(kept);
    return rc;
}

static int fit(struct stat_coef *coef, const struct design *d, const struct row *r,
               double confidence, struct idem_err *err)
{
    double value[STAT_MAX_COEFS], square[STAT_MAX_COEFS] = {0};
    size_t bad, n_clusters = 0;
    double *xx = calloc(2 * d->q * (d->q + 1), sizeof *xx);
    if (!xx)
        return err_memory(err, "the regression", 2 * d->q * d->q * sizeof *xx);
    double *a = xx + d->q * (d->q + 1);
    int rc = -1;
    for (size_t i = 0; i < d->n; i++)
        add_row(xx, d, i, 1.0);
    if (solve(value, &bad, a, xx, xx, d) != 0) {
        err_set(err, IDEM_ERR_NUMERIC, "column %zu is constant in all blocks or a combination of "
                "others", bad);
        goto end;
    }
    for (size_t c = 0; c < d->n_x; c++)
        coef[c].value = value[c];
    if (leave_out(square, &n_clusters, xx, coef, a, d, r, err) != 0)
        goto end;
    double g = (double)n_clusters, t = -stat_t_quantile(0.5 * (1.0 - confidence), g - 1.0);
    for (size_t c = 0; c < d->n_x; c++) {
        struct stat_coef *k = &coef[c];
        k->se = sqrt((g - 1.0) / g * square[c]);
        k->low = k->value - t * k->se;
        k->high = k->value + t * k->se;
        k->p = k->se > 0.0 ? 2.0 * stat_t_cdf(-fabs(k->value / k->se), g - 1.0)
                           : k->value == 0.0 ? 1.0 : 0.0;
    }
    rc = 0;
end:
    free(xx);
    return rc;
}

int stat_regress(struct stat_coef *coef, const double *y, const double *x, size_t n, size_t n_x,
                 const uint32_t *block, const uint32_t *cluster, double confidence,
                 struct idem_err *err)
{
    for (size_t c = 0; c < n_x; c++)
        coef[c] = (struct stat_coef){NAN, NAN, NAN, NAN, NAN};
    if (stat_check_confidence(confidence, err) != 0 ||
        stat_check_finite(y, n, "value", err) != 0 ||
        stat_check_finite(x, n * n_x, "entry of the columns", err) != 0)
        return -1;
    if (n_x == 0 || n_x > STAT_MAX_COEFS)
        return err_set(err, IDEM_ERR_USAGE, "%zu columns; 1 up to %d", n_x, STAT_MAX_COEFS);
    struct design d = {.y = y, .x = x, .n = n, .n_x = n_x};
    struct row *r = order(cluster, n, 1);
    int rc = -1;
    if (!r)
        err_memory(err, "the regression", n * sizeof *r);
    else if (n < 2 || r[0].id == r[n - 1].id)
        err_set(err, IDEM_ERR_USAGE, "%zu rows in fewer than 2 clusters: nothing to compare", n);
    else if (design_open(&d, block, err) == 0)
        rc = fit(coef, &d, r, confidence, err);
    free(d.centre);
    free(d.block);
    free(r);
    return rc;
}
