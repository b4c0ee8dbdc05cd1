/* SPDX-License-Identifier: MIT
 * Agreement of outputs: small cases by hand, and the published TARr and TARa of llm-stability
 * from its own raw outputs (tests/data/stats/llm-stability, see NOTICE there). */
#include <ctype.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "stats/agree.h"

static void test_classes(void **state)
{
    (void)state;
    static const struct stat_bytes items[] = {
        {"b", 1}, {"a", 1}, {"b", 1}, {NULL, 0}, {"", 0}, {"a\0x", 3}, {"a", 1}, {"", 0}, {NULL, 0},
    };
    static const uint32_t want[] = {0, 1, 0, STAT_NO_CLASS, 2, 3, 1, 2, STAT_NO_CLASS};
    uint32_t cls[9];
    assert_int_equal(stat_classes(cls, items, 9, NULL), 0);
    assert_memory_equal(cls, want, sizeof want);
    assert_int_equal(stat_classes(cls, items, 0, NULL), 0);
}

static void test_agree(void **state)
{
    (void)state;
    enum { NO = STAT_NO_CLASS };
    static const struct {
        uint32_t cls[6];
        size_t n, n_distinct, n_modal;
        uint32_t modal;
        double share, pairwise;
        bool all_same;
    } t[] = {
        {{0, 0, 0, 0}, 4, 1, 4, 0, 1, 1, true},
        {{0, 1, 2, 3}, 4, 4, 1, 0, 0.25, 0, false},
        {{1, 2, 2, 1, 2, 0}, 6, 3, 3, 2, 0.5, 4.0 / 15, false},
        {{3, 3, 1, 1}, 4, 2, 2, 1, 0.5, 1.0 / 3, false},
        {{UINT32_MAX, UINT32_MAX}, 2, 2, 0, UINT32_MAX, 0, 0, false},
        {{UINT32_MAX, 5, 5}, 3, 2, 2, 5, 2.0 / 3, 1.0 / 3, false},
        {{5}, 1, 1, 1, 5, 1, NAN, true},
        {{UINT32_MAX}, 1, 1, 0, UINT32_MAX, 0, NAN, false},
        {{0}, 0, 0, 0, UINT32_MAX, NAN, NAN, false},
    };
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        struct stat_agree a;
        assert_int_equal(stat_agree(&a, t[i].cls, t[i].n, NULL), 0);
        if (a.n != t[i].n || a.n_distinct != t[i].n_distinct || a.n_modal != t[i].n_modal ||
            a.modal != t[i].modal || a.all_same != t[i].all_same ||
            !(isnan(t[i].share) ? isnan(a.modal_share) : a.modal_share == t[i].share) ||
            !(isnan(t[i].pairwise) ? isnan(a.pairwise)
                                   : fabs(a.pairwise - t[i].pairwise) < 1e-15))
            fail_msg("case %zu: %zu distinct, %zu modal (%u), share %g, pairwise %g", i,
                     a.n_distinct, a.n_modal, a.modal, a.modal_share, a.pairwise);
    }
}

static void test_divergence(void **state)
{
    (void)state;
    const int32_t a[] = {1, 2, 3}, b[] = {1, 2, 4, 5}, c[] = {1, 2};
    assert_true(stat_divergence(a, 3, a, 3) == SIZE_MAX);
    assert_int_equal(stat_divergence(a, 3, b, 4), 2);
    assert_int_equal(stat_divergence(a, 3, c, 2), 2);
    assert_int_equal(stat_divergence(c, 2, a, 3), 2);
    assert_int_equal(stat_divergence(a, 0, a, 3), 0);
    assert_true(stat_divergence(NULL, 0, NULL, 0) == SIZE_MAX);
}

/* The answer letter or word in a response, so that "(C)" is C and "(B) No gain" is B. */
static struct stat_bytes answer(const char *response, size_t len)
{
    static const char mark[] = "\"Answer\":\"";
    const char *p = memmem(response, len, mark, sizeof mark - 1);
    if (!p)
        return (struct stat_bytes){NULL, 0};
    p += sizeof mark - 1;
    if (*p == '(')
        p++;
    size_t n = 0;
    while (p + n < response + len && isalpha((unsigned char)p[n]))
        n++;
    return (struct stat_bytes){p, n};
}

