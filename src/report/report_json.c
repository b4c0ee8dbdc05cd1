/* SPDX-License-Identifier: MIT
 * The report for programs: the shape of design §10, with more fields beside it. */
#include <math.h>
#include <string.h>

#include "base/json.h"
#include "report/report_impl.h"

static void number(struct json *j, const char *key, double v)
{
    json_key(j, key);
    json_f64(j, v);
}

static void count(struct json *j, const char *key, uint64_t v)
{
    json_key(j, key);
    json_u64(j, v);
}

static void text(struct json *j, const char *key, const char *v)
{
    json_key(j, key);
    json_strz(j, v);
}

static void estimate(struct json *j, const char *key, const struct stat_estimate *e)
{
    json_key(j, key);
    json_begin(j, '{');
    number(j, "value", e->value);
    number(j, "low", e->low);
    number(j, "high", e->high);
    json_end(j);
}

/* A verdict has no interval when a control failed (there is none then) or nothing was compared. */
static void verdict_head(struct json *j, const char *hypothesis, const char *setting,
                         enum rep_verdict v, uint64_t n, uint64_t of, double low, double high)
{
    bool none = v == REP_INVALID || of == 0;
    text(j, "hypothesis", hypothesis);
    text(j, "setting", setting);
    text(j, "verdict", rep_verdict_name(v));
    count(j, "n", n);
    count(j, "of", of);
    number(j, "low", none ? NAN : low);
    number(j, "high", none ? NAN : high);
}

/* Absent where no noise was added. */
static void noise(struct json *j, const struct store_setting *s)
{
    struct arith_noise z = s ? rec_noise(&s->settings, 0) : (struct arith_noise){0};
    char name[ARITH_NOISE_TEXT];
    arith_noise_text(&z, name);
    if (!arith_noise_is_none(&z))
        text(j, "noise", name);
}

/* set: the setting, or NULL for several. */
static void same(struct json *j, const char *hypothesis, const char *setting,
                 const struct store_setting *set, const struct rep_same *s)
{
    json_begin(j, '{');
    text(j, "question", "same seed");
    verdict_head(j, hypothesis, setting, s->verdict, s->n_same, s->n, s->low, s->high);
    noise(j, set);
    number(j, "low_computations", s->verdict == REP_INVALID ? NAN : s->low_computations);
    count(j, "n_output", s->n_output);
    count(j, "n_logits", s->n_bits);
    count(j, "of_logits", s->n_bits_of);
    count(j, "prompts", s->n_prompts);
    count(j, "prompts_identical", s->n_prompts_same);
    json_end(j);
}

static void seeds(struct json *j, const char *hypothesis, const struct store_setting *set,
                  const struct rep_seeds *s)
{
    json_begin(j, '{');
    text(j, "question", "different seeds");
    verdict_head(j, hypothesis, set->name, s->verdict, s->n_pairs_same, s->n_pairs, s->pairs.low,
                 s->pairs.high);
    noise(j, set);
    json_key(j, "greedy");
    json_bool(j, s->greedy);
    count(j, "outputs", s->greedy ? 0 : s->n_outputs);
    count(j, "prompts", s->n_prompts);
    estimate(j, "equal_pairs", &s->pairs);
    estimate(j, "distinct_outputs", &s->distinct);
    estimate(j, "modal_share", &s->modal);
    number(j, "part_after_tokens", s->parts_at);
    number(j, "margin_there", s->margin);
    number(j, "entropy_there", s->entropy);
    number(j, "mean_entropy", s->mean_entropy);
    number(j, "distinct_bigrams", s->distinct_2);
    json_end(j);
}

static void claim(struct json *j, const struct report *r, size_t i)
{
    const struct store_claim *d = &r->claims[i];
    const struct rep_claim *c = &r->claim[i];
    json_begin(j, '{');
    text(j, "claim", d->id);
    text(j, "text", d->text);
    text(j, "factor", d->factor);
    text(j, "measure", d->measure);
    text(j, "verdict", rep_verdict_name(c->verdict));
    count(j, "prompts", c->n_prompts);
    count(j, "prompts_at_ceiling", c->n_ceiling);
    estimate(j, "effect", &c->effect);
    number(j, "p", c->p);
    number(j, "p_adjusted", c->p_adjusted);
    json_key(j, "p_exact");
    json_bool(j, c->test.exact);
    text(j, "correction", r->run->correction);
    json_key(j, "levels");
    json_begin(j, '[');
    for (size_t k = 0; k < d->n_settings; k++) {
        json_begin(j, '{');
        text(j, "level", d->levels[k]);
        text(j, "setting", r->settings[d->settings[k]].name);
        number(j, "measure", c->levels[k].measure);
        number(j, "mean_entropy", c->levels[k].mean_entropy);
        number(j, "distinct_bigrams", c->levels[k].distinct_2);
        number(j, "distinct_outputs", c->levels[k].distinct);
        if (k + 1 < d->n_settings)
            estimate(j, "step_to_next", &c->steps[k]);
        json_end(j);
    }
    json_end(j);
    json_end(j);
}

