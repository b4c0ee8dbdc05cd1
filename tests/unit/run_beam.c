/* SPDX-License-Identifier: MIT
 * Beam search against transformers on a tiny model (tools/oracle/make_beam.py), in every host
 * state, in experiments, and on a backend in closed form. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "run/run.h"
#include "run_fake.h"

#define MODEL "tests/data/beam/beam.gguf"
#define SEARCHES "tests/data/beam/beam.txt"

enum { IDS_MAX = 64, BEAMS_MAX = 8 };

struct search {
    struct rec_settings set;
    uint64_t seed;
    char stop_text[16];
    const char *stop[1];
    int32_t prompt[IDS_MAX];
    size_t n_prompt, n;
    struct found { double score; int32_t ids[IDS_MAX]; size_t n; } found[BEAMS_MAX];
};

static struct backend *open_model(void)
{
    struct idem_err err = {0};
    struct backend_local_options o = {.threads = 1, .f32 = true};
    struct backend *b = backend_local_open(MODEL, &o, &err);
    if (!b)
        fail_msg("%s", err.msg);
    return b;
}

static size_t parse_ids(const char *text, int32_t *ids)
{
    size_t n = 0;
    for (char *end; *text; text = *end ? end + 1 : end) {
        assert_true(n < IDS_MAX);
        ids[n++] = (int32_t)strtol(text, &end, 10);
        assert_true(end != text);
    }
    return n;
}

static bool parse_bool(const char *v)
{
    assert_true(!strcmp(v, "true") || !strcmp(v, "false"));
    return v[0] == 't';
}

static void parse_setting(struct search *s, const char *name, const char *v)
{
    struct rec_settings *set = &s->set;
    const struct { const char *name; uint32_t *at; } counts[] = {
        {"num_beams", &set->num_beams}, {"num_return_sequences", &set->num_return_sequences},
        {"max_new_tokens", &set->max_new_tokens}, {"min_new_tokens", &set->min_new_tokens},
        {"no_repeat_ngram_size", &set->no_repeat_ngram_size}, {"top_k", &set->top_k},
    };
    const struct { const char *name; double *at; } reals[] = {
        {"length_penalty", &set->length_penalty}, {"repetition_penalty", &set->repetition_penalty},
        {"temperature", &set->temperature}, {"top_p", &set->top_p}, {"min_p", &set->min_p},
        {"typical_p", &set->typical_p},
    };
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        if (!strcmp(name, counts[i].name)) {
            *counts[i].at = (uint32_t)strtoul(v, NULL, 10);
            return;
        }
    for (size_t i = 0; i < sizeof reals / sizeof reals[0]; i++)
        if (!strcmp(name, reals[i].name)) {
            *reals[i].at = strtod(v, NULL);
            return;
        }
    if (!strcmp(name, "do_sample")) {
        set->do_sample = parse_bool(v);
    } else if (!strcmp(name, "seed")) {
        s->seed = strtoull(v, NULL, 10);
    } else if (!strcmp(name, "early_stopping")) {
        set->early_stopping = !strcmp(v, "never") ? REC_EARLY_STOPPING_NEVER
                            : parse_bool(v) ? REC_EARLY_STOPPING_TRUE : REC_EARLY_STOPPING_FALSE;
    } else if (!strcmp(name, "stop")) {
        snprintf(s->stop_text, sizeof s->stop_text, "%s", v);
        if (strchr(s->stop_text, '_'))
            *strchr(s->stop_text, '_') = ' ';
        s->stop[0] = s->stop_text;
        set->stop = s->stop;
        set->n_stop = 1;
    } else {
        fail_msg("the fixture has a setting '%s'", name);
    }
}

static void parse_search(char *line, struct search *s)
{
    char *save, *save2;
    memset(s, 0, sizeof *s);
    rec_settings_default(&s->set, REC_SAMPLER_HF);
    char *settings = strtok_r(line, " \n", &save);
    for (char *f = strtok_r(settings, ",", &save2); f; f = strtok_r(NULL, ",", &save2)) {
        char *v = strchr(f, '=');
        assert_non_null(v);
        *v = '\0';
        parse_setting(s, f, v + 1);
    }
    char *prompt = strtok_r(NULL, " \n", &save), *gap = strtok_r(NULL, " \n", &save);
    assert_non_null(gap);
    s->n_prompt = parse_ids(prompt, s->prompt);
    for (char *w; (w = strtok_r(NULL, " \n", &save)); s->n++) {
        char *ids;
        assert_true(s->n < BEAMS_MAX);
        s->found[s->n].score = strtod(w, &ids);
        assert_int_equal(*ids, ':');
        s->found[s->n].n = parse_ids(ids + 1, s->found[s->n].ids);
    }
    assert_int_equal(s->n, s->set.num_return_sequences);
}

/* The score is what the header says it is: from the tokens themselves. */
static void check_score(const struct rec_settings *set, const struct rec_output *o)
{
    float sum = 0;
    for (size_t i = 0; i < o->n_tokens; i++)
        sum = o->tokens[i].logprob_processed + sum;
    double want = (double)sum / pow((double)o->n_tokens, set->length_penalty);
    assert_true(fabs(want - (double)o->score) <= 1e-6 * fabs(want));
}

