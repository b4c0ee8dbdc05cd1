/* SPDX-License-Identifier: MIT
 * Tests, intervals, regressions and measures of src/stats against scipy, statsmodels, numpy and
 * definitions written out the slow way (tests/data/stats/inference.tsv, made by
 * tools/make_inference_table.py). Tolerances are for foreign programs' rounding, and for their
 * resampling in the lines bca, student and tost. */
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
#include "stats/boot.h"
#include "stats/curve.h"
#include "stats/dist.h"
#include "stats/edit.h"
#include "stats/equiv.h"
#include "stats/interval.h"
#include "stats/paired.h"
#include "stats/regress.h"
#include "stats/sensitivity.h"
#include "stats/share.h"
#include "stats/split.h"
#include "stats_table.h"

static void check_t_cdf(const struct table_line *l)
{
    table_near(l, "value", stat_t_cdf(l->f[0].v[0], l->f[1].v[0]), l->f[2].v[0], 1e-9);
}

static void check_t_quantile(const struct table_line *l)
{
    table_near(l, "value", stat_t_quantile(l->f[0].v[0], l->f[1].v[0]), l->f[2].v[0], 1e-9);
}

static void check_bh(const struct table_line *l)
{
    double q[TABLE_VALUES];
    assert_int_equal(stat_benjamini_hochberg(q, l->f[0].v, l->f[0].n, NULL), 0);
    for (size_t i = 0; i < l->f[0].n; i++)
        table_near(l, "adjusted", q[i], l->f[1].v[i], 1e-14);
}

static void check_mcnemar(const struct table_line *l)
{
    struct stat_mcnemar m = stat_mcnemar((size_t)l->f[0].v[0], (size_t)l->f[1].v[0]);
    table_near(l, "exact", m.exact, l->f[2].v[0], 1e-9);
    table_near(l, "mid_p", m.mid_p, l->f[3].v[0], 1e-9);
}

static void check_permute(const struct table_line *l)
{
    struct stat_permute p;
    assert_int_equal(stat_permute(&p, l->f[0].v, l->f[0].n, 1, 10000, NULL), 0);
    assert_true(p.exact && p.n == l->f[0].n);
    table_near(l, "p", p.p, l->f[1].v[0], 1e-14);
}

static void check_edit(const struct table_line *l)
{
    int32_t a[TABLE_VALUES], b[TABLE_VALUES];
    for (size_t i = 0; i < l->f[0].n; i++)
        a[i] = (int32_t)l->f[0].v[i];
    for (size_t i = 0; i < l->f[1].n; i++)
        b[i] = (int32_t)l->f[1].v[i];
    size_t ab, ba, longer = l->f[0].n > l->f[1].n ? l->f[0].n : l->f[1].n;
    double share;
    assert_int_equal(stat_edit_distance(&ab, a, l->f[0].n, b, l->f[1].n, NULL), 0);
    assert_int_equal(stat_edit_distance(&ba, b, l->f[1].n, a, l->f[0].n, NULL), 0);
    assert_int_equal(stat_edit_share(&share, a, l->f[0].n, b, l->f[1].n, NULL), 0);
    table_near(l, "distance", (double)ab, l->f[2].v[0], 0);
    table_near(l, "distance the other way", (double)ba, l->f[2].v[0], 0);
    table_near(l, "share", share, l->f[2].v[0] / (double)longer, 0);
}

static void check_std(const struct table_line *l)
{
    table_near(l, "value", stat_std(l->f[0].v, l->f[0].n), l->f[1].v[0], 1e-12);
}

static void check_range(const struct table_line *l)
{
    table_near(l, "value", stat_range(l->f[0].v, l->f[0].n), l->f[1].v[0], 0);
}

static void check_pss(const struct table_line *l)
{
    double s;
    assert_int_equal(stat_pss(&s, l->f[0].v, l->f[0].n, NULL), 0);
    table_near(l, "value", s, l->f[1].v[0], 1e-12);
}

static void check_posix(const struct table_line *l)
{
    uint32_t tokens[TABLE_VALUES];
    double psi;
    table_u32(tokens, &l->f[1]);
    assert_int_equal(stat_posix(&psi, l->f[0].v, tokens, l->f[1].n, NULL), 0);
    table_near(l, "value", psi, l->f[2].v[0], 1e-12);
}

static void check_std_top1(const struct table_line *l)
{
    size_t k = (size_t)l->f[0].v[0], n = l->f[1].n / k;
    table_near(l, "value", stat_std_top1(l->f[1].v, k, n, n), l->f[2].v[0], 1e-12);
}

static void check_all_right(const struct table_line *l)
{
    table_near(l, "value", stat_all_right((uint32_t)l->f[0].v[0], (uint32_t)l->f[1].v[0],
                                          (uint32_t)l->f[2].v[0]), l->f[3].v[0], 1e-12);
}

