/* SPDX-License-Identifier: MIT
 * One setting under different seeds: how often outputs agree, and where they part. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/report_impl.h"

/* Per prompt of one setting, in prompt order. */
struct collect {
    double *pairs, *distinct, *modal, *distinct_2;   /* one value per prompt */
    size_t n_prompts, n_pairs_prompts, n_d2;
    double *at, *margin, *entropy;                   /* one per unequal pair */
    size_t n_at, n_margin, n_entropy, cap;
    double entropy_sum;
    size_t entropy_n;
};

static void collect_release(struct collect *c)
{
    free(c->pairs);
    free(c->distinct);
    free(c->modal);
    free(c->distinct_2);
    free(c->at);
    free(c->margin);
    free(c->entropy);
}

static int collect_init(struct collect *c, size_t n_prompts, struct idem_err *err)
{
    size_t bytes = (n_prompts + 1) * sizeof(double);
    *c = (struct collect){.pairs = malloc(bytes), .distinct = malloc(bytes), .modal = malloc(bytes),
                          .distinct_2 = malloc(bytes)};
    return c->pairs && c->distinct && c->modal && c->distinct_2
               ? 0 : err_memory(err, "numbers per prompt", bytes);
}

static int reserve_pairs(struct collect *c, size_t more, struct idem_err *err)
{
    if (c->n_at + more <= c->cap)
        return 0;
    size_t cap = (c->n_at + more) * 2 + 64;
    double **const arrays[] = {&c->at, &c->margin, &c->entropy};
    for (size_t i = 0; i < 3; i++) {
        double *p = realloc(*arrays[i], cap * sizeof *p);
        if (!p)
            return err_memory(err, "pairs of outputs", cap * sizeof *p);
        *arrays[i] = p;
    }
    c->cap = cap;
    return 0;
}