static void check_outputs(const struct search *s, const struct rec_output *out, size_t line)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct found *f = &s->found[i];
        if (out[i].n_tokens != f->n)
            fail_msg("search %zu, sequence %zu has %zu tokens, not %zu", line, i, out[i].n_tokens, f->n);
        for (size_t k = 0; k < f->n; k++)
            if (out[i].tokens[k].id != f->ids[k])
                fail_msg("search %zu, sequence %zu, token %zu is %d, not %d", line, i, k,
                         out[i].tokens[k].id, f->ids[k]);
        if (fabs((double)out[i].score - f->score) > 1e-4 * fabs(f->score))
            fail_msg("search %zu, sequence %zu has score %.9g, not %.9g", line, i,
                     (double)out[i].score, f->score);
        check_score(&s->set, &out[i]);
    }
}

typedef void (*search_fn)(struct backend *b, const struct search *s, size_t line);

static size_t each_search(struct backend *b, size_t every, search_fn fn)
{
    FILE *f = fopen(SEARCHES, "r");
    char line[8192];
    size_t n = 0;
    assert_non_null(f);
    for (; fgets(line, sizeof line, f); n++) {
        struct search s;
        assert_non_null(strchr(line, '\n'));
        if (n % every)
            continue;
        parse_search(line, &s);
        fn(b, &s, n);
    }
    fclose(f);
    return n;
}

static void run_one(struct backend *b, const struct search *s, const struct rec_host *host,
                    struct rec_output *out)
{
    struct idem_err err = {0};
    struct run_request r = {.prompt = s->prompt, .n_prompt = s->n_prompt, .settings = s->set,
                            .seed = s->seed, .n_top = 3};
    if (host)
        r.host = *host;
    if (run_generate(b, &r, NULL, NULL, NULL, out, &err))
        fail_msg("%s", err.msg);
}

static void against_transformers(struct backend *b, const struct search *s, size_t line)
{
    struct rec_output out[BEAMS_MAX];
    run_one(b, s, NULL, out);
    check_outputs(s, out, line);
    for (size_t i = 0; i < s->n; i++)
        rec_output_release(&out[i]);
}

static void test_transformers(void **state)
{
    (void)state;
    struct backend *b = open_model();
    assert_true(each_search(b, 1, against_transformers) == 400);
    b->ops->close(b);
}

/* ---- in every host state ---------------------------------------------------------------------- */

static const struct rec_host hosts[] = {
    {1, 1, 512, REC_CACHE_COLD}, {2, 1, 1, REC_CACHE_FORKED}, {3, 2, 7, REC_CACHE_COLD},
    {2, 4, 64, REC_CACHE_FORKED}, {1, 9, 1, REC_CACHE_COLD},  {4, 3, 5, REC_CACHE_FORKED},
};

static void same_outputs(const struct rec_output *a, const struct rec_output *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(a[i].stop, b[i].stop);
        assert_int_equal(a[i].n_tokens, b[i].n_tokens);
        assert_memory_equal(&a[i].score, &b[i].score, sizeof a[i].score);
        assert_string_equal(a[i].text, b[i].text);
        assert_string_equal(a[i].logits_digest, b[i].logits_digest);
        for (size_t k = 0; k < a[i].n_tokens; k++) {
            assert_int_equal(a[i].tokens[k].id, b[i].tokens[k].id);
            assert_memory_equal(&a[i].tokens[k].logprob, &b[i].tokens[k].logprob, 5 * sizeof(float));
            assert_memory_equal(a[i].tokens[k].top, b[i].tokens[k].top, 3 * sizeof(struct rec_top));
        }
    }
}

