/* SPDX-License-Identifier: MIT
 * Experiment files: what is read from a good one, and the error of each bad one. Every
 * tests/data/plan/bad-*.yaml names in its first line what its error must say. */
#include <dirent.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include "plan/plan.h"

#define DIR_PLAN "tests/data/plan/"

static void test_bad_files(void **state)
{
    (void)state;
    size_t n = 0, wrong = 0;
    DIR *d = opendir(DIR_PLAN);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        char path[512], expect[512] = "";
        if (strncmp(e->d_name, "bad-", 4) != 0)
            continue;
        snprintf(path, sizeof path, DIR_PLAN "%s", e->d_name);
        FILE *f = fopen(path, "r");
        assert_non_null(f);
        assert_non_null(fgets(expect, sizeof expect, f));
        fclose(f);
        assert_true(expect[0] == '#' && expect[1] == ' ');
        expect[strcspn(expect, "\n")] = '\0';
        struct idem_err err = {0};
        struct plan *p = plan_open(path, NULL, &err);
        n++;
        if (p || !strstr(err.msg, expect + 2) || !strstr(err.msg, DIR_PLAN) || err.code == IDEM_OK) {
            print_error("%s\n  expected: %s\n  got:      %s\n", e->d_name, expect + 2,
                        p ? "no error" : err.msg);
            wrong++;
        }
        plan_close(p);
    }
    closedir(d);
    assert_true(n >= 112);
    assert_int_equal(wrong, 0);
}

static void test_missing_file(void **state)
{
    (void)state;
    struct idem_err err = {0};
    assert_null(plan_open(DIR_PLAN "nowhere.yaml", NULL, &err));
    assert_int_equal(err.code, IDEM_ERR_IO);
    assert_non_null(strstr(err.msg, "nowhere.yaml"));
    assert_null(plan_open(DIR_PLAN, NULL, &err));
}

static struct plan *open_good(uint32_t limit)
{
    struct idem_err err = {0};
    struct plan_options o = {.limit_prompts = limit};
    struct plan *p = plan_open(DIR_PLAN "good.yaml", &o, &err);
    if (!p)
        fail_msg("%s", err.msg);
    return p;
}

static void test_good_file(void **state)
{
    (void)state;
    struct plan *p = open_good(0);
    static const char *const ids[] = {
        "base", "temperature=0.1", "temperature=1", "top_k=off", "top_k=2", "do_sample=false",
        "loose", "pair",
    };
    assert_string_equal(p->name, "small");
    assert_string_equal(p->hypothesis, "H1");
    assert_int_equal(p->n_prompts, 3);
    assert_true(p->prompts[1].chat);
    assert_string_equal(p->prompts[1].system, "Be brief.");
    assert_false(p->prompts[2].chat);
    assert_string_equal(p->prompts[2].text, "def add(a, b):\n");
    assert_int_equal(p->n_settings, sizeof ids / sizeof ids[0]);
    for (size_t i = 0; i < p->n_settings; i++)
        assert_string_equal(p->settings[i].id, ids[i]);
    assert_null(p->settings[0].factor);
    assert_string_equal(p->settings[1].factor, "temperature");
    assert_string_equal(p->settings[1].level, "0.1");
    assert_null(p->settings[6].factor);
    const struct rec_settings *b = &p->settings[0].values;
    assert_true(b->do_sample && b->temperature == 0.7 && b->top_p == 0.9 && b->top_k == 5);
    assert_true(b->repetition_penalty == 1 && b->max_new_tokens == 4 && b->n_stop == 2);
    assert_string_equal(b->stop[0], "\n\n");
    assert_string_equal(b->stop[1], "END");
    assert_true(p->settings[3].values.top_k == 0 && p->settings[6].values.top_p == 1);
    assert_int_equal(p->n_seeds, 3);
    assert_int_equal(p->seeds[2], 44);
    assert_int_equal(p->n_hosts, 3);
    assert_string_equal(p->hosts[0].id, "threads=1 batch=2 chunk=8 cache=cold");
    assert_string_equal(p->hosts[1].id, "threads=2 batch=1 chunk=8 cache=cold");
    assert_string_equal(p->hosts[2].id, "threads=1 batch=3 chunk=1 cache=forked");
    assert_int_equal(p->n_top, 3);
    assert_int_equal(p->n_repeats, 3);
    assert_true(p->decision.confidence == 0.9 && p->decision.max_differing == 0.05);
    assert_int_equal(p->decision.correction, PLAN_CORRECTION_NONE);
    plan_close(p);
}

