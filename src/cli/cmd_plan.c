/* SPDX-License-Identifier: MIT
 * idem plan: what an experiment will compute, what that costs, and what it can show. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "cli/cli.h"
#include "cli/experiment.h"
#include "run/run.h"

enum { OUT_MAX = 1 << 28 };

/* Tokens of each prompt as the run gives them to the model; the caller frees. */
static uint32_t *prompt_tokens(const struct experiment *e, struct idem_err *err)
{
    const struct plan *p = e->plan;
    uint32_t *n_tokens = calloc(p->n_prompts + 1, sizeof *n_tokens);
    if (!n_tokens)
        err_memory(err, "prompts", p->n_prompts * sizeof *n_tokens);
    for (size_t i = 0; n_tokens && i < p->n_prompts; i++) {
        int32_t *ids = NULL;
        size_t n = 0;
        if (run_prompt_ids(e->backend, &p->prompts[i], &ids, &n, err) != 0) {
            free(n_tokens);
            return NULL;
        }
        n_tokens[i] = (uint32_t)n;
        free(ids);
    }
    return n_tokens;
}

/* The time of decoding alone, or the whole if the clock cannot tell them apart. */
static double beyond(double whole, double prefill)
{
    return whole - prefill > whole / 8 ? whole - prefill : whole;
}

/* Tokens per second of this model on this machine, measured for a moment: the time of one
 * generation of a few tokens behind a prompt, alone and eight at once. */
static int measure(const struct experiment *e, struct plan_rates *rates, struct idem_err *err)
{
    enum { PROMPT = 64, NEW = 8, MANY = 8 };
    int32_t *ids = NULL;
    size_t n = 0;
    if (run_prompt_ids(e->backend, &e->plan->prompts[0], &ids, &n, err) != 0)
        return -1;
    int32_t prompt[PROMPT];
    for (size_t i = 0; i < PROMPT; i++)
        prompt[i] = ids[i % n];
    free(ids);
    struct run_request r = {.prompt = prompt, .n_prompt = PROMPT, .host = e->plan->hosts[0].state};
    r.host.batch = 1;
    r.host.cache = REC_CACHE_COLD;
    double seconds[4];
    const uint32_t n_new[4] = {1, 1, 1 + NEW, 1 + NEW}, n_seq[4] = {1, 1, 1, MANY};
    for (size_t i = 0; i < 4; i++) {   /* the first one warms up */
        struct rec_output out[MANY];
        rec_settings_default(&r.settings, REC_SAMPLER_HF);
        r.settings.do_sample = true;   /* several greedy outputs would be one */
        r.settings.max_new_tokens = n_new[i];
        r.settings.num_return_sequences = n_seq[i];
        double start = cli_now();
        if (run_generate(e->backend, &r, NULL, NULL, NULL, out, err) != 0)
            return -1;
        seconds[i] = cli_now() - start;
        for (uint32_t s = 0; s < n_seq[i]; s++)
            rec_output_release(&out[s]);
    }
    rates->prefill = PROMPT / seconds[1];
    rates->decode_1 = NEW / beyond(seconds[2], seconds[1]);
    rates->decode_8 = NEW * MANY / beyond(seconds[3], seconds[1]);
    return 0;
}

static uint32_t n_vocab_of(const struct experiment *e)
{
    uint32_t n_vocab, n_ctx;
    e->backend->ops->sizes(e->backend, &n_vocab, &n_ctx);
    return n_vocab;
}

/* Why the seeds change nothing in a setting with noise; NULL: they do, or there is none. */
static const char *seed_idle(const struct plan_setting *s)
{
    bool idle = s->values.noise && !rec_settings_seeded(&s->values);
    return idle ? "nothing is drawn, and of the noise only shuffle has a seed" : NULL;
}

