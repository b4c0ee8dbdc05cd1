/* SPDX-License-Identifier: MIT
 * Is one key always one result? Computations of the same key against the first of them, per
 * setting and host state; and the controls, which decide whether anything may be said at all. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report/report_impl.h"

const char *rep_verdict_name(enum rep_verdict v)
{
    static const char *const names[] = {"inconclusive", "identical", "varies", "invalid",
                                        "supported", "contradicted", "undecided"};
    return names[v];
}

/* One computation compared with the first of its key. */
struct comparison {
    uint32_t prompt, setting, host;
    bool output, bits, has_bits;
};

static bool same_output(const struct rep_trial *a, const struct rep_trial *b)
{
    return a->cls == b->cls;
}

static bool same_bits(const struct rep_trial *a, const struct rep_trial *b)
{
    return !a->has_bits || !b->has_bits || a->bits == b->bits;
}

static int add_difference(struct report *r, const struct rep_trial *a, const struct rep_trial *b,
                          struct idem_err *err)
{
    if (r->n_differences == r->cap_differences) {
        size_t cap = r->cap_differences * 2 + 64;
        struct rep_difference *p = realloc(r->differences, cap * sizeof *p);
        if (!p)
            return err_memory(err, "differences", cap * sizeof *p);
        r->differences = p;
        r->cap_differences = cap;
    }
    r->differences[r->n_differences++] = (struct rep_difference){
        .a = a->t.index, .b = b->t.index, .at = report_parts_at(r, a->cls, b->cls),
        .bits_only = same_output(a, b),
    };
    return 0;
}

static int compare_all(struct report *r, struct comparison **out, size_t *n, struct idem_err *err)
{
    struct rep_groups g;
    if (report_groups(&g, r, 1u << REC_PURPOSE_REPEATS | 1u << REC_PURPOSE_HOSTS, REP_BY_KEY, false,
                      err) != 0)
        return -1;
    int rc = 0;
    *n = 0;
    *out = malloc((g.n + 1) * sizeof **out);
    if (!*out)
        rc = err_memory(err, "comparisons", g.n * sizeof **out);
    for (size_t i = 0; rc == 0 && i < g.n_groups; i++) {
        const struct rep_trial *first = g.t[g.start[i]];
        for (size_t k = g.start[i] + 1; rc == 0 && k < g.start[i + 1]; k++) {
            const struct rep_trial *t = g.t[k];
            (*out)[(*n)++] = (struct comparison){
                .prompt = t->t.prompt, .setting = t->t.setting, .host = t->t.host,
                .output = same_output(first, t), .bits = same_bits(first, t),
                .has_bits = first->has_bits && t->has_bits,
            };
            struct rep_cell *cell = &r->cells[t->t.prompt * r->n_settings + t->t.setting];
            bool same = same_output(first, t) && same_bits(first, t);
            cell->n_same_seed++;
            cell->n_same_seed_differ += !same;
            if (!same)
                rc = add_difference(r, first, t, err);
        }
    }
    report_groups_release(&g);
    return rc;
}

/* The share identical with prompts as clusters (stats/share.h). When every comparison of every
 * prompt came out the same way it is one-sided: the exact bound over prompts. */
static int interval(struct rep_same *s, const double *x, const size_t *start, const struct report *r,
                    struct idem_err *err)
{
    s->low = 0;
    s->high = 1;
    s->low_computations = NAN;
    if (s->n == 0)
        return 0;
    if (s->n_same == s->n) {
        s->low = stat_all_of_n_low(s->n_prompts, r->confidence);
        s->low_computations = stat_all_of_n_low(s->n, r->confidence);
        return 0;
    }
    if (s->n_same == 0) {
        s->high = 1 - stat_all_of_n_low(s->n_prompts, r->confidence);
        return 0;
    }
    double *v = calloc(s->n_prompts, sizeof *v);
    if (!v)
        return err_memory(err, "comparisons", s->n_prompts * sizeof *v);
    for (size_t i = 0; i < s->n_prompts; i++) {
        for (size_t j = start[i]; j < start[i + 1]; j++)
            v[i] += x[j];
        v[i] /= (double)(start[i + 1] - start[i]);
    }
    struct stat_share share;
    int rc = stat_share(&share, v, s->n_prompts, s->n, r->confidence, err);
    s->low = share.low;
    s->high = share.high;
    free(v);
    return rc;
}

struct filter { bool by_setting, by_host; uint32_t value; };