static void in_every_host(struct backend *b, const struct search *s, size_t line)
{
    struct rec_output ref[BEAMS_MAX], out[BEAMS_MAX];
    (void)line;
    run_one(b, s, NULL, ref);
    for (size_t h = 0; h < sizeof hosts / sizeof hosts[0]; h++) {
        run_one(b, s, &hosts[h], out);
        same_outputs(ref, out, s->n);
        for (size_t i = 0; i < s->n; i++)
            rec_output_release(&out[i]);
    }
    for (size_t i = 0; i < s->n; i++)
        rec_output_release(&ref[i]);
}

static void test_hosts(void **state)
{
    (void)state;
    struct backend *b = open_model();
    each_search(b, 7, in_every_host);
    b->ops->close(b);
}

/* The numbers of each token are those of the returned beam's own path: scoring its tokens gives
 * them. */
static void numbers_of_path(struct backend *b, const struct search *s, size_t line)
{
    struct rec_output out[BEAMS_MAX];
    (void)line;
    run_one(b, s, NULL, out);
    for (size_t i = 0; i < s->n; i++) {
        struct idem_err err = {0};
        struct rec_output score = {0};
        int32_t ids[2 * IDS_MAX];
        size_t n = s->n_prompt;
        memcpy(ids, s->prompt, n * sizeof *ids);
        for (size_t k = 0; k < out[i].n_tokens; k++)
            ids[n++] = out[i].tokens[k].id;
        assert_int_equal(run_score(b, ids, n, 3, &hosts[0], NULL, NULL, &score, &err), 0);
        assert_true(isnan(score.score));
        for (size_t k = 0; k < out[i].n_tokens; k++) {
            const struct rec_token *x = &out[i].tokens[k], *y = &score.tokens[s->n_prompt + k];
            assert_memory_equal(&x->logprob, &y->logprob, sizeof x->logprob);
            assert_memory_equal(&x->entropy, &y->entropy, 3 * sizeof x->entropy);
            for (size_t j = 0; j < 3; j++) {
                assert_int_equal(x->top[j].id, y->top[j].id);
                assert_memory_equal(&x->top[j].logprob, &y->top[j].logprob, sizeof(float));
            }
        }
        rec_output_release(&score);
        rec_output_release(&out[i]);
    }
}

static void test_path(void **state)
{
    (void)state;
    struct backend *b = open_model();
    each_search(b, 11, numbers_of_path);
    b->ops->close(b);
}

/* ---- on the backend in closed form -------------------------------------------------------------- */

static int search_fake(struct fake *f, struct run_request *r, struct rec_output *out,
                       struct idem_err *err)
{
    int rc = run_generate(&f->base, r, NULL, NULL, NULL, out, err);
    assert_int_equal(f->n_live, 0);
    return rc;
}

static void log_probs(const int32_t *ids, size_t n, float *x)
{
    struct backend_logits l = {0};
    fake_logits(ids, n, 0, x);
    fake_stats(x, &l);
    for (int i = 0; i < FAKE_VOCAB; i++)
        x[i] = (float)((double)x[i] - l.logsumexp);
}

/* As many beams as tokens, two steps and no length penalty: nothing can be missed, so the outcome
 * is that of trying everything. */
static void test_exhaustive(void **state)
{
    (void)state;
    struct fake *f = fake_open();
    for (int32_t start = 2; start < 40; start++) {
        int32_t ids[2] = {start}, best[2] = {0};
        float x[FAKE_VOCAB], y[FAKE_VOCAB], top = -INFINITY;
        size_t n_best = 0;
        log_probs(ids, 1, x);
        for (int32_t a = 0; a < FAKE_VOCAB; a++) {
            if (a == FAKE_EOG && x[a] > top) {
                top = x[a];
                n_best = 1;
                best[0] = a;
            }
            ids[1] = a;
            log_probs(ids, 2, y);
            for (int32_t c = 0; a != FAKE_EOG && c < FAKE_VOCAB; c++)
                if (y[c] + x[a] > top) {
                    top = y[c] + x[a];
                    n_best = 2;
                    best[0] = a;
                    best[1] = c;
                }
        }
        struct idem_err err = {0};
        struct rec_output o;
        struct run_request r = {.prompt = ids, .n_prompt = 1, .n_top = 1};
        rec_settings_default(&r.settings, REC_SAMPLER_HF);
        r.settings.num_beams = FAKE_VOCAB;
        r.settings.max_new_tokens = 2;
        r.settings.length_penalty = 0;
        r.settings.early_stopping = REC_EARLY_STOPPING_NEVER;
        assert_int_equal(search_fake(f, &r, &o, &err), 0);
        assert_int_equal(o.n_tokens, n_best);
        for (size_t i = 0; i < n_best; i++)
            assert_int_equal(o.tokens[i].id, best[i]);
        assert_memory_equal(&o.score, &top, sizeof top);
        rec_output_release(&o);
    }
    fake_close(&f->base);
}

