/* SPDX-License-Identifier: MIT
 * The grid as a list of trials, each with a key, and the digest of the whole. */
#include "plan/intern.h"

#include <stdlib.h>
#include <string.h>

/* The order in which purposes are run: what can make a run worthless comes first. */
static const enum rec_purpose purpose_order[PLAN_N_PURPOSES] = {
    REC_PURPOSE_CONTROL_IDENTICAL, REC_PURPOSE_CONTROL_SEED, REC_PURPOSE_CONTROL_CAPTURE,
    REC_PURPOSE_CONTROL_VARY, REC_PURPOSE_REPEATS, REC_PURPOSE_HOSTS, REC_PURPOSE_SEEDS,
    REC_PURPOSE_PERTURBED,
};

static int trial_key(const struct plan *p, struct rec_trial *t, struct idem_err *err)
{
    const struct plan_setting *s = &p->settings[t->setting];
    const struct rec_host *h = &p->hosts[t->host].state;
    struct digest d = {0};
    if (digest_init(&d))
        return err_memory(err, "a digest", 0);
    digest_str(&d, "idem-trial-1", 12);
    digest_str(&d, p->model_digest, strlen(p->model_digest));
    digest_str(&d, p->numerics, strlen(p->numerics));
    digest_str(&d, p->prompts[t->prompt].digest, DIGEST_HEX - 1);
    digest_str(&d, s->canonical, strlen(s->canonical));
    digest_u64(&d, t->seed);
    digest_u64(&d, t->sample);
    digest_u64(&d, t->n_top);
    digest_u64(&d, t->purpose);
    digest_u64(&d, t->repeat);
    if (!rec_purpose_shares(t->purpose)) {   /* a computation of its own, in this host state */
        digest_u64(&d, h->threads);
        digest_u64(&d, h->batch);
        digest_u64(&d, h->chunk);
        digest_u64(&d, h->cache);
    }
    digest_final(&d, t->key);
    return 0;
}

/* Appends one trial per sample of the setting; with out == NULL only counts. */
static size_t add(const struct plan *p, struct rec_trial *out, size_t n, enum rec_purpose purpose,
                  uint32_t prompt, uint32_t setting, uint32_t host, size_t seed, uint32_t repeat)
{
    uint32_t samples = p->settings[setting].values.num_return_sequences;
    for (uint32_t i = 0; i < samples; i++, n++)
        if (out)
            out[n] = (struct rec_trial){
                .index = n, .purpose = purpose, .prompt = prompt, .setting = setting, .host = host,
                .seed = p->seeds[seed], .sample = i, .repeat = repeat,
                .n_top = purpose == REC_PURPOSE_CONTROL_CAPTURE && repeat == 1 ? 0 : p->n_top,
            };
    return n;
}

/* SEEDS, PERTURBED: all of a prompt together, since its trials share a prefix tree. */
static size_t add_shared(const struct plan *p, struct rec_trial *out, size_t n,
                         enum rec_purpose purpose)
{
    const struct plan_part *part = &p->intern->parts[purpose];
    for (size_t i = 0; i < part->n_prompts; i++)
        for (size_t j = 0; j < part->n_settings; j++)
            for (size_t k = 0; k < part->n_seeds; k++)
                n = add(p, out, n, purpose, part->prompts[i], part->settings[j], 0, k, 0);
    return n;
}

/* The others: prompts innermost, so that what runs side by side in a batch differs in content. */
static size_t add_fresh(const struct plan *p, struct rec_trial *out, size_t n,
                        enum rec_purpose purpose)
{
    const struct plan_part *part = &p->intern->parts[purpose];
    uint32_t host0 = purpose == REC_PURPOSE_HOSTS ? 1 : 0;
    uint32_t host1 = purpose == REC_PURPOSE_HOSTS ? (uint32_t)p->n_hosts : 1;
    for (uint32_t h = host0; h < host1; h++)
        for (uint32_t r = 0; r < part->count; r++)
            for (size_t j = 0; j < part->n_settings; j++)
                for (size_t k = 0; k < part->n_seeds; k++)
                    for (size_t i = 0; i < part->n_prompts; i++)
                        n = add(p, out, n, purpose, part->prompts[i], part->settings[j], h, k, r);
    return n;
}

static size_t add_all(const struct plan *p, struct rec_trial *out)
{
    size_t n = 0;
    for (size_t i = 0; i < PLAN_N_PURPOSES; i++)
        n = rec_purpose_shares(purpose_order[i]) ? add_shared(p, out, n, purpose_order[i])
                                                 : add_fresh(p, out, n, purpose_order[i]);
    return n;
}