static int compare_pairs(const struct report *r, const struct rep_trial *const *t, size_t n,
                         struct collect *c, struct rep_seeds *s, struct rep_cell *cell,
                         struct idem_err *err)
{
    uint64_t same = 0;
    double parted = 0;
    if (reserve_pairs(c, n * (n - 1) / 2, err) != 0)
        return -1;
    for (size_t i = 0; i < n; i++)
        for (size_t k = i + 1; k < n; k++) {
            size_t at = report_parts_at(r, t[i]->cls, t[k]->cls);
            s->n_pairs++;
            if (t[i]->cls == t[k]->cls) {
                same++;
                continue;
            }
            if (at == SIZE_MAX)                       /* same tokens, but one was stopped there */
                at = r->classes[t[i]->cls].n_ids;
            size_t na = r->classes[t[i]->cls].n_ids, nk = r->classes[t[k]->cls].n_ids;
            size_t longer = na > nk ? na : nk;
            parted += longer ? (double)(longer - at) / (double)longer : 0;
            if (at < cell->first_part)
                cell->first_part = at;
            c->at[c->n_at++] = (double)at;
            const struct rec_token *tok = report_token(r, t[i], at);
            if (!tok)
                tok = report_token(r, t[k], at);
            if (tok && !isnan(tok->margin))
                c->margin[c->n_margin++] = (double)tok->margin;
            if (tok && !isnan(tok->entropy))
                c->entropy[c->n_entropy++] = (double)tok->entropy;
        }
    s->n_pairs_same += same;
    cell->parted = n > 1 ? parted / (double)(n * (n - 1) / 2) : s->greedy ? 0 : NAN;
    if (n > 1)
        c->pairs[c->n_pairs_prompts++] = (double)same / (double)(n * (n - 1) / 2);
    return 0;
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Different bigrams of token ids over all bigrams of a prompt's outputs (Li et al. 2016). */
static double distinct_2(const struct report *r, const struct rep_trial *const *t, size_t n)
{
    size_t total = 0, different = 0;
    for (size_t i = 0; i < n; i++)
        total += r->classes[t[i]->cls].n_ids ? r->classes[t[i]->cls].n_ids - 1 : 0;
    uint64_t *g = malloc((total + 1) * sizeof *g);
    if (!g || total == 0) {
        free(g);
        return NAN;
    }
    size_t m = 0;
    for (size_t i = 0; i < n; i++) {
        const struct rep_class *c = &r->classes[t[i]->cls];
        for (size_t k = 1; k < c->n_ids; k++)
            g[m++] = (uint64_t)(uint32_t)c->ids[k - 1] << 32 | (uint32_t)c->ids[k];
    }
    qsort(g, m, sizeof *g, compare_u64);
    for (size_t i = 0; i < m; i++)
        different += i == 0 || g[i] != g[i - 1];
    free(g);
    return (double)different / (double)total;
}

static int add_prompt(struct report *r, const struct rep_trial *const *t, size_t n,
                      struct collect *c, struct rep_seeds *s, struct idem_err *err)
{
    struct rep_cell *cell = &r->cells[t[0]->t.prompt * r->n_settings + t[0]->t.setting];
    struct stat_agree a;
    uint32_t *cls = malloc(n * sizeof *cls);
    if (!cls)
        return err_memory(err, "outputs", n * sizeof *cls);
    for (size_t i = 0; i < n; i++)
        cls[i] = t[i]->cls;
    int rc = stat_agree(&a, cls, n, err);
    free(cls);
    if (rc != 0)
        return -1;
    cell->n = (uint32_t)n;
    cell->n_distinct = (uint32_t)a.n_distinct;
    cell->n_modal = (uint32_t)a.n_modal;
    cell->modal = a.modal;
    cell->pairs_same = s->greedy && a.all_same ? 1 : a.pairwise;
    s->n_outputs += n;
    c->distinct[c->n_prompts] = (double)a.n_distinct;
    c->modal[c->n_prompts] = a.modal_share;
    double d2 = distinct_2(r, t, n);
    if (!isnan(d2))
        c->distinct_2[c->n_d2++] = d2;
    c->n_prompts++;
    for (size_t i = 0; i < n; i++)
        if (!isnan(t[i]->mean_entropy)) {
            c->entropy_sum += (double)t[i]->mean_entropy;
            c->entropy_n++;
        }
    return compare_pairs(r, t, n, c, s, cell, err);
}

static double mean(const double *v, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += v[i];
    return n ? sum / (double)n : NAN;
}

/* Mean over prompts; prompts are the clusters, each with one value between least and most. An end
 * that the bootstrap-t cannot give is the end of that range. */
static int estimate(struct stat_estimate *e, const double *v, size_t n, double least, double most,
                    const struct report *r, struct idem_err *err)
{
    struct stat_boot b;
    report_boot(r, &b);
    b.ci = STAT_CI_STUDENT;
    *e = (struct stat_estimate){.value = NAN, .low = NAN, .high = NAN};
    if (n == 0)
        return 0;
    size_t *start = malloc((n + 1) * sizeof *start);
    if (!start)
        return err_memory(err, "numbers per prompt", n * sizeof *start);
    for (size_t i = 0; i <= n; i++)
        start[i] = i;
    int rc = stat_boot_mean(e, v, start, n, &b, err);
    e->low = e->low < least ? least : e->low;
    e->high = e->high > most ? most : e->high;
    free(start);
    return rc;
}

static int finish(struct rep_seeds *s, struct collect *c, const struct report *r,
                  struct idem_err *err)
{
    s->n_prompts = c->n_prompts;
    s->parts_at = report_median(c->at, c->n_at);
    s->margin = report_median(c->margin, c->n_margin);
    s->entropy = report_median(c->entropy, c->n_entropy);
    s->mean_entropy = c->entropy_n ? c->entropy_sum / (double)c->entropy_n : NAN;
    s->distinct_2 = mean(c->distinct_2, c->n_d2);
    if (estimate(&s->pairs, c->pairs, c->n_pairs_prompts, 0, 1, r, err) != 0 ||
        estimate(&s->distinct, c->distinct, c->n_prompts, 1, (double)s->n_outputs, r, err) != 0 ||
        estimate(&s->modal, c->modal, c->n_prompts, 0, 1, r, err) != 0)
        return -1;
    if (s->n_pairs && s->n_pairs_same == s->n_pairs)     /* a bootstrap cannot see beyond these */
        s->pairs.low = stat_all_of_n_low(c->n_pairs_prompts, r->confidence);
    if (s->n_pairs && s->n_pairs_same == 0)
        s->pairs.high = 1 - stat_all_of_n_low(c->n_pairs_prompts, r->confidence);
    s->verdict = s->n_pairs == 0 ? REP_INCONCLUSIVE
               : s->n_pairs_same == s->n_pairs ? REP_IDENTICAL : REP_VARIES;
    if (s->greedy) {                                     /* all seeds are one computation */
        s->n_pairs = s->n_pairs_same = 0;
        s->verdict = REP_INCONCLUSIVE;
    }
    return 0;
}

int report_seeds(struct report *r, struct idem_err *err)
{
    struct rep_groups g = {0};
    r->seeds = arena_array(&r->arena, r->n_settings + 1, sizeof *r->seeds);
    if (!r->seeds)
        return err_memory(err, "settings", r->n_settings * sizeof *r->seeds);
    if (report_groups(&g, r, 1u << REC_PURPOSE_SEEDS, REP_BY_CELL, false, err) != 0)
        return -1;
    for (uint64_t i = 0; i < r->n_trials; i++) {
        const struct rep_trial *t = &r->trials[i];
        struct rep_cell *cell = &r->cells[t->t.prompt * r->n_settings + t->t.setting];
        cell->n_planned += t->t.purpose == REC_PURPOSE_SEEDS;
        cell->n_done += t->t.purpose == REC_PURPOSE_SEEDS && t->done;
    }
    int rc = 0;
    for (uint32_t k = 0; rc == 0 && k < r->n_settings; k++) {
        struct collect c;
        struct rep_seeds *s = &r->seeds[k];
        const struct rec_settings *set = &r->settings[k].settings;
        s->greedy = !rec_settings_seeded(set);
        rc = collect_init(&c, r->n_prompts, err);
        for (size_t i = 0; rc == 0 && i < g.n_groups; i++)
            if (g.t[g.start[i]]->t.setting == k)
                rc = add_prompt(r, g.t + g.start[i], g.start[i + 1] - g.start[i], &c, s, err);
        if (rc == 0)
            rc = finish(s, &c, r, err);
        collect_release(&c);
    }
    report_groups_release(&g);
    return rc;
}
