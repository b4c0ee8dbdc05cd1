/* SPDX-License-Identifier: MIT
 * The run room on the built-in engine with a tiny model: in every host state, alone or shared,
 * the same bits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "run/run.h"

#define MODEL "tests/data/models/tiny.gguf"
#define EXPERIMENT "tests/data/plan/good.yaml"

static const struct rec_host hosts[] = {
    {1, 1, 512, REC_CACHE_COLD}, {2, 1, 1, REC_CACHE_FORKED}, {3, 2, 7, REC_CACHE_COLD},
    {2, 4, 64, REC_CACHE_FORKED}, {1, 8, 1, REC_CACHE_COLD},  {2, 8, 7, REC_CACHE_FORKED},
    {4, 3, 5, REC_CACHE_FORKED},
};
enum { N_HOSTS = sizeof hosts / sizeof hosts[0], N_SAMPLES = 6 };

static struct backend *open_model(void)
{
    struct idem_err err = {0};
    struct backend_local_options o = {.threads = 1};
    struct backend *b = backend_local_open(MODEL, &o, &err);
    if (!b)
        fail_msg("%s", err.msg);
    return b;
}

static size_t make_ids(struct backend *b, int32_t *ids, size_t n)
{
    struct idem_err err = {0};
    struct backend_description d;
    assert_int_equal(b->ops->describe(b, &d, &err), 0);
    for (size_t i = 0; i < n; i++)
        ids[i] = (int32_t)(3 + (i * 37) % (d.n_vocab - 3));
    return d.n_ctx;
}

static void test_digest(void **state)
{
    (void)state;
    static const size_t lengths[] = {1, 2, 63, 64, 65, 100};
    struct backend *b = open_model();
    int32_t ids[128];
    make_ids(b, ids, 128);
    for (size_t k = 0; k < sizeof lengths / sizeof lengths[0]; k++) {
        char ref[DIGEST_HEX], hex[DIGEST_HEX];
        for (size_t h = 0; h < N_HOSTS; h++) {
            struct idem_err err = {0};
            size_t n = 0;
            if (run_digest(b, ids, lengths[k], 10, &hosts[h], NULL, NULL, h ? hex : ref, &n, &err))
                fail_msg("%s", err.msg);
            assert_true(n > lengths[k] && n <= lengths[k] + 10);
            if (h)
                assert_string_equal(hex, ref);
        }
    }
    b->ops->close(b);
}

static void test_generate(void **state)
{
    (void)state;
    struct backend *b = open_model();
    int32_t ids[70];
    make_ids(b, ids, 70);
    struct run_request r = {.prompt = ids, .n_prompt = 70, .seed = 42, .n_top = 4};
    rec_settings_default(&r.settings, REC_SAMPLER_HF);
    r.settings.do_sample = true;
    r.settings.temperature = 1.3;
    r.settings.top_k = 0;
    r.settings.repetition_penalty = 1.2;
    r.settings.no_repeat_ngram_size = 2;
    r.settings.num_return_sequences = N_SAMPLES;
    struct rec_output ref[N_SAMPLES], out[N_SAMPLES];
    for (size_t h = 0; h < N_HOSTS; h++) {
        struct idem_err err = {0};
        r.host = hosts[h];
        if (run_generate(b, &r, NULL, NULL, NULL, h ? out : ref, &err))
            fail_msg("%s", err.msg);
        for (size_t i = 0; h && i < N_SAMPLES; i++) {
            assert_int_equal(out[i].n_tokens, ref[i].n_tokens);
            assert_string_equal(out[i].logits_digest, ref[i].logits_digest);
            for (size_t k = 0; k < out[i].n_tokens; k++) {
                assert_int_equal(out[i].tokens[k].id, ref[i].tokens[k].id);
                assert_memory_equal(&out[i].tokens[k].logprob, &ref[i].tokens[k].logprob,
                                    5 * sizeof(float));
                assert_memory_equal(out[i].tokens[k].top, ref[i].tokens[k].top,
                                    4 * sizeof(struct rec_top));
            }
            rec_output_release(&out[i]);
        }
    }
    assert_string_not_equal(ref[0].logits_digest, ref[1].logits_digest);
    for (size_t i = 0; i < N_SAMPLES; i++)
        rec_output_release(&ref[i]);
    b->ops->close(b);
}

static char dir[] = "/tmp/idem-engine-XXXXXX";

/* Runs the experiment and checks each output's bits against a request of its own; *hex: digest. */
static void run_and_check(struct backend *b, const struct plan *p, const char *name,
                          const struct run_options *o, char hex[DIGEST_HEX])
{
    struct idem_err err = {0};
    char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    struct store *s = run_open_store(p, b, MODEL, path, &err);
    if (!s || run_execute(p, b, s, o, &err) || store_digest(s, hex, &err))
        fail_msg("%s", err.msg);
    struct store_cursor *c = store_cursor_open(s, STORE_READ_TRIAL, &err);
    struct store_row row;
    assert_non_null(c);
    while (store_cursor_next(c, &row, &err) == 1) {
        const struct rec_trial *t = &row.trial;
        struct rec_output out[2];
        struct run_request r = {.settings = p->settings[t->setting].values, .seed = t->seed,
                                .n_top = t->n_top, .host = hosts[t->index % N_HOSTS]};
        int32_t *ids = NULL;
        assert_int_equal(run_prompt_ids(b, &p->prompts[t->prompt], &ids, &r.n_prompt, &err), 0);
        r.prompt = ids;
        if (run_generate(b, &r, NULL, NULL, NULL, out, &err))
            fail_msg("%s", err.msg);
        assert_string_equal(row.output.logits_digest, out[t->sample].logits_digest);
        assert_int_equal(row.output.text_len, out[t->sample].text_len);
        assert_memory_equal(row.output.text, out[t->sample].text, row.output.text_len);
        for (uint32_t i = 0; i < r.settings.num_return_sequences; i++)
            rec_output_release(&out[i]);
        free(ids);
    }
    store_cursor_close(c);
    store_close(s);
}

static void test_plan(void **state)
{
    (void)state;
    struct idem_err err = {0};
    struct backend *b = open_model();
    struct backend_description d;
    struct plan *p = plan_open(EXPERIMENT, NULL, &err);
    char ref[DIGEST_HEX], hex[DIGEST_HEX];
    assert_int_equal(b->ops->describe(b, &d, &err), 0);
    if (!p || plan_expand(p, d.model_digest, d.numerics, &err))
        fail_msg("%s", err.msg);
    run_and_check(b, p, "a.db", NULL, ref);
    struct run_options o = {.threads = 3, .batch = 16};
    run_and_check(b, p, "b.db", &o, hex);
    assert_string_equal(hex, ref);
    plan_close(p);
    b->ops->close(b);
}

static int make_dir(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    char cmd[64];
    (void)state;
    snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
    return system(cmd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digest), cmocka_unit_test(test_generate), cmocka_unit_test(test_plan),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
