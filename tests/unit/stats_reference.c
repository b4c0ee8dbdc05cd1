/* SPDX-License-Identifier: MIT
 * src/stats against scipy, mpmath and enumeration (tests/data/stats/reference.tsv, made by
 * tools/make_stats_table.py). Tolerances are for foreign programs' rounding. */
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
#include "stats/interval.h"
#include "stats/paired.h"
#include "stats_table.h"

static void check_share(const struct table_line *l)
{
    uint64_t k = (uint64_t)l->f[0].v[0], n = (uint64_t)l->f[1].v[0];
    double confidence = l->f[2].v[0];
    struct stat_interval i = strcmp(l->what, "wilson") == 0
                                 ? stat_wilson(k, n, confidence)
                                 : stat_clopper_pearson(k, n, confidence);
    table_near(l, "low", i.low, l->f[3].v[0], 1e-9);
    table_near(l, "high", i.high, l->f[4].v[0], 1e-9);
}

static void check_normal_cdf(const struct table_line *l)
{
    table_near(l, "value", stat_normal_cdf(l->f[0].v[0]), l->f[1].v[0], 1e-12);
}

static void check_normal_quantile(const struct table_line *l)
{
    table_near(l, "value", stat_normal_quantile(l->f[0].v[0]), l->f[1].v[0], 1e-11);
}

static void check_beta_cdf(const struct table_line *l)
{
    double x = l->f[0].v[0], a = l->f[1].v[0], b = l->f[2].v[0], p = l->f[3].v[0];
    table_near(l, "value", stat_beta_cdf(x, a, b), p, 1e-9);
    table_near(l, "quantile", stat_beta_quantile(p, a, b), x, 1e-9);
}

static void check_sign(const struct table_line *l)
{
    static double d[2000];
    size_t plus = (size_t)l->f[0].v[0], minus = (size_t)l->f[1].v[0];
    for (size_t i = 0; i < plus + minus + 3; i++)
        d[i] = i < plus ? 0.5 : i < plus + minus ? -2.0 : 0.0;
    struct stat_sign s;
    assert_int_equal(stat_sign_test(&s, d, plus + minus + 3, NULL), 0);
    assert_true(s.n_plus == plus && s.n_minus == minus && s.n_zero == 3);
    table_near(l, "p", s.p, l->f[2].v[0], 1e-10);
}

static void check_wilcoxon(const struct table_line *l)
{
    struct stat_wilcoxon w;
    assert_int_equal(stat_wilcoxon(&w, l->f[0].v, l->f[0].n, NULL), 0);
    assert_int_equal(w.n_used + w.n_zero, l->f[0].n);
    assert_int_equal(w.exact, strcmp(l->what, "wilcoxon_exact") == 0);
    table_near(l, "w_plus", w.w_plus, l->f[1].v[0], 0);
    table_near(l, "w_minus", w.w_minus, l->f[2].v[0], 0);
    table_near(l, "p", w.p, l->f[3].v[0], 1e-10);
}

static void check_survival(const struct table_line *l)
{
    uint64_t time[TABLE_VALUES];
    bool parted[TABLE_VALUES];
    struct stat_survival s[TABLE_VALUES];
    size_t n = 0, m;
    for (size_t i = 0; i < 2; i++)
        for (size_t j = 0; j < l->f[i].n; j++) {
            parted[n] = i == 0;
            time[n++] = (uint64_t)l->f[i].v[j];
        }
    assert_int_equal(stat_survival(s, &m, time, parted, n, 0.95, NULL), 0);
    assert_int_equal(m, l->f[2].n);
    size_t seen = 0;
    for (size_t i = 0; i < m; i++) {
        assert_int_equal(s[i].t, (uint64_t)l->f[2].v[i]);
        assert_int_equal(s[i].n_risk, n - seen);
        seen += s[i].n_parted + s[i].n_censored;
        table_near(l, "s", s[i].s, l->f[3].v[i], 1e-12);
        table_near(l, "low", s[i].low, l->f[4].v[i], 1e-9);
        table_near(l, "high", s[i].high, l->f[5].v[i], 1e-9);
    }
    assert_int_equal(seen, n);
}

