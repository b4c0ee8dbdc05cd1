/* SPDX-License-Identifier: MIT
 * Bounds for entropy, margin, KL and Jensen-Shannon of partly known distributions. */
#include "stats/dist.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/detmath.h"
#include "stats/stats_impl.h"

struct entry { int32_t id; double p, logp; };

/* A distribution opened: known tokens by id, and what bounds the others. */
struct known {
    struct entry *e;
    size_t n, n_unknown;
    double tail, cap;    /* mass of the unknown tokens, and the most that one of them can have */
};

static int by_id(const void *pa, const void *pb)
{
    const struct entry *a = pa, *b = pb;
    return (a->id > b->id) - (a->id < b->id);
}

static double p_log_p(double p)
{
    return p > 0.0 ? p * det_log(p) : 0.0;
}

static int check_tail(struct known *k, const struct stat_dist *d, double sum, struct idem_err *err)
{
    if (sum > 1.001)
        return err_set(err, IDEM_ERR_NUMERIC, "the probabilities of %zu tokens add up to %.9g", d->n,
                       sum);
    k->tail = d->tail != d->tail ? 1.0 - sum : d->tail;
    if (d->tail == d->tail && !(d->tail >= 0.0 && fabs(d->tail + sum - 1.0) <= 1e-3))
        return err_set(err, IDEM_ERR_NUMERIC, "a tail of %.9g beside known tokens of %.9g: they "
                       "should add up to 1", d->tail, sum);
    if (k->tail < 0.0 || k->n_unknown == 0)
        k->tail = 0.0;
    if (k->tail > (double)k->n_unknown * k->cap * (1.0 + 1e-3) + 1e-4)
        return err_set(err, IDEM_ERR_NUMERIC, "a tail of %.9g on %zu tokens, each at most the "
                       "least known probability %.9g, cannot be: are the known tokens the best?",
                       k->tail, k->n_unknown, k->cap);
    if (k->cap < k->tail / (double)k->n_unknown)   /* by rounding only */
        k->cap = k->tail / (double)k->n_unknown;
    return 0;
}

static int known_open(struct known *k, const struct stat_dist *d, struct idem_err *err)
{
    *k = (struct known){.n = d->n};
    if (d->n == 0 || d->n > d->n_vocab)
        return err_set(err, IDEM_ERR_USAGE, "%zu known tokens of a vocabulary of %zu", d->n,
                       d->n_vocab);
    k->n_unknown = d->n_vocab - d->n;
    k->e = calloc(d->n, sizeof *k->e);
    if (!k->e)
        return err_memory(err, "a distribution", d->n * sizeof *k->e);
    double sum = 0.0;
    k->cap = 1.0;
    for (size_t i = 0; i < d->n; i++) {
        double logp = d->logprob[i];
        if (!(logp <= 1e-4))
            return err_set(err, IDEM_ERR_NUMERIC, "log-probability %zu (token %d) is %g", i,
                           d->ids[i], logp);
        k->e[i] = (struct entry){d->ids[i], det_exp(logp), logp};
        sum += k->e[i].p;
        k->cap = k->e[i].p < k->cap ? k->e[i].p : k->cap;
    }
    qsort(k->e, k->n, sizeof *k->e, by_id);
    for (size_t i = 0; i < k->n; i++)
        if (k->e[i].id < 0 || (size_t)k->e[i].id >= d->n_vocab ||
            (i > 0 && k->e[i].id == k->e[i - 1].id))
            return err_set(err, IDEM_ERR_USAGE, "token %d is there twice or is not one of %zu",
                           k->e[i].id, d->n_vocab);
    return check_tail(k, d, sum, err);
}

/* Sum of p log p over a tail as concentrated as the cap allows. */
static double packed(const struct known *k)
{
    if (!(k->tail > 0.0 && k->cap > 0.0))
        return 0.0;
    double whole = (double)(uint64_t)(k->tail / k->cap);
    double rest = k->tail - whole * k->cap;
    return whole * p_log_p(k->cap) + p_log_p(rest > 0.0 ? rest : 0.0);
}

int stat_entropy(struct stat_interval *out, const struct stat_dist *d, struct idem_err *err)
{
    *out = (struct stat_interval){NAN, NAN};
    struct known k;
    int rc = known_open(&k, d, err);
    if (rc == 0) {
        double sum = 0.0;
        for (size_t i = 0; i < k.n; i++)
            sum -= k.e[i].p > 0.0 ? k.e[i].p * k.e[i].logp : 0.0;
        out->low = sum - packed(&k);
        out->high = sum;
        if (k.tail > 0.0)
            out->high -= k.tail * det_log(k.tail / (double)k.n_unknown);
        if (out->low > out->high)   /* equal but for rounding */
            out->low = out->high;
    }
    free(k.e);
    return rc;
}

int stat_margin(struct stat_interval *out, const struct stat_dist *d, struct idem_err *err)
{
    *out = (struct stat_interval){NAN, NAN};
    struct known k;
    int rc = known_open(&k, d, err);
    if (rc == 0) {
        double best = -INFINITY, second = -INFINITY;
        for (size_t i = 0; i < k.n; i++) {
            double v = k.e[i].logp;
            second = v > best ? best : v > second ? v : second;
            best = v > best ? v : best;
        }
        *out = (struct stat_interval){best - second, best - second};
        if (k.n == 1 && k.n_unknown > 0) {
            out->low = best - det_log(k.tail < k.cap ? k.tail : k.cap);
            out->low = out->low > 0.0 ? out->low : 0.0;
            out->high = best - det_log(k.tail / (double)k.n_unknown);
        }
    }
    free(k.e);
    return rc;
}

