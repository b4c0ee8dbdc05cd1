/* SPDX-License-Identifier: MIT
 * Verdicts, counts and intervals of runs whose answers can be worked out by hand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/report_fixture.h"

#define NEAR(a, b) do { double x_ = (a), y_ = (b); \
    if (!(fabs(x_ - y_) <= 1e-9)) fail_msg("%s is %.12g, not %.12g", #a, x_, y_); } while (0)
#define IS(a, b) assert_string_equal(a, b)

/* Four prompts, each key computed three times, and passing controls. */
static struct rf *good(void)
{
    struct rf *f = rf_new(4, 2);
    for (uint32_t p = 0; p < 4; p++) {
        rf_add(f, REC_PURPOSE_REPEATS, p, 0, 0, 1, "abcd");
        rf_add(f, REC_PURPOSE_REPEATS, p, 0, 0, 1, "abcd");
        rf_add(f, REC_PURPOSE_HOSTS, p, 0, 1, 1, "abcd");
    }
    rf_add(f, REC_PURPOSE_CONTROL_IDENTICAL, 0, 1, 0, 1, "x");
    rf_add(f, REC_PURPOSE_CONTROL_IDENTICAL, 0, 1, 0, 1, "x");
    rf_add(f, REC_PURPOSE_CONTROL_VARY, 0, 1, 0, 1, "x");
    rf_add(f, REC_PURPOSE_CONTROL_VARY, 0, 1, 0, 2, "y");
    rf_add(f, REC_PURPOSE_CONTROL_SEED, 0, 1, 0, 5, "z");
    rf_add(f, REC_PURPOSE_CONTROL_SEED, 0, 1, 0, 5, "z");
    rf_add(f, REC_PURPOSE_CONTROL_CAPTURE, 0, 1, 0, 6, "w");
    rf_add(f, REC_PURPOSE_CONTROL_CAPTURE, 0, 1, 0, 6, "w");
    f->trials[f->plan.n_trials - 1].n_top = 0;
    return f;
}

static void sameness_counts_computations_and_prompts(void **state)
{
    (void)state;
    struct rf *f = good();
    enum report_outcome o;
    struct json_object *j = rf_json(f, &o);
    assert_int_equal(o, REPORT_SAME);
    IS(rf_str(j, "verdict"), "supported");
    assert_true(json_object_get_boolean(rf_at(j, "complete")));
    IS(rf_str(j, "verdicts.0.hypothesis"), "H1");
    IS(rf_str(j, "verdicts.0.setting"), "all");
    IS(rf_str(j, "verdicts.0.verdict"), "identical");
    NEAR(rf_num(j, "verdicts.0.n"), 8);
    NEAR(rf_num(j, "verdicts.0.of"), 8);
    NEAR(rf_num(j, "verdicts.0.prompts"), 4);
    NEAR(rf_num(j, "verdicts.0.low"), pow(0.05, 1.0 / 4));              /* prompts are clusters */
    NEAR(rf_num(j, "verdicts.0.low_computations"), pow(0.05, 1.0 / 8));
    NEAR(rf_num(j, "verdicts.0.high"), 1);
    IS(rf_str(j, "verdicts.1.setting"), "s0");
    IS(rf_str(j, "verdicts.2.verdict"), "inconclusive");                 /* s1: nothing to compare */
    assert_null(rf_at(j, "verdicts.2.low"));
    NEAR(rf_num(j, "hosts.0.of"), 4);
    NEAR(rf_num(j, "hosts.1.of"), 4);
    assert_int_equal(json_object_array_length(rf_at(j, "controls")), 4);
    for (int i = 0; i < 4; i++) {
        char path[40];
        snprintf(path, sizeof path, "controls.%d.passed", i);
        assert_true(json_object_get_boolean(rf_at(j, path)));
    }
    json_object_put(j);
    rf_free(f);
}

static void the_declared_bound_decides(void **state)
{
    (void)state;
    struct rf *f = good();
    enum report_outcome o;
    f->plan.run.max_differing = 0.3;            /* 1 - 0.05^(1/8) = 0.312: eight are not enough */
    struct json_object *j = rf_json(f, &o);
    assert_int_equal(o, REPORT_SAME);
    IS(rf_str(j, "verdict"), "undecided");
    json_object_put(j);
    rf_free(f);
}

