/* SPDX-License-Identifier: MIT
 * Trials sorted and cut into groups, and small helpers of the statistics. */
#include <math.h>
#include <stdlib.h>

#include "report/report_impl.h"

static int compare_u64(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

static int by_cell(const struct rep_trial *a, const struct rep_trial *b)
{
    int c = compare_u64(a->t.prompt, b->t.prompt);
    return c ? c : compare_u64(a->t.setting, b->t.setting);
}

static int by_key(const struct rep_trial *a, const struct rep_trial *b)
{
    int c = by_cell(a, b);
    if (c == 0)
        c = compare_u64(a->t.seed, b->t.seed);
    return c ? c : compare_u64(a->t.sample, b->t.sample);
}

static int sort_cell(const void *a, const void *b)
{
    const struct rep_trial *x = *(const struct rep_trial *const *)a;
    const struct rep_trial *y = *(const struct rep_trial *const *)b;
    int c = by_cell(x, y);
    return c ? c : compare_u64(x->t.index, y->t.index);
}

static int sort_key(const void *a, const void *b)
{
    const struct rep_trial *x = *(const struct rep_trial *const *)a;
    const struct rep_trial *y = *(const struct rep_trial *const *)b;
    int c = by_key(x, y);
    return c ? c : compare_u64(x->t.index, y->t.index);
}

int report_groups(struct rep_groups *g, const struct report *r, unsigned purposes, enum rep_by by,
                  bool with_copies, struct idem_err *err)
{
    *g = (struct rep_groups){0};
    for (uint64_t i = 0; i < r->n_trials; i++) {
        const struct rep_trial *t = &r->trials[i];
        g->n += t->done && (purposes >> t->t.purpose & 1) && (t->real || with_copies);
    }
    g->t = malloc((g->n + 1) * sizeof(void *));
    g->start = malloc((g->n + 2) * sizeof *g->start);
    if (!g->t || !g->start) {
        report_groups_release(g);
        return err_memory(err, "groups of trials", (g->n + 2) * sizeof *g->start);
    }
    size_t n = 0;
    for (uint64_t i = 0; i < r->n_trials; i++) {
        const struct rep_trial *t = &r->trials[i];
        if (t->done && (purposes >> t->t.purpose & 1) && (t->real || with_copies))
            g->t[n++] = t;
    }
    qsort(g->t, n, sizeof(void *), by == REP_BY_KEY ? sort_key : sort_cell);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || (by == REP_BY_KEY ? by_key : by_cell)(g->t[i - 1], g->t[i]) != 0)
            g->start[g->n_groups++] = i;
    g->start[g->n_groups] = n;
    return 0;
}

void report_groups_release(struct rep_groups *g)
{
    free(g->t);
    free(g->start);
    *g = (struct rep_groups){0};
}

size_t report_parts_at(const struct report *r, uint32_t cls_a, uint32_t cls_b)
{
    const struct rep_class *a = &r->classes[cls_a], *b = &r->classes[cls_b];
    return stat_divergence(a->ids, a->n_ids, b->ids, b->n_ids);
}

const struct rec_token *report_token(const struct report *r, const struct rep_trial *t, size_t at)
{
    return at < r->classes[t->cls].n_ids ? &r->variants[t->variant].tokens[at] : NULL;
}

void report_boot(const struct report *r, struct stat_boot *b)
{
    *b = (struct stat_boot){
        .seed = r->run->bootstrap_seed, .confidence = r->confidence,
        .n_resamples = r->run->n_bootstrap ? r->run->n_bootstrap : REPORT_N_BOOTSTRAP,
        .mode = STAT_RESAMPLE_CLUSTERS,
    };
}

int report_compare_f64(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

double report_median(double *v, size_t n)
{
    if (n == 0)
        return NAN;
    qsort(v, n, sizeof *v, report_compare_f64);
    return n % 2 ? v[n / 2] : 0.5 * (v[n / 2 - 1] + v[n / 2]);
}
