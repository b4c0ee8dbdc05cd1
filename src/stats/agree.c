/* SPDX-License-Identifier: MIT
 * Agreement of outputs: equality classes, rates, divergence, survival of identity. */
#include "stats/agree.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/detmath.h"

struct item { const void *data; size_t len, index; };

static int by_bytes(const void *pa, const void *pb)
{
    const struct item *a = pa, *b = pb;
    if (a->len != b->len)
        return a->len < b->len ? -1 : 1;
    int c = a->len ? memcmp(a->data, b->data, a->len) : 0;
    return c ? c : (a->index > b->index) - (a->index < b->index);
}

int stat_classes(uint32_t *cls, const struct stat_bytes *items, size_t n, struct idem_err *err)
{
    if (n == 0)
        return 0;
    if (n >= STAT_NO_CLASS)
        return err_set(err, IDEM_ERR_LIMIT, "%zu outputs to compare; the ceiling is %u", n,
                       STAT_NO_CLASS - 1);
    struct item *s = calloc(n, sizeof *s);
    size_t *first = calloc(n, sizeof *first);   /* index of the first equal item */
    int rc = -1;
    size_t m = 0;
    if (!s || !first) {
        err_memory(err, "comparing outputs", n * (sizeof *s + sizeof *first));
        goto out;
    }
    for (size_t i = 0; i < n; i++)
        if (items[i].data)
            s[m++] = (struct item){items[i].data, items[i].len, i};
    qsort(s, m, sizeof *s, by_bytes);
    for (size_t i = 0, head = 0; i < m; i++) {
        if (s[i].len != s[head].len ||
            (s[i].len && memcmp(s[i].data, s[head].data, s[i].len) != 0))
            head = i;
        first[s[i].index] = s[head].index;
    }
    uint32_t next = 0;
    for (size_t i = 0; i < n; i++)
        cls[i] = !items[i].data ? STAT_NO_CLASS : first[i] == i ? next++ : cls[first[i]];
    rc = 0;
out:
    free(s);
    free(first);
    return rc;
}

static int by_u32(const void *pa, const void *pb)
{
    uint32_t a = *(const uint32_t *)pa, b = *(const uint32_t *)pb;
    return (a > b) - (a < b);
}

int stat_agree(struct stat_agree *out, const uint32_t *cls, size_t n, struct idem_err *err)
{
    *out = (struct stat_agree){.n = n, .modal = STAT_NO_CLASS, .modal_share = NAN,
                               .pairwise = NAN};
    if (n == 0)
        return 0;
    uint32_t *s = calloc(n, sizeof *s);
    if (!s)
        return err_memory(err, "agreement of outputs", n * sizeof *s);
    memcpy(s, cls, n * sizeof *s);
    qsort(s, n, sizeof *s, by_u32);
    double pairs = 0.0;
    for (size_t i = 0, j; i < n; i = j) {
        for (j = i; j < n && s[j] == s[i]; j++)
            ;
        if (s[i] == STAT_NO_CLASS) {
            out->n_distinct += j - i;
            continue;
        }
        out->n_distinct++;
        pairs += (double)(j - i) * (double)(j - i - 1) / 2.0;
        if (j - i > out->n_modal) {
            out->n_modal = j - i;
            out->modal = s[i];
        }
    }
    out->modal_share = (double)out->n_modal / (double)n;
    if (n >= 2)
        out->pairwise = pairs / ((double)n * (double)(n - 1) / 2.0);
    out->all_same = out->n_modal == n;
    free(s);
    return 0;
}

int stat_tar(struct stat_tar *out, const uint32_t *cls, const size_t *start, size_t n_prompts,
             double confidence, struct idem_err *err)
{
    *out = (struct stat_tar){.rate = NAN};
    if (!(confidence > 0.0 && confidence < 1.0))
        return err_set(err, IDEM_ERR_USAGE, "confidence is %g, but it must be between 0 and 1",
                       confidence);
    for (size_t i = 0; i < n_prompts; i++) {
        size_t a = start[i], b = start[i + 1], j = a + 1;
        if (b < a)
            return err_set(err, IDEM_ERR_USAGE, "prompt %zu ends (%zu) before it starts (%zu)", i,
                           b, a);
        if (b - a < 2)
            continue;
        while (j < b && cls[j] == cls[a])
            j++;
        out->n++;
        out->n_same += j == b && cls[a] != STAT_NO_CLASS;
    }
    if (out->n)
        out->rate = (double)out->n_same / (double)out->n;
    out->wilson = stat_wilson(out->n_same, out->n, confidence);
    return 0;
}