static void tar_of(const struct stat_bytes *items, size_t n, const size_t *start, size_t n_prompts,
                   size_t want, const char *task)
{
    uint32_t *cls = calloc(n, sizeof *cls);
    struct stat_tar t;
    assert_non_null(cls);
    assert_int_equal(stat_classes(cls, items, n, NULL), 0);
    assert_int_equal(stat_tar(&t, cls, start, n_prompts, 0.95, NULL), 0);
    if (t.n_same != want || t.n != n_prompts)
        fail_msg("%s: %zu of %zu agree, published %zu of %zu", task, t.n_same, t.n, want,
                 n_prompts);
    struct stat_interval w = stat_wilson(want, n_prompts, 0.95);
    assert_true(t.wilson.low == w.low && t.wilson.high == w.high);
    assert_true(t.rate == (double)want / (double)n_prompts);
    free(cls);
}

static void test_published(void **state)
{
    (void)state;
    static const struct { const char *task; size_t n, raw, parsed; } published[] = {
        {"navigate", 250, 150, 150}, {"college_mathematics", 100, 45, 47},
        {"high_school_european_history", 165, 153, 153}, {"logical_deduction", 250, 223, 223},
        {"professional_accounting", 282, 180, 181}, {"public_relations", 110, 85, 85},
        {"ruin_names", 250, 229, 229},
    };
    FILE *f = fopen("tests/data/stats/llm-stability/responses.tsv", "r");
    assert_non_null(f);
    static char text[300][512];
    static struct stat_bytes raw[1500], parsed[1500];
    static size_t start[301];
    for (size_t k = 0; k < 7; k++) {
        char task[128] = "";
        size_t n_prompts = 0, tar_r = 0, tar_a = 0, n = 0;
        assert_non_null(fgets(text[0], sizeof text[0], f));
        assert_int_equal(sscanf(text[0], "# task %127s %zu %zu %zu", task, &n_prompts, &tar_r,
                                &tar_a), 4);
        assert_string_equal(task, published[k].task);
        assert_int_equal(n_prompts, published[k].n);
        assert_int_equal(tar_r, published[k].raw);
        assert_int_equal(tar_a, published[k].parsed);
        for (size_t i = 0; i < n_prompts; i++) {
            assert_non_null(fgets(text[i], sizeof text[i], f));
            start[i] = n;
            char *save = NULL;
            for (char *r = strtok_r(text[i], "\t\n", &save); r; r = strtok_r(NULL, "\t\n", &save)) {
                raw[n] = (struct stat_bytes){r, strlen(r)};
                parsed[n] = answer(r, strlen(r));
                n++;
            }
            assert_int_equal(n - start[i], 5);
        }
        start[n_prompts] = n;
        tar_of(raw, n, start, n_prompts, published[k].raw, task);
        tar_of(parsed, n, start, n_prompts, published[k].parsed, task);
    }
    fclose(f);
}

static void test_tar_edges(void **state)
{
    (void)state;
    const uint32_t cls[] = {7, 7, 9, STAT_NO_CLASS, STAT_NO_CLASS, 1, 1, 1};
    const size_t start[] = {0, 2, 3, 5, 5, 8}, wrong[] = {0, 2, 1};
    struct stat_tar t;
    struct idem_err err = {0};
    assert_int_equal(stat_tar(&t, cls, start, 5, 0.95, &err), 0);
    assert_true(t.n == 3 && t.n_same == 2);   /* one output and none say nothing */
    assert_int_equal(stat_tar(&t, cls, start, 0, 0.95, &err), 0);
    assert_true(t.n == 0 && isnan(t.rate) && t.wilson.low == 0 && t.wilson.high == 1);
    assert_int_equal(stat_tar(&t, cls, wrong, 2, 0.95, &err), -1);
    assert_int_equal(stat_tar(&t, cls, start, 5, 1.5, &err), -1);
    assert_non_null(strstr(err.msg, "confidence is 1.5"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_classes),   cmocka_unit_test(test_agree),
        cmocka_unit_test(test_divergence), cmocka_unit_test(test_published),
        cmocka_unit_test(test_tar_edges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
