/* SPDX-License-Identifier: MIT
 * What plan_settings_idle says to have no effect has none: under random settings every such
 * hyperparameter is given other values, and each step stays the same, token and log-probability.
 * And each hyperparameter that it does not name has an effect somewhere. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plan/intern.h"
#include "sample/sample.h"

enum { N = 24, STEPS = 6, ROUNDS = 600 };

static uint64_t random_state = 20240607;
static uint32_t roll(uint32_t n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((random_state >> 33) % n);
}

static const struct { const char *name; double v[5]; } values[] = {
    {"temperature", {0, 0.3, 1, 1.7, 0.8}},   {"top_k", {0, 1, 3, N, 1000}},
    {"top_p", {1, 0.9, 0.5, 0.2, 0.7}},       {"min_p", {0, 0.05, 0.3, 0.9, 0.5}},
    {"typical_p", {1, 0.9, 0.5, 0.2, 0.7}},   {"epsilon_cutoff", {0, 0.01, 0.1, 0.3, 0.05}},
    {"eta_cutoff", {0, 0.01, 0.1, 0.3, 0.9}}, {"presence_penalty", {0, 1, -2, 5, 0.5}},
    {"frequency_penalty", {0, 1, -2, 5, 0.5}},{"repetition_penalty", {1, 1.5, 0.7, 3, 1.1}},
    {"do_sample", {0, 1, 1, 1, 1}},           {"length_penalty", {1, 0, 2, -1, 3}},
    {"early_stopping", {0, 1, 2, 0, 1}},      {"max_new_tokens", {1, 20, 30, 40, 1}},
    {"no_repeat_ngram_size", {0, 0, 2, 1, 3}},
};
enum { N_VALUES = sizeof values / sizeof values[0] };

static void set_value(struct rec_settings *s, const char *name, double v)
{
    const struct plan_param *p = plan_param_find(name);
    char *at = (char *)s + p->offset;
    bool b = v != 0;
    uint32_t u = (uint32_t)v;
    if (p->type == PLAN_PARAM_BOOL)
        memcpy(at, &b, sizeof b);
    else if (p->type == PLAN_PARAM_F64)
        memcpy(at, &v, sizeof v);
    else
        memcpy(at, &u, sizeof u);
}

struct result { int32_t id; float logprob; bool failed; };

/* Steps 0 .. STEPS - 1 of an output, as many as max_new_tokens allows. */
static void run_steps(const struct rec_settings *set, struct result *r)
{
    struct idem_err err = {0};
    struct sampler *s = sample_open(N, &err);
    assert_non_null(s);
    const int32_t context[4 + STEPS] = {1, 2, 3, 1, 5, 1, 2, 3, 5, 5};
    memset(r, 0, STEPS * sizeof *r);
    for (uint32_t i = 0; i < STEPS && i < set->max_new_tokens; i++) {
        float logits[N];
        double sum = 0;
        for (size_t k = 0; k < N; k++) {
            logits[k] = (float)((k * 7 + i * 5) % N) * 0.17f - 1.0f;
            sum += exp((double)logits[k]);
        }
        struct sample_stats st = {.logsumexp = log(sum)};
        struct sample_key key;
        sample_key_init(&key, 9, context, 4, 0);
        key.position = i;
        struct rec_token t = {0};
        r[i].failed = sample_step(s, set, logits, &st, context, 4 + i, &key, 0, &t, &err) != 0;
        r[i].id = t.id;
        r[i].logprob = t.logprob_processed;
    }
    sample_close(s);
}

static bool same(const struct result *a, const struct result *b)
{
    for (size_t i = 0; i < STEPS; i++)
        if (a[i].failed != b[i].failed || a[i].id != b[i].id ||
            memcmp(&a[i].logprob, &b[i].logprob, sizeof a[i].logprob) != 0)
            return false;
    return true;
}