static void one_difference_contradicts_and_is_located(void **state)
{
    (void)state;
    struct rf *f = good();
    enum report_outcome o;
    f->outputs[5] = (struct rf_output){.text = "abXd", .len = 4, .bits = "other"};   /* prompt 1, host 1 */
    struct json_object *j = rf_json(f, &o);
    assert_int_equal(o, REPORT_VARIED);
    IS(rf_str(j, "verdict"), "contradicted");
    IS(rf_str(j, "verdicts.1.verdict"), "varies");
    NEAR(rf_num(j, "verdicts.1.n"), 7);
    NEAR(rf_num(j, "verdicts.1.of"), 8);
    NEAR(rf_num(j, "verdicts.1.prompts_identical"), 3);
    /* 3 prompts whole, one half: the interval of stats/share.h, worked out by scipy */
    assert_true(fabs(rf_num(j, "verdicts.1.low") - 0.1927089913139895) < 1e-8);
    assert_true(fabs(rf_num(j, "verdicts.1.high") - 0.999572026668717) < 1e-8);
    assert_null(rf_at(j, "verdicts.1.low_computations"));
    NEAR(rf_num(j, "hosts.0.n"), 4);
    NEAR(rf_num(j, "hosts.1.n"), 3);
    assert_int_equal(json_object_array_length(rf_at(j, "differences")), 1);
    NEAR(rf_num(j, "differences.0.trial"), 5);
    NEAR(rf_num(j, "differences.0.against"), 3);
    NEAR(rf_num(j, "differences.0.part_after_tokens"), 2);
    NEAR(rf_num(j, "differences.0.margin_there"), 2.5);
    NEAR(rf_num(j, "differences.0.entropy_there"), 3);
    json_object_put(j);
    rf_free(f);
}

static void other_logits_are_a_difference_too(void **state)
{
    (void)state;
    struct rf *f = good();
    enum report_outcome o;
    f->outputs[1].bits = "other";
    struct json_object *j = rf_json(f, &o);
    assert_int_equal(o, REPORT_VARIED);
    NEAR(rf_num(j, "verdicts.1.n"), 7);
    NEAR(rf_num(j, "verdicts.1.n_output"), 8);
    NEAR(rf_num(j, "verdicts.1.n_logits"), 7);
    assert_true(json_object_get_boolean(rf_at(j, "differences.0.logits_only")));
    json_object_put(j);
    f->outputs[1].bits = NULL;                  /* a backend without digests: outputs alone count */
    j = rf_json(f, &o);
    assert_int_equal(o, REPORT_SAME);
    NEAR(rf_num(j, "verdicts.1.n"), 8);
    NEAR(rf_num(j, "verdicts.1.of_logits"), 7);
    json_object_put(j);
    rf_free(f);
}

static void copies_count_in_no_n(void **state)
{
    (void)state;
    struct rf *f = good();
    enum report_outcome o;
    for (int i = 1; i < 12; i += 3)
        f->outputs[i].computed = STORE_COMPUTED_COPY;
    struct json_object *j = rf_json(f, &o);
    NEAR(rf_num(j, "verdicts.0.of"), 4);
    json_object_put(j);
    rf_free(f);
}

