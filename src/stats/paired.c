/* SPDX-License-Identifier: MIT
 * Sign test, signed-rank test, Holm's correction. */
#include "stats/paired.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "stats/interval.h"

static int all_finite(const double *d, size_t n, struct idem_err *err)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(d[i]))
            return err_set(err, IDEM_ERR_NUMERIC, "difference %zu is %g; leave out pairs that "
                           "were not measured", i, d[i]);
    return 0;
}

int stat_sign_test(struct stat_sign *out, const double *d, size_t n, struct idem_err *err)
{
    *out = (struct stat_sign){.p = NAN};
    if (all_finite(d, n, err) != 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        out->n_plus += d[i] > 0.0;
        out->n_minus += d[i] < 0.0;
        out->n_zero += d[i] == 0.0;
    }
    double less = (double)(out->n_plus < out->n_minus ? out->n_plus : out->n_minus);
    double more = (double)(out->n_plus + out->n_minus) - less;
    out->p = 1.0;
    if (less < more) {   /* twice P(X <= less) = I_(1/2)(n - less, less + 1) */
        double p = 2.0 * stat_beta_cdf(0.5, more, less + 1.0);
        out->p = p < 1.0 ? p : 1.0;
    }
    return 0;
}

struct ranked { double size; bool plus; uint64_t rank2; };   /* rank2: twice the (mean) rank */

static int by_size(const void *pa, const void *pb)
{
    const struct ranked *a = pa, *b = pb;
    return (a->size > b->size) - (a->size < b->size);
}

/* Sorts, sets rank2, returns the sum of t^3 - t over groups of t ties. */
static double rank(struct ranked *r, size_t n)
{
    double ties = 0.0;
    qsort(r, n, sizeof *r, by_size);
    for (size_t i = 0, j; i < n; i = j) {
        for (j = i; j < n && r[j].size == r[i].size; j++)
            ;
        for (size_t k = i; k < j; k++)
            r[k].rank2 = i + 1 + j;
        double t = (double)(j - i);
        ties += t * t * t - t;
    }
    return ties;
}

/* P(sum of the ranks with a fair coin's heads <= limit), in doubled ranks; -1: no memory. */
static double exact_tail(const struct ranked *r, size_t n, uint64_t limit)
{
    double *p = calloc(limit + 1, sizeof *p);
    if (!p)
        return -1.0;
    p[0] = 1.0;
    for (size_t i = 0; i < n; i++)
        for (uint64_t s = limit + 1; s-- > 0;)
            p[s] = 0.5 * (p[s] + (s >= r[i].rank2 ? p[s - r[i].rank2] : 0.0));
    double sum = 0.0;
    for (uint64_t s = 0; s <= limit; s++)
        sum += p[s];
    free(p);
    return sum;
}

int stat_wilcoxon(struct stat_wilcoxon *out, const double *d, size_t n, struct idem_err *err)
{
    *out = (struct stat_wilcoxon){.p = NAN};
    if (all_finite(d, n, err) != 0)
        return -1;
    struct ranked *r = calloc(n ? n : 1, sizeof *r);
    if (!r)
        return err_memory(err, "the signed-rank test", n * sizeof *r);
    size_t m = 0;
    for (size_t i = 0; i < n; i++)
        if (d[i] != 0.0)
            r[m++] = (struct ranked){.size = fabs(d[i]), .plus = d[i] > 0.0};
    double ties = rank(r, m);
    uint64_t plus2 = 0, all2 = (uint64_t)m * (m + 1);
    for (size_t i = 0; i < m; i++)
        plus2 += r[i].plus ? r[i].rank2 : 0;
    uint64_t less2 = plus2 < all2 - plus2 ? plus2 : all2 - plus2;
    out->n_used = m;
    out->n_zero = n - m;
    out->w_plus = 0.5 * (double)plus2;
    out->w_minus = 0.5 * (double)(all2 - plus2);
    out->exact = m <= STAT_WILCOXON_EXACT;
    int rc = 0;
    if (out->exact) {
        double tail = exact_tail(r, m, less2);
        if (tail < 0.0)
            rc = err_memory(err, "the signed-rank test", (less2 + 1) * sizeof(double));
        else
            out->p = 2.0 * tail < 1.0 ? 2.0 * tail : 1.0;
    } else {
        double k = (double)m, var = k * (k + 1.0) * (2.0 * k + 1.0) / 24.0 - ties / 48.0;
        double off = 0.25 * (double)all2 - 0.5 * (double)less2 - 0.5;
        double p = 2.0 * stat_normal_cdf(-(off > 0.0 ? off : 0.0) / sqrt(var));
        out->p = p < 1.0 ? p : 1.0;
    }
    free(r);
    return rc;
}

struct indexed { double p; size_t index; };

static int by_p(const void *pa, const void *pb)
{
    const struct indexed *a = pa, *b = pb;
    if (a->p != b->p)
        return a->p < b->p ? -1 : 1;
    return (a->index > b->index) - (a->index < b->index);
}

/* The members of the family, ascending; ties by index, so that the order is one. */
static int family(struct indexed **out, size_t *n, double *adjusted, const double *p, size_t m,
                  struct idem_err *err)
{
    struct indexed *s = calloc(m ? m : 1, sizeof *s);
    *out = s;
    *n = 0;
    if (!s)
        return err_memory(err, "a correction for many tests", m * sizeof *s);
    for (size_t i = 0; i < m; i++) {
        if (p[i] != p[i])
            adjusted[i] = p[i];
        else if (!(p[i] >= 0.0 && p[i] <= 1.0))
            return err_set(err, IDEM_ERR_NUMERIC, "p-value %zu is %g, not between 0 and 1", i,
                           p[i]);
        else
            s[(*n)++] = (struct indexed){p[i], i};
    }
    qsort(s, *n, sizeof *s, by_p);
    return 0;
}

int stat_holm(double *adjusted, const double *p, size_t m, struct idem_err *err)
{
    struct indexed *s;
    size_t n;
    int rc = family(&s, &n, adjusted, p, m, err);
    double least = 0.0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        double v = (double)(n - i) * s[i].p;
        v = v < 1.0 ? v : 1.0;
        least = v > least ? v : least;
        adjusted[s[i].index] = least;
    }
    free(s);
    return rc;
}

int stat_benjamini_hochberg(double *adjusted, const double *p, size_t m, struct idem_err *err)
{
    struct indexed *s;
    size_t n;
    int rc = family(&s, &n, adjusted, p, m, err);
    double most = 1.0;
    for (size_t i = n; i-- > 0 && rc == 0;) {
        double v = (double)n / (double)(i + 1) * s[i].p;
        most = v < most ? v : most;
        adjusted[s[i].index] = most;
    }
    free(s);
    return rc;
}