/* What a setting is, and what of it changes nothing. */
static void print_setting(struct buf *out, const struct plan_setting *s, uint32_t n_vocab)
{
    struct plan_idle idle[PLAN_IDLE_MAX];
    size_t n = plan_settings_idle(&s->values, s->named, n_vocab, idle);
    buf_addf(out, "  %-26s ", s->id);
    plan_settings_words(out, &s->values);
    for (size_t i = 0; i < s->values.n_stop; i++) {
        buf_adds(out, ", stop ");
        cli_quote(out, s->values.stop[i], strlen(s->values.stop[i]));
    }
    buf_adds(out, "\n");
    for (size_t i = 0; i < n; i++) {   /* those of one reason on one line */
        bool told = false;
        for (size_t k = 0; k < i; k++)
            told |= strcmp(idle[k].why, idle[i].why) == 0;
        if (told)
            continue;
        buf_addf(out, "  %-26s   without effect: %s", "", idle[i].name);
        for (size_t k = i + 1; k < n; k++)
            if (strcmp(idle[k].why, idle[i].why) == 0)
                buf_addf(out, ", %s", idle[k].name);
        buf_addf(out, " (%s)\n", idle[i].why);
    }
    if (seed_idle(s))
        buf_addf(out, "  %-26s   without effect: seed (%s)\n", "", seed_idle(s));
}

static void json_idle_one(struct json *j, const struct plan_setting *s, const char *name, const char *why)
{
    json_begin(j, '{');
    json_key(j, "setting");
    json_strz(j, s->id);
    json_key(j, "hyperparameter");
    json_strz(j, name);
    json_key(j, "why");
    json_strz(j, why);
    json_end(j);
}

static void json_idle(struct json *j, const struct plan *p, uint32_t n_vocab)
{
    struct plan_idle idle[PLAN_IDLE_MAX];
    json_key(j, "without_effect");
    json_begin(j, '[');
    for (size_t i = 0; i < p->n_settings; i++) {
        size_t n = plan_settings_idle(&p->settings[i].values, p->settings[i].named, n_vocab, idle);
        for (size_t k = 0; k < n; k++)
            json_idle_one(j, &p->settings[i], idle[k].name, idle[k].why);
        if (seed_idle(&p->settings[i]))
            json_idle_one(j, &p->settings[i], "seed", seed_idle(&p->settings[i]));
    }
    json_end(j);
}

/* ---- perturbations ------------------------------------------------------------------------------ */

/* What a perturbation does to the first prompt that it applies to, or to each. */
static void print_diffs(struct buf *out, const struct plan *p, uint32_t perturbation, bool all)
{
    for (size_t i = p->n_bases; i < p->n_prompts; i++)
        if (p->prompts[i].perturbation == perturbation) {
            buf_addf(out, "  %-26s %s\n", all ? p->prompts[p->prompts[i].base].id : "", p->prompts[i].diff);
            if (!all)
                return;
        }
}

/* The reasons why a perturbation does not apply, each with its number of prompts, or each prompt. */
static void print_skips(struct buf *out, const struct plan *p, uint32_t perturbation, bool all)
{
    for (size_t i = 0; i < p->n_skips; i++) {
        const struct plan_skip *k = &p->skips[i];
        size_t n = 0, earlier = 0;
        if (k->perturbation != perturbation)
            continue;
        for (size_t j = 0; !all && j < p->n_skips; j++)
            if (p->skips[j].perturbation == perturbation && p->skips[j].why == k->why) {
                n++;
                earlier += j < i;
            }
        if (all)
            buf_addf(out, "  %-26s does not apply: %s\n", p->prompts[k->prompt].id, k->why);
        else if (!earlier)
            buf_addf(out, "  %-26s does not apply to %zu: %s\n", "", n, k->why);
    }
}

static void print_perturbations(struct buf *out, const struct plan *p, bool all)
{
    if (p->n_perturbations == 0)
        return;
    buf_addf(out, "\nperturbations of %zu prompt%s (identity is the control)\n", p->n_bases, p->n_bases == 1 ? "" : "s");
    for (uint32_t i = 0; i < p->n_perturbations; i++) {
        buf_addf(out, "  %-26s applies to %zu\n", p->perturbations[i].id, p->perturbations[i].n_applies);
        if (i > 0)
            print_diffs(out, p, i, all);
        print_skips(out, p, i, all);
    }
    if (p->n_same)
        buf_addf(out, "  of %zu perturbed prompts, %zu have the text of another perturbation of their prompt\n",
                 p->n_prompts - p->n_bases, p->n_same);
}