static void controls(struct json *j, const struct report *r)
{
    json_begin(j, '[');
    for (size_t i = 0; i < r->n_controls; i++) {
        const struct rep_control *c = &r->controls[i];
        json_begin(j, '{');
        text(j, "name", c->name);
        json_key(j, "passed");
        if (c->state == REP_PENDING)
            json_null(j);
        else
            json_bool(j, c->state == REP_PASSED);
        count(j, "n", c->n);
        count(j, "of", c->of);
        text(j, "what", c->what);
        text(j, "detail", c->detail[0] ? c->detail : NULL);
        json_end(j);
    }
    json_end(j);
}

static void differences(struct json *j, const struct report *r)
{
    json_begin(j, '[');
    for (size_t i = 0; i < r->n_differences && i < 1000; i++) {
        const struct rep_difference *d = &r->differences[i];
        const struct rep_trial *a = &r->trials[d->a], *b = &r->trials[d->b];
        size_t at = d->at == SIZE_MAX ? r->classes[a->cls].n_ids : d->at;
        const struct rec_token *t = d->bits_only ? NULL : report_token(r, a, at);
        if (!t && !d->bits_only)
            t = report_token(r, b, at);
        json_begin(j, '{');
        count(j, "trial", d->b);
        count(j, "against", d->a);
        text(j, "prompt", r->prompts[b->t.prompt].id);
        text(j, "setting", r->settings[b->t.setting].name);
        text(j, "host", r->hosts[b->t.host].name);
        json_key(j, "logits_only");
        json_bool(j, d->bits_only);
        json_key(j, "part_after_tokens");
        if (d->bits_only)
            json_null(j);
        else
            json_u64(j, at);
        json_key(j, "margin_there");
        json_f32(j, t ? t->margin : NAN);
        json_key(j, "entropy_there");
        json_f32(j, t ? t->entropy : NAN);
        json_end(j);
    }
    json_end(j);
}

static void run(struct json *j, const struct report *r)
{
    const struct store_run *x = r->run;
    json_begin(j, '{');
    text(j, "title", x->title);
    text(j, "experiment", x->experiment_path);
    text(j, "plan", x->plan_digest);
    text(j, "model", x->model_name);
    text(j, "model_digest", x->model_digest);
    text(j, "numerics", x->numerics);
    text(j, "backend", x->backend);
    text(j, "backend_version", x->backend_version);
    text(j, "sampler", x->sampler);
    text(j, "noise", x->noise);
    text(j, "idem", x->idem_version);
    count(j, "prompts", r->n_bases);
    count(j, "settings", r->n_settings);
    count(j, "hosts", r->n_hosts);
    count(j, "trials", r->n_trials);
    count(j, "done", r->n_done);
    number(j, "confidence", r->confidence);
    number(j, "max_differing", x->max_differing);
    text(j, "rule", x->rule);
    json_end(j);
}

int report_write_json(const struct report *r, struct buf *out, struct idem_err *err)
{
    struct json j = {.out = out, .lines = true};
    const char *h = r->run->hypothesis;
    json_begin(&j, '{');
    text(&j, "digest", r->digest);
    json_key(&j, "complete");
    json_bool(&j, r->complete);
    json_key(&j, "limited");
    json_bool(&j, r->limited);
    text(&j, "hypothesis", h);
    text(&j, "verdict", rep_verdict_name(r->hypothesis));
    text(&j, "sentence", r->sentence);
    json_key(&j, "controls");
    controls(&j, r);
    json_key(&j, "verdicts");
    json_begin(&j, '[');
    same(&j, h, "all", NULL, &r->same_all);
    for (size_t i = 0; i < r->n_settings; i++)
        same(&j, h, r->settings[i].name, &r->settings[i], &r->same[i]);
    json_end(&j);
    json_key(&j, "hosts");
    json_begin(&j, '[');
    for (size_t i = 0; i < r->n_hosts; i++)
        same(&j, h, r->hosts[i].name, NULL, &r->same_host[i]);
    json_end(&j);
    json_key(&j, "seeds");
    json_begin(&j, '[');
    for (size_t i = 0; i < r->n_settings; i++)
        if (r->seeds[i].n_outputs)
            seeds(&j, h, &r->settings[i], &r->seeds[i]);
    json_end(&j);
    json_key(&j, "claims");
    json_begin(&j, '[');
    for (size_t i = 0; i < r->n_claims; i++)
        claim(&j, r, i);
    json_end(&j);
    json_key(&j, "differences");
    differences(&j, r);
    json_key(&j, "run");
    run(&j, r);
    json_end(&j);
    buf_adds(out, "\n");
    return out->failed ? err_memory(err, "the report", out->max) : 0;
}
