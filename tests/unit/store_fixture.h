/* SPDX-License-Identifier: MIT
 * A small made-up plan and outputs that are a function of the trial, for tests of the store. */
#ifndef STORE_FIXTURE_H
#define STORE_FIXTURE_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/digest.h"
#include "store/store.h"

enum { FIX_PROMPTS = 3, FIX_SETTINGS = 2, FIX_HOSTS = 2, FIX_SEEDS = 3, FIX_TOKENS = 6, FIX_TOP = 3,
       FIX_TRIALS = FIX_PROMPTS * FIX_SETTINGS * FIX_HOSTS * FIX_SEEDS };

struct fix {
    struct store_prompt prompts[FIX_PROMPTS];
    struct store_setting settings[FIX_SETTINGS];
    struct store_host hosts[FIX_HOSTS];
    struct store_claim claim;
    struct store_perturbation perturbations[2];
    struct store_skip skip;
    struct store_answer answer;
    struct rec_trial trials[FIX_TRIALS];
    struct store_plan plan;
};

static inline void fix_plan(struct fix *f)
{
    static const char *const stop[] = {"\n\n", "\"end\", [x]"};
    static const uint32_t order[] = {0, 1};
    static const char *const levels[] = {"false", "true"};
    static const struct rec_attribute attributes[] = {{"s_pop", "72"}, {"obj", "[\"a: b\", \"c\"]"}};
    *f = (struct fix){0};
    f->prompts[0] = (struct store_prompt){.id = "fact-1", .kind = "fact", .text = "The capital of France is"};
    f->prompts[1] = (struct store_prompt){.id = "open-1", .kind = "open", .text = "H\xC3\xA9 \xE2\x9C\x93",
                                          .system = "Be brief.", .chat = true};
    f->prompts[2] = (struct store_prompt){.id = "code-1", .kind = "code", .text = "int main(void)\n{\n",
                                          .perturbed = 2, .base = 1, .diff = "[-a-]{+b+}", .option_order = "1,0"};
    f->prompts[0].attributes = attributes;
    f->prompts[0].n_attributes = 2;
    f->perturbations[0].name = "identity";
    f->perturbations[1] = (struct store_perturbation){"typo:swap", true, 7};
    f->skip = (struct store_skip){0, 1, "no letter"};
    f->answer = (struct store_answer){"after", "Answer:", "squad", "contains", "obj"};
    for (int i = 0; i < FIX_SETTINGS; i++)
        rec_settings_default(&f->settings[i].settings, REC_SAMPLER_HF);
    f->settings[0].name = "base";
    f->settings[1].name = "temperature=0.7";
    f->settings[1].factor = "temperature";
    f->settings[1].level = "0.7";
    f->settings[1].settings.do_sample = true;
    f->settings[1].settings.temperature = 0.7;
    f->settings[1].settings.stop = stop;
    f->settings[1].settings.n_stop = 2;
    f->settings[1].settings.sampler = REC_SAMPLER_LLAMA_CPP;
    f->settings[1].settings.typical_p = 0.9;
    f->settings[1].settings.epsilon_cutoff = 0.01;
    f->settings[1].settings.eta_cutoff = 0.02;
    f->settings[1].settings.presence_penalty = -0.5;
    f->settings[1].settings.frequency_penalty = 0.25;
    f->settings[1].settings.min_new_tokens = 3;
    f->settings[1].settings.num_beams = 4;
    f->settings[1].settings.length_penalty = 1.5;
    f->settings[1].settings.early_stopping = REC_EARLY_STOPPING_NEVER;
    struct arith_noise noise = {ARITH_ORDER_SPLITK, ARITH_ROUND_BF16, 7, 0};
    f->settings[1].settings.noise = arith_noise_pack(&noise);
    f->hosts[0] = (struct store_host){"one", {1, 1, 512, REC_CACHE_COLD}};
    f->hosts[1] = (struct store_host){"two", {2, 8, 64, REC_CACHE_FORKED}};
    f->claim = (struct store_claim){"do_sample", "greedy is more deterministic", "do_sample",
                                    "distinct_outputs", order, levels, 2};
    for (uint64_t i = 0; i < FIX_TRIALS; i++) {
        struct rec_trial *t = &f->trials[i];
        t->index = i;
        t->prompt = (uint32_t)(i % FIX_PROMPTS);
        t->setting = (uint32_t)(i / FIX_PROMPTS % FIX_SETTINGS);
        t->host = (uint32_t)(i / FIX_PROMPTS / FIX_SETTINGS % FIX_HOSTS);
        t->seed = i == 5 ? UINT64_MAX : i / FIX_PROMPTS / FIX_SETTINGS / FIX_HOSTS;
        t->purpose = (enum rec_purpose)(i % (REC_PURPOSE_PERTURBED + 1));
        t->n_top = FIX_TOP;
        digest_sha256(&i, sizeof i, t->key);
    }
    f->plan = (struct store_plan){
        .run = {.hypothesis = "H1", .title = "Same input, same output?", .experiment_text = "a: 1\nb: 2\n",
                .plan_digest = "plan-a", .idem_version = "0.1.0", .backend = "local",
                .numerics = "idem-numerics-1/q8", .model_name = "toy", .model_digest = "abc",
                .confidence = 0.95, .max_differing = 0.01, .correction = "holm",
                .bootstrap_seed = UINT64_MAX - 1},
        .prompts = f->prompts, .n_prompts = FIX_PROMPTS,
        .settings = f->settings, .n_settings = FIX_SETTINGS,
        .hosts = f->hosts, .n_hosts = FIX_HOSTS,
        .claims = &f->claim, .n_claims = 1,
        .perturbations = f->perturbations, .n_perturbations = 2, .skips = &f->skip, .n_skips = 1,
        .answer = &f->answer,
        .trials = f->trials, .n_trials = FIX_TRIALS,
    };
}