static const struct plan_setting *setting(const struct plan *p, const char *id)
{
    for (size_t i = 0; i < p->n_settings; i++)
        if (!strcmp(p->settings[i].id, id))
            return &p->settings[i];
    fail_msg("no setting %s", id);
    return NULL;
}

/* Every hyperparameter is read; where the sampler changes, what the file does not say has its
 * defaults; the canonical form has every key in alphabetical order. */
static void test_sampling(void **state)
{
    (void)state;
    struct idem_err err = {0};
    struct plan *p = plan_open(DIR_PLAN "good-sampling.yaml", NULL, &err);
    if (!p)
        fail_msg("%s", err.msg);
    const struct rec_settings *b = &setting(p, "base")->values;
    assert_true(b->sampler == REC_SAMPLER_HF && b->typical_p == 0.9 && b->presence_penalty == -0.5);
    assert_true(setting(p, "typical_p=1")->values.typical_p == 1);
    assert_true(setting(p, "epsilon_cutoff=0.0003")->values.epsilon_cutoff == 3e-4);
    assert_true(setting(p, "eta_cutoff=0.002")->values.eta_cutoff == 2e-3);
    assert_true(setting(p, "frequency_penalty=0.25")->values.frequency_penalty == 0.25);
    assert_int_equal(setting(p, "min_new_tokens=3")->values.min_new_tokens, 3);
    const struct rec_settings *l = &setting(p, "sampler=llama.cpp")->values;
    assert_true(l->sampler == REC_SAMPLER_LLAMA_CPP && l->do_sample && l->temperature == 0.7);
    assert_true(l->top_k == 5 && l->top_p == 0.95 && l->min_p == 0.05 && l->typical_p == 0.9);
    const struct rec_settings *o = &setting(p, "all-ollama")->values;
    assert_true(o->sampler == REC_SAMPLER_OLLAMA && o->top_p == 0.9 && o->min_p == 0.2);
    assert_true(setting(p, "sampler=ollama")->values.min_p == 0);
    const struct rec_settings *s = &setting(p, "search")->values;
    assert_true(s->num_beams == 3 && s->num_return_sequences == 2 && s->length_penalty == -0.5);
    assert_int_equal(s->early_stopping, REC_EARLY_STOPPING_NEVER);
    assert_int_equal(setting(p, "early")->values.early_stopping, REC_EARLY_STOPPING_TRUE);
    assert_string_equal(
        setting(p, "search")->canonical,
        "{\"do_sample\": false, \"early_stopping\": \"never\", \"epsilon_cutoff\": 0, \"eta_cutoff\": 0, "
        "\"frequency_penalty\": 0, \"length_penalty\": -0.5, \"max_new_tokens\": 8, "
        "\"min_new_tokens\": 0, \"min_p\": 0, \"no_repeat_ngram_size\": 0, \"num_beams\": 3, "
        "\"num_return_sequences\": 2, \"presence_penalty\": -0.5, \"repetition_penalty\": 1, "
        "\"sampler\": \"hf\", \"stop\": [], \"temperature\": 0.69999999999999996, \"top_k\": 5, "
        "\"top_p\": 1, \"typical_p\": 0.90000000000000002}");
    assert_int_equal(p->claims[0].n_settings, 3);
    assert_string_equal(p->claims[0].levels[2], "1");
    plan_close(p);
}