static int summarise(struct rep_same *s, const struct comparison *c, size_t n, struct filter f,
                     const struct report *r, struct idem_err *err)
{
    double *x = malloc((n + 1) * sizeof *x);
    size_t *start = malloc((r->n_prompts + 2) * sizeof *start);
    int rc = x && start ? 0 : err_memory(err, "comparisons", n * sizeof *x);
    *s = (struct rep_same){0};
    uint32_t prompt = UINT32_MAX;
    bool all = true;
    for (size_t i = 0; rc == 0 && i < n; i++) {
        if ((f.by_setting && c[i].setting != f.value) || (f.by_host && c[i].host != f.value))
            continue;
        if (c[i].prompt != prompt) {
            s->n_prompts_same += s->n_prompts && all;
            start[s->n_prompts++] = s->n;
            prompt = c[i].prompt;
            all = true;
        }
        bool same = c[i].output && c[i].bits;
        x[s->n++] = same;
        all = all && same;
        s->n_same += same;
        s->n_output += c[i].output;
        s->n_bits_of += c[i].has_bits;
        s->n_bits += c[i].has_bits && c[i].bits;
    }
    if (rc == 0) {
        s->n_prompts_same += s->n_prompts && all;
        start[s->n_prompts] = s->n;
        rc = interval(s, x, start, r, err);
        s->verdict = s->n == 0 ? REP_INCONCLUSIVE : s->n_same == s->n ? REP_IDENTICAL : REP_VARIES;
    }
    free(x);
    free(start);
    return rc;
}

int report_same(struct report *r, struct idem_err *err)
{
    struct comparison *c = NULL;
    size_t n = 0;
    r->same = arena_array(&r->arena, r->n_settings + 1, sizeof *r->same);
    r->same_host = arena_array(&r->arena, r->n_hosts + 1, sizeof *r->same_host);
    if (!r->same || !r->same_host)
        return err_memory(err, "comparisons", r->n_settings * sizeof *r->same);
    int rc = compare_all(r, &c, &n, err);
    for (uint32_t i = 0; rc == 0 && i < r->n_settings; i++)
        rc = summarise(&r->same[i], c, n, (struct filter){true, false, i}, r, err);
    for (uint32_t i = 0; rc == 0 && i < r->n_hosts; i++)
        rc = summarise(&r->same_host[i], c, n, (struct filter){false, true, i}, r, err);
    if (rc == 0)
        rc = summarise(&r->same_all, c, n, (struct filter){0}, r, err);
    free(c);
    return rc;
}

/* ---- controls ----------------------------------------------------------------------------------- */

static uint64_t planned(const struct report *r, enum rec_purpose p, bool only_done)
{
    uint64_t n = 0;
    for (uint64_t i = 0; i < r->n_trials; i++)
        n += r->trials[i].t.purpose == p && (!only_done || r->trials[i].done);
    return n;
}

static struct rep_control *add_control(struct report *r, const char *name, const char *what)
{
    struct rep_control *c = &r->controls[r->n_controls++];
    *c = (struct rep_control){.name = name, .what = what, .detail = ""};
    return c;
}

/* "fact-1, temperature=0.1: trial 5 against trial 2, token 3": the first pair that failed. */
static void say_where(struct report *r, struct rep_control *c, const struct rep_trial *a,
                      const struct rep_trial *b)
{
    if (c->detail[0])
        return;
    struct buf d;
    buf_init(&d, 4096);
    size_t at = report_parts_at(r, a->cls, b->cls);
    buf_addf(&d, "prompt %s, setting %s: trial %llu against trial %llu, ", r->prompts[b->t.prompt].id,
             r->labels[b->t.setting], (unsigned long long)b->t.index,
             (unsigned long long)a->t.index);
    if (at == SIZE_MAX)
        buf_adds(&d, "same tokens but other logits");
    else
        buf_addf(&d, "apart after %zu tokens", at);
    char *copy = d.failed ? NULL : arena_strdup(&r->arena, d.data);
    if (copy)
        c->detail = copy;
    buf_release(&d);
}

static void settle(struct rep_control *c, bool all_done)
{
    if (c->n != c->of)
        c->state = REP_FAILED;
    else if (c->of == 0 || !all_done)
        c->state = REP_PENDING;
    else
        c->state = REP_PASSED;
}

