/* SPDX-License-Identifier: MIT
 * Isotonic fit, limits of a falling curve, analytic bounds of a flip. */
#include "stats/curve.h"

#include <math.h>
#include <stdlib.h>

#include "base/detmath.h"
#include "stats/stats_impl.h"

struct pool { double k, n; size_t first, last; };   /* rows sorted[first .. last) */
struct row { double x; size_t at; };

static int by_x(const void *pa, const void *pb)
{
    const struct row *a = pa, *b = pb;
    if (a->x != b->x)
        return a->x < b->x ? -1 : 1;
    return (a->at > b->at) - (a->at < b->at);
}

static int check(const double *x, const uint32_t *k, const uint32_t *n, size_t n_rows,
                 struct idem_err *err)
{
    for (size_t i = 0; i < n_rows; i++)
        if (!isfinite(x[i]) || k[i] > n[i])
            return err_set(err, IDEM_ERR_NUMERIC, "row %zu: %u flips of %u trials at %g", i, k[i],
                           n[i], x[i]);
    return 0;
}

/* Rows at one place first, then a share that is not below the one before it is pooled with it.
 * Places without trials go with a neighbour. Returns the number of pools. */
static size_t pool_violators(struct pool *p, const struct row *s, const uint32_t *k,
                             const uint32_t *n, size_t n_rows)
{
    size_t m = 0;
    for (size_t i = 0, j; i < n_rows; i = j) {
        struct pool *q = &p[m++];
        *q = (struct pool){.first = i};
        for (j = i; j < n_rows && s[j].x == s[i].x; j++) {
            q->k += (double)k[s[j].at];
            q->n += (double)n[s[j].at];
        }
        q->last = j;
        for (; m > 1; m--) {
            struct pool *a = &p[m - 2], *b = &p[m - 1];
            if (a->n > 0.0 && b->n > 0.0 && a->k * b->n > b->k * a->n)
                break;
            a->k += b->k;
            a->n += b->n;
            a->last = b->last;
        }
    }
    return m;
}

int stat_isotonic(double *value, const double *x, const uint32_t *k, const uint32_t *n,
                  size_t n_rows, struct idem_err *err)
{
    if (check(x, k, n, n_rows, err) != 0)
        return -1;
    struct row *s = calloc(n_rows ? n_rows : 1, sizeof *s);
    struct pool *p = calloc(n_rows ? n_rows : 1, sizeof *p);
    int rc = -1;
    if (!s || !p) {
        err_memory(err, "the isotonic curve", n_rows * sizeof *p);
        goto end;
    }
    for (size_t i = 0; i < n_rows; i++)
        s[i] = (struct row){x[i], i};
    qsort(s, n_rows, sizeof *s, by_x);
    size_t m = pool_violators(p, s, k, n, n_rows);
    if (m == 0 || p[0].n == 0.0) {
        err_set(err, IDEM_ERR_USAGE, "%zu rows without any trials: no curve", n_rows);
        goto end;
    }
    for (size_t j = 0; j < m; j++)
        for (size_t i = p[j].first; i < p[j].last; i++)
            value[s[i].at] = p[j].k / p[j].n;
    rc = 0;
end:
    free(p);
    free(s);
    return rc;
}

int stat_falling_at(struct stat_curve *out, double x0, const double *x, const uint32_t *k,
                    const uint32_t *n, size_t n_rows, size_t window, double confidence,
                    struct idem_err *err)
{
    *out = (struct stat_curve){NAN, 0.0, 1.0};
    if (stat_check_confidence(confidence, err) != 0 || check(x, k, n, n_rows, err) != 0)
        return -1;
    for (size_t i = 1; i < n_rows; i++)
        if (x[i] < x[i - 1])
            return err_set(err, IDEM_ERR_USAGE, "row %zu at %g comes after one at %g", i, x[i],
                           x[i - 1]);
    if (window == 0 || !isfinite(x0))
        return err_set(err, IDEM_ERR_USAGE, "a window of %zu rows at %g", window, x0);
    size_t above = 0, below = 0;   /* first row with x >= x0; first with x > x0 */
    while (above < n_rows && x[above] < x0)
        above++;
    for (below = above; below < n_rows && x[below] <= x0;)
        below++;
    uint64_t k_low = 0, n_low = 0, k_high = 0, n_high = 0;
    for (size_t i = below; i-- > 0 && (below - i <= window || x[i] == x[i + 1]);) {
        k_high += k[i];
        n_high += n[i];
    }
    for (size_t i = above; i < n_rows && (i - above < window || x[i] == x[i - 1]); i++) {
        k_low += k[i];
        n_low += n[i];
    }
    out->low = stat_clopper_pearson(k_low, n_low, confidence).low;
    out->high = stat_clopper_pearson(k_high, n_high, confidence).high;
    return 0;
}

static double pair_bound(enum stat_noise kind, double gap, double size)
{
    double v = 2.0 * size * size;
    switch (kind) {
    case STAT_NOISE_HARD: return gap > 2.0 * size ? 0.0 : 1.0;
    case STAT_NOISE_NORMAL: return stat_normal_cdf(-gap / sqrt(v));
    case STAT_NOISE_SUBGAUSSIAN: return det_exp(-gap * gap / (2.0 * v));
    case STAT_NOISE_VARIANCE: return v / (v + gap * gap);
    }
    return NAN;
}

double stat_flip_bound(enum stat_noise kind, const double *gap, size_t n, double size)
{
    if (!(size >= 0.0))
        return NAN;
    double sum = 0.0;
    for (size_t j = 0; j < n; j++) {
        if (!(gap[j] >= 0.0))
            return NAN;
        if (isinf(gap[j]))
            continue;
        sum += size == 0.0 ? gap[j] == 0.0 : pair_bound(kind, gap[j], size);
    }
    return sum < 1.0 ? sum : 1.0;
}