/* An upper bound of the number of trials, without building them and without overflow. */
static double count_trials(const struct plan *p)
{
    double n = 0;
    for (size_t i = 0; i < PLAN_N_PURPOSES; i++) {
        const struct plan_part *part = &p->intern->parts[i];
        double samples = 0;
        for (size_t j = 0; j < part->n_settings; j++)
            samples += p->settings[part->settings[j]].values.num_return_sequences;
        double hosts = i == REC_PURPOSE_HOSTS ? (double)(p->n_hosts - 1) : 1;
        n += samples * (double)part->n_prompts * (double)part->n_seeds * part->count * hosts;
    }
    return n;
}

static int plan_digest(struct plan *p, struct idem_err *err)
{
    struct digest d = {0};
    p->digest[0] = '\0';
    char *json = plan_json(p);
    if (!json || digest_init(&d)) {
        free(json);
        return err_memory(err, "the digest of the plan", 0);
    }
    digest_str(&d, "idem-plan-1", 11);
    digest_str(&d, json, strlen(json));
    for (size_t i = 0; i < p->n_trials; i++)
        digest_update(&d, p->trials[i].key, DIGEST_HEX - 1);
    digest_final(&d, p->digest);
    free(json);
    return 0;
}

int plan_expand(struct plan *p, const char *model_digest, const char *numerics,
                struct idem_err *err)
{
    if (strlen(model_digest) != DIGEST_HEX - 1 || strlen(numerics) >= sizeof p->numerics)
        return err_set(err, IDEM_ERR_USAGE, "%s: a model digest of %zu characters or numerics "
                       "'%.80s'; needed: 64 hexadecimal digits and at most %zu characters", p->path,
                       strlen(model_digest), numerics, sizeof p->numerics - 1);
    double bound = count_trials(p);
    if (bound > PLAN_MAX_TRIALS)
        return err_set(err, IDEM_ERR_LIMIT, "%s: the grid has %.0f trials; at most %d are allowed. "
                       "Take fewer prompts, settings, seeds or repeats", p->path, bound,
                       PLAN_MAX_TRIALS);
    memcpy(p->model_digest, model_digest, DIGEST_HEX);
    memcpy(p->numerics, numerics, strlen(numerics) + 1);
    p->n_trials = add_all(p, NULL);
    p->trials = arena_array(&p->arena, p->n_trials + 1, sizeof *p->trials);
    if (!p->trials)
        return err_memory(err, "the list of trials", p->n_trials * sizeof *p->trials);
    add_all(p, p->trials);
    memset(p->n_by_purpose, 0, sizeof p->n_by_purpose);
    for (size_t i = 0; i < p->n_trials; i++) {
        p->n_by_purpose[p->trials[i].purpose]++;
        if (trial_key(p, &p->trials[i], err))
            return -1;
    }
    return plan_digest(p, err);
}

/* ---- the plan as JSON ------------------------------------------------------------------------ */

/* What of a prompt is told only where there is something to tell. */
static void json_prompt_more(struct json *j, const struct plan_prompt *q)
{
    if (q->n_attributes) {
        json_key(j, "attributes"), json_begin(j, '{');
        for (size_t k = 0; k < q->n_attributes; k++)
            json_key(j, q->attributes[k].name), json_strz(j, q->attributes[k].value);
        json_end(j);
    }
    if (q->body_from > 0 || q->body_to < strlen(q->text)) {
        json_key(j, "body"), json_begin(j, '[');
        json_u64(j, q->body_from), json_u64(j, q->body_to);
        json_end(j);
    }
    if (q->perturbation != PLAN_UNPERTURBED) {
        json_key(j, "base"), json_u64(j, q->base);
        json_key(j, "perturbation"), json_u64(j, q->perturbation);
    }
}

static void json_perturbations(struct json *j, const struct plan *p)
{
    json_key(j, "perturbations"), json_begin(j, '[');
    for (size_t i = 0; i < p->n_perturbations; i++) {
        json_begin(j, '{');
        json_key(j, "name"), json_strz(j, p->perturbations[i].name);
        json_key(j, "seed");
        if (p->perturbations[i].random)
            json_u64(j, p->perturbations[i].seed);
        else
            json_null(j);
        json_end(j);
    }
    json_end(j);
}

static void json_answer(struct json *j, const struct plan_answer *a)
{
    json_key(j, "answer"), json_begin(j, '{');
    json_key(j, "parse"), json_strz(j, answer_parse_name(a->rule.parse));
    json_key(j, "arg"), json_strz(j, a->rule.arg);
    json_key(j, "normalize"), json_strz(j, answer_normal_name(a->rule.normal));
    json_key(j, "match"), json_strz(j, answer_match_name(a->rule.match));
    json_key(j, "correct"), json_strz(j, a->correct);
    json_end(j);
}