/* Each control alone takes the verdict away. */
static void a_failed_control_ends_all_verdicts(void **state)
{
    (void)state;
    static const struct { int trial; const char *text, *name; } cases[] = {
        {13, "q", "identical"}, {15, "x", "vary"}, {17, "q", "seed"}, {19, "q", "capture"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rf *f = good();
        enum report_outcome o;
        f->outputs[cases[i].trial].text = cases[i].text;
        f->outputs[cases[i].trial].bits = cases[i].text;
        struct json_object *j = rf_json(f, &o);
        if (o != REPORT_INVALID)
            fail_msg("control %s: outcome %d", cases[i].name, (int)o);
        IS(rf_str(j, "verdict"), "invalid");
        for (size_t k = 0; k < json_object_array_length(rf_at(j, "verdicts")); k++) {
            struct json_object *v = json_object_array_get_idx(rf_at(j, "verdicts"), k);
            IS(rf_str(v, "verdict"), "invalid");
            assert_null(rf_at(v, "low"));
            assert_null(rf_at(v, "high"));
        }
        for (size_t k = 0; k < 4; k++) {
            struct json_object *c = json_object_array_get_idx(rf_at(j, "controls"), k);
            assert_int_equal(json_object_get_boolean(rf_at(c, "passed")),
                             strcmp(rf_str(c, "name"), cases[i].name) != 0);
        }
        json_object_put(j);
        rf_free(f);
    }
}

/* What the shared tree gave is held against what was computed from nothing. */
static void the_shared_tree_is_controlled(void **state)
{
    (void)state;
    for (int broken = 0; broken < 2; broken++) {
        struct rf *f = good();
        enum report_outcome o;
        rf_add(f, REC_PURPOSE_SEEDS, 2, 0, 0, 1, broken ? "abcX" : "abcd")->computed = STORE_COMPUTED_SHARED;
        struct json_object *j = rf_json(f, &o);
        assert_int_equal(o, broken ? REPORT_INVALID : REPORT_SAME);
        IS(rf_str(j, "controls.4.name"), "shared");
        assert_int_equal(json_object_get_boolean(rf_at(j, "controls.4.passed")), !broken);
        json_object_put(j);
        rf_free(f);
    }
}

static void incomplete_and_limited_runs_are_marked(void **state)
{
    (void)state;
    static const int holes[] = {2, 19};         /* a computation, a control */
    for (int i = 0; i < 2; i++) {
        struct rf *f = good();
        enum report_outcome o;
        struct store *s;
        f->outputs[holes[i]].text = NULL;
        f->plan.run.limit_prompts = 4;
        f->plan.run.n_prompts_declared = 24;
        struct json_object *j = rf_json(f, &o);
        assert_int_equal(o, REPORT_INCONCLUSIVE);
        IS(rf_str(j, "verdict"), "undecided");
        assert_false(json_object_get_boolean(rf_at(j, "complete")));
        assert_true(json_object_get_boolean(rf_at(j, "limited")));
        json_object_put(j);
        struct report *r = rf_report(f, &s);
        for (int k = REPORT_TEXT; k <= REPORT_HTML; k++) {
            if (k == REPORT_JSON)
                continue;
            struct buf b = rf_write(r, (enum report_format)k);
            assert_non_null(strcasestr(b.data, "incomplete run"));
            assert_non_null(strcasestr(b.data, "quick look"));
            buf_release(&b);
        }
        report_close(r);
        store_close(s);
        rf_free(f);
    }
}

static void no_controls_no_certainty(void **state)
{
    (void)state;
    struct rf *f = rf_new(2, 1);
    enum report_outcome o;
    for (uint32_t p = 0; p < 2; p++)
        for (int k = 0; k < 9; k++)
            rf_add(f, REC_PURPOSE_REPEATS, p, 0, 0, 1, "a");
    struct json_object *j = rf_json(f, &o);
    assert_int_equal(o, REPORT_INCONCLUSIVE);
    IS(rf_str(j, "verdict"), "undecided");
    json_object_put(j);
    rf_free(f);
}

/* p0: abcd abcd abXd (1 of 3 pairs equal, 2 distinct, parts after 2); p1: four equal. */
static void seeds_are_counted_by_pairs(void **state)
{
    (void)state;
    struct rf *f = rf_new(2, 2);
    enum report_outcome o;
    rf_add(f, REC_PURPOSE_SEEDS, 0, 0, 0, 1, "abcd");
    rf_add(f, REC_PURPOSE_SEEDS, 0, 0, 0, 2, "abXd");
    rf_add(f, REC_PURPOSE_SEEDS, 0, 0, 0, 3, "abcd");
    rf_add(f, REC_PURPOSE_SEEDS, 0, 0, 0, 4, "abcd")->computed = STORE_COMPUTED_COPY;
    for (uint64_t k = 1; k <= 4; k++)
        rf_add(f, REC_PURPOSE_SEEDS, 1, 0, 0, k, "same");
    f->settings[1].settings.do_sample = false;
    rf_add(f, REC_PURPOSE_SEEDS, 0, 1, 0, 1, "g");
    rf_add(f, REC_PURPOSE_SEEDS, 0, 1, 0, 2, "g");
    struct json_object *j = rf_json(f, &o);
    assert_int_equal(o, REPORT_INCONCLUSIVE);
    IS(rf_str(j, "seeds.0.verdict"), "varies");
    NEAR(rf_num(j, "seeds.0.outputs"), 7);
    NEAR(rf_num(j, "seeds.0.n"), 1 + 6);
    NEAR(rf_num(j, "seeds.0.of"), 3 + 6);
    NEAR(rf_num(j, "seeds.0.equal_pairs.value"), (1.0 / 3 + 1) / 2);
    NEAR(rf_num(j, "seeds.0.distinct_outputs.value"), 1.5);
    NEAR(rf_num(j, "seeds.0.modal_share.value"), (2.0 / 3 + 1) / 2);
    NEAR(rf_num(j, "seeds.0.part_after_tokens"), 2);
    NEAR(rf_num(j, "seeds.0.margin_there"), 2.5);
    NEAR(rf_num(j, "seeds.0.entropy_there"), 3);
    NEAR(rf_num(j, "seeds.0.mean_entropy"), 2.5);
    /* p0: ab bc cd ab bX Xd ab bc cd = 5 of 9; p1: sa am me four times = 3 of 12 */
    NEAR(rf_num(j, "seeds.0.distinct_bigrams"), (5.0 / 9 + 3.0 / 12) / 2);
    assert_true(json_object_get_boolean(rf_at(j, "seeds.1.greedy")));
    NEAR(rf_num(j, "seeds.1.of"), 0);                       /* no seed enters: nothing is counted */
    IS(rf_str(j, "seeds.1.verdict"), "inconclusive");
    json_object_put(j);
    rf_free(f);
}

static void extreme_shares_have_exact_bounds(void **state)
{
    (void)state;
    struct rf *f = rf_new(5, 2);
    enum report_outcome o;
    static const char *const different[] = {"a", "b", "c"};
    for (uint32_t p = 0; p < 5; p++)
        for (uint64_t k = 0; k < 3; k++) {
            rf_add(f, REC_PURPOSE_SEEDS, p, 0, 0, k, "same");
            rf_add(f, REC_PURPOSE_SEEDS, p, 1, 0, k, different[k]);
        }
    struct json_object *j = rf_json(f, &o);
    IS(rf_str(j, "seeds.0.verdict"), "identical");
    NEAR(rf_num(j, "seeds.0.low"), pow(0.05, 0.2));
    NEAR(rf_num(j, "seeds.0.high"), 1);
    IS(rf_str(j, "seeds.1.verdict"), "varies");
    NEAR(rf_num(j, "seeds.1.low"), 0);
    NEAR(rf_num(j, "seeds.1.high"), 1 - pow(0.05, 0.2));
    NEAR(rf_num(j, "seeds.1.part_after_tokens"), 0);
    json_object_put(j);
    rf_free(f);
}

/* Eight prompts; setting 0 always one output, 1 two, 2 three: signed ranks with one sign give
 * p = 2 / 2^8, twice that after Holm with two claims. */
static void claims_are_paired_and_corrected(void **state)
{
    (void)state;
    static const uint32_t up[] = {0, 1, 2}, down[] = {2, 0};
    static const char *const levels[] = {"0.1", "0.5", "1"};
    static const char *const text[3][3] = {{"a", "a", "a"}, {"a", "b", "a"}, {"a", "b", "c"}};
    for (int fail = 0; fail < 2; fail++) {
        struct rf *f = rf_new(8, 3);
        enum report_outcome o;
        for (uint32_t p = 0; p < 8; p++)
            for (uint32_t s = 0; s < 3; s++)
                for (uint64_t k = 0; k < 3; k++)
                    rf_add(f, REC_PURPOSE_SEEDS, p, s, 0, k, text[s][k]);
        rf_add(f, REC_PURPOSE_CONTROL_SEED, 0, 0, 0, 9, "z");
        rf_add(f, REC_PURPOSE_CONTROL_SEED, 0, 0, 0, 9, fail ? "y" : "z");
        f->claims[0] = (struct store_claim){"t", "lower is better", "temperature", NULL, up, levels, 3};
        f->claims[1] = (struct store_claim){"u", "higher is better", "temperature", "identical_pairs", down,
                                            levels, 2};
        f->plan.n_claims = 2;
        struct json_object *j = rf_json(f, &o);
        IS(rf_str(j, "claims.0.verdict"), fail ? "invalid" : "supported");
        IS(rf_str(j, "claims.1.verdict"), fail ? "invalid" : "contradicted");
        NEAR(rf_num(j, "claims.0.prompts"), 8);
        NEAR(rf_num(j, "claims.0.effect.value"), 2);
        NEAR(rf_num(j, "claims.0.levels.1.measure"), 2);
        NEAR(rf_num(j, "claims.0.levels.0.step_to_next.value"), 1);
        NEAR(rf_num(j, "claims.0.p"), 2.0 / 256);
        NEAR(rf_num(j, "claims.0.p_adjusted"), 4.0 / 256);
        NEAR(rf_num(j, "claims.1.effect.value"), -1);       /* unequal pairs: 1 at s2, 0 at s0 */
        json_object_put(j);
        rf_free(f);
    }
}

/* A prompt that lacks an output at some level takes part in no comparison of that claim. */
static void claims_use_whole_prompts_only(void **state)
{
    (void)state;
    static const uint32_t order[] = {0, 1};
    static const char *const levels[] = {"a", "b"};
    struct rf *f = rf_new(4, 2);
    enum report_outcome o;
    for (uint32_t p = 0; p < 4; p++)
        for (uint32_t s = 0; s < 2; s++)
            for (uint64_t k = 0; k < 2; k++)
                rf_add(f, REC_PURPOSE_SEEDS, p, s, 0, k, p == 3 && s == 1 && k == 1 ? NULL
                                                         : s == 1 && k == 1 ? "b" : "a");
    f->claims[0] = (struct store_claim){"t", "x", "f", "distinct_outputs", order, levels, 2};
    f->plan.n_claims = 1;
    struct json_object *j = rf_json(f, &o);
    NEAR(rf_num(j, "claims.0.prompts"), 3);
    NEAR(rf_num(j, "claims.0.effect.value"), 1);
    NEAR(rf_num(j, "claims.0.p"), 0.25);
    IS(rf_str(j, "claims.0.verdict"), "undecided");
    json_object_put(j);
    rf_free(f);
}

static void an_empty_run_is_inconclusive(void **state)
{
    (void)state;
    struct rf *f = good();
    enum report_outcome o;
    for (uint64_t i = 0; i < f->plan.n_trials; i++)
        f->outputs[i].text = NULL;
    struct json_object *j = rf_json(f, &o);
    assert_int_equal(o, REPORT_INCONCLUSIVE);
    NEAR(rf_num(j, "verdicts.0.of"), 0);
    json_object_put(j);
    struct store *s;
    struct report *r = rf_report(f, &s);
    for (int k = REPORT_TEXT; k <= REPORT_HTML; k++) {
        struct buf b = rf_write(r, (enum report_format)k);
        assert_true(b.len > 0);
        buf_release(&b);
    }
    report_close(r);
    store_close(s);
    rf_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sameness_counts_computations_and_prompts),
        cmocka_unit_test(the_declared_bound_decides),
        cmocka_unit_test(one_difference_contradicts_and_is_located),
        cmocka_unit_test(other_logits_are_a_difference_too),
        cmocka_unit_test(copies_count_in_no_n),
        cmocka_unit_test(a_failed_control_ends_all_verdicts),
        cmocka_unit_test(the_shared_tree_is_controlled),
        cmocka_unit_test(incomplete_and_limited_runs_are_marked),
        cmocka_unit_test(no_controls_no_certainty),
        cmocka_unit_test(seeds_are_counted_by_pairs),
        cmocka_unit_test(extreme_shares_have_exact_bounds),
        cmocka_unit_test(claims_are_paired_and_corrected),
        cmocka_unit_test(claims_use_whole_prompts_only),
        cmocka_unit_test(an_empty_run_is_inconclusive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
