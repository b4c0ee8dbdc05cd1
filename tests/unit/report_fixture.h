/* SPDX-License-Identifier: MIT
 * Small runs with outputs spelled out: each character of a string is one token, whose margin and
 * entropy follow from its place, so that every number of a report can be worked out by hand. */
#ifndef REPORT_FIXTURE_H
#define REPORT_FIXTURE_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <json-c/json.h>

#include "report/report.h"
#include "store/store.h"

enum { RF_PROMPTS = 30, RF_SETTINGS = 24, RF_HOSTS = 4, RF_CLAIMS = 3, RF_TRIALS = 6000 };

struct rf_output {
    const char *text;            /* NULL: not done */
    size_t len;
    const char *bits;            /* what the digest of its logits is made of; NULL: none */
    enum store_computed computed;
};

struct rf {
    char path[300];
    struct store_prompt prompts[RF_PROMPTS];
    struct store_setting settings[RF_SETTINGS];
    struct store_host hosts[RF_HOSTS];
    struct store_claim claims[RF_CLAIMS];
    struct rec_trial trials[RF_TRIALS];
    struct rf_output outputs[RF_TRIALS];
    struct store_plan plan;
    char names[RF_PROMPTS + RF_SETTINGS][16];
    uint32_t n_top;
};

static inline struct rf *rf_new(size_t n_prompts, size_t n_settings)
{
    struct rf *f = calloc(1, sizeof *f);
    snprintf(f->path, sizeof f->path, "%s/idem-report-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    int fd = mkstemp(f->path);
    close(fd);
    for (size_t i = 0; i < n_prompts; i++) {
        snprintf(f->names[i], sizeof f->names[i], "p%zu", i);
        f->prompts[i] = (struct store_prompt){.id = f->names[i], .kind = "fact", .text = "Why?"};
    }
    for (size_t i = 0; i < n_settings; i++) {
        char *name = f->names[RF_PROMPTS + i];
        snprintf(name, sizeof f->names[0], "s%zu", i);
        f->settings[i].name = name;
        rec_settings_default(&f->settings[i].settings, REC_SAMPLER_HF);
        f->settings[i].settings.do_sample = true;
    }
    for (uint32_t i = 0; i < RF_HOSTS; i++)
        f->hosts[i] = (struct store_host){"host", {i + 1, 1, 512, REC_CACHE_COLD}};
    f->n_top = 2;
    f->plan = (struct store_plan){
        .run = {.hypothesis = "H1", .title = "Same input, same output", .plan_digest = "p",
                .confidence = 0.95, .max_differing = 0.5, .correction = "holm", .n_bootstrap = 500,
                .n_prompts_declared = (uint32_t)n_prompts},
        .prompts = f->prompts, .n_prompts = n_prompts, .settings = f->settings, .n_settings = n_settings,
        .hosts = f->hosts, .n_hosts = RF_HOSTS, .claims = f->claims, .trials = f->trials,
    };
    return f;
}

/* Adds one trial; text NULL: planned but not done. Returns its output for changes. */
static inline struct rf_output *rf_add(struct rf *f, enum rec_purpose purpose, uint32_t prompt,
                                       uint32_t setting, uint32_t host, uint64_t seed, const char *text)
{
    uint64_t i = f->plan.n_trials++;
    f->trials[i] = (struct rec_trial){.index = i, .purpose = purpose, .prompt = prompt, .setting = setting,
                                      .host = host, .seed = seed, .n_top = f->n_top};
    digest_sha256(&i, sizeof i, f->trials[i].key);
    f->outputs[i] = (struct rf_output){.text = text, .len = text ? strlen(text) : 0, .bits = text};
    return &f->outputs[i];
}

static inline const char *rf_token_bytes(void *ctx, int32_t id, size_t *len)
{
    static char bytes[256][1];
    (void)ctx;
    if (id < 0 || id > 255)
        return NULL;
    bytes[id][0] = (char)id;
    *len = 1;
    return bytes[id];
}

static inline void rf_put(struct rf *f, struct store *s, uint64_t i)
{
    struct idem_err err = {0};
    const struct rf_output *x = &f->outputs[i];
    uint32_t n_top = f->trials[i].n_top;
    struct rec_output o = {.stop = REC_STOP_LENGTH, .n_tokens = x->len};
    o.text = malloc(x->len + 1);
    memcpy(o.text, x->text, x->len);
    o.text[x->len] = '\0';
    o.text_len = x->len;
    o.tokens = calloc(x->len + 1, sizeof *o.tokens);
    o.tops = calloc((x->len + 1) * (n_top + 1), sizeof *o.tops);
    for (size_t k = 0; k < x->len; k++) {
        struct rec_token *t = &o.tokens[k];
        *t = (struct rec_token){.id = (unsigned char)x->text[k], .logprob = -0.25f * (float)(k + 1),
                                .logprob_processed = -0.125f, .entropy = 1 + (float)k,
                                .margin = 0.5f + (float)k, .tail_mass = 0.01f, .n_top = n_top,
                                .top = o.tops + k * n_top};
        for (uint32_t j = 0; j < n_top; j++)
            t->top[j] = (struct rec_top){(int32_t)(j ? (t->id + 7 * (int32_t)j) % 256 : t->id),
                                         -0.25f * (float)(k + 1 + j), j ? NAN : -0.125f};
    }
    if (x->bits)
        digest_sha256(x->bits, strlen(x->bits), o.logits_digest);
    if (store_put_output(s, i, &o, &(struct store_how){.computed = x->computed}, &err) != 0) {
        fprintf(stderr, "%s\n", err.msg);
        abort();
    }
    rec_output_release(&o);
}

/* Writes the run and opens its report. */
static inline struct report *rf_report(struct rf *f, struct store **s)
{
    struct idem_err err = {0};
    unlink(f->path);
    struct store *w = store_open_run(f->path, &f->plan, "machine", &err);
    if (!w) {
        fprintf(stderr, "%s\n", err.msg);
        abort();
    }
    store_set_vocab(w, rf_token_bytes, NULL);
    for (uint64_t i = 0; i < f->plan.n_trials; i++)
        if (f->outputs[i].text)
            rf_put(f, w, i);
    if (store_commit(w, &err) != 0)
        abort();
    store_close(w);
    *s = store_open_read(f->path, &err);
    struct report *r = *s ? report_open(*s, &err) : NULL;
    if (!r) {
        fprintf(stderr, "%s\n", err.msg);
        abort();
    }
    return r;
}

static inline struct buf rf_write(const struct report *r, enum report_format format)
{
    struct idem_err err = {0};
    struct buf out;
    buf_init(&out, REPORT_MAX_BYTES);
    if (report_write(r, format, &out, &err) != 0) {
        fprintf(stderr, "%s\n", err.msg);
        abort();
    }
    return out;
}

/* The report as a JSON tree; the caller puts it. */
static inline struct json_object *rf_json(struct rf *f, enum report_outcome *outcome)
{
    struct store *s;
    struct report *r = rf_report(f, &s);
    *outcome = report_outcome(r);
    struct buf b = rf_write(r, REPORT_JSON);
    struct json_object *j = json_tokener_parse(b.data);
    buf_release(&b);
    report_close(r);
    store_close(s);
    return j;
}

/* Follows a path such as "verdicts.0.low". */
static inline struct json_object *rf_at(struct json_object *j, const char *path)
{
    char part[64];
    while (j && *path) {
        size_t n = strcspn(path, ".");
        snprintf(part, sizeof part, "%.*s", (int)n, path);
        j = json_object_is_type(j, json_type_array) ? json_object_array_get_idx(j, (size_t)strtoul(part, NULL, 10))
                                                    : json_object_object_get(j, part);
        path += n + (path[n] == '.');
    }
    return j;
}

static inline double rf_num(struct json_object *j, const char *path)
{
    struct json_object *v = rf_at(j, path);
    return v ? json_object_get_double(v) : NAN;
}

static inline const char *rf_str(struct json_object *j, const char *path)
{
    struct json_object *v = rf_at(j, path);
    return v ? json_object_get_string(v) : "(null)";
}

static inline void rf_free(struct rf *f)
{
    unlink(f->path);
    free(f);
}

#endif