static void json_prompts(struct json *j, const struct plan *p)
{
    json_begin(j, '[');
    for (size_t i = 0; i < p->n_prompts; i++) {
        const struct plan_prompt *q = &p->prompts[i];
        json_begin(j, '{');
        json_key(j, "id"), json_strz(j, q->id);
        json_key(j, "kind"), json_strz(j, q->kind);
        json_key(j, "text"), json_strz(j, q->text);
        json_key(j, "system"), json_strz(j, q->system);
        json_key(j, "chat"), json_bool(j, q->chat);
        if (q->chat_template)
            json_key(j, "chat_template"), json_strz(j, q->chat_template);
        if (q->n_chat_vars) {
            json_key(j, "chat_vars"), json_begin(j, '{');
            for (size_t k = 0; k < q->n_chat_vars; k++)
                json_key(j, q->chat_vars[k].name), json_strz(j, q->chat_vars[k].value);
            json_end(j);
        }
        json_prompt_more(j, q);
        json_end(j);
    }
    json_end(j);
}

static void json_settings(struct json *j, const struct plan *p)
{
    json_begin(j, '[');
    for (size_t i = 0; i < p->n_settings; i++) {
        const struct plan_setting *s = &p->settings[i];
        json_begin(j, '{');
        json_key(j, "id"), json_strz(j, s->id);
        json_key(j, "factor"), json_strz(j, s->factor);
        json_key(j, "level"), json_strz(j, s->level);
        json_key(j, "values"), plan_settings_json(j, &s->values);
        json_end(j);
    }
    json_end(j);
}

static void json_hosts(struct json *j, const struct plan *p)
{
    json_begin(j, '[');
    for (size_t i = 0; i < p->n_hosts; i++) {
        const struct rec_host *h = &p->hosts[i].state;
        json_begin(j, '{');
        json_key(j, "id"), json_strz(j, p->hosts[i].id);
        json_key(j, "threads"), json_u64(j, h->threads);
        json_key(j, "batch"), json_u64(j, h->batch);
        json_key(j, "chunk"), json_u64(j, h->chunk);
        json_key(j, "cache"), json_strz(j, rec_cache_name(h->cache));
        json_end(j);
    }
    json_end(j);
}

static void json_claims(struct json *j, const struct plan *p)
{
    json_begin(j, '[');
    for (size_t i = 0; i < p->n_claims; i++) {
        const struct plan_claim *c = &p->claims[i];
        json_begin(j, '{');
        json_key(j, "id"), json_strz(j, c->id);
        json_key(j, "text"), json_strz(j, c->text);
        json_key(j, "factor"), json_strz(j, c->factor);
        json_key(j, "settings"), json_begin(j, '[');
        for (size_t k = 0; k < c->n_settings; k++)
            json_u64(j, c->settings[k]);
        json_end(j);
        json_key(j, "levels"), json_begin(j, '[');
        for (size_t k = 0; k < c->n_settings; k++)
            json_strz(j, c->levels[k]);
        json_end(j);
        json_end(j);
    }
    json_end(j);
}

char *plan_json(const struct plan *p)
{
    struct buf b;
    buf_init(&b, (size_t)1 << 31);
    struct json j = {.out = &b};
    json_begin(&j, '{');
    json_key(&j, "name"), json_strz(&j, p->name);
    json_key(&j, "hypothesis"), json_strz(&j, p->hypothesis);
    json_key(&j, "title"), json_strz(&j, p->title);
    json_key(&j, "question"), json_strz(&j, p->question);
    json_key(&j, "model"), json_strz(&j, p->model);
    json_key(&j, "model_digest"), json_strz(&j, p->model_digest);
    json_key(&j, "numerics"), json_strz(&j, p->numerics);
    json_key(&j, "digest"), json_strz(&j, p->digest);
    json_key(&j, "n_prompts_declared"), json_u64(&j, p->n_prompts_declared);
    json_key(&j, "n_trials"), json_u64(&j, p->n_trials);
    json_key(&j, "n_top"), json_u64(&j, p->n_top);
    json_key(&j, "n_repeats"), json_u64(&j, p->n_repeats);
    json_key(&j, "seeds"), json_begin(&j, '[');
    for (size_t i = 0; i < p->n_seeds; i++)
        json_u64(&j, p->seeds[i]);
    json_end(&j);
    if (p->n_perturbations)
        json_perturbations(&j, p);
    json_key(&j, "prompts"), json_prompts(&j, p);
    json_key(&j, "settings"), json_settings(&j, p);
    if (p->answer.given)
        json_answer(&j, &p->answer);
    json_key(&j, "hosts"), json_hosts(&j, p);
    json_key(&j, "claims"), json_claims(&j, p);
    json_key(&j, "decision"), json_begin(&j, '{');
    json_key(&j, "confidence"), json_f64(&j, p->decision.confidence);
    json_key(&j, "max_differing"), json_f64(&j, p->decision.max_differing);
    json_key(&j, "correction");
    json_strz(&j, p->decision.correction == PLAN_CORRECTION_HOLM ? "holm" : "none");
    json_key(&j, "measure"), json_strz(&j, p->decision.measure);
    json_key(&j, "text"), json_strz(&j, p->decision.text);
    json_end(&j);
    json_end(&j);
    return buf_detach(&b);
}
