/* SPDX-License-Identifier: MIT
 * The sampler against Hugging Face's own processors (tests/data/sample/hf.json, made by
 * tools/oracle_sample.py). Sets are compared exactly, log-probabilities
 * within 1e-6 (relative above 1). `make oracle-sample` compares many more. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "base/detmath.h"
#include "sample/sample.h"
#include "unit/sample_json.h"

static struct json_object *get(struct json_object *o, const char *key)
{
    struct json_object *v = NULL;
    if (!json_object_object_get_ex(o, key, &v))
        fail_msg("fixture lacks %s", key);
    return v;
}

static bool near(float ours, double theirs)
{
    return fabs((double)ours - theirs) <= 1e-6 * (1 + fabs(theirs));
}

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* The survivors' log-probabilities as a sorted multiset (where scores tie with removed ones, which
 * of them stays is open), and the very ids where the fixture says that no tie is open. */
static void compare(size_t n_case, struct json_object *c, const struct rec_token *t, size_t n)
{
    struct json_object *ids = get(c, "alive"), *lps = get(c, "logprob"), *draw = get(c, "draw");
    size_t m = json_object_array_length(ids), n_alive = 0;
    float *ours = calloc(n, sizeof *ours), *theirs = calloc(n, sizeof *theirs);
    float *at = calloc(n, sizeof *at);
    assert_true(ours && theirs && at);
    for (size_t i = 0; i < n; i++) {
        at[t->top[i].id] = t->top[i].logprob_processed;
        if (!isnan(t->top[i].logprob_processed))
            ours[n_alive++] = t->top[i].logprob_processed;
    }
    if (n_alive != m)
        fail_msg("case %zu: %zu tokens survive, Hugging Face keeps %zu", n_case, n_alive, m);
    for (size_t i = 0; i < m; i++) {
        theirs[i] = (float)json_object_get_double(json_object_array_get_idx(lps, i));
        int64_t id = json_object_get_int64(json_object_array_get_idx(ids, i));
        if (!json_object_is_type(draw, json_type_null) && !near(at[id], (double)theirs[i]))
            fail_msg("case %zu: token %d has %.9g, Hugging Face %.9g", n_case, (int)id,
                     (double)at[id], (double)theirs[i]);
    }
    qsort(ours, m, sizeof *ours, by_value);
    qsort(theirs, m, sizeof *theirs, by_value);
    for (size_t i = 0; i < m; i++)
        if (!near(ours[i], (double)theirs[i]))
            fail_msg("case %zu: %zu-th log-probability %.9g, Hugging Face %.9g", n_case, i,
                     (double)ours[i], (double)theirs[i]);
    if (!json_object_is_type(draw, json_type_null) && json_object_get_int(draw) != t->id)
        fail_msg("case %zu: drew %d, expected %d", n_case, t->id, json_object_get_int(draw));
    free(ours);
    free(theirs);
    free(at);
}

static void test_cases(void **state)
{
    (void)state;
    struct json_object *root = json_object_from_file("tests/data/sample/hf.json");
    assert_non_null(root);
    struct json_object *cases = get(root, "cases");
    size_t n_cases = json_object_array_length(cases);
    assert_true(n_cases >= 180);
    for (size_t i = 0; i < n_cases; i++) {
        struct json_object *c = json_object_array_get_idx(cases, i);
        struct json_object *jl = get(c, "logits"), *jc = get(c, "context");
        size_t n = json_object_array_length(jl), nc = json_object_array_length(jc);
        float *logits = calloc(n, sizeof *logits);
        int32_t *context = calloc(nc, sizeof *context);
        struct rec_top *top = calloc(n, sizeof *top);
        assert_true(logits && context && top);
        for (size_t j = 0; j < n; j++)
            logits[j] = strtof(json_object_get_string(json_object_array_get_idx(jl, j)), NULL);
        for (size_t j = 0; j < nc; j++)
            context[j] = json_object_get_int(json_object_array_get_idx(jc, j));
        struct rec_settings set;
        assert_true(sample_json_settings(get(c, "settings"), &set));
        set.max_new_tokens = 1000;
        struct idem_err err = {0};
        assert_int_equal(sample_check(&set, &err), 0);
        struct sampler *s = sample_open(n, &err);
        assert_non_null(s);
        struct json_object *je = get(c, "ends");
        int32_t ends[8];
        assert_true(json_object_array_length(je) <= 8);
        for (size_t j = 0; j < json_object_array_length(je); j++)
            ends[j] = json_object_get_int(json_object_array_get_idx(je, j));
        assert_int_equal(sample_ends(s, ends, json_object_array_length(je), &err), 0);
        double sum = 0;
        for (size_t j = 0; j < n; j++)
            sum += det_exp((double)logits[j]);
        struct sample_stats stats = {.logsumexp = det_log(sum)};
        struct sample_key key;
        sample_key_init(&key, strtoull(json_object_get_string(get(c, "seed")), NULL, 10), context,
                        nc, (uint32_t)json_object_get_int(get(c, "sample")));
        key.position = (uint32_t)json_object_get_int(get(c, "position"));
        struct rec_token t = {.top = top};
        if (sample_step(s, &set, logits, &stats, context, nc, &key, n, &t, &err) != 0)
            fail_msg("case %zu: %s", i, err.msg);
        assert_int_equal(t.n_top, n);
        compare(i, c, &t, n);
        sample_close(s);
        free(logits);
        free(context);
        free(top);
    }
    json_object_put(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