static void json_perturbations(struct json *j, const struct plan *p)
{
    json_key(j, "perturbations");
    json_begin(j, '[');
    for (uint32_t i = 0; i < p->n_perturbations; i++) {
        json_begin(j, '{');
        json_key(j, "id"), json_strz(j, p->perturbations[i].id);
        json_key(j, "applies"), json_u64(j, p->perturbations[i].n_applies);
        json_key(j, "diffs"), json_begin(j, '[');
        for (size_t k = p->n_bases; k < p->n_prompts; k++) {
            const struct plan_prompt *q = &p->prompts[k];
            if (q->perturbation != i)
                continue;
            json_begin(j, '{');
            json_key(j, "prompt"), json_strz(j, p->prompts[q->base].id);
            json_key(j, "diff"), json_strz(j, q->diff);
            json_end(j);
        }
        json_end(j);
        json_key(j, "skipped"), json_begin(j, '[');
        for (size_t k = 0; k < p->n_skips; k++) {
            if (p->skips[k].perturbation != i)
                continue;
            json_begin(j, '{');
            json_key(j, "prompt"), json_strz(j, p->prompts[p->skips[k].prompt].id);
            json_key(j, "why"), json_strz(j, p->skips[k].why);
            json_end(j);
        }
        json_end(j);
        json_end(j);
    }
    json_end(j);
}

/* ---- all of it ------------------------------------------------------------------------------------ */

static void print_memory(struct buf *out, const struct experiment *e, const struct plan_estimate *x)
{
    const struct backend_description *d = &e->model;
    char weights[32], cache[32], token[32], limit[32];
    if (d->weight_bytes == 0)
        return;
    cli_bytes(weights, d->weight_bytes);
    cli_bytes(cache, x->cache_tokens * d->kv_bytes_per_token);
    cli_bytes(token, d->kv_bytes_per_token);
    cli_bytes(limit, d->memory_limit);
    buf_addf(out, "memory     weights %s, KV cache at most %s (%" PRIu64 " tokens of %s); this machine has %s\n",
             weights, cache, x->cache_tokens, token, limit);
}

static void print_text(struct buf *out, const struct experiment *e, const struct plan_estimate *x,
                       const struct plan_rates *rates, bool diffs)
{
    const struct plan *p = e->plan;
    char time[32], disk[32];
    cli_duration(time, x->seconds);
    cli_bytes(disk, x->disk_bytes);
    buf_addf(out, "%s: %s\n\n", p->name, p->title);
    if (p->n_bases < p->n_prompts_declared)
        buf_addf(out, "quick look: %zu of %zu prompts\n", p->n_bases, p->n_prompts_declared);
    buf_addf(out, "model      %s\nsha256     %s\nnumerics   %s\nplan       %s\n\n", e->model_path.data,
             p->model_digest, p->numerics, p->digest);
    buf_addf(out, "%zu prompts, %zu settings, %zu host states, %zu seeds, %zu claims\n\nsettings\n",
             p->n_bases, p->n_settings, p->n_hosts, p->n_seeds, p->n_claims);
    for (size_t i = 0; i < p->n_settings; i++)
        print_setting(out, &p->settings[i], n_vocab_of(e));
    buf_adds(out, "\nhost states\n");
    for (size_t i = 0; i < p->n_hosts; i++)
        buf_addf(out, "  %s\n", p->hosts[i].id);
    print_perturbations(out, p, diffs);
    buf_adds(out, "\ntrials\n");
    for (size_t i = 0; i < PLAN_N_PURPOSES; i++)
        if (p->n_by_purpose[i])
            buf_addf(out, "  %-20s %8zu\n", rec_purpose_name((enum rec_purpose)i), p->n_by_purpose[i]);
    buf_addf(out, "  %-20s %8" PRIu64 "\n\n", "all", x->n_trials);
    buf_addf(out, "tokens     at most %" PRIu64 " of prompts and %" PRIu64 " new ones; computed anew by purpose: %"
             PRIu64 " and %" PRIu64 "\n", x->prefill_tokens, x->decode_tokens, x->fresh_prefill_tokens,
             x->fresh_decode_tokens);
    buf_addf(out, "time       at most %s here (measured: prefill %.0f, decode %.0f tok/s, %.0f for eight)\n",
             time, rates->prefill, rates->decode_1, rates->decode_8);
    print_memory(out, e, x);
    buf_addf(out, "disk       about %s\n", disk);
    buf_addf(out, "can show   with %" PRIu64 " recomputations and no difference among them: at most %.3g %% of "
             "computations differ (confidence %g)\n", x->n_computations, 100 * x->detectable,
             p->decision.confidence);
    if (p->decision.text)
        buf_addf(out, "rule       %s\n", p->decision.text);
}