static void test_reference(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        void (*check)(const struct table_line *);
        size_t n;
    } t[] = {
        {"wilson", check_share, 36},
        {"exact", check_share, 36},
        {"normal_cdf", check_normal_cdf, 17},
        {"normal_quantile", check_normal_quantile, 9},
        {"beta_cdf", check_beta_cdf, 9},
        {"sign", check_sign, 8},
        {"wilcoxon_exact", check_wilcoxon, 16},
        {"wilcoxon_approx", check_wilcoxon, 3},
        {"survival", check_survival, 2},
    };
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        size_t n = table_each("tests/data/stats/reference.tsv", t[i].what, t[i].check);
        if (n < t[i].n)
            fail_msg("%s: %zu lines, expected %zu", t[i].what, n, t[i].n);
    }
}

/* Published: Hollander & Wolfe 1999, table 3.1 (depression scale factors): T+ = 40, one-sided
 * P = 0.0195. Holm by hand. */
static void test_published(void **state)
{
    (void)state;
    static const double before[] = {1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30};
    static const double after[] = {0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29};
    double d[9];
    for (int i = 0; i < 9; i++)
        d[i] = before[i] - after[i];
    struct stat_wilcoxon w;
    assert_int_equal(stat_wilcoxon(&w, d, 9, NULL), 0);
    assert_true(w.w_plus == 40 && w.exact && fabs(w.p / 2 - 0.01953125) < 1e-12);
    double p[] = {0.01, 0.04, NAN, 0.03, 0.005}, q[5];
    static const double want[] = {0.03, 0.06, NAN, 0.06, 0.02};
    assert_int_equal(stat_holm(q, p, 5, NULL), 0);
    assert_int_equal(stat_holm(p, p, 5, NULL), 0);
    for (int i = 0; i < 5; i++)
        assert_true(i == 2 ? isnan(q[i]) && isnan(p[i])
                           : fabs(q[i] - want[i]) < 1e-15 && p[i] == q[i]);
    p[0] = 1.5;
    struct idem_err err = {0};
    assert_int_equal(stat_holm(q, p, 5, &err), -1);
    assert_non_null(strstr(err.msg, "1.5"));
}

static void test_edges(void **state)
{
    (void)state;
    assert_true(fabs(stat_all_of_n_low(1000, 0.95) - pow(0.05, 1e-3)) < 1e-15);
    assert_true(fabs(stat_all_of_n_low(1000, 0.95) - (1 - 3e-3)) < 1e-5);   /* rule of three */
    assert_true(stat_all_of_n_low(0, 0.95) == 0 && isnan(stat_all_of_n_low(5, 1.0)));
    struct stat_interval i = stat_wilson(0, 0, 0.95);
    assert_true(i.low == 0 && i.high == 1);
    assert_true(isnan(stat_wilson(3, 2, 0.95).low) && isnan(stat_clopper_pearson(1, 2, 0).low));
    i = stat_clopper_pearson(20, 20, 0.95);   /* closed form (alpha/2)^(1/n) */
    assert_true(i.high == 1 && fabs(i.low - pow(0.025, 0.05)) < 1e-14);
    double d[] = {1, NAN};
    struct stat_sign s;
    struct stat_wilcoxon w;
    struct idem_err err = {0};
    assert_int_equal(stat_sign_test(&s, d, 2, &err), -1);
    assert_int_equal(err.code, IDEM_ERR_NUMERIC);
    assert_int_equal(stat_wilcoxon(&w, d, 2, &err), -1);
    d[0] = d[1] = 0;
    assert_int_equal(stat_wilcoxon(&w, d, 2, &err), 0);
    assert_true(w.p == 1 && w.n_zero == 2 && w.n_used == 0);
    assert_int_equal(stat_wilcoxon(&w, d, 0, &err), 0);
    assert_true(w.p == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference),
        cmocka_unit_test(test_published),
        cmocka_unit_test(test_edges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