/* Over the logits of the output's own path. */
static void path_digest(const int32_t *prompt, size_t n, const struct rec_output *o, char *hex)
{
    struct digest d = {0};
    int32_t ids[64];
    float x[FAKE_VOCAB];
    assert_int_equal(digest_init(&d), 0);
    memcpy(ids, prompt, n * sizeof *ids);
    for (size_t k = 0; k < o->n_tokens; k++) {
        fake_logits(ids, n + k, 0, x);
        digest_f32s(&d, x, FAKE_VOCAB);
        ids[n + k] = o->tokens[k].id;
    }
    digest_final(&d, hex);
}

/* Without capture: the same tokens and score, and no number that was not asked for. */
static void test_capture(void **state)
{
    (void)state;
    struct fake *f = fake_open();
    struct idem_err err = {0};
    struct rec_output a[3], b[3];
    int32_t ids[] = {4, 9, 33};
    struct run_request r = {.prompt = ids, .n_prompt = 3, .n_top = 5};
    rec_settings_default(&r.settings, REC_SAMPLER_HF);
    r.settings.num_beams = 4;
    r.settings.num_return_sequences = 3;
    assert_int_equal(search_fake(f, &r, a, &err), 0);
    r.n_top = 0;
    assert_int_equal(search_fake(f, &r, b, &err), 0);
    for (size_t i = 0; i < 3; i++) {
        assert_memory_equal(&a[i].score, &b[i].score, sizeof(float));
        assert_string_equal(a[i].text, b[i].text);
        assert_int_equal(a[i].n_tokens, b[i].n_tokens);
        assert_string_equal(b[i].logits_digest, "");
        char hex[DIGEST_HEX];
        path_digest(ids, 3, &a[i], hex);
        assert_string_equal(a[i].logits_digest, hex);
        for (size_t k = 0; k < b[i].n_tokens; k++) {
            assert_int_equal(a[i].tokens[k].id, b[i].tokens[k].id);
            assert_true(isnan(b[i].tokens[k].logprob) && isnan(b[i].tokens[k].margin));
            assert_null(b[i].tokens[k].top);
        }
        rec_output_release(&a[i]);
        rec_output_release(&b[i]);
    }
    fake_close(&f->base);
}

/* Greedy searches do not look at the seed; those that draw do. */
static void test_seed(void **state)
{
    (void)state;
    struct fake *f = fake_open();
    int32_t ids[] = {4, 9, 33};
    for (int sampled = 0; sampled < 2; sampled++) {
        char first[256];
        size_t n_same = 0;
        for (uint64_t seed = 0; seed < 20; seed++) {
            struct idem_err err = {0};
            struct rec_output o;
            struct run_request r = {.prompt = ids, .n_prompt = 3, .seed = seed};
            rec_settings_default(&r.settings, REC_SAMPLER_HF);
            r.settings.num_beams = 3;
            r.settings.do_sample = sampled;
            assert_int_equal(search_fake(f, &r, &o, &err), 0);
            if (seed == 0)
                snprintf(first, sizeof first, "%s", o.text);
            n_same += !strcmp(first, o.text);
            rec_output_release(&o);
        }
        assert_true(sampled ? n_same < 10 : n_same == 20);
    }
    fake_close(&f->base);
}

struct told { char text[512]; size_t n_tokens; };

static int on_token(void *ctx, uint32_t sample, const struct rec_token *t, const char *bytes,
                    size_t len)
{
    struct told *told = (struct told *)ctx + sample;
    (void)t;
    if (bytes)
        strncat(told->text, bytes, len);
    told->n_tokens++;
    return 0;
}

