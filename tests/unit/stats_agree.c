/* SPDX-License-Identifier: MIT
 * Agreement of outputs: small cases by hand, and the published TARr, TARa, accuracies, best and
 * worst possible accuracy of llm-stability from its own raw outputs (tests/data/stats/llm-stability,
 * see NOTICE there). */
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
#include "stats/sensitivity.h"

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

/* One task of the file. */
struct task {
    char name[64];
    size_t n_prompts, tar_raw, tar_parsed, best, worst, correct[5];   /* published */
    char text[300][512];
    struct stat_bytes raw[1500], parsed[1500];
    size_t start[301];
    uint32_t n_right[300], n_trials[300];
    size_t right_of_run[5];
};

/* "(C)" as C */
static bool is_right(const char *gt, struct stat_bytes a)
{
    size_t skip = *gt == '(', n = strlen(gt) - skip;
    if (n && gt[skip + n - 1] == ')')
        n--;
    return a.data && a.len == n && memcmp(a.data, gt + skip, n) == 0;
}

static void read_task(struct task *t, FILE *f)
{
    size_t n = 0;
    *t = (struct task){0};
    assert_non_null(fgets(t->text[0], sizeof t->text[0], f));
    assert_int_equal(sscanf(t->text[0], "# task %63s %zu %zu %zu %zu %zu %zu %zu %zu %zu %zu", t->name,
                            &t->n_prompts, &t->tar_raw, &t->tar_parsed, &t->best, &t->worst,
                            &t->correct[0], &t->correct[1], &t->correct[2], &t->correct[3],
                            &t->correct[4]), 11);
    for (size_t i = 0; i < t->n_prompts; i++) {
        assert_non_null(fgets(t->text[i], sizeof t->text[i], f));
        t->start[i] = n;
        char *save = NULL, *gt = strtok_r(t->text[i], "\t\n", &save);
        for (char *r = strtok_r(NULL, "\t\n", &save); r; r = strtok_r(NULL, "\t\n", &save)) {
            t->raw[n] = (struct stat_bytes){r, strlen(r)};
            t->parsed[n] = answer(r, strlen(r));
            bool right = is_right(gt, t->parsed[n]);
            t->right_of_run[t->n_trials[i]] += right;
            t->n_right[i] += right;
            t->n_trials[i]++;
            n++;
        }
        assert_int_equal(t->n_trials[i], 5);
    }
    t->start[t->n_prompts] = n;
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
    static struct task t;
    FILE *f = fopen("tests/data/stats/llm-stability/responses.tsv", "r");
    assert_non_null(f);
    for (size_t k = 0; k < 7; k++) {
        read_task(&t, f);
        assert_string_equal(t.name, published[k].task);
        assert_int_equal(t.n_prompts, published[k].n);
        assert_int_equal(t.tar_raw, published[k].raw);
        assert_int_equal(t.tar_parsed, published[k].parsed);
        size_t n = t.start[t.n_prompts];
        tar_of(t.raw, n, t.start, t.n_prompts, published[k].raw, t.name);
        tar_of(t.parsed, n, t.start, t.n_prompts, published[k].parsed, t.name);
        for (size_t run = 0; run < 5; run++)
            assert_int_equal(t.right_of_run[run], t.correct[run]);
        struct stat_worst_best w;
        assert_int_equal(stat_worst_best(&w, t.n_right, t.n_trials, t.n_prompts, 5, NULL), 0);
        double m = (double)t.n_prompts;
        if (fabs(w.best * m - (double)t.best) > 1e-9 || fabs(w.worst * m - (double)t.worst) > 1e-9)
            fail_msg("%s: best %g, worst %g of %g, published %zu and %zu", t.name, w.best * m,
                     w.worst * m, m, t.best, t.worst);
        assert_true(w.n_used == t.n_prompts && w.spread == w.best - w.worst);
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