static void check_full(const struct table_line *l)
{
    int32_t ids[TABLE_VALUES];
    for (size_t i = 0; i < l->f[0].n; i++)
        ids[i] = (int32_t)i;
    struct stat_dist p = {ids, l->f[0].v, l->f[0].n, l->f[0].n, NAN}, q = p;
    q.logprob = l->f[1].v;
    struct stat_interval h, kl, js;
    assert_int_equal(stat_entropy(&h, &p, NULL), 0);
    assert_int_equal(stat_kl(&kl, &p, &q, NULL), 0);
    assert_int_equal(stat_js(&js, &p, &q, NULL), 0);
    assert_true(h.low == h.high && kl.low == kl.high && js.low == js.high);
    table_near(l, "entropy", h.low, l->f[2].v[0], 1e-12);
    table_near(l, "KL", kl.low, l->f[3].v[0], 1e-10);
    table_near(l, "JS", js.low, l->f[4].v[0], 1e-10);
}

static void check_semantic(const struct table_line *l)
{
    uint32_t cls[TABLE_VALUES];
    struct stat_semantic s;
    table_u32(cls, &l->f[0]);
    assert_int_equal(stat_semantic_entropy(&s, cls, l->f[1].v, l->f[0].n, NULL), 0);
    assert_int_equal(s.n_classes, (size_t)l->f[5].v[0]);
    if (s.n_classes == 1) {
        assert_true(s.discrete == 0 && s.weighted == 0 && s.miller_madow == 0);
        return;
    }
    table_near(l, "discrete", s.discrete, l->f[2].v[0], 1e-12);
    table_near(l, "miller_madow", s.miller_madow, l->f[3].v[0], 1e-12);
    table_near(l, "weighted", s.weighted, l->f[4].v[0], 1e-12);
}

static void check_beta_product(const struct table_line *l)
{
    uint64_t time[TABLE_VALUES];
    bool parted[TABLE_VALUES];
    static struct stat_survival s[TABLE_VALUES];
    size_t m;
    for (size_t i = 0; i < l->f[0].n; i++) {
        time[i] = (uint64_t)l->f[0].v[i];
        parted[i] = l->f[1].v[i] != 0;
    }
    assert_int_equal(stat_survival(s, &m, time, parted, l->f[0].n, 0.95, NULL), 0);
    assert_int_equal(m, l->f[2].n);
    for (size_t i = 0; i < m; i++) {
        table_near(l, "low", s[i].beta_low, l->f[3].v[i], 1e-8);
        table_near(l, "high", s[i].beta_high, l->f[4].v[i], 1e-8);
    }
}

static void check_share(const struct table_line *l)
{
    struct stat_share s;
    assert_int_equal(stat_share(&s, l->f[0].v, l->f[0].n, (uint64_t)l->f[1].v[0], 0.95, NULL), 0);
    table_near(l, "n_effective", s.n_effective, l->f[2].v[0], 1e-8);
    table_near(l, "low", s.low, l->f[3].v[0], 1e-8);
    table_near(l, "high", s.high, l->f[4].v[0], 1e-8);
}

static void check_sequence(const struct table_line *l)
{
    struct stat_interval i = stat_sequence(l->f[0].v[0], (uint64_t)l->f[1].v[0], 0.95);
    table_near(l, "low", i.low, l->f[2].v[0], 1e-8);
    table_near(l, "high", i.high, l->f[3].v[0], 1e-8);
}

static void check_regress(const struct table_line *l)
{
    uint32_t block[TABLE_VALUES], cluster[TABLE_VALUES];
    struct stat_coef c[2];
    table_u32(block, &l->f[2]);
    table_u32(cluster, &l->f[3]);
    assert_int_equal(stat_regress(c, l->f[0].v, l->f[1].v, l->f[0].n, 2, block,
                                  l->f[3].n ? cluster : NULL, 0.95, NULL), 0);
    double t = stat_t_quantile(0.975, l->f[6].v[0]);
    for (int i = 0; i < 2; i++) {
        table_near(l, "value", c[i].value, l->f[4].v[i], 1e-8);
        table_near(l, "se", c[i].se, l->f[5].v[i], 1e-8);
        table_near(l, "low", c[i].low, l->f[4].v[i] - t * l->f[5].v[i], 1e-7);
        table_near(l, "high", c[i].high, l->f[4].v[i] + t * l->f[5].v[i], 1e-7);
        table_near(l, "p", c[i].p, 2 * stat_t_cdf(-fabs(c[i].value / c[i].se), l->f[6].v[0]), 0);
    }
}

static void check_logit(const struct table_line *l)
{
    uint32_t k[TABLE_VALUES], n[TABLE_VALUES], cluster[TABLE_VALUES];
    struct stat_logit g;
    table_u32(k, &l->f[1]);
    table_u32(n, &l->f[2]);
    table_u32(cluster, &l->f[3]);
    assert_int_equal(stat_logit(&g, l->f[0].v, k, n, l->f[0].n, cluster, NULL), 0);
    table_near(l, "a", g.a, l->f[4].v[0], 1e-5);   /* as near as the simplex method comes */
    table_near(l, "b", g.b, l->f[4].v[1], 1e-5);
    table_near(l, "var_a", g.var_a, l->f[5].v[0], 1e-4);
    table_near(l, "cov", g.cov, l->f[5].v[1], 1e-4);
    table_near(l, "var_b", g.var_b, l->f[5].v[2], 1e-4);
    table_near(l, "df", g.df, l->f[6].v[0], 0);
    struct stat_curve c = stat_logit_at(&g, 0.8, 0.95);
    assert_true(c.low < c.value && c.value < c.high);
    table_near(l, "curve", c.value, 1 / (1 + exp(-(g.a + 0.8 * g.b))), 1e-12);
}