/* What is told of an output is its tokens and exactly its text, also where a stop text cut it. */
static void test_told(void **state)
{
    (void)state;
    static const char *const stop[] = {"ba"};
    struct fake *f = fake_open();
    size_t n_stopped = 0;
    for (int32_t start = 2; start < 30; start++) {
        struct idem_err err = {0};
        struct told told[4] = {0};
        struct rec_output out[4];
        struct run_request r = {.prompt = &start, .n_prompt = 1};
        rec_settings_default(&r.settings, REC_SAMPLER_HF);
        r.settings.num_beams = r.settings.num_return_sequences = 4;
        r.settings.stop = stop;
        r.settings.n_stop = 1;
        assert_int_equal(run_generate(&f->base, &r, on_token, told, NULL, out, &err), 0);
        for (size_t i = 0; i < 4; i++) {
            assert_string_equal(told[i].text, out[i].text);
            assert_int_equal(told[i].n_tokens, out[i].n_tokens);
            assert_null(strstr(out[i].text, "ba"));
            n_stopped += out[i].stop == REC_STOP_STOP;
            rec_output_release(&out[i]);
        }
    }
    assert_true(n_stopped > 5);
    fake_close(&f->base);
}

static void test_errors(void **state)
{
    (void)state;
    static const struct {
        const char *says;
        struct rec_settings set;
        uint64_t fail_at;
    } cases[] = {
        {"num_return_sequences is 4, but 3 beams", {.num_beams = 3, .num_return_sequences = 4}, 0},
        {"length_penalty 50 with max_new_tokens 20", {.num_beams = 3, .length_penalty = 50}, 0},
        {"found 47 sequences, but", {.num_beams = 60, .num_return_sequences = 60, .max_new_tokens = 1,
                                     .min_new_tokens = 1}, 0},
        {"the sampler llama.cpp has no such step", {.num_beams = 3, .sampler = REC_SAMPLER_LLAMA_CPP}, 0},
        {"broke at step 1", {.num_beams = 3}, 1},
        {"broke at step 2", {.num_beams = 3}, 2},
        {"broke at step 9", {.num_beams = 3, .min_new_tokens = 15}, 9},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fake *f = fake_open();
        struct idem_err err = {0};
        struct rec_output out[64];
        int32_t ids[] = {5, 6};
        const struct rec_settings *c = &cases[i].set;
        struct run_request r = {.prompt = ids, .n_prompt = 2, .n_top = 2};
        rec_settings_default(&r.settings, REC_SAMPLER_HF);
        r.settings.sampler = c->sampler;
        r.settings.num_beams = c->num_beams;
        r.settings.min_new_tokens = c->min_new_tokens;
        r.settings.length_penalty = c->length_penalty != 0 ? c->length_penalty : 1;
        r.settings.num_return_sequences = c->num_return_sequences ? c->num_return_sequences : 1;
        r.settings.max_new_tokens = c->max_new_tokens ? c->max_new_tokens : 20;
        f->fail_at_step = cases[i].fail_at;
        assert_int_equal(search_fake(f, &r, out, &err), -1);
        if (!strstr(err.msg, cases[i].says))
            fail_msg("'%s' does not say '%s'", err.msg, cases[i].says);
        for (size_t k = 0; k < r.settings.num_return_sequences; k++)
            assert_null(out[k].tokens);
        fake_close(&f->base);
    }
}

static void stop_at_once(void *ctx, struct fake *f)
{
    if (f->n_steps == 4)
        *(volatile sig_atomic_t *)ctx = 1;
}

static void test_interrupted(void **state)
{
    (void)state;
    struct fake *f = fake_open();
    struct idem_err err = {0};
    struct rec_output out;
    volatile sig_atomic_t flag = 0;
    int32_t ids[] = {5, 6};
    struct run_request r = {.prompt = ids, .n_prompt = 2};
    rec_settings_default(&r.settings, REC_SAMPLER_HF);
    r.settings.num_beams = 3;
    r.settings.min_new_tokens = 10;
    f->on_step = stop_at_once;
    f->on_step_ctx = (void *)(uintptr_t)&flag;
    assert_int_equal(run_generate(&f->base, &r, NULL, NULL, &flag, &out, &err), -1);
    assert_int_equal(err.code, IDEM_ERR_INTERRUPTED);
    assert_int_equal(f->n_steps, 4);
    assert_int_equal(f->n_live, 0);
    fake_close(&f->base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_transformers), cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_path),         cmocka_unit_test(test_exhaustive),
        cmocka_unit_test(test_capture),      cmocka_unit_test(test_seed),
        cmocka_unit_test(test_told),         cmocka_unit_test(test_errors),
        cmocka_unit_test(test_interrupted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
