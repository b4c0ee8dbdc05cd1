/* SPDX-License-Identifier: MIT
 * Henderson's method 1 with a jackknife over one factor. */
#include "stats/split.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/detmath.h"
#include "stats/interval.h"
#include "stats/stats_impl.h"

enum { MAX_TERMS = STAT_SPLIT_TERMS, MAX_SETS = MAX_TERMS * (MAX_TERMS + 1) / 2 };

/* A set of factors: the joint level of each row, numbered 0, 1, ... */
struct set { uint32_t mask; uint32_t *id; size_t n_levels; double *count, *sum; };

struct split {
    const double *y;
    const uint32_t *level, *terms;
    size_t n, n_factors, n_terms;
    double centre;
    struct set set[MAX_SETS];            /* the terms first, then unions of two of them */
    size_t n_sets;
    uint32_t of_pair[MAX_TERMS][MAX_TERMS];   /* the set that is the union */
    uint32_t *cluster;                   /* of each row, 0 .. n_clusters - 1 */
    size_t n_clusters;
};

/* ---- joint levels ------------------------------------------------------------------------------ */

struct pair { uint32_t a, b; size_t at; };

static int by_pair(const void *pa, const void *pb)
{
    const struct pair *x = pa, *y = pb;
    if (x->a != y->a)
        return x->a < y->a ? -1 : 1;
    if (x->b != y->b)
        return x->b < y->b ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

/* id[i] becomes the number of (id[i], level of factor f). Returns the number of numbers. */
static size_t refine(uint32_t *id, struct pair *room, const struct split *s, size_t f)
{
    size_t n_levels = 0;
    for (size_t i = 0; i < s->n; i++)
        room[i] = (struct pair){id[i], s->level[i * s->n_factors + f], i};
    qsort(room, s->n, sizeof *room, by_pair);
    for (size_t i = 0; i < s->n; i++) {
        n_levels += i == 0 || room[i].a != room[i - 1].a || room[i].b != room[i - 1].b;
        id[room[i].at] = (uint32_t)(n_levels - 1);
    }
    return n_levels;
}

static int add_set(struct split *s, uint32_t mask, struct pair *room, struct idem_err *err)
{
    struct set *t = &s->set[s->n_sets++];
    t->mask = mask;
    t->id = calloc(s->n, sizeof *t->id);
    t->count = calloc(s->n, sizeof *t->count);
    t->sum = calloc(s->n, sizeof *t->sum);
    if (!t->id || !t->count || !t->sum)
        return err_memory(err, "the variance split", 3 * s->n * sizeof *t->sum);
    for (size_t f = 0; f < s->n_factors; f++)
        if (mask >> f & 1)
            t->n_levels = refine(t->id, room, s, f);
    return 0;
}

static int add_sets(struct split *s, size_t cluster, struct idem_err *err)
{
    struct pair *room = calloc(s->n, sizeof *room);
    int rc = -1;
    if (!room) {
        err_memory(err, "the variance split", s->n * sizeof *room);
        goto end;
    }
    s->cluster = calloc(s->n, sizeof *s->cluster);
    if (!s->cluster) {
        err_memory(err, "the variance split", s->n * sizeof *s->cluster);
        goto end;
    }
    s->n_clusters = refine(s->cluster, room, s, cluster);
    for (size_t i = 0; i < s->n_terms; i++)
        if (add_set(s, s->terms[i], room, err) != 0)
            goto end;
    for (size_t i = 0; i < s->n_terms; i++)
        for (size_t j = 0; j < s->n_terms; j++) {
            uint32_t mask = s->terms[i] | s->terms[j];
            size_t k = 0;
            while (k < s->n_sets && s->set[k].mask != mask)
                k++;
            if (k == s->n_sets && add_set(s, mask, room, err) != 0)
                goto end;
            s->of_pair[i][j] = (uint32_t)k;
        }
    rc = 0;
end:
    free(room);
    return rc;
}

/* ---- estimates --------------------------------------------------------------------------------- */

/* Gauss-Jordan with pivots by size; a[m][m + 1]. -1: singular. */
static int solve(double *v, double a[MAX_TERMS + 1][MAX_TERMS + 2], size_t m)
{
    for (size_t k = 0; k < m; k++) {
        size_t best = k;
        for (size_t i = k + 1; i < m; i++)
            if (fabs(a[i][k]) > fabs(a[best][k]))
                best = i;
        if (!(fabs(a[best][k]) > 1e-9))   /* rows are scaled to a greatest entry of 1 */
            return -1;
        for (size_t j = 0; j <= m && best != k; j++) {
            double t = a[k][j];
            a[k][j] = a[best][j];
            a[best][j] = t;
        }
        for (size_t i = 0; i < m; i++) {
            double f = i == k ? 0.0 : a[i][k] / a[k][k];
            for (size_t j = k; j <= m && f != 0.0; j++)
                a[i][j] -= f * a[k][j];
        }
    }
    for (size_t k = 0; k < m; k++)
        v[k] = a[k][m] / a[k][k];
    return 0;
}

/* Counts and sums per level of all sets, without the rows of `left_out`. Returns the rows. */
static double tabulate(struct split *s, size_t left_out, double *sum, double *square)
{
    double n = 0.0;
    *sum = *square = 0.0;
    for (size_t k = 0; k < s->n_sets; k++) {
        memset(s->set[k].count, 0, s->set[k].n_levels * sizeof(double));
        memset(s->set[k].sum, 0, s->set[k].n_levels * sizeof(double));
    }
    for (size_t i = 0; i < s->n; i++) {
        if (s->cluster[i] == left_out)
            continue;
        double y = s->y[i] - s->centre;
        n += 1.0;
        *sum += y;
        *square += y * y;
        for (size_t k = 0; k < s->n_sets; k++) {
            s->set[k].count[s->set[k].id[i]] += 1.0;
            s->set[k].sum[s->set[k].id[i]] += y;
        }
    }
    return n;
}

/* Sum over rows of n_ab / n_a, a the row's level of term i and b of j: the same as the sum over
 * cells of n_ab^2 / n_a, without a list of cells. */
static double overlap(const struct split *s, size_t i, size_t j, size_t left_out)
{
    const struct set *a = &s->set[i], *ab = &s->set[s->of_pair[i][j]];
    double sum = 0.0;
    for (size_t r = 0; r < s->n; r++)
        if (s->cluster[r] != left_out)
            sum += ab->count[ab->id[r]] / a->count[a->id[r]];
    return sum;
}

/* variance[n_terms + 1] from all rows but those of cluster left_out (SIZE_MAX: all). */
static int estimate(double *variance, struct split *s, size_t left_out)
{
    double a[MAX_TERMS + 1][MAX_TERMS + 2], sum, square, common[MAX_TERMS];
    size_t m = s->n_terms;
    double n = tabulate(s, left_out, &sum, &square);
    for (size_t j = 0; j < m; j++) {
        common[j] = 0.0;
        for (size_t b = 0; b < s->set[j].n_levels; b++)
            common[j] += s->set[j].count[b] * s->set[j].count[b] / n;
    }
    for (size_t i = 0; i < m; i++) {
        double levels = 0.0, between = 0.0;
        for (size_t b = 0; b < s->set[i].n_levels; b++) {
            if (s->set[i].count[b] == 0.0)
                continue;
            levels += 1.0;
            between += s->set[i].sum[b] * s->set[i].sum[b] / s->set[i].count[b];
        }
        for (size_t j = 0; j < m; j++)
            a[i][j] = overlap(s, i, j, left_out) - common[j];
        a[i][m] = levels - 1.0;
        a[i][m + 1] = between - sum * sum / n;
    }
    for (size_t j = 0; j < m; j++)
        a[m][j] = n - common[j];
    a[m][m] = n - 1.0;
    a[m][m + 1] = square - sum * sum / n;
    for (size_t i = 0; i <= m; i++) {
        double most = 0.0;
        for (size_t j = 0; j <= m; j++)
            most = fabs(a[i][j]) > most ? fabs(a[i][j]) : most;
        for (size_t j = 0; j <= m + 1; j++)
            a[i][j] = most > 0.0 ? a[i][j] / most : a[i][j];
    }
    return solve(variance, a, m + 1);
}

static void shares(double *share, const double *variance, size_t m)
{
    double all = 0.0;
    for (size_t i = 0; i < m; i++)
        all += variance[i] > 0.0 ? variance[i] : 0.0;
    for (size_t i = 0; i < m; i++)
        share[i] = all > 0.0 ? (variance[i] > 0.0 ? variance[i] / all : 0.0) : NAN;
}

static double logit(double p)
{
    return det_log(p) - det_log1p(-p);
}

/* v[n]: the share without each cluster. */
static void interval(struct stat_part *p, double *v, size_t n, double confidence)
{
    bool inside = p->share > 0.0 && p->share < 1.0;
    double t = -stat_t_quantile(0.5 * (1.0 - confidence), (double)(n - 1));
    for (size_t i = 0; i < n; i++) {
        if (v[i] != v[i])
            return;
        inside = inside && v[i] > 0.0 && v[i] < 1.0;
    }
    for (size_t i = 0; i < n && inside; i++)
        v[i] = logit(v[i]);
    double half = t * sqrt(stat_squares(v, n, stat_mean(v, n)) * ((double)(n - 1) / (double)n));
    if (inside) {
        double at = logit(p->share);
        p->low = 1.0 / (1.0 + det_exp(half - at));
        p->high = 1.0 / (1.0 + det_exp(-half - at));
    } else {
        p->low = p->share - half > 0.0 ? p->share - half : 0.0;
        p->high = p->share + half < 1.0 ? p->share + half : 1.0;
    }
}

static int fit(struct stat_part *out, struct split *s, double confidence, struct idem_err *err)
{
    double variance[MAX_TERMS + 1], share[MAX_TERMS + 1];
    size_t m = s->n_terms + 1, n = s->n_clusters;
    double *v = calloc(m * n, sizeof *v);
    int rc = -1;
    if (!v)
        return err_memory(err, "the variance split", m * n * sizeof *v);
    if (estimate(variance, s, SIZE_MAX) != 0) {
        err_set(err, IDEM_ERR_NUMERIC, "these rows cannot tell the terms apart: one is a "
                "combination of others, or there are no repeats to tell it from noise");
        goto end;
    }
    shares(share, variance, m);
    for (size_t i = 0; i < m; i++)
        out[i] = (struct stat_part){variance[i], share[i], NAN, NAN};
    for (size_t c = 0; c < n; c++) {
        if (estimate(variance, s, c) != 0) {
            err_set(err, IDEM_ERR_NUMERIC, "without the %zu. of %zu clusters the terms cannot be "
                    "told apart", c + 1, n);
            goto end;
        }
        shares(share, variance, m);
        for (size_t i = 0; i < m; i++)
            v[i * n + c] = share[i];
    }
    for (size_t i = 0; i < m; i++)
        interval(&out[i], v + i * n, n, confidence);
    rc = 0;
end:
    free(v);
    return rc;
}

static int check(const struct split *s, size_t cluster, double confidence, struct idem_err *err)
{
    if (stat_check_confidence(confidence, err) != 0 ||
        stat_check_finite(s->y, s->n, "value", err) != 0)
        return -1;
    if (s->n == 0 || s->n >= UINT32_MAX || s->n_factors == 0 || s->n_factors > STAT_SPLIT_FACTORS ||
        cluster >= s->n_factors || s->n_terms == 0 || s->n_terms > STAT_SPLIT_TERMS)
        return err_set(err, IDEM_ERR_USAGE, "%zu rows, %zu factors (1 up to %d), %zu terms (1 up "
                       "to %d), clusters by factor %zu", s->n, s->n_factors, STAT_SPLIT_FACTORS,
                       s->n_terms, STAT_SPLIT_TERMS, cluster);
    for (size_t i = 0; i < s->n_terms; i++) {
        if (s->terms[i] == 0 || (s->n_factors < 32 && s->terms[i] >> s->n_factors))
            return err_set(err, IDEM_ERR_USAGE, "term %zu (bits 0x%x) is no set of the %zu "
                           "factors", i, s->terms[i], s->n_factors);
        for (size_t j = 0; j < i; j++)
            if (s->terms[j] == s->terms[i])
                return err_set(err, IDEM_ERR_USAGE, "terms %zu and %zu are the same", j, i);
    }
    return 0;
}

int stat_split(struct stat_part *out, const double *y, const uint32_t *level, size_t n,
               size_t n_factors, const uint32_t *terms, size_t n_terms, size_t cluster,
               double confidence, struct idem_err *err)
{
    struct split *s = calloc(1, sizeof *s);
    int rc = -1;
    if (!s)
        return err_memory(err, "the variance split", sizeof *s);
    s->y = y;
    s->level = level;
    s->terms = terms;
    s->n = n;
    s->n_factors = n_factors;
    s->n_terms = n_terms;
    if (check(s, cluster, confidence, err) != 0)
        goto end;
    s->centre = stat_mean(y, n);
    if (add_sets(s, cluster, err) != 0)
        goto end;
    if (s->n_clusters < 3) {
        err_set(err, IDEM_ERR_USAGE, "%zu clusters; an interval needs 3", s->n_clusters);
        goto end;
    }
    rc = fit(out, s, confidence, err);
end:
    for (size_t k = 0; k < s->n_sets; k++) {
        free(s->set[k].id);
        free(s->set[k].count);
        free(s->set[k].sum);
    }
    free(s->cluster);
    free(s);
    return rc;
}