/* Template and variables are part of what a prompt is. */
static void test_chat(void **state)
{
    (void)state;
    struct idem_err err = {0};
    struct plan *p = plan_open(DIR_PLAN "good-chat.yaml", NULL, &err);
    if (!p)
        fail_msg("%s", err.msg);
    const struct plan_prompt *q = p->prompts;
    assert_int_equal(p->n_prompts, 5);
    assert_string_equal(q[1].chat_template, "alpaca");
    assert_null(q[2].chat_template);
    assert_int_equal(q[3].n_chat_vars, 2);
    assert_string_equal(q[3].chat_vars[0].name, "date_string");
    assert_string_equal(q[3].chat_vars[1].value, "false");
    assert_string_not_equal(q[1].digest, q[2].digest);
    assert_string_not_equal(q[2].digest, q[3].digest);
    assert_int_equal(plan_expand(p, q[0].digest, "n", &err), 0);
    char *json = plan_json(p);
    assert_non_null(json);
    assert_non_null(strstr(json, "\"chat_template\": \"alpaca\""));
    assert_non_null(strstr(json, "\"chat_vars\": {\"date_string\": \"1 Jan 2025\", \"enable_thinking\": \"false\"}"));
    free(json);
    plan_close(p);
}

/* Claims put the base and the levels in the order claimed; top_k off counts as the largest. */
static void test_claims(void **state)
{
    (void)state;
    struct plan *p = open_good(0);
    static const uint32_t temperature[] = {1, 0, 2}, top_k[] = {4, 0, 3};
    assert_int_equal(p->n_claims, 2);
    assert_int_equal(p->claims[0].n_settings, 3);
    assert_memory_equal(p->claims[0].settings, temperature, sizeof temperature);
    assert_string_equal(p->claims[0].levels[1], "0.7");
    assert_memory_equal(p->claims[1].settings, top_k, sizeof top_k);
    assert_string_equal(p->claims[1].levels[2], "off");
    plan_close(p);
}

static void test_limit(void **state)
{
    (void)state;
    struct plan *p = open_good(2);
    assert_int_equal(p->n_prompts, 2);
    assert_int_equal(p->n_prompts_declared, 3);
    plan_close(p);
    p = open_good(9);
    assert_int_equal(p->n_prompts, 3);
    plan_close(p);
}

/* The shipped experiment has what it promises. */
static void test_h1(void **state)
{
    (void)state;
    struct idem_err err = {0};
    struct plan *p = plan_open("experiments/h1-same-input.yaml", NULL, &err);
    if (!p)
        fail_msg("%s", err.msg);
    static const char *const kinds[] = {"fact", "arithmetic", "code", "open", "instruction"};
    assert_true(p->n_prompts >= 20);
    assert_string_equal(p->prompts[0].text, "The capital of France is");
    for (size_t k = 0; k < 5; k++) {
        size_t n = 0;
        for (size_t i = 0; i < p->n_prompts; i++)
            n += !strcmp(p->prompts[i].kind, kinds[k]);
        assert_true(n >= 3);
    }
    static const char *const factors[] = {"do_sample", "temperature", "top_p", "top_k",
                                          "repetition_penalty"};
    static const size_t n_levels[] = {2, 3, 3, 3, 3};
    assert_int_equal(p->n_claims, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_string_equal(p->claims[i].factor, factors[i]);
        assert_int_equal(p->claims[i].n_settings, n_levels[i]);
    }
    assert_string_equal(p->claims[4].levels[0], "1.5");
    assert_true(p->n_seeds >= 8 && p->seeds[0] == 42 && p->n_repeats >= 2);
    plan_close(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_files), cmocka_unit_test(test_missing_file),
        cmocka_unit_test(test_good_file), cmocka_unit_test(test_chat),
        cmocka_unit_test(test_claims),
        cmocka_unit_test(test_limit),     cmocka_unit_test(test_h1),
        cmocka_unit_test(test_sampling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