static void print_json(struct buf *out, const struct experiment *e, const struct plan_estimate *x,
                       const struct plan_rates *rates, const char *plan)
{
    struct json j = {.out = out};
    const struct plan *p = e->plan;
    json_begin(&j, '{');
    json_key(&j, "digest");
    json_strz(&j, p->digest);
    json_key(&j, "trials");
    json_u64(&j, x->n_trials);
    json_key(&j, "trials_by_purpose");
    json_begin(&j, '{');
    for (size_t i = 0; i < PLAN_N_PURPOSES; i++) {
        json_key(&j, rec_purpose_name((enum rec_purpose)i));
        json_u64(&j, p->n_by_purpose[i]);
    }
    json_end(&j);
    static const char *const names[] = {
        "prefill_tokens", "decode_tokens", "fresh_prefill_tokens", "fresh_decode_tokens", "disk_bytes",
        "n_computations", "weight_bytes", "kv_cache_bytes", "memory_limit_bytes",
    };
    const uint64_t values[] = {
        x->prefill_tokens, x->decode_tokens, x->fresh_prefill_tokens, x->fresh_decode_tokens, x->disk_bytes,
        x->n_computations, e->model.weight_bytes, x->cache_tokens * e->model.kv_bytes_per_token,
        e->model.memory_limit,
    };
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        json_key(&j, names[i]);
        json_u64(&j, values[i]);
    }
    json_key(&j, "seconds");
    json_f64(&j, x->seconds);
    json_key(&j, "detectable");
    json_f64(&j, x->detectable);
    json_key(&j, "rates");
    json_begin(&j, '{');
    json_key(&j, "prefill");
    json_f64(&j, rates->prefill);
    json_key(&j, "decode_1");
    json_f64(&j, rates->decode_1);
    json_key(&j, "decode_8");
    json_f64(&j, rates->decode_8);
    json_end(&j);
    json_idle(&j, p, n_vocab_of(e));
    if (p->n_perturbations)
        json_perturbations(&j, p);
    json_key(&j, "plan");   /* plan_json: a JSON object already */
    json_raw(&j, plan);
    json_end(&j);
}

static int plan(const struct cli_args *a)
{
    struct idem_err err = {0};
    struct experiment e;
    struct plan_estimate x;
    struct plan_rates rates;
    struct buf out;
    char *json = NULL;
    buf_init(&out, OUT_MAX);
    int rc = experiment_open(&e, a, a->operands.items[0], &err);
    uint32_t *n_tokens = rc == 0 ? prompt_tokens(&e, &err) : NULL;
    rc = n_tokens ? measure(&e, &rates, &err) : -1;
    if (rc == 0) {
        plan_estimate(e.plan, n_tokens, &rates, &x);
        json = plan_json(e.plan);
        if (!json)
            rc = err_memory(&err, "the plan", 0);
        else if (a->json)
            print_json(&out, &e, &x, &rates, json);
        else
            print_text(&out, &e, &x, &rates, a->diffs);
    }
    rc = rc == 0 ? cli_write_buf(a, &out) : cli_fail(a, &err);
    free(json);
    free(n_tokens);
    buf_release(&out);
    experiment_release(&e);
    return rc;
}

static const struct cli_option options[] = {
    {.name = "diffs", .type = CLI_FLAG, .offset = offsetof(struct cli_args, diffs),
     .help = "what each perturbation does to every prompt, not to the first one only"},
    {0},
};
static const struct cli_group *const groups[] = {&experiment_options, &cli_group_model,
                                                &cli_group_output, NULL};

const struct cli_command cli_plan = {
    .name = "plan", .operands = "FILE", .min_operands = 1, .max_operands = 1,
    .summary = "what an experiment will compute, what that costs, and what it can show",
    .description =
        "Reads the experiment FILE (YAML; docs/experiment.md explains it), opens its model, and prints "
        "the expanded grid: prompts, settings, host states and trials, the tokens that will be computed "
        "at most, an estimate of time, memory and disk from a short measurement on this machine, and the "
        "smallest share of differing computations that would be seen. A hyperparameter that the file "
        "sets and that changes nothing (top_k of a greedy setting) is named with the reason. What each "
        "perturbation does is shown with what is taken out in [-...-] and put in in {+...+}. Nothing is "
        "written.",
    .examples = "idem plan experiments/h1-same-input.yaml\nidem plan experiments/h1-same-input.yaml "
                "--model model.gguf --limit 3",
    .options = options, .groups = groups, .exec = plan,
};