static inline uint64_t fix_rand(uint64_t *x)   /* splitmix64 */
{
    uint64_t z = (*x += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* Any finite binary32 bit pattern, negative zero and subnormals often, sometimes NaN. */
static inline float fix_float(uint64_t *x)
{
    uint64_t r = fix_rand(x);
    if (r % 16 == 0)
        return NAN;
    if (r % 16 == 1)
        return -0.0f;
    uint32_t u = (uint32_t)(r >> 32);
    if (r % 16 == 2)
        u &= 0x807FFFFFu;
    float v;
    memcpy(&v, &u, sizeof v);
    return isfinite(v) ? v : 1.0f;
}

/* The caller releases it. */
static inline struct rec_output fix_output(uint64_t trial)
{
    static const char *const texts[] = {" Paris.", "a\0b", "\xFF\xFE<script>", "", "\xE2\x80\xAEx"};
    static const size_t lens[] = {7, 3, 10, 0, 4};
    uint64_t x = trial * 77 + 1;
    struct rec_output o = {0};
    o.n_tokens = trial % (FIX_TOKENS + 1);
    o.stop = (enum rec_stop)(1 + trial % 3);
    o.tokens = calloc(FIX_TOKENS, sizeof *o.tokens);
    o.tops = calloc(FIX_TOKENS * FIX_TOP, sizeof *o.tops);
    o.text_len = lens[trial % 5];
    o.text = calloc(16, 1);
    memcpy(o.text, texts[trial % 5], o.text_len);
    digest_sha256(&x, sizeof x, o.logits_digest);
    for (size_t i = 0; i < o.n_tokens; i++) {
        struct rec_token *t = &o.tokens[i];
        t->id = (int32_t)(fix_rand(&x) % 50);
        t->logprob = fix_float(&x);
        t->logprob_processed = fix_float(&x);
        t->entropy = fix_float(&x);
        t->margin = fix_float(&x);
        t->tail_mass = fix_float(&x);
        t->n_top = (uint32_t)((trial + i) % (FIX_TOP + 1));
        t->top = o.tops + i * FIX_TOP;
        for (uint32_t k = 0; k < t->n_top; k++)
            t->top[k] = (struct rec_top){(int32_t)(fix_rand(&x) % 50), fix_float(&x), fix_float(&x)};
    }
    return o;
}

static inline const char *fix_token_bytes(void *ctx, int32_t id, size_t *len)
{
    static const char *const t[] = {" Paris", "\xFF", "a\0b", "\xE2\x80", "<b>"};
    static const size_t n[] = {6, 1, 3, 2, 3};
    (void)ctx;
    *len = n[id % 5];
    return t[id % 5];
}

static inline int fix_put(struct store *s, uint64_t trial, struct idem_err *err)
{
    struct rec_output o = fix_output(trial);
    struct store_how how = {(enum store_computed)(trial % 3), 1e9, 12.5, 99};
    int rc = store_put_output(s, trial, &o, &how, err);
    rec_output_release(&o);
    return rc;
}

/* A fresh folder; path = folder/run.db. */
static inline void fix_folder(char *dir, size_t dir_len, char *path, size_t len)
{
    snprintf(dir, dir_len, "%s/idem-store-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    if (!mkdtemp(dir))
        abort();
    snprintf(path, len, "%s/run.db", dir);
}

static inline void fix_remove(const char *dir)
{
    static const char *const names[] = {"run.db", "run.db-wal", "run.db-shm", "run.db-journal", "b.db",
                                        "b.db-wal", "b.db-shm"};
    char p[600];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(p, sizeof p, "%s/%s", dir, names[i]);
        unlink(p);
    }
    rmdir(dir);
}

/* A test's folder, its run database, and the plan of it. */
struct place { char dir[256], path[300]; struct fix f; };

static inline int setup(void **state)
{
    struct place *p = calloc(1, sizeof *p);
    fix_folder(p->dir, sizeof p->dir, p->path, sizeof p->path);
    fix_plan(&p->f);
    *state = p;
    return 0;
}

static inline int teardown(void **state)
{
    struct place *p = *state;
    fix_remove(p->dir);
    free(p);
    return 0;
}

static inline void digest_of(struct place *p, char hex[DIGEST_HEX])
{
    struct idem_err err = {0};
    struct store *s = store_open_read(p->path, &err);
    if (!s || store_digest(s, hex, &err) != 0)
        fail_msg("%s", err.msg);
    store_close(s);
}

#endif
