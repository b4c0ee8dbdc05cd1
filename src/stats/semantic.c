/* SPDX-License-Identifier: MIT
 * Semantic entropy: the entropy of classes of answers. */
#include <math.h>
#include <stdlib.h>

#include "base/detmath.h"
#include "stats/agree.h"
#include "stats/dist.h"

struct answer { uint32_t cls; size_t at; double w; };

static int by_class(const void *pa, const void *pb)
{
    const struct answer *a = pa, *b = pb;
    if (a->cls != b->cls)
        return a->cls < b->cls ? -1 : 1;
    return (a->at > b->at) - (a->at < b->at);
}

/* w: weights relative to the greatest log-probability, so that none overflows. */
static int weigh(struct answer *a, const double *logprob, size_t n, struct idem_err *err)
{
    double top = -INFINITY;
    for (size_t i = 0; i < n; i++) {
        if (!(logprob[i] <= 0.0))
            return err_set(err, IDEM_ERR_NUMERIC, "log-probability %zu is %g", i, logprob[i]);
        top = logprob[i] > top ? logprob[i] : top;
    }
    if (isinf(top))
        return err_set(err, IDEM_ERR_NUMERIC, "all %zu sequences have probability 0", n);
    for (size_t i = 0; i < n; i++)
        a[i].w = isinf(logprob[i]) ? 0.0 : det_exp(logprob[i] - top);
    return 0;
}

int stat_semantic_entropy(struct stat_semantic *out, const uint32_t *cls, const double *logprob,
                          size_t n, struct idem_err *err)
{
    *out = (struct stat_semantic){NAN, NAN, NAN, 0};
    if (n == 0)
        return 0;
    struct answer *a = calloc(n, sizeof *a);
    if (!a)
        return err_memory(err, "semantic entropy", n * sizeof *a);
    int rc = 0;
    for (size_t i = 0; i < n; i++)
        a[i] = (struct answer){.cls = cls[i], .at = i};
    if (logprob && weigh(a, logprob, n, err) != 0) {
        rc = -1;
        goto end;
    }
    qsort(a, n, sizeof *a, by_class);
    double all = 0.0, h = 0.0, h_w = 0.0;
    for (size_t i = 0; i < n; i++)
        all += a[i].w;
    for (size_t i = 0, j; i < n; i = j) {
        double w = 0.0;
        for (j = i; j < n && a[j].cls == a[i].cls && (j == i || a[i].cls != STAT_NO_CLASS); j++)
            w += a[j].w;
        double f = (double)(j - i) / (double)n;
        h -= f * det_log(f);
        if (w > 0.0)
            h_w -= w / all * det_log(w / all);
        out->n_classes++;
    }
    out->discrete = h > 0.0 ? h : 0.0;   /* -0 for a single class */
    out->miller_madow = out->discrete + (double)(out->n_classes - 1) / (2.0 * (double)n);
    if (logprob)
        out->weighted = h_w > 0.0 ? h_w : 0.0;
end:
    free(a);
    return rc;
}
