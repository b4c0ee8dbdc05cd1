/* SPDX-License-Identifier: MIT
 * The chain of llama.cpp against what a real llama-server said (tests/data/sample/llama.json, made
 * by tests/peers/sampler_llama.py --write): the number of survivors, the best 50 of them and their
 * probabilities. Its arithmetic is binary32 and prints 7 digits, hence 2e-5 relative. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sample/sampler.h"
#include "unit/sample_json.h"

static struct json_object *get(struct json_object *o, const char *key)
{
    struct json_object *v = NULL;
    if (!json_object_object_get_ex(o, key, &v))
        fail_msg("fixture lacks %s", key);
    return v;
}

static double number(struct json_object *list, size_t i)
{
    return json_object_get_double(json_object_array_get_idx(list, i));
}

static bool near(double a, double b)
{
    return fabs(a - b) <= 2e-5 * (a > b ? a : b);
}

/* p by id, 0 where removed. */
static void check_case(struct json_object *c, const double *p, size_t n_alive)
{
    struct json_object *ids = get(c, "ids"), *probs = get(c, "probs");
    const char *words = json_object_to_json_string(get(c, "settings"));
    size_t n = (size_t)json_object_get_int(get(c, "n")), m = json_object_array_length(ids);
    if (n != n_alive)
        fail_msg("%s: %zu tokens survive, the server keeps %zu", words, n_alive, n);
    for (size_t i = 0; i < m; i++) {
        size_t id = (size_t)number(ids, i);
        if (!near(p[id], number(probs, i)))
            fail_msg("%s: token %zu has %.8g, with the server %.8g", words, id, p[id],
                     number(probs, i));
    }
}

static size_t check_prompt(struct json_object *o)
{
    struct json_object *list = get(o, "logits"), *jc = get(o, "context"), *cases = get(o, "cases");
    size_t n = json_object_array_length(list), n_cases = json_object_array_length(cases);
    int32_t context[64];
    struct process_input in = {.n_context = json_object_array_length(jc), .context = context,
                               .min_keep = 1};
    float *logits = calloc(n, sizeof *logits);
    double *p = calloc(n, sizeof *p);
    struct idem_err err = {0};
    struct sampler *s = sample_open(n, &err);
    assert_true(logits && p && s && in.n_context <= 64);
    for (size_t i = 0; i < in.n_context; i++)
        context[i] = (int32_t)number(jc, i);
    for (size_t i = 0; i < n; i++)
        logits[i] = (float)number(list, i);
    in.scores = logits;
    for (size_t k = 0; k < n_cases; k++) {
        struct json_object *c = json_object_array_get_idx(cases, k);
        struct rec_settings set;
        double sum = 0;
        bool changed;
        assert_true(sample_json_settings(get(c, "settings"), &set));
        assert_int_equal(sample_check(&set, &err), 0);
        assert_int_equal(process_run(s, &set, &in, &changed, &err), 0);
        memset(p, 0, n * sizeof *p);
        for (size_t i = 0; i < s->n_alive; i++)
            sum += exp((double)s->score[s->alive[i]]);
        for (size_t i = 0; i < s->n_alive; i++)
            p[s->alive[i]] = exp((double)s->score[s->alive[i]]) / sum;
        check_case(c, p, s->n_alive);
    }
    sample_close(s);
    free(logits);
    free(p);
    return n_cases;
}

static void test_server(void **state)
{
    (void)state;
    struct json_object *root = json_object_from_file("tests/data/sample/llama.json");
    assert_non_null(root);
    struct json_object *prompts = get(root, "prompts");
    size_t n = 0;
    for (size_t i = 0; i < json_object_array_length(prompts); i++)
        n += check_prompt(json_object_array_get_idx(prompts, i));
    assert_true(n >= 150);
    json_object_put(root);
}

/* The window of the penalties is 64 tokens, prompt included; a token outside is not touched, one
 * that comes twice counts twice. Ties stay by lowest id, and exactly top_k stay;
 * a sum that is top_p is enough, one that is typical_p is not. */
static void test_by_hand(void **state)
{
    (void)state;
    enum { N = 8 };
    const float logits[N] = {1, 2, -1, 0, 2, 2, 0.5f, 0};
    int32_t context[66];
    for (size_t i = 0; i < 66; i++)
        context[i] = 7;
    context[0] = context[1] = 0;   /* just outside */
    context[2] = 1;                /* the oldest inside */
    context[65] = context[64] = 2;
    struct process_input in = {.scores = logits, .context = context, .n_context = 66, .min_keep = 1};
    struct idem_err err = {0};
    struct rec_settings set;
    struct sampler *s = sample_open(N, &err);
    bool changed;
    assert_non_null(s);
    rec_settings_default(&set, REC_SAMPLER_LLAMA_CPP);
    set.temperature = set.top_p = 1;
    set.min_p = 0;
    set.top_k = 0;
    set.repetition_penalty = 2;
    set.frequency_penalty = 0.25;
    set.presence_penalty = 0.5;
    assert_int_equal(process_run(s, &set, &in, &changed, &err), 0);
    const float want[N] = {1, 0.25f, -3, 0, 2, 2, 0.5f, -0.5f - 0.25f * 61};
    assert_memory_equal(s->score, want, sizeof want);
    assert_int_equal(s->n_alive, N);
    set.repetition_penalty = 1;
    set.frequency_penalty = set.presence_penalty = 0;
    set.top_k = 2;
    assert_int_equal(process_run(s, &set, &in, &changed, &err), 0);
    assert_true(s->n_alive == 2 && s->alive[0] == 1 && s->alive[1] == 4);
    set.sampler = REC_SAMPLER_HF;  /* which keeps what ties with the last */
    set.do_sample = true;
    assert_int_equal(process_run(s, &set, &in, &changed, &err), 0);
    assert_int_equal(s->n_alive, 3);
    set.sampler = REC_SAMPLER_LLAMA_CPP;
    set.top_k = 0;
    set.do_sample = false;         /* one token is left */
    assert_int_equal(process_run(s, &set, &in, &changed, &err), 0);
    assert_true(s->n_alive == 1 && s->alive[0] == 1);
    const float equal[N] = {3, 3, 3, 3, -90, -90, -90, -90};
    in.scores = equal;
    set.do_sample = true;
    set.top_p = 0.5;               /* at least half: two of four */
    assert_int_equal(process_run(s, &set, &in, &changed, &err), 0);
    assert_true(s->n_alive == 2 && s->alive[1] == 1);
    set.top_p = 1;
    set.typical_p = 0.5;           /* more than half: three */
    assert_int_equal(process_run(s, &set, &in, &changed, &err), 0);
    assert_true(s->n_alive == 3 && s->alive[2] == 2);
    sample_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_server),
                                       cmocka_unit_test(test_by_hand)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