static void test_idle(void **state)
{
    (void)state;
    size_t acted[N_VALUES] = {0}, n_idle[N_VALUES] = {0};
    for (size_t round = 0; round < ROUNDS; round++) {
        struct rec_settings s;
        struct idem_err err = {0};
        struct plan_idle idle[PLAN_IDLE_MAX];
        struct result before[STEPS], after[STEPS];
        rec_settings_default(&s, (enum rec_sampler)roll(3));
        s.max_new_tokens = 20;
        for (size_t i = 0; i < N_VALUES; i++)
            if (roll(3) == 0 || !strcmp(values[i].name, "do_sample"))
                set_value(&s, values[i].name, values[i].v[roll(5)]);
        if (sample_check(&s, &err) != 0)
            continue;
        size_t n = plan_settings_idle(&s, ~0u, N, idle);
        run_steps(&s, before);
        for (size_t i = 0; i < N_VALUES; i++) {
            const char *told = NULL;
            for (size_t k = 0; k < n; k++)
                if (!strcmp(idle[k].name, values[i].name))
                    told = idle[k].why;
            n_idle[i] += told != NULL;
            for (size_t k = 0; k < 5; k++) {
                struct rec_settings other = s;
                set_value(&other, values[i].name, values[i].v[k]);
                /* what the message itself names as the cause stays */
                if (sample_check(&other, &err) != 0 ||
                    (told && plan_settings_sampled(&other) != plan_settings_sampled(&s)) ||
                    (told && strstr(told, "vocabulary") && values[i].v[k] > 0 &&
                     values[i].v[k] < N))
                    continue;
                run_steps(&other, after);
                if (told && !same(before, after))
                    fail_msg("%s %g instead of %g changes the output, but is said to change "
                             "nothing", values[i].name, values[i].v[k],
                             plan_param_value(plan_param_find(values[i].name), &s));
                acted[i] += !told && !same(before, after);
            }
        }
    }
    for (size_t i = 0; i < N_VALUES; i++) {
        bool beams = !strcmp(values[i].name, "length_penalty") ||
                     !strcmp(values[i].name, "early_stopping");
        bool always = !strcmp(values[i].name, "repetition_penalty") ||
                      !strcmp(values[i].name, "no_repeat_ngram_size") ||
                      !strcmp(values[i].name, "max_new_tokens");
        if ((acted[i] == 0) != beams || (n_idle[i] == 0) != always)
            fail_msg("%s acted %zu times and was said to be idle %zu times", values[i].name,
                     acted[i], n_idle[i]);
    }
}

/* The words, and that nothing is said of what is off or was not set. */
static void test_words(void **state)
{
    (void)state;
    struct plan_idle idle[PLAN_IDLE_MAX];
    struct rec_settings s;
    rec_settings_default(&s, REC_SAMPLER_HF);
    assert_int_equal(plan_settings_idle(&s, 0, 0, idle), 0);
    assert_int_equal(plan_settings_idle(&s, plan_named("top_k"), 0, idle), 1);
    assert_string_equal(idle[0].name, "top_k");
    assert_string_equal(idle[0].why, "do_sample is false: nothing is drawn");
    s.top_k = 0;
    assert_int_equal(plan_settings_idle(&s, plan_named("top-k") | plan_named("top-p"), 0, idle), 0);
    s.do_sample = true;
    s.top_k = 30;
    assert_int_equal(plan_settings_idle(&s, plan_named("top_k"), 0, idle), 0);
    assert_int_equal(plan_settings_idle(&s, plan_named("top_k"), 31, idle), 0);
    assert_int_equal(plan_settings_idle(&s, plan_named("top_k"), 30, idle), 1);
    assert_string_equal(idle[0].why, "the vocabulary has no more than 30 tokens");
    s.temperature = 0;
    assert_int_equal(plan_settings_idle(&s, plan_named("do_sample"), 0, idle), 1);
    assert_int_equal(plan_settings_idle(&s, plan_named("temperature"), 0, idle), 0);
    assert_int_equal(plan_settings_idle(&s, plan_named("early-stopping"), 0, idle), 1);
    s.num_beams = 2;
    assert_int_equal(plan_settings_idle(&s, plan_named("early-stopping"), 0, idle), 0);
    assert_int_equal(plan_named("seed"), 0);
    assert_int_equal(plan_named("top"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_idle), cmocka_unit_test(test_words)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
