/* SPDX-License-Identifier: MIT
 * Firth's logistic regression on one covariate with a cluster jackknife. */
#include <math.h>
#include <stdlib.h>

#include "base/detmath.h"
#include "stats/curve.h"
#include "stats/stats_impl.h"

/* Score and information of two parameters: level and slope. */
struct moments { double u[2], i[3]; };   /* i: aa, ab, bb */

struct row { uint32_t id; size_t at; };

struct rows {
    const double *x;
    const uint32_t *k, *n;
    struct row *order;       /* by cluster */
    size_t n_rows;
    double centre, scale;    /* of x: fitted on (x - centre) / scale */
};

static int by_id(const void *pa, const void *pb)
{
    const struct row *a = pa, *b = pb;
    if (a->id != b->id)
        return a->id < b->id ? -1 : 1;
    return (a->at > b->at) - (a->at < b->at);
}

static double logistic(double eta)
{
    double e = det_exp(eta < 0.0 ? eta : -eta);
    return eta < 0.0 ? e / (1.0 + e) : 1.0 / (1.0 + e);
}

/* Adds rows order[first .. last). With the inverse information v (aa, ab, bb) the score is Firth's:
 * each trial's residual gets leverage * (1/2 - p) more. */
static void add(struct moments *m, const struct rows *r, size_t first, size_t last, const double *beta,
                const double *v)
{
    for (size_t j = first; j < last; j++) {
        size_t i = r->order[j].at;
        double x = (r->x[i] - r->centre) / r->scale, n = (double)r->n[i];
        double p = logistic(beta[0] + beta[1] * x), w = n * p * (1.0 - p);
        double res = (double)r->k[i] - n * p;
        if (v)
            res += w * (v[0] + 2.0 * x * v[1] + x * x * v[2]) * (0.5 - p);
        m->u[0] += res;
        m->u[1] += res * x;
        m->i[0] += w;
        m->i[1] += w * x;
        m->i[2] += w * x * x;
    }
}

static int invert(double *v, const double *i)
{
    double det = i[0] * i[2] - i[1] * i[1];
    if (!(det > 1e-13 * i[0] * i[2]))
        return -1;
    v[0] = i[2] / det;
    v[1] = -i[1] / det;
    v[2] = i[0] / det;
    return 0;
}

/* Steps of at most 4 in either parameter. */
static int converge(double *beta, struct moments *at, double *v, const struct rows *r)
{
    for (int step = 0; step < 200; step++) {
        struct moments m = {0};
        add(&m, r, 0, r->n_rows, beta, NULL);
        if (invert(v, m.i) != 0)
            return -1;
        *at = (struct moments){0};
        add(at, r, 0, r->n_rows, beta, v);
        double d[2] = {v[0] * at->u[0] + v[1] * at->u[1], v[1] * at->u[0] + v[2] * at->u[1]};
        double most = fabs(d[0]) > fabs(d[1]) ? fabs(d[0]) : fabs(d[1]);
        double shrink = most > 4.0 ? 4.0 / most : 1.0;
        beta[0] += shrink * d[0];
        beta[1] += shrink * d[1];
        if (most < 1e-11)
            return 0;
    }
    return -1;
}

/* Covariance by one Newton step without each cluster. Returns the number of clusters. */
static size_t leave_out(double *cov, const struct rows *r, const double *beta,
                        const struct moments *at, const double *v)
{
    size_t g = 0;
    for (size_t i = 0, j; i < r->n_rows; i = j, g++) {
        struct moments own = {0};
        double rest[3], w[3];
        for (j = i; j < r->n_rows && r->order[j].id == r->order[i].id; j++)
            ;
        add(&own, r, i, j, beta, v);
        for (int k = 0; k < 3; k++)
            rest[k] = at->i[k] - own.i[k];
        if (invert(w, rest) != 0)   /* this cluster alone carries the curve */
            return 0;
        double d[2] = {-(w[0] * own.u[0] + w[1] * own.u[1]), -(w[1] * own.u[0] + w[2] * own.u[1])};
        cov[0] += d[0] * d[0];
        cov[1] += d[0] * d[1];
        cov[2] += d[1] * d[1];
    }
    return g;
}

