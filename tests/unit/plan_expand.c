/* SPDX-License-Identifier: MIT
 * From a plan to trials: what is in the list, in which order, under which keys, at what cost. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <json-c/json.h>

#include "plan/plan.h"

#define MODEL_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define MODEL_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define NUMERICS "idem-numerics-1/q8"

static struct plan *open_plan(const char *path, const char *model, const char *numerics,
                              uint32_t limit)
{
    struct idem_err err = {0};
    struct plan_options o = {.limit_prompts = limit};
    struct plan *p = plan_open(path, &o, &err);
    if (!p || plan_expand(p, model, numerics, &err))
        fail_msg("%s", err.msg);
    return p;
}

static struct plan *open_good(void)
{
    return open_plan("tests/data/plan/good.yaml", MODEL_A, NUMERICS, 0);
}

static void test_counts(void **state)
{
    (void)state;
    struct plan *p = open_good();
    /* 8 settings, of which `pair` has two samples: 9 outputs a prompt and seed */
    static const size_t expected[PLAN_N_PURPOSES] = {
        [REC_PURPOSE_SEEDS] = 3 * 9 * 3,
        [REC_PURPOSE_REPEATS] = 3 * (1 + 2) * 2 * 3,        /* prompts, outputs, seeds, count */
        [REC_PURPOSE_HOSTS] = 2 * 2,                        /* prompts, states */
        [REC_PURPOSE_CONTROL_IDENTICAL] = 2, [REC_PURPOSE_CONTROL_VARY] = 2,
        [REC_PURPOSE_CONTROL_SEED] = 2, [REC_PURPOSE_CONTROL_CAPTURE] = 2 * 3,
    };
    size_t total = 0;
    for (size_t i = 0; i < PLAN_N_PURPOSES; i++) {
        assert_int_equal(p->n_by_purpose[i], expected[i]);
        total += expected[i];
    }
    assert_int_equal(p->n_trials, total);
    plan_close(p);
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* No two trials have one key, so no computation can stand in for another. */
static void check_keys(const struct plan *p)
{
    const char **keys = calloc(p->n_trials, sizeof *keys);
    assert_non_null(keys);
    for (size_t i = 0; i < p->n_trials; i++) {
        assert_int_equal(p->trials[i].index, i);
        assert_int_equal(strlen(p->trials[i].key), 64);
        keys[i] = p->trials[i].key;
    }
    qsort(keys, p->n_trials, sizeof *keys, compare_keys);
    for (size_t i = 1; i < p->n_trials; i++)
        assert_string_not_equal(keys[i - 1], keys[i]);
    free(keys);
}

static void test_keys_unique(void **state)
{
    (void)state;
    struct plan *p = open_good();
    check_keys(p);
    plan_close(p);
    p = open_plan("experiments/h1-same-input.yaml", MODEL_A, NUMERICS, 0);
    check_keys(p);
    plan_close(p);
}

/* Same file, model and numerics: same digest. Any of them different: all keys different. */
static void test_digest(void **state)
{
    (void)state;
    struct plan *p = open_good(), *q = open_good();
    assert_string_equal(p->digest, q->digest);
    assert_int_equal(strlen(p->digest), 64);
    plan_close(q);
    q = open_plan("tests/data/plan/good.yaml", MODEL_B, NUMERICS, 0);
    assert_string_not_equal(p->digest, q->digest);
    for (size_t i = 0; i < p->n_trials; i++)
        assert_string_not_equal(p->trials[i].key, q->trials[i].key);
    plan_close(q);
    q = open_plan("tests/data/plan/good.yaml", MODEL_A, "idem-numerics-1/f32", 0);
    assert_string_not_equal(p->digest, q->digest);
    assert_string_not_equal(p->trials[0].key, q->trials[0].key);
    plan_close(q);
    q = open_plan("tests/data/plan/good.yaml", MODEL_A, NUMERICS, 2);
    assert_string_not_equal(p->digest, q->digest);
    plan_close(q);
    plan_close(p);
}

/* The key of a SEEDS trial holds no host state: the same trial in another plan keeps its key. */
static void test_seeds_key_without_host(void **state)
{
    (void)state;
    struct plan *p = open_good();
    struct plan *q = open_plan("tests/data/plan/good-other-host.yaml", MODEL_A, NUMERICS, 0);
    size_t same = 0, other = 0;
    assert_int_equal(p->n_trials, q->n_trials);
    for (size_t i = 0; i < p->n_trials; i++) {
        bool equal = !strcmp(p->trials[i].key, q->trials[i].key);
        if (p->trials[i].purpose == REC_PURPOSE_SEEDS)
            assert_true(equal);
        else
            assert_true(!equal || p->trials[i].purpose == REC_PURPOSE_HOSTS);
        same += equal;
        other += !equal;
    }
    assert_true(same > 0 && other > 0);
    plan_close(p);
    plan_close(q);
}

/* Controls first, then repeats and hosts, SEEDS last and together by prompt; in the fresh parts
 * neighbours differ in their prompt where there is more than one. */