/* ---- two distributions ------------------------------------------------------------------------ */

/* The tokens whose two probabilities are known are given to f one by one; what is left over of
 * either side is returned. Without a tail a token that is not listed is known to have 0. */
struct rest { double p, q; };

static struct rest each_common(const struct known *p, const struct known *q,
                               void (*f)(void *, const struct entry *, const struct entry *),
                               void *to)
{
    static const struct entry nothing = {-1, 0.0, -INFINITY};
    struct rest r = {p->tail, q->tail};
    for (size_t i = 0, j = 0; i < p->n || j < q->n;) {
        if (j == q->n || (i < p->n && p->e[i].id < q->e[j].id)) {
            if (q->tail > 0.0)
                r.p += p->e[i].p;
            else
                f(to, &p->e[i], &nothing);
            i++;
        } else if (i == p->n || q->e[j].id < p->e[i].id) {
            if (p->tail > 0.0)
                r.q += q->e[j].p;
            else
                f(to, &nothing, &q->e[j]);
            j++;
        } else {
            f(to, &p->e[i], &q->e[j]);
            i++;
            j++;
        }
    }
    return r;
}

static void add_kl(void *to, const struct entry *p, const struct entry *q)
{
    if (p->p > 0.0)
        *(double *)to += p->p * (p->logp - q->logp);
}

/* p ln (2 p / (p + q)) / 2 + q ln (2 q / (p + q)) / 2 */
static double js_term(double p, double q)
{
    double m = 0.5 * (p + q), sum = 0.0;
    if (p > 0.0)
        sum += 0.5 * p * det_log(p / m);
    if (q > 0.0)
        sum += 0.5 * q * det_log(q / m);
    return sum;
}

static void add_js(void *to, const struct entry *p, const struct entry *q)
{
    *(double *)to += js_term(p->p, q->p);
}

static int least_first(const void *pa, const void *pb)
{
    const struct entry *a = pa, *b = pb;
    if (a->logp != b->logp)
        return a->logp < b->logp ? -1 : 1;
    return (a->id > b->id) - (a->id < b->id);
}

/* The most that the tail of p can add, q being known whole: its mass on q's least tokens. */
static int worst_tail(double *sum, const struct known *p, const struct known *q,
                      struct idem_err *err)
{
    if (!(p->tail > 0.0))
        return 0;
    struct entry *s = calloc(q->n, sizeof *s);
    if (!s)
        return err_memory(err, "a divergence", q->n * sizeof *s);
    size_t m = 0;
    for (size_t i = 0, j = 0; j < q->n; j++) {
        while (i < p->n && p->e[i].id < q->e[j].id)
            i++;
        if (i == p->n || p->e[i].id != q->e[j].id)
            s[m++] = q->e[j];
    }
    qsort(s, m, sizeof *s, least_first);
    double left = p->tail;
    for (size_t i = 0; i < m && left > 0.0; i++) {
        double v = left < p->cap ? left : p->cap;
        *sum += p_log_p(v) - v * s[i].logp;
        left -= v;
    }
    free(s);
    return 0;
}

int stat_kl(struct stat_interval *out, const struct stat_dist *p, const struct stat_dist *q,
            struct idem_err *err)
{
    *out = (struct stat_interval){NAN, NAN};
    struct known kp, kq = {0};
    int rc = -1;
    if (known_open(&kp, p, err) != 0 || known_open(&kq, q, err) != 0)
        goto end;
    if (p->n_vocab != q->n_vocab) {
        err_set(err, IDEM_ERR_USAGE, "vocabularies of %zu and %zu tokens", p->n_vocab, q->n_vocab);
        goto end;
    }
    double sum = 0.0;
    struct rest r = each_common(&kp, &kq, add_kl, &sum);
    out->low = sum;
    if (r.p > 0.0)
        out->low += r.p * (det_log(r.p) - det_log(r.q));
    out->low = out->low > 0.0 ? out->low : 0.0;
    rc = 0;
    out->high = r.p > 0.0 ? INFINITY : out->low;
    if (kq.n_unknown == 0) {   /* what p knows is in `sum`; its tail is left */
        rc = worst_tail(&sum, &kp, &kq, err);
        out->high = sum > out->low ? sum : out->low;
    }
end:
    free(kp.e);
    free(kq.e);
    return rc;
}

int stat_js(struct stat_interval *out, const struct stat_dist *p, const struct stat_dist *q,
            struct idem_err *err)
{
    *out = (struct stat_interval){NAN, NAN};
    struct known kp, kq = {0};
    int rc = -1;
    if (known_open(&kp, p, err) != 0 || known_open(&kq, q, err) != 0)
        goto end;
    if (p->n_vocab != q->n_vocab) {
        err_set(err, IDEM_ERR_USAGE, "vocabularies of %zu and %zu tokens", p->n_vocab, q->n_vocab);
        goto end;
    }
    const double log_2 = 0.6931471805599453;
    double sum = 0.0;
    struct rest r = each_common(&kp, &kq, add_js, &sum);
    bool whole = !(kp.tail > 0.0) && !(kq.tail > 0.0);
    out->low = sum + js_term(r.p, r.q);
    out->low = out->low > 0.0 ? out->low : 0.0;
    out->high = whole ? out->low : sum + 0.5 * log_2 * (r.p + r.q);
    out->high = out->high < log_2 ? out->high : log_2;
    out->high = out->high > out->low ? out->high : out->low;
    rc = 0;
end:
    free(kp.e);
    free(kq.e);
    return rc;
}
