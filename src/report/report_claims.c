/* SPDX-License-Identifier: MIT
 * Claims about hyperparameters: the measure at each level, paired by prompt, first level against
 * last. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/report_impl.h"

/* More of it is less deterministic, whichever measure it is. NaN: not complete. */
static double measure(const struct rep_cell *c, const char *name)
{
    if (c->n == 0 || c->n_done != c->n_planned)
        return NAN;
    if (!strcmp(name, "identical_pairs"))
        return 1 - c->pairs_same;
    return strcmp(name, "parted_share") == 0 ? c->parted : (double)c->n_distinct;
}

/* All outputs of a prompt are distinct: their number can go no higher. */
static bool at_ceiling(const struct store_claim *c, const struct rep_cell *cell)
{
    return strcmp(c->measure, "distinct_outputs") == 0 && cell->n > 1 && cell->n_distinct == cell->n;
}

/* v[prompt used * n_levels + level]; prompts that lack an output at some level are left out. */
static size_t collect(const struct report *r, const struct store_claim *c, double *v, size_t *n_ceiling)
{
    size_t n = 0;
    for (uint32_t p = 0; p < r->n_prompts; p++) {
        bool whole = true;
        for (size_t k = 0; k < c->n_settings && whole; k++) {
            double x = measure(&r->cells[p * r->n_settings + c->settings[k]], c->measure);
            v[n * c->n_settings + k] = x;
            whole = !isnan(x);
        }
        const struct rep_cell *row = &r->cells[p * r->n_settings];
        *n_ceiling += whole && at_ceiling(c, &row[c->settings[0]]) &&
                      at_ceiling(c, &row[c->settings[c->n_settings - 1]]);
        n += whole;
    }
    return n;
}

/* No difference of the measure can be greater. */
static double most_difference(const struct report *r, const struct store_claim *c)
{
    uint32_t most = 1;
    if (strcmp(c->measure, "distinct_outputs") != 0)
        return 1;
    for (size_t i = 0; i < r->n_prompts * r->n_settings; i++)
        most = r->cells[i].n > most ? r->cells[i].n : most;
    return (double)most - 1;
}

/* An end that the bootstrap-t cannot give is the end of the range, +-most. Of differences that are
 * all the same it says nothing. */
static int difference(struct stat_estimate *e, struct stat_wilcoxon *w, const struct report *r,
                      const double *v, size_t n, size_t n_levels, size_t a, size_t b, double most,
                      struct idem_err *err)
{
    struct stat_boot boot;
    int rc = -1;
    double *d = malloc((n + 1) * sizeof *d);
    size_t *start = malloc((n + 1) * sizeof *start);
    if (!d || !start) {
        err_memory(err, "differences", n * sizeof *d);
        goto done;
    }
    for (size_t i = 0; i < n; i++)
        d[i] = v[i * n_levels + b] - v[i * n_levels + a];
    for (size_t i = 0; i <= n; i++)
        start[i] = i;
    report_boot(r, &boot);
    boot.ci = STAT_CI_STUDENT;
    rc = stat_boot_mean(e, d, start, n, &boot, err);
    e->low = e->low < -most ? -most : e->low;
    e->high = e->high > most ? most : e->high;
    if (e->low == e->high) {
        struct stat_interval i = stat_all_equal(d[0], n, -most, most, boot.confidence);
        e->low = i.low;
        e->high = i.high;
    }
    if (rc == 0 && w)
        rc = stat_wilcoxon(w, d, n, err);
done:
    free(d);
    free(start);
    return rc;
}

static int one_claim(struct report *r, size_t i, struct idem_err *err)
{
    const struct store_claim *c = &r->claims[i];
    struct rep_claim *o = &r->claim[i];
    size_t m = c->n_settings;
    o->p = o->p_adjusted = NAN;
    o->verdict = REP_UNDECIDED;
    o->levels = arena_array(&r->arena, m, sizeof *o->levels);
    o->steps = arena_array(&r->arena, m, sizeof *o->steps);
    double *v = malloc((r->n_prompts + 1) * m * sizeof *v);
    int rc = 0;
    if (!o->levels || !o->steps || !v) {
        rc = err_memory(err, "a claim", r->n_prompts * m * sizeof *v);
        goto done;
    }
    o->n_prompts = collect(r, c, v, &o->n_ceiling);
    for (size_t k = 0; k < m; k++) {
        double sum = 0;
        for (size_t p = 0; p < o->n_prompts; p++)
            sum += v[p * m + k];
        o->levels[k].measure = o->n_prompts ? sum / (double)o->n_prompts : NAN;
        o->levels[k].mean_entropy = r->seeds[c->settings[k]].mean_entropy;
        o->levels[k].distinct_2 = r->seeds[c->settings[k]].distinct_2;
        o->levels[k].distinct = r->seeds[c->settings[k]].distinct.value;
    }
    if (o->n_prompts == 0)
        goto done;
    double most = most_difference(r, c);
    rc = difference(&o->effect, &o->test, r, v, o->n_prompts, m, 0, m - 1, most, err);
    for (size_t k = 0; rc == 0 && k + 1 < m; k++)
        rc = difference(&o->steps[k], NULL, r, v, o->n_prompts, m, k, k + 1, most, err);
    o->p = o->p_adjusted = o->test.p;
    o->flat = true;
    for (size_t p = 1; p < o->n_prompts; p++)
        o->flat = o->flat && v[p * m + m - 1] - v[p * m] == v[m - 1] - v[0];
done:
    free(v);
    return rc;
}

int report_claims(struct report *r, struct idem_err *err)
{
    r->claim = arena_array(&r->arena, r->n_claims + 1, sizeof *r->claim);
    double *p = malloc((r->n_claims + 1) * sizeof *p);
    int rc = r->claim && p ? 0 : err_memory(err, "claims", r->n_claims * sizeof *r->claim);
    for (size_t i = 0; rc == 0 && i < r->n_claims; i++) {
        rc = one_claim(r, i, err);
        p[i] = r->claim[i].p;
    }
    if (rc == 0 && r->n_claims && strcmp(r->run->correction, "none") != 0)
        rc = stat_holm(p, p, r->n_claims, err);
    for (size_t i = 0; rc == 0 && i < r->n_claims; i++) {
        struct rep_claim *c = &r->claim[i];
        c->p_adjusted = p[i];
        if (r->controls_state == REP_FAILED)
            c->verdict = REP_INVALID;
        else if (p[i] <= 1 - r->confidence)
            c->verdict = c->effect.value > 0 ? REP_SUPPORTED
                       : c->effect.value < 0 ? REP_CONTRADICTED : REP_UNDECIDED;
    }
    free(p);
    return rc;
}