static int check_rows(struct rows *r, struct idem_err *err)
{
    double n = 0.0, square = 0.0, low = INFINITY, high = -INFINITY;
    for (size_t i = 0; i < r->n_rows; i++) {
        if (!isfinite(r->x[i]) || r->k[i] > r->n[i])
            return err_set(err, IDEM_ERR_NUMERIC, "row %zu: %u flips of %u trials at %g", i,
                           r->k[i], r->n[i], r->x[i]);
        if (r->n[i] == 0)
            continue;
        n += (double)r->n[i];
        r->centre += (double)r->n[i] * r->x[i];
        low = r->x[i] < low ? r->x[i] : low;
        high = r->x[i] > high ? r->x[i] : high;
    }
    if (!(low < high))
        return err_set(err, IDEM_ERR_NUMERIC, "a curve needs trials at two different places at "
                       "least");
    r->centre /= n;
    for (size_t i = 0; i < r->n_rows; i++)
        square += (double)r->n[i] * (r->x[i] - r->centre) * (r->x[i] - r->centre);
    r->scale = sqrt(square / n);
    return 0;
}

static int fit(struct stat_logit *out, const struct rows *r, struct idem_err *err)
{
    double beta[2] = {0.0, 0.0}, v[3], cov[3] = {0};
    struct moments at;
    if (converge(beta, &at, v, r) != 0)
        return err_set(err, IDEM_ERR_NUMERIC, "the logistic curve does not converge");
    size_t n = leave_out(cov, r, beta, &at, v);
    if (n < 2)
        return err_set(err, IDEM_ERR_NUMERIC, "the curve needs two clusters, and more than one "
                       "that has trials at different places");
    double f = (double)(n - 1) / (double)n, c = r->centre / r->scale, s = r->scale;
    out->b = beta[1] / s;
    out->a = beta[0] - beta[1] * c;
    out->var_a = f * (cov[0] - 2.0 * c * cov[1] + c * c * cov[2]);
    out->cov = f * (cov[1] - c * cov[2]) / s;
    out->var_b = f * cov[2] / (s * s);
    out->df = (double)(n - 1);
    return 0;
}

int stat_logit(struct stat_logit *out, const double *x, const uint32_t *k, const uint32_t *n,
               size_t n_rows, const uint32_t *cluster, struct idem_err *err)
{
    *out = (struct stat_logit){NAN, NAN, NAN, NAN, NAN, NAN};
    struct rows r = {.x = x, .k = k, .n = n, .n_rows = n_rows};
    r.order = calloc(n_rows ? n_rows : 1, sizeof *r.order);
    if (!r.order)
        return err_memory(err, "the logistic curve", n_rows * sizeof *r.order);
    for (size_t i = 0; i < n_rows; i++)
        r.order[i] = (struct row){cluster ? cluster[i] : (uint32_t)i, i};
    qsort(r.order, n_rows, sizeof *r.order, by_id);
    int rc = check_rows(&r, err);
    if (rc == 0)
        rc = fit(out, &r, err);
    free(r.order);
    return rc;
}

struct stat_curve stat_logit_at(const struct stat_logit *l, double x, double confidence)
{
    double eta = l->a + l->b * x, var = l->var_a + 2.0 * x * l->cov + x * x * l->var_b;
    double half = -stat_t_quantile(0.5 * (1.0 - confidence), l->df) * sqrt(var > 0.0 ? var : 0.0);
    return (struct stat_curve){logistic(eta), logistic(eta - half), logistic(eta + half)};
}

struct stat_curve stat_logit_slope(const struct stat_logit *l, double confidence)
{
    double half = -stat_t_quantile(0.5 * (1.0 - confidence), l->df) * sqrt(l->var_b);
    return (struct stat_curve){l->b, l->b - half, l->b + half};
}