/* All computations of one key must be the same. tokens_only: their numbers may be missing. */
static int control_equal(struct report *r, enum rec_purpose p, const char *name, const char *what,
                         bool tokens_only, struct idem_err *err)
{
    struct rep_groups g;
    uint64_t n = planned(r, p, false);
    if (n == 0)
        return 0;
    if (report_groups(&g, r, 1u << p, REP_BY_KEY, false, err) != 0)
        return -1;
    struct rep_control *c = add_control(r, name, what);
    for (size_t i = 0; i < g.n_groups; i++) {
        const struct rep_trial *first = g.t[g.start[i]];
        for (size_t k = g.start[i] + 1; k < g.start[i + 1]; k++) {
            bool same = same_output(first, g.t[k]) && (tokens_only || same_bits(first, g.t[k]));
            c->of++;
            c->n += same;
            if (!same)
                say_where(r, c, first, g.t[k]);
        }
    }
    report_groups_release(&g);
    settle(c, planned(r, p, true) == n);
    return 0;
}

/* Over seeds at least two different outputs for at least one prompt: the instrument can see. */
static int control_vary(struct report *r, struct idem_err *err)
{
    struct rep_groups g;
    uint64_t n = planned(r, REC_PURPOSE_CONTROL_VARY, false);
    if (n == 0)
        return 0;
    if (report_groups(&g, r, 1u << REC_PURPOSE_CONTROL_VARY, REP_BY_CELL, false, err) != 0)
        return -1;
    struct rep_control *c = add_control(r, "vary", "other seeds must give other outputs somewhere");
    for (size_t i = 0; i < g.n_groups; i++) {
        bool varies = false;
        for (size_t k = g.start[i] + 1; k < g.start[i + 1]; k++)
            varies = varies || g.t[k]->cls != g.t[g.start[i]]->cls;
        c->of += g.start[i + 1] - g.start[i] > 1;
        c->n += varies;
    }
    report_groups_release(&g);
    bool all_done = planned(r, REC_PURPOSE_CONTROL_VARY, true) == n;
    c->state = c->n > 0 ? REP_PASSED : all_done && c->of > 0 ? REP_FAILED : REP_PENDING;
    return 0;
}

/* What the shared prefix tree gave must equal what was computed from nothing, wherever a run has
 * both. Greedy results do not depend on the seed, but are compared seed by seed all the same. */
static int control_shared(struct report *r, struct idem_err *err)
{
    struct rep_groups g;
    unsigned fresh = 1u << REC_PURPOSE_REPEATS | 1u << REC_PURPOSE_HOSTS;
    if (planned(r, REC_PURPOSE_SEEDS, true) == 0)
        return 0;
    if (report_groups(&g, r, fresh | 1u << REC_PURPOSE_SEEDS, REP_BY_KEY, true, err) != 0)
        return -1;
    struct rep_control *c = add_control(
        r, "shared", "the shared prefix tree must give what is computed from nothing");
    for (size_t i = 0; i < g.n_groups; i++) {
        const struct rep_trial *tree = NULL;
        for (size_t k = g.start[i]; k < g.start[i + 1]; k++)
            if (g.t[k]->t.purpose == REC_PURPOSE_SEEDS)
                tree = g.t[k];
        for (size_t k = g.start[i]; tree && k < g.start[i + 1]; k++) {
            if (g.t[k]->t.purpose == REC_PURPOSE_SEEDS)
                continue;
            bool same = same_output(tree, g.t[k]) && same_bits(tree, g.t[k]);
            c->of++;
            c->n += same;
            if (!same)
                say_where(r, c, tree, g.t[k]);
            break;   /* one fresh computation; the others are compared with that one elsewhere */
        }
    }
    report_groups_release(&g);
    if (c->of == 0)
        r->n_controls--;
    settle(c, true);
    return 0;
}

int report_controls(struct report *r, struct idem_err *err)
{
    if (control_equal(r, REC_PURPOSE_CONTROL_IDENTICAL, "identical",
                      "greedy from an empty cache, again and again: must be identical", false,
                      err) != 0 ||
        control_equal(r, REC_PURPOSE_CONTROL_SEED, "seed",
                      "sampled twice with one seed: must be identical", false, err) != 0 ||
        control_equal(r, REC_PURPOSE_CONTROL_CAPTURE, "capture",
                      "with and without log-probabilities: must be the same tokens", true, err) != 0 ||
        control_vary(r, err) != 0 || control_shared(r, err) != 0)
        return -1;
    r->controls_state = REP_PASSED;
    for (size_t i = 0; i < r->n_controls; i++)
        if (r->controls[i].state == REP_FAILED)
            r->controls_state = REP_FAILED;
        else if (r->controls[i].state == REP_PENDING && r->controls_state == REP_PASSED)
            r->controls_state = REP_PENDING;
    if (r->n_controls == 0)
        r->controls_state = REP_PENDING;   /* nothing shows that the instrument works */
    return 0;
}
