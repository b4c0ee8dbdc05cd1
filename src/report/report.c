/* SPDX-License-Identifier: MIT
 * A report from end to end: load, compare, test, decide. */
#include "report/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report/report_impl.h"

bool report_format_parse(const char *name, enum report_format *f)
{
    static const char *const names[] = {"text", "md", "json", "html"};
    for (int i = 0; i < 4; i++)
        if (strcmp(name, names[i]) == 0) {
            *f = (enum report_format)i;
            return true;
        }
    return false;
}

static void invalidate(struct report *r)
{
    for (size_t i = 0; i < r->n_settings; i++)
        r->same[i].verdict = r->seeds[i].verdict = REP_INVALID;
    for (size_t i = 0; i < r->n_hosts; i++)
        r->same_host[i].verdict = REP_INVALID;
    r->same_all.verdict = REP_INVALID;
}

/* The rule of the experiment, design §8: none differed, and the upper bound of the differing share
 * (computations taken as independent) is at most max_differing. */
static void decide(struct report *r)
{
    const struct rep_same *s = &r->same_all;
    char n[REP_NUM], of[REP_NUM], low[REP_NUM], bound[REP_NUM], rule[REP_NUM], level[REP_NUM];
    char high[REP_NUM], clusters[REP_NUM];
    rep_count(n, s->n_same);
    rep_count(of, s->n);
    rep_level(level, r->confidence);
    rep_pct(low, s->low);
    rep_pct(high, s->high);
    rep_pct(clusters, 1 - s->low);
    rep_pct(bound, 1 - s->low_computations);
    rep_level(rule, r->run->max_differing);
    if (r->controls_state == REP_FAILED) {
        r->hypothesis = REP_INVALID;
        r->outcome = REPORT_INVALID;
        snprintf(r->sentence, sizeof r->sentence, "No verdict: a control failed, so this run cannot "
                 "show whether output is the same.");
        return;
    }
    if (s->n_same < s->n) {
        r->hypothesis = REP_CONTRADICTED;
        r->outcome = REPORT_VARIED;
        snprintf(r->sentence, sizeof r->sentence, "Same input, same seed: identical in %s of %s "
                 "computations, %s to %s with %s confidence (%zu of %zu prompts without a "
                 "difference).", n, of, low, high, level, s->n_prompts_same, s->n_prompts);
        return;
    }
    bool enough = s->n > 0 && 1 - s->low_computations <= r->run->max_differing;
    bool sure = r->complete && r->controls_state == REP_PASSED;
    r->hypothesis = enough && sure ? REP_SUPPORTED : REP_UNDECIDED;
    r->outcome = sure && s->n > 0 ? REPORT_SAME : REPORT_INCONCLUSIVE;
    if (s->n == 0) {
        snprintf(r->sentence, sizeof r->sentence, "Inconclusive: no key was computed twice yet.");
        return;
    }
    snprintf(r->sentence, sizeof r->sentence, "Same input, same seed: identical in %s of %s "
             "computations over %zu prompt%s%s.", n, of, s->n_prompts, s->n_prompts == 1 ? "" : "s",
             !r->complete ? " so far" : "");
    snprintf(r->shown_rule, sizeof r->shown_rule, "None differed; with %s confidence at most %s of "
             "such computations differ if they are independent of each other (the rule asks for at "
             "most %s), at most %s if each prompt counts once.", level, bound, rule, clusters);
}

struct report *report_open(struct store *s, struct idem_err *err)
{
    struct report *r = calloc(1, sizeof *r);
    if (!r) {
        err_memory(err, "a report", sizeof *r);
        return NULL;
    }
    arena_init(&r->arena, REPORT_ARENA_MAX);
    r->s = s;
    r->run = store_run(s);
    r->prompts = store_prompts(s, &r->n_prompts);
    for (size_t i = 0; i < r->n_prompts; i++)
        r->n_bases += r->prompts[i].perturbed == 0;
    r->settings = store_settings(s, &r->n_settings);
    r->hosts = store_hosts(s, &r->n_hosts);
    r->claims = store_claims(s, &r->n_claims);
    r->limited = r->run->limit_prompts > 0;
    double c = r->run->confidence;
    r->confidence = c > 0 && c < 1 ? c : 0.95;
    r->cells = arena_array(&r->arena, r->n_prompts * r->n_settings + 1, sizeof *r->cells);
    if (!r->cells) {
        err_memory(err, "prompts and settings", r->n_prompts * r->n_settings * sizeof *r->cells);
        goto fail;
    }
    for (size_t i = 0; i < r->n_prompts * r->n_settings; i++) {
        r->cells[i].first_part = SIZE_MAX;
        r->cells[i].pairs_same = NAN;
    }
    if (report_load(r, err) != 0 || report_same(r, err) != 0 || report_controls(r, err) != 0 ||
        report_seeds(r, err) != 0 || report_claims(r, err) != 0)
        goto fail;
    decide(r);
    if (r->controls_state == REP_FAILED)
        invalidate(r);
    return r;
fail:
    err_prefix(err, "report of '%s'", store_path(s));
    report_close(r);
    return NULL;
}

void report_close(struct report *r)
{
    if (!r)
        return;
    free(r->classes);
    free(r->variants);
    free(r->differences);
    arena_release(&r->arena);
    free(r);
}

enum report_outcome report_outcome(const struct report *r)
{
    return r->outcome;
}

const char *report_sentence(const struct report *r)
{
    return r->sentence;
}

int report_write(const struct report *r, enum report_format f, struct buf *out,
                 struct idem_err *err)
{
    int rc = f == REPORT_JSON ? report_write_json(r, out, err)
           : f == REPORT_HTML ? report_write_html(r, out, err)
                              : report_write_text(r, out, f == REPORT_MD, err);
    if (rc == 0 && out->failed)
        rc = err_set(err, IDEM_ERR_LIMIT, "the report needs more than the %zu MiB allowed",
                     out->max >> 20);
    return rc;
}
