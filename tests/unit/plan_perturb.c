/* SPDX-License-Identifier: MIT
 * Tables of prompts and perturbations in a plan: what is read, which prompts and trials come of it,
 * under which keys. The errors are in plan_open.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "plan/plan.h"

#define MODEL "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static struct plan *open_plan(const char *path, uint32_t limit)
{
    struct idem_err err = {0};
    struct plan_options o = {.limit_prompts = limit};
    struct plan *p = plan_open(path, &o, &err);
    if (!p || plan_expand(p, MODEL, "idem-numerics-1/q8", &err))
        fail_msg("%s", err.msg);
    return p;
}

static struct plan *open_good(uint32_t limit) { return open_plan("tests/data/plan/good-perturb.yaml", limit); }

static void test_table(void **state)
{
    (void)state;
    struct plan *p = open_good(0);
    static const char *const ids[] = {"7", "8", "9"}, *const kinds[] = {"place-of-birth", "author", "author"};
    static const char *const texts[] = {"Q: Where was Zo\xC3\xAB born?\nA:", "Q: Who is the author of \"A\xC2\xA0" "B\"?\nA:",
                                        "Q: Who is the author of Dune?\nA:"};
    assert_int_equal(p->n_bases, 3);
    assert_int_equal(p->n_prompts_declared, 3);
    for (size_t i = 0; i < 3; i++) {
        const struct plan_prompt *q = &p->prompts[i];
        assert_string_equal(q->id, ids[i]);
        assert_string_equal(q->kind, kinds[i]);
        assert_string_equal(q->text, texts[i]);
        assert_int_equal(q->body_from, 3);
        assert_int_equal(q->body_to, strlen(q->text) - 3);
        assert_int_equal(q->base, i);
        assert_true(q->perturbation == PLAN_UNPERTURBED && !q->diff && !q->order);
        assert_int_equal(q->n_attributes, 5);
        assert_string_equal(q->attributes[1].name, "kind name");
        assert_string_equal(q->attributes[4].name, "pop");
    }
    assert_string_equal(p->prompts[0].attributes[3].value, "Zo\xC3\xAB");
    assert_string_equal(p->prompts[1].attributes[3].value, "\"A\xC2\xA0" "B\"");
    assert_string_equal(p->prompts[1].attributes[4].value, "");
    plan_close(p);
}

static const struct plan_prompt *variant(const struct plan *p, const char *id)
{
    for (size_t i = p->n_bases; i < p->n_prompts; i++)
        if (!strcmp(p->prompts[i].id, id))
            return &p->prompts[i];
    fail_msg("no prompt %s", id);
    return NULL;
}

static void test_variants(void **state)
{
    (void)state;
    struct plan *p = open_good(0);
    static const struct { const char *id; bool random; uint64_t seed; size_t n; } want[] = {
        {"identity", false, 0, 3}, {"case:upper", false, 0, 3}, {"typo:swap/3", true, 3, 3}, {"typo:swap/9", true, 9, 3},
        {"synonym/1", true, 1, 2}, {"synonym/2", true, 2, 2}, {"format:plain", false, 0, 3},
    };
    size_t n = p->n_bases, last = 0;
    assert_int_equal(p->n_perturbations, 7);
    for (size_t i = 0; i < 7; i++) {
        const struct plan_perturbation *q = &p->perturbations[i];
        assert_string_equal(q->id, want[i].id);
        assert_true(q->random == want[i].random && q->seed == want[i].seed && q->n_applies == want[i].n);
        n += want[i].n;
    }
    assert_int_equal(p->n_prompts, n);
    for (size_t i = p->n_bases; i < p->n_prompts; i++) {   /* those of one prompt together, in order */
        const struct plan_prompt *q = &p->prompts[i];
        size_t place = q->base * p->n_perturbations + q->perturbation;
        assert_true(q->base < p->n_bases && q->perturbation < 7 && (i == p->n_bases || place > last));
        last = place;
        const char *kept = p->prompts[q->base].attributes[3].value;
        assert_true(strstr(q->text, kept) && strstr(q->diff, kept));
        bool identity = q->perturbation == 0;
        assert_int_equal(identity, strcmp(q->text, p->prompts[q->base].text) == 0);
        assert_int_equal(q->n_attributes, 0);
        assert_string_equal(q->kind, p->prompts[q->base].kind);
    }
    assert_string_equal(variant(p, "9/case:upper")->text, "Q: WHO IS THE AUTHOR OF Dune?\nA:");
    assert_string_equal(variant(p, "9/format:plain")->text, "Who is the author of Dune?");
    assert_string_equal(variant(p, "9/format:plain")->diff, "[-Q: -]Who is the author of Dune?[-\\nA:-]");
    assert_int_equal(p->n_skips, 2);
    assert_true(p->skips[0].prompt == 0 && p->skips[0].perturbation == 4 && strlen(p->skips[0].why) > 5);
    plan_close(p);
}