size_t stat_divergence(const int32_t *a, size_t n_a, const int32_t *b, size_t n_b)
{
    size_t n = n_a < n_b ? n_a : n_b;
    for (size_t i = 0; i < n; i++)
        if (a[i] != b[i])
            return i;
    return n_a == n_b ? SIZE_MAX : n;
}

struct life { uint64_t time; bool parted; };

static int by_time(const void *pa, const void *pb)
{
    const struct life *a = pa, *b = pb;
    return (a->time > b->time) - (a->time < b->time);
}

/* S^(e^(+-z v)), v the standard error of log(-log S). */
static void log_log_interval(struct stat_survival *p, double greenwood, double z)
{
    p->low = p->high = NAN;
    if (!(p->s > 0.0 && p->s < 1.0))
        return;
    double log_s = det_log(p->s), v = z * sqrt(greenwood) / -log_s;
    p->low = det_exp(log_s * det_exp(v));
    p->high = det_exp(log_s * det_exp(-v));
}

/* A product of independent beta variables, by its first two moments. */
struct product { double mean, square; };

static struct product times_beta(struct product p, double a, double b)
{
    double n = a + b;
    return (struct product){p.mean * (a / n), p.square * (a / n * ((a + 1.0) / (n + 1.0)))};
}

/* Quantile q of the beta variable with these moments. */
static double product_quantile(struct product p, double q)
{
    double var = p.square - p.mean * p.mean;
    if (!(p.mean > 0.0))
        return 0.0;
    if (!(var > 0.0 && p.mean < 1.0))
        return p.mean;
    double n = (p.mean - p.square) / var;
    return stat_beta_quantile(q, p.mean * n, (1.0 - p.mean) * n);
}

/* high: the product so far; low: one more event at once, with those still at risk. */
static void beta_product_interval(struct stat_survival *p, struct product *w, double confidence)
{
    double tail = 0.5 * (1.0 - confidence), left = (double)(p->n_risk - p->n_parted);
    if (p->n_parted)
        *w = times_beta(*w, left + 1.0, (double)p->n_parted);
    p->beta_low = left > 0.0 ? product_quantile(times_beta(*w, left, 1.0), tail) : 0.0;
    p->beta_high = product_quantile(*w, 1.0 - tail);
}

int stat_survival(struct stat_survival *points, size_t *n_points, const uint64_t *time,
                  const bool *parted, size_t n, double confidence, struct idem_err *err)
{
    *n_points = 0;
    if (!(confidence > 0.0 && confidence < 1.0))
        return err_set(err, IDEM_ERR_USAGE, "confidence is %g, but it must be between 0 and 1",
                       confidence);
    if (n == 0)
        return 0;
    struct life *life = calloc(n, sizeof *life);
    if (!life)
        return err_memory(err, "survival", n * sizeof *life);
    for (size_t i = 0; i < n; i++)
        life[i] = (struct life){time[i], parted[i]};
    qsort(life, n, sizeof *life, by_time);
    double z = -stat_normal_quantile(0.5 * (1.0 - confidence)), s = 1.0, greenwood = 0.0;
    struct product w = {1.0, 1.0};
    for (size_t i = 0, j; i < n; i = j) {
        struct stat_survival *p = &points[(*n_points)++];
        *p = (struct stat_survival){.t = life[i].time, .n_risk = n - i};
        for (j = i; j < n && life[j].time == life[i].time; j++)
            if (life[j].parted)
                p->n_parted++;
            else
                p->n_censored++;
        double r = (double)p->n_risk, d = (double)p->n_parted;
        s = p->n_parted == p->n_risk ? 0.0 : s * ((r - d) / r);
        greenwood += d / (r * (r - d));   /* infinite where s is 0, and then not used */
        p->s = s;
        log_log_interval(p, greenwood, z);
        beta_product_interval(p, &w, confidence);
    }
    free(life);
    return 0;
}