static void check_isotonic(const struct table_line *l)
{
    uint32_t k[TABLE_VALUES], n[TABLE_VALUES];
    double v[TABLE_VALUES];
    table_u32(k, &l->f[1]);
    table_u32(n, &l->f[2]);
    assert_int_equal(stat_isotonic(v, l->f[0].v, k, n, l->f[0].n, NULL), 0);
    for (size_t i = 0; i < l->f[0].n; i++)
        table_near(l, "value", v[i], l->f[3].v[i], 1e-12);
}

static void check_split(const struct table_line *l)
{
    uint32_t level[TABLE_VALUES], terms[4];
    struct stat_part p[5];
    table_u32(level, &l->f[1]);
    table_u32(terms, &l->f[3]);
    assert_int_equal(stat_split(p, l->f[0].v, level, l->f[0].n, (size_t)l->f[2].v[0], terms,
                                l->f[3].n, 0, 0.95, NULL), 0);
    double share = 0;
    for (size_t i = 0; i <= l->f[3].n; i++) {
        table_near(l, "variance", p[i].variance, l->f[4].v[i], 1e-8);
        assert_true(p[i].low >= 0 && p[i].low <= p[i].share && p[i].share <= p[i].high && p[i].high <= 1);
        share += p[i].share;
    }
    table_near(l, "sum of shares", share, 1, 1e-12);
}

static void check_resampled(const struct table_line *l)
{
    size_t start[TABLE_VALUES];
    for (size_t i = 0; i <= l->f[0].n; i++)
        start[i] = i;
    struct stat_boot b = {.seed = 3, .n_resamples = 200000, .confidence = 0.95,
                          .ci = strcmp(l->what, "bca") == 0 ? STAT_CI_BCA : STAT_CI_STUDENT};
    struct stat_estimate e;
    assert_int_equal(stat_boot_mean(&e, l->f[0].v, start, l->f[0].n, &b, NULL), 0);
    double grain = 0.02 * e.se;
    if (!(fabs(e.low - l->f[1].v[0]) < grain && fabs(e.high - l->f[2].v[0]) < 3 * grain))
        fail_msg("line %zu: [%g, %g], should be [%g, %g]", l->number, e.low, e.high, l->f[1].v[0],
                 l->f[2].v[0]);
}

static void check_tost(const struct table_line *l)
{
    struct stat_boot b = {.seed = 3, .n_resamples = 200000, .confidence = 0.9};
    struct stat_tost t;
    assert_int_equal(stat_tost(&t, l->f[0].v, l->f[0].n, l->f[1].v[0], 10, &b, NULL), 0);
    assert_true(fabs(t.p_equal - l->f[2].v[0]) < 0.003);
    assert_true((t.p_equal <= 0.05) == (t.low > -l->f[1].v[0] && t.high < l->f[1].v[0]));
}

static void check_detectable(const struct table_line *l)
{
    double v = stat_detectable(l->f[0].v[0], (uint64_t)l->f[1].v[0], l->f[2].v[0], l->f[3].v[0]);
    table_near(l, "value", v, l->f[4].v[0], 1e-9);
    uint64_t n = stat_prompts_needed(l->f[0].v[0], v * (1 + 1e-12), l->f[2].v[0], l->f[3].v[0]);
    table_near(l, "prompts", (double)n, l->f[1].v[0], 0);
}

static void test_table(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        void (*check)(const struct table_line *);
        size_t n;
    } t[] = {
        {"t_cdf", check_t_cdf, 56}, {"t_quantile", check_t_quantile, 56}, {"bh", check_bh, 5},
        {"mcnemar", check_mcnemar, 8}, {"permute", check_permute, 8}, {"edit", check_edit, 11},
        {"std", check_std, 3}, {"range", check_range, 3}, {"pss", check_pss, 3},
        {"posix", check_posix, 3}, {"std_top1", check_std_top1, 3},
        {"all_right", check_all_right, 5}, {"full", check_full, 3},
        {"semantic", check_semantic, 3}, {"beta_product", check_beta_product, 3},
        {"share", check_share, 3}, {"sequence", check_sequence, 6},
        {"regress", check_regress, 3}, {"logit", check_logit, 2}, {"isotonic", check_isotonic, 4},
        {"split", check_split, 6}, {"bca", check_resampled, 2}, {"student", check_resampled, 2},
        {"tost", check_tost, 2}, {"detectable", check_detectable, 2},
    };
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        size_t n = table_each("tests/data/stats/inference.tsv", t[i].what, t[i].check);
        if (n != t[i].n)
            fail_msg("%s: %zu lines, expected %zu", t[i].what, n, t[i].n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_table)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