/* Perturbed prompts run under the settings and seeds that are named, and in no other part. */
static void test_trials(void **state)
{
    (void)state;
    struct plan *p = open_good(0);
    size_t n = p->n_prompts - p->n_bases, differ = 0;
    assert_int_equal(p->n_by_purpose[REC_PURPOSE_PERTURBED], n * 3 * 2);
    assert_int_equal(p->n_by_purpose[REC_PURPOSE_SEEDS], 3 * 4 * 3);
    assert_int_equal(p->n_by_purpose[REC_PURPOSE_CONTROL_CAPTURE], 3 * 2);
    for (size_t i = 0; i < p->n_trials; i++) {
        const struct rec_trial *t = &p->trials[i];
        assert_int_equal(t->purpose == REC_PURPOSE_PERTURBED, t->prompt >= p->n_bases);
        differ += t->purpose == REC_PURPOSE_PERTURBED && strcmp(p->settings[t->setting].id, "cold") == 0;
        for (size_t k = 0; k < i; k++)   /* identity has the text of its prompt, but a key of its own */
            assert_true(strcmp(t->key, p->trials[k].key) != 0);
    }
    assert_int_equal(differ, 0);
    plan_close(p);
}

/* --limit takes whole prompts with all that is made of them, under the same keys. */
static void test_limit(void **state)
{
    (void)state;
    struct plan *all = open_good(0), *p = open_good(1);
    assert_int_equal(p->n_bases, 1);
    assert_int_equal(p->n_prompts_declared, 3);
    assert_int_equal(p->n_prompts, 1 + 7 - 2);
    for (size_t i = 1; i < p->n_prompts; i++)
        assert_string_equal(p->prompts[i].digest, variant(all, p->prompts[i].id)->digest);
    assert_string_not_equal(p->digest, all->digest);
    plan_close(p);
    plan_close(all);
}

static void test_json(void **state)
{
    (void)state;
    struct plan *p = open_good(0);
    char *text = plan_json(p);
    struct json_object *j = json_tokener_parse(text), *list, *one, *v;
    assert_non_null(j);
    assert_true(json_object_object_get_ex(j, "perturbations", &list));
    assert_int_equal(json_object_array_length(list), 7);
    one = json_object_array_get_idx(list, 3);
    assert_true(json_object_object_get_ex(one, "seed", &v) && json_object_get_int(v) == 9);
    assert_true(json_object_object_get_ex(j, "prompts", &list));
    one = json_object_array_get_idx(list, p->n_prompts - 1);
    assert_true(json_object_object_get_ex(one, "base", &v) && json_object_get_int(v) == 2);
    one = json_object_array_get_idx(list, 0);
    assert_true(json_object_object_get_ex(one, "attributes", &v) && !json_object_object_get_ex(one, "base", &v));
    json_object_put(j);
    free(text);
    plan_close(p);
    p = open_plan("tests/data/plan/good.yaml", 0);   /* nothing of it where nothing is perturbed */
    text = plan_json(p);
    assert_null(strstr(text, "perturb"));
    assert_null(strstr(text, "attributes"));
    free(text);
    assert_int_equal(p->n_bases, p->n_prompts);
    plan_close(p);
}

/* What the digest of this plan was before there were perturbations. */
/* Rows are chosen by their values, quoted or not. */
static void test_where(void **state)
{
    (void)state;
    struct plan *p = open_plan("tests/data/plan/good-where.yaml", 0);
    assert_int_equal(p->n_bases, 1);
    assert_string_equal(p->prompts[0].id, "9");
    assert_string_equal(p->prompts[0].text, "Who is the author of Dune?");
    plan_close(p);
}

static void test_answer(void **state)
{
    (void)state;
    struct plan *p = open_good(0);
    assert_true(p->answer.given && p->answer.rule.parse == ANSWER_AFTER && p->answer.rule.match == ANSWER_CONTAINS);
    assert_string_equal(p->answer.rule.arg, "Answer:");
    assert_string_equal(p->answer.correct, "subject");
    char *json = plan_json(p);
    assert_non_null(strstr(json, "\"answer\": {\"parse\": \"after\", \"arg\": \"Answer:\", \"normalize\": \"squad\", "
                                 "\"match\": \"contains\", \"correct\": \"subject\"}"));
    free(json);
    plan_close(p);
}

static void test_digest_stays(void **state)
{
    (void)state;
    struct plan *p = open_plan("tests/data/plan/good.yaml", 0);
    assert_string_equal(p->digest, "7a99c5e0198714cb81d8921d0e39f344b6e79202b5c45d516e9216efe4037684");
    plan_close(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table), cmocka_unit_test(test_variants), cmocka_unit_test(test_trials),
        cmocka_unit_test(test_limit), cmocka_unit_test(test_json), cmocka_unit_test(test_digest_stays), cmocka_unit_test(test_answer), cmocka_unit_test(test_where),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