static void test_order(void **state)
{
    (void)state;
    struct plan *p = open_good();
    static const int rank[PLAN_N_PURPOSES] = {6, 4, 5, 0, 3, 1, 2};
    for (size_t i = 1; i < p->n_trials; i++) {
        const struct rec_trial *a = &p->trials[i - 1], *b = &p->trials[i];
        assert_true(rank[a->purpose] <= rank[b->purpose]);
        if (a->purpose == REC_PURPOSE_SEEDS && b->purpose == REC_PURPOSE_SEEDS)
            assert_true(a->prompt <= b->prompt);
        if (a->purpose == b->purpose && b->purpose == REC_PURPOSE_HOSTS && a->host == b->host)
            assert_int_not_equal(a->prompt, b->prompt);
        if (b->purpose != REC_PURPOSE_HOSTS)
            assert_int_equal(b->host, 0);
    }
    for (size_t i = 0; i < p->n_trials; i++) {
        const struct rec_trial *t = &p->trials[i];
        bool off = t->purpose == REC_PURPOSE_CONTROL_CAPTURE && t->repeat == 1;
        assert_int_equal(t->n_top, off ? 0 : 3);
    }
    plan_close(p);
}

static void test_json(void **state)
{
    (void)state;
    struct plan *p = open_good();
    char *text = plan_json(p);
    assert_non_null(text);
    struct json_object *o = json_tokener_parse(text), *v, *s;
    assert_non_null(o);
    assert_true(json_object_object_get_ex(o, "digest", &v));
    assert_string_equal(json_object_get_string(v), p->digest);
    assert_true(json_object_object_get_ex(o, "settings", &v));
    assert_int_equal(json_object_array_length(v), p->n_settings);
    assert_true(json_object_object_get_ex(json_object_array_get_idx(v, 1), "values", &s));
    assert_true(json_object_object_get_ex(s, "temperature", &s));
    assert_true(json_object_get_double(s) == 0.1);
    assert_true(json_object_object_get_ex(o, "prompts", &v));
    assert_true(json_object_object_get_ex(json_object_array_get_idx(v, 1), "system", &s));
    assert_string_equal(json_object_get_string(s), "Be brief.");
    assert_true(json_object_object_get_ex(o, "decision", &v));
    assert_true(json_object_object_get_ex(v, "correction", &s));
    assert_string_equal(json_object_get_string(s), "none");
    json_object_put(o);
    free(text);
    plan_close(p);
}

static void test_estimate(void **state)
{
    (void)state;
    struct plan *p = open_good();
    struct plan_rates rates = {.prefill = 100, .decode_1 = 10, .decode_8 = 80};
    struct plan_estimate e;
    uint32_t tokens[3] = {5, 7, 11};
    plan_estimate(p, tokens, &rates, &e);
    assert_int_equal(e.n_trials, p->n_trials);
    assert_int_equal(e.decode_tokens, p->n_trials * 4);
    assert_int_equal(e.fresh_decode_tokens, (p->n_trials - 81) * 4);
    /* SEEDS compute each prompt once; the rest as their prompts say */
    assert_int_equal(e.prefill_tokens - e.fresh_prefill_tokens, 5 + 7 + 11);
    assert_int_equal(e.fresh_prefill_tokens,
                     9 * 2 * (5 + 7 + 11) - 0 + /* repeats: 3 outputs x 2 seeds x 3 computations */
                     2 * (5 + 11) +             /* hosts */
                     2 * 5 + 2 * 5 + 2 * 7 + 2 * (5 + 7 + 11));
    assert_true(e.seconds > 0 && e.disk_bytes > 0);
    /* base: prompts one and three have 3 repeats + 2 hosts with seed 42, 3 repeats with 43;
     * prompt two 3 and 3; pair: 3 repeats x 2 samples x 2 seeds x 3 prompts */
    assert_int_equal(e.n_computations, 2 * (4 + 2) + 1 * (2 + 2) + 2 * 2 * 2 * 3);
    assert_true(fabs(pow(1 - e.detectable, (double)e.n_computations) - 0.1) < 1e-12);
    plan_close(p);
}

static void test_bad_expand(void **state)
{
    (void)state;
    struct idem_err err = {0};
    struct plan *p = open_good();
    assert_int_equal(plan_expand(p, "abc", NUMERICS, &err), -1);
    assert_non_null(strstr(err.msg, "64 hexadecimal digits"));
    plan_close(p);
    p = plan_open("tests/data/plan/huge.yaml", NULL, &err);
    assert_non_null(p);
    assert_int_equal(plan_expand(p, MODEL_A, NUMERICS, &err), -1);
    assert_int_equal(err.code, IDEM_ERR_LIMIT);
    assert_non_null(strstr(err.msg, "at most 10000000 are allowed"));
    plan_close(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts),   cmocka_unit_test(test_keys_unique),
        cmocka_unit_test(test_digest),   cmocka_unit_test(test_seeds_key_without_host),
        cmocka_unit_test(test_order),    cmocka_unit_test(test_json),
        cmocka_unit_test(test_estimate), cmocka_unit_test(test_bad_expand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
