/* SPDX-License-Identifier: MIT
 * Edges of src/stats (nothing, one, ties, NaN, bad options), bounds that must hold whatever is
 * unknown, small cases by hand, and the same bits from every compiler. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/detmath.h"
#include "base/rng.h"
#include "stats/agree.h"
#include "stats/boot.h"
#include "stats/curve.h"
#include "stats/dist.h"
#include "stats/edit.h"
#include "stats/equiv.h"
#include "stats/paired.h"
#include "stats/regress.h"
#include "stats/sensitivity.h"
#include "stats/share.h"
#include "stats/split.h"

static double uniform(struct rng *r)
{
    return ((double)rng_below(r, 1u << 30) + 0.5) * 0x1p-30;
}

/* ---- distributions ------------------------------------------------------------------------------ */

enum { VOCAB = 30 };

/* logp[VOCAB] of a random distribution, and its ids, best first. */
static void random_dist(struct rng *r, double *logp, int32_t *ids, double heat)
{
    double p[VOCAB], sum = 0;
    for (int i = 0; i < VOCAB; i++)
        sum += p[i] = det_exp(heat * uniform(r));
    for (int i = 0; i < VOCAB; i++) {
        double q = det_log(p[i] / sum);
        int j = i;
        for (; j > 0 && logp[j - 1] < q; j--) {
            logp[j] = logp[j - 1];
            ids[j] = ids[j - 1];
        }
        logp[j] = q;
        ids[j] = i;
    }
}

static void inside(const char *what, size_t k, struct stat_interval got, double truth)
{
    if (!(got.low <= truth + 1e-12 && truth <= got.high + 1e-12))
        fail_msg("%s with %zu known: %.17g is not in [%.17g, %.17g]", what, k, truth, got.low, got.high);
}

/* The truth lies within the bounds, which close as more is known. */
static void test_truncated(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 1, RNG_STREAM('t', 'e', 's', 't'));
    for (int round = 0; round < 200; round++) {
        double a[VOCAB], b[VOCAB];
        int32_t ia[VOCAB], ib[VOCAB];
        random_dist(&r, a, ia, 1 + 8 * uniform(&r));
        random_dist(&r, b, ib, 1 + 8 * uniform(&r));
        struct stat_dist p = {ia, a, VOCAB, VOCAB, NAN}, q = {ib, b, VOCAB, VOCAB, NAN};
        struct stat_interval h, m, kl, js, was = {0, INFINITY}, now;
        assert_int_equal(stat_entropy(&h, &p, NULL), 0);
        assert_int_equal(stat_margin(&m, &p, NULL), 0);
        assert_int_equal(stat_kl(&kl, &p, &q, NULL), 0);
        assert_int_equal(stat_js(&js, &p, &q, NULL), 0);
        for (size_t k = 1; k <= VOCAB; k++) {
            p.n = k;
            assert_int_equal(stat_entropy(&now, &p, NULL), 0);
            inside("entropy", k, now, h.low);
            assert_true(now.low >= was.low - 1e-12 && now.high <= was.high + 1e-12);
            was = now;
            assert_int_equal(stat_margin(&now, &p, NULL), 0);
            inside("margin", k, now, m.low);
            assert_true(k == 1 || now.low == m.low);
            assert_int_equal(stat_kl(&now, &p, &q, NULL), 0);
            inside("KL, q whole", k, now, kl.low);
            assert_true(isfinite(now.high));
            q.n = k < VOCAB / 2 ? 2 * k : VOCAB;
            assert_int_equal(stat_kl(&now, &p, &q, NULL), 0);
            inside("KL", k, now, kl.low);
            assert_int_equal(stat_js(&now, &p, &q, NULL), 0);
            inside("JS", k, now, js.low);
            q.n = VOCAB;
        }
    }
}

static void test_dist_by_hand(void **state)
{
    (void)state;
    /* 1/2 known of 3 tokens: the others are 1/2 and 0 at the one end, 1/4 and 1/4 at the other */
    const int32_t ids[] = {2, 0}, other[] = {1, 0};
    const double half[] = {det_log(0.5), det_log(0.5)}, sure[] = {0, -INFINITY};
    struct stat_dist d = {ids, half, 1, 3, NAN};
    struct stat_interval i;
    assert_int_equal(stat_entropy(&i, &d, NULL), 0);
    assert_true(fabs(i.low - log(2)) < 1e-15 && fabs(i.high - 1.5 * log(2)) < 1e-15);
    assert_int_equal(stat_margin(&i, &d, NULL), 0);
    assert_true(fabs(i.low) < 1e-15 && fabs(i.high - log(2)) < 1e-15);
    /* disjoint: JS ln 2, KL infinite */
    struct stat_dist p = {ids, sure, 2, 3, 0}, q = {other, sure, 2, 3, 0};
    p.n_vocab = q.n_vocab = 3;
    assert_int_equal(stat_js(&i, &p, &q, NULL), 0);
    assert_true(fabs(i.low - log(2)) < 1e-15 && fabs(i.high - log(2)) < 1e-15);
    assert_int_equal(stat_kl(&i, &p, &q, NULL), 0);
    assert_true(isinf(i.low) && isinf(i.high));
    assert_int_equal(stat_kl(&i, &p, &p, NULL), 0);
    assert_true(i.low == 0);
    /* what is wrong is said */
    static const struct { int32_t ids[2]; double logprob[2]; size_t n, n_vocab; double tail; const char *says; } bad[] = {
        {{0, 1}, {-1, 0.5}, 2, 9, NAN, "log-probability 1"},
        {{0, 1}, {-1, NAN}, 2, 9, NAN, "log-probability 1"},
        {{3, 3}, {-1, -1}, 2, 9, NAN, "token 3"},
        {{3, 9}, {-1, -1}, 2, 9, NAN, "token 9"},
        {{3, 4}, {-0.1, -0.1}, 2, 9, NAN, "add up to"},
        {{3, 4}, {-1, -1}, 2, 9, 0.7, "tail of 0.7"},
        {{0, 1}, {-0.1, -9}, 2, 3, NAN, "cannot be"},
        {{3, 4}, {-1, -1}, 0, 9, NAN, "0 known"},
        {{3, 4}, {-1, -1}, 2, 1, NAN, "2 known"},
    };
    for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++) {
        struct idem_err err = {0};
        struct stat_dist b = {bad[k].ids, bad[k].logprob, bad[k].n, bad[k].n_vocab, bad[k].tail};
        assert_int_equal(stat_entropy(&i, &b, &err), -1);
        if (!strstr(err.msg, bad[k].says))
            fail_msg("case %zu: \"%s\" does not say \"%s\"", k, err.msg, bad[k].says);
        assert_true(isnan(i.low) && isnan(i.high));
    }
}

static void test_semantic(void **state)
{
    (void)state;
    const uint32_t cls[] = {4, 4, STAT_NO_CLASS, STAT_NO_CLASS};
    struct stat_semantic s;
    assert_int_equal(stat_semantic_entropy(&s, cls, NULL, 4, NULL), 0);   /* 1/2, 1/4, 1/4 */
    assert_true(s.n_classes == 3 && fabs(s.discrete - 1.5 * log(2)) < 1e-15 && isnan(s.weighted));
    assert_true(fabs(s.miller_madow - s.discrete - 0.25) < 1e-15);
    const double far[] = {-5000, -5000, -INFINITY, -5000};
    assert_int_equal(stat_semantic_entropy(&s, cls, far, 4, NULL), 0);    /* 2/3, 0, 1/3 */
    assert_true(fabs(s.weighted - (log(3) - 2.0 / 3 * log(2))) < 1e-15);
    const double none[] = {-INFINITY, -INFINITY, -INFINITY, -INFINITY}, bad[] = {-1, 0.5, -1, -1};
    struct idem_err err = {0};
    assert_int_equal(stat_semantic_entropy(&s, cls, none, 4, &err), -1);
    assert_int_equal(stat_semantic_entropy(&s, cls, bad, 4, &err), -1);
    assert_int_equal(stat_semantic_entropy(&s, cls, NULL, 0, NULL), 0);
    assert_true(isnan(s.discrete) && s.n_classes == 0);
}

/* ---- agreement and sensitivity -------------------------------------------------------------------- */

static void test_survival_edges(void **state)
{
    (void)state;
    const uint64_t time[] = {32, 32, 32, 32, 32};
    const bool parted[] = {false, false, false, false, false};
    struct stat_survival s[5];
    size_t m;
    assert_int_equal(stat_survival(s, &m, time, parted, 5, 0.95, NULL), 0);
    assert_true(m == 1 && s[0].s == 1 && s[0].beta_high == 1 && isnan(s[0].low));
    assert_true(fabs(s[0].beta_low - pow(0.025, 0.2)) < 1e-12);   /* 5 of 5 */
    /* without censoring before t: Clopper & Pearson, 3 of 5 left */
    const uint64_t t2[] = {1, 2, 9, 9, 9};
    const bool p2[] = {true, true, false, false, false};
    assert_int_equal(stat_survival(s, &m, t2, p2, 5, 0.95, NULL), 0);
    struct stat_interval i = stat_clopper_pearson(3, 5, 0.95);
    assert_true(m == 3 && fabs(s[1].beta_low - i.low) < 1e-12 && fabs(s[1].beta_high - i.high) < 1e-12);
    const bool all[] = {true, true, true, true, true};
    assert_int_equal(stat_survival(s, &m, time, all, 5, 0.95, NULL), 0);
    assert_true(s[0].s == 0 && s[0].beta_low == 0 && fabs(s[0].beta_high - (1 - pow(0.025, 0.2))) < 1e-12);
}

static void test_sensitivity(void **state)
{
    (void)state;
    const double same[] = {0.1, 0.1, 0.1}, nan[] = {0.1, NAN};
    double v;
    assert_true(stat_std(same, 3) == 0 && isnan(stat_std(same, 1)) && isnan(stat_std(nan, 2)));
    assert_true(stat_range(same, 3) == 0 && isnan(stat_range(same, 0)) && isnan(stat_range(nan, 2)));
    assert_int_equal(stat_pss(&v, same, 3, NULL), 0);
    assert_true(v == 0);
    assert_int_equal(stat_pss(&v, same, 1, NULL), 0);
    assert_true(isnan(v));
    assert_int_equal(stat_pss(&v, nan, 2, NULL), -1);
    const int32_t a[] = {1, 2, 3}, b[] = {1, 2, 4}, c[] = {1, 2};
    const struct stat_tokens part[] = {{a, 3}, {a, 3}, {b, 3}}, ends[] = {{a, 3}, {c, 2}}, one[] = {{a, 3}};
    assert_int_equal(stat_div_index(part, 3), 2);
    assert_int_equal(stat_div_index(ends, 2), 2);
    assert_true(stat_div_index(part, 2) == SIZE_MAX && stat_div_index(one, 1) == SIZE_MAX &&
                stat_div_index(NULL, 0) == SIZE_MAX);
    const double p[] = {0.5, 0.9, 0.7, 0.9};   /* two configurations, two positions */
    assert_true(fabs(stat_std_top1(p, 2, 2, 2) - 0.5 * sqrt(0.02)) < 1e-15);
    assert_true(isnan(stat_std_top1(p, 1, 2, 2)) && isnan(stat_std_top1(p, 2, 2, 0)));
    /* POSIX by hand: |-3 - -1| / 2 and |-2 - -4| / 4, over 2 pairs */
    const double lp[] = {-1, -2, -3, -4}, cannot[] = {-1, -INFINITY, -3, -4}, above[] = {-1, 0.1, -3, -4};
    const uint32_t tokens[] = {2, 4}, empty[] = {2, 0};
    assert_int_equal(stat_posix(&v, lp, tokens, 2, NULL), 0);
    assert_true(v == (2.0 / 2 + 2.0 / 4) / 2);
    assert_int_equal(stat_posix(&v, cannot, tokens, 2, NULL), 0);
    assert_true(isinf(v));
    struct idem_err err = {0};
    assert_int_equal(stat_posix(&v, above, tokens, 2, &err), -1);
    assert_int_equal(stat_posix(&v, lp, empty, 2, &err), -1);
    assert_non_null(strstr(err.msg, "response 1"));
    const uint32_t right[] = {5, 2, 0, 1}, trials[] = {5, 4, 4, 1}, more[] = {6, 0, 0, 0};
    struct stat_worst_best w;
    assert_int_equal(stat_worst_best(&w, right, trials, 4, 2, NULL), 0);   /* 1, 1/6, 0; 1, 5/6, 0 */
    assert_true(w.n_used == 3 && fabs(w.worst - 7.0 / 18) < 1e-15 && fabs(w.best - 11.0 / 18) < 1e-15);
    assert_int_equal(stat_worst_best(&w, more, trials, 4, 1, &err), -1);
    assert_int_equal(stat_worst_best(&w, right, trials, 4, 0, &err), -1);
    assert_int_equal(stat_worst_best(&w, right, trials, 4, 9, NULL), 0);
    assert_true(w.n_used == 0 && isnan(w.worst));
}

static void test_edit_edges(void **state)
{
    (void)state;
    enum { N = 20000 };
    static int32_t a[N], b[N];
    size_t d;
    double share;
    assert_int_equal(stat_edit_distance(&d, NULL, 0, NULL, 0, NULL), 0);
    assert_int_equal(d, 0);
    assert_int_equal(stat_edit_share(&share, NULL, 0, NULL, 0, NULL), 0);
    assert_true(share == 0);
    for (int i = 0; i < N; i++)
        a[i] = b[i] = i % 7 == 0 ? INT32_MIN : i;
    assert_int_equal(stat_edit_distance(&d, a, N, NULL, 0, NULL), 0);
    assert_int_equal(d, N);
    assert_int_equal(stat_edit_distance(&d, a, N, b, N, NULL), 0);
    assert_int_equal(d, 0);
    assert_int_equal(stat_edit_distance(&d, a, N, b + 3, N - 3, NULL), 0);   /* shifted by 3 */
    assert_int_equal(d, 3);
    b[10000] = b[15000] = -1;
    assert_int_equal(stat_edit_distance(&d, a, N, b + 3, N - 3, NULL), 0);
    assert_int_equal(d, 5);
}

/* ---- tests ----------------------------------------------------------------------------------------- */

static void test_permute_edges(void **state)
{
    (void)state;
    const double zero[] = {0, 0, 0}, nan[] = {1, NAN};
    struct stat_permute p, q;
    struct idem_err err = {0};
    assert_int_equal(stat_permute(&p, zero, 3, 1, 100, NULL), 0);
    assert_true(p.p == 1 && p.mean == 0 && p.n_zero == 3 && p.exact);
    assert_int_equal(stat_permute(&p, zero, 0, 1, 100, NULL), 0);
    assert_true(p.p == 1 && isnan(p.mean));
    assert_int_equal(stat_permute(&p, nan, 2, 1, 100, &err), -1);
    /* 0.1 three times is as extreme as 2 of 8 patterns, not as 0 or 1 of them by rounding */
    const double tie[] = {0.1, 0.1, 0.1};
    assert_int_equal(stat_permute(&p, tie, 3, 1, 100, NULL), 0);
    assert_true(p.p == 0.25);
    /* sampled against exact: 20 differences, then a 21st that hardly matters */
    double d[21];
    for (int i = 0; i < 20; i++)
        d[i] = (i % 3 ? 1 : -1) * (1 + 0.1 * i);
    d[20] = 1e-12;
    assert_int_equal(stat_permute(&p, d, 20, 1, 100, NULL), 0);
    assert_int_equal(stat_permute(&q, d, 21, 1, 100000, NULL), 0);
    assert_true(p.exact && !q.exact && fabs(p.p - q.p) < 4 * sqrt(p.p * (1 - p.p) / 1e5));
    assert_int_equal(stat_permute(&q, d, 21, 1, 10, &err), -1);
    double one[] = {NAN, 0.04, 2};
    assert_int_equal(stat_benjamini_hochberg(one, one, 2, NULL), 0);
    assert_true(isnan(one[0]) && one[1] == 0.04);
    assert_int_equal(stat_benjamini_hochberg(one, one, 3, &err), -1);
    assert_non_null(strstr(err.msg, "p-value 2"));
}

static void test_tost_edges(void **state)
{
    (void)state;
    const struct stat_boot b = {.seed = 1, .n_resamples = 1000, .confidence = 0.9};
    double d[100] = {0};
    struct stat_tost t;
    struct idem_err err = {0};
    assert_int_equal(stat_tost(&t, d, 100, 0.05, 1, &b, NULL), 0);   /* all equal */
    assert_true(t.mean == 0 && t.p_differ == 1 && fabs(t.p_equal - pow(0.95, 100)) < 1e-12);
    assert_int_equal(stat_tost(&t, d, 20, 0.05, 1, &b, NULL), 0);    /* too few to say so */
    assert_true(t.p_equal > 0.3);
    for (int i = 0; i < 100; i++)
        d[i] = 0.02;
    assert_int_equal(stat_tost(&t, d, 100, 0.05, 1, &b, NULL), 0);
    assert_true(t.p_differ < 1e-20 && fabs(t.p_equal - pow(1 - 0.03 / 0.98, 100)) < 1e-12);
    assert_int_equal(stat_tost(&t, d, 100, 0.02, 1, &b, NULL), 0);
    assert_true(t.p_equal == 1);
    assert_int_equal(stat_tost(&t, d, 1, 0.05, 1, &b, NULL), 0);
    assert_true(t.p_equal == 1 && t.p_differ == 1 && isnan(t.se));
    assert_int_equal(stat_tost(&t, d, 0, 0.05, 1, &b, NULL), 0);
    assert_true(t.p_equal == 1 && isnan(t.mean));
    assert_int_equal(stat_tost(&t, d, 100, 0, 1, &b, &err), -1);
    assert_int_equal(stat_tost(&t, d, 100, 0.05, 0.01, &b, &err), -1);
    d[7] = 1.5;
    assert_int_equal(stat_tost(&t, d, 100, 0.05, 1, &b, &err), -1);
    assert_non_null(strstr(err.msg, "difference 7"));
    assert_true(isnan(stat_detectable(1, 1, 0.05, 0.8)) && isnan(stat_share_difference_sd(2, 0, 0, 1)));
    assert_true(stat_prompts_needed(1, 0, 0.05, 0.8) == 0 && stat_prompts_needed(0, 1, 0.05, 0.8) == 2);
    assert_true(fabs(stat_detectable_flip(10, 0.8) - (1 - pow(0.2, 0.1))) < 1e-15);
}

static void test_share_edges(void **state)
{
    (void)state;
    const double one[10] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, bad[] = {0.5, 1.5};
    struct stat_share s;
    struct idem_err err = {0};
    assert_int_equal(stat_share(&s, one, 10, 80, 0.95, NULL), 0);
    assert_true(s.value == 1 && s.high == 1 && fabs(s.low - pow(0.025, 0.1)) < 1e-12 && s.n_effective == 10);
    assert_int_equal(stat_share(&s, one, 0, 0, 0.95, NULL), 0);
    assert_true(isnan(s.value) && s.low == 0 && s.high == 1);
    assert_int_equal(stat_share(&s, one, 1, 8, 0.95, NULL), 0);
    assert_true(s.value == 1 && s.low == 0 && s.high == 1);
    assert_int_equal(stat_share(&s, bad, 2, 2, 0.95, &err), -1);
    assert_int_equal(stat_share(&s, one, 2, 1, 0.95, &err), -1);
    struct stat_interval i = stat_all_equal(0, 10, -1, 1, 0.95);
    assert_true(fabs(i.high - (1 - pow(0.025, 0.1))) < 1e-15 && i.low == -i.high);
    i = stat_all_equal(1, 10, 0, 1, 0.95);   /* Clopper & Pearson's of 10 in 10 */
    assert_true(i.high == 1 && fabs(i.low - stat_clopper_pearson(10, 10, 0.95).low) < 1e-12);
    i = stat_all_equal(0.5, 0, 0, 1, 0.95);
    assert_true(i.low == 0 && i.high == 1 && isnan(stat_all_equal(2, 3, 0, 1, 0.95).low));
    i = stat_sequence(0, 0, 0.95);
    assert_true(i.low == 0 && i.high == 1 && isnan(stat_sequence(3, 2, 0.95).low) &&
                isnan(stat_sequence(NAN, 2, 0.95).low) && isnan(stat_sequence(1, 2, 1).low));
    uint64_t n = stat_sequence_most(0.95, 0.2);
    assert_true(stat_sequence_stop(0.5 * (double)n, n, 0.95, 0.2));
    assert_false(stat_sequence_stop(0.5 * (double)(n - 1), n - 1, 0.95, 0.2));
    assert_true(stat_sequence_most(0.95, 0) == 0 && stat_sequence_most(0.95, 1) == 0);
}

/* ---- regressions and curves -------------------------------------------------------------------------- */

static void test_regress_edges(void **state)
{
    (void)state;
    /* y = 2 x within blocks, with levels 0 and 100 that a fit without blocks would take for slope */
    const double x[] = {1, 2, 3, 11, 12, 13}, y[] = {2, 4, 6, 122, 124, 126};
    const uint32_t block[] = {9, 9, 9, 4, 4, 4};
    struct stat_coef c[2];
    struct idem_err err = {0};
    assert_int_equal(stat_regress(c, y, x, 6, 1, block, NULL, 0.95, NULL), 0);
    assert_true(fabs(c[0].value - 2) < 1e-12 && c[0].se < 1e-12 && c[0].p < 1e-12);
    assert_int_equal(stat_regress(c, y, x, 6, 1, NULL, NULL, 0.95, NULL), 0);
    assert_true(c[0].value > 10);
    const double level[] = {1, 1, 1, 5, 5, 5}, twice[] = {1, 2, 2, 4, 3, 6, 4, 8, 6, 12, 5, 10};
    assert_int_equal(stat_regress(c, y, level, 6, 1, block, NULL, 0.95, &err), -1);
    assert_non_null(strstr(err.msg, "column 0"));
    assert_int_equal(stat_regress(c, y, twice, 6, 2, NULL, NULL, 0.95, &err), -1);
    assert_non_null(strstr(err.msg, "column 1"));
    const double alone[] = {0, 0, 0, 0, 0, 1};
    assert_int_equal(stat_regress(c, y, alone, 6, 1, NULL, NULL, 0.95, &err), -1);
    assert_non_null(strstr(err.msg, "without cluster 5"));
    assert_int_equal(stat_regress(c, y, x, 1, 1, NULL, NULL, 0.95, &err), -1);
    assert_int_equal(stat_regress(c, y, x, 6, 0, NULL, NULL, 0.95, &err), -1);
    /* tiny columns are columns */
    double tiny[6];
    for (int i = 0; i < 6; i++)
        tiny[i] = 1e-9 * x[i];
    assert_int_equal(stat_regress(c, y, tiny, 6, 1, block, NULL, 0.95, NULL), 0);
    assert_true(fabs(c[0].value - 2e9) < 1);
}

static void test_curve_edges(void **state)
{
    (void)state;
    const double x[] = {1, 1, 2, 2}, same[] = {1, 1, 1, 1}, bad[] = {1, NAN, 2, 2};
    const uint32_t n[] = {5, 5, 5, 5}, none[] = {0, 0, 0, 0}, k[] = {5, 5, 0, 0}, more[] = {6, 0, 0, 0};
    struct stat_logit l;
    struct idem_err err = {0};
    assert_int_equal(stat_logit(&l, x, k, n, 4, NULL, NULL), 0);   /* apart, yet finite */
    struct stat_curve c = stat_logit_at(&l, 1, 0.95);
    assert_true(l.b < 0 && isfinite(l.b) && c.value > 0.9 && c.value < 1);
    /* one Firth trial in 22: (10 + 1/2) / 11 */
    assert_true(fabs(c.value - 10.5 / 11) < 1e-9);
    assert_int_equal(stat_logit(&l, same, k, n, 4, NULL, &err), -1);
    assert_int_equal(stat_logit(&l, bad, k, n, 4, NULL, &err), -1);
    assert_int_equal(stat_logit(&l, x, more, n, 4, NULL, &err), -1);
    double v[4];
    assert_int_equal(stat_isotonic(v, x, none, none, 4, &err), -1);
    const uint32_t gap[] = {0, 4, 0, 4}, some[] = {0, 4, 0, 1};
    const double far[] = {0, 1, 2, 3};
    assert_int_equal(stat_isotonic(v, far, some, gap, 4, NULL), 0);
    assert_true(v[0] == 1 && v[1] == 1 && v[2] == 1 && v[3] == 0.25);
    assert_int_equal(stat_falling_at(&c, 1.5, x, k, n, 4, 2, 0.95, NULL), 0);
    assert_true(c.high == 1 && c.low == 0);
    assert_int_equal(stat_falling_at(&c, 9, x, k, n, 4, 1, 0.95, NULL), 0);   /* ties: 0 of 10 */
    assert_true(c.low == 0 && fabs(c.high - (1 - pow(0.025, 0.1))) < 1e-12);
    const double falls[] = {2, 1};
    assert_int_equal(stat_falling_at(&c, 1, falls, k, n, 2, 1, 0.95, &err), -1);
}

/* Greedy steps over three tokens under noise: how often the best one loses, and the bounds. */
static void test_flip_bound(void **state)
{
    (void)state;
    const double gap[] = {0.8, 1.5};
    enum { N = 40000 };
    struct rng r;
    rng_init(&r, 4, RNG_STREAM('t', 'e', 's', 't'));
    for (int kind = 0; kind < 3; kind++) {
        size_t flips = 0;
        for (int i = 0; i < N; i++) {
            double e[3];
            for (int j = 0; j < 3; j++) {
                double u = uniform(&r), w = uniform(&r);
                e[j] = kind == 0 ? 0.5 * sqrt(-2 * det_log(u)) * det_cos(6.283185307179586 * w)
                     : kind == 1 ? 0.5 * (u < 0.5 ? 1 : -1)        /* sub-Gaussian, proxy 0.25 */
                                 : 0.5 * sqrt(12.0) * (u - 0.5);   /* variance 0.25 */
            }
            flips += e[1] - e[0] > gap[0] || e[2] - e[0] > gap[1];
        }
        double share = (double)flips / N, normal = stat_flip_bound(STAT_NOISE_NORMAL, gap, 2, 0.5);
        double chernoff = stat_flip_bound(STAT_NOISE_SUBGAUSSIAN, gap, 2, 0.5);
        double variance = stat_flip_bound(STAT_NOISE_VARIANCE, gap, 2, 0.5);
        if (kind == 0)
            assert_true(share <= normal + 0.005 && share > 0.9 * normal);
        if (kind == 1)
            assert_true(share <= chernoff && share > 0.2);
        assert_true(share <= variance && normal < chernoff);
    }
    const double one = 0.8, at[] = {0, 1}, bad[] = {-1};
    assert_true(fabs(stat_flip_bound(STAT_NOISE_NORMAL, &one, 1, 0.4) - 0.5 * erfc(1)) < 1e-12);
    assert_true(fabs(stat_flip_bound(STAT_NOISE_SUBGAUSSIAN, &one, 1, 0.4) - exp(-1)) < 1e-15);
    assert_true(fabs(stat_flip_bound(STAT_NOISE_VARIANCE, &one, 1, 0.4) - 1.0 / 3) < 1e-15);
    assert_true(stat_flip_bound(STAT_NOISE_HARD, &one, 1, 0.39) == 0 &&
                stat_flip_bound(STAT_NOISE_HARD, &one, 1, 0.41) == 1);
    assert_true(stat_flip_bound(STAT_NOISE_NORMAL, at, 2, 0) == 1 &&
                stat_flip_bound(STAT_NOISE_NORMAL, &one, 1, 0) == 0 &&
                stat_flip_bound(STAT_NOISE_NORMAL, NULL, 0, 1) == 0 &&
                isnan(stat_flip_bound(STAT_NOISE_NORMAL, bad, 1, 1)) &&
                isnan(stat_flip_bound(STAT_NOISE_NORMAL, &one, 1, -1)));
}

static void test_split_edges(void **state)
{
    (void)state;
    /* 3 prompts, 2 runs, no noise and no settings */
    const double y[] = {1, 1, 2, 2, 6, 6}, flat[] = {3, 3, 3, 3, 3, 3};
    const uint32_t at[] = {0, 0, 1, 1, 2, 2}, prompt = 1, beyond = 2, twice[] = {1, 1};
    struct stat_part p[3];
    struct idem_err err = {0};
    assert_int_equal(stat_split(p, y, at, 6, 1, &prompt, 1, 0, 0.95, NULL), 0);
    assert_true(fabs(p[0].variance - 7) < 1e-9 && fabs(p[1].variance) < 1e-9 && p[0].share > 1 - 1e-9);
    assert_int_equal(stat_split(p, flat, at, 6, 1, &prompt, 1, 0, 0.95, NULL), 0);
    assert_true(p[0].variance == 0 && isnan(p[0].share) && isnan(p[0].low));
    assert_int_equal(stat_split(p, y, at, 6, 1, &beyond, 1, 0, 0.95, &err), -1);
    assert_int_equal(stat_split(p, y, at, 6, 1, twice, 2, 0, 0.95, &err), -1);
    assert_non_null(strstr(err.msg, "terms 0 and 1"));
    assert_int_equal(stat_split(p, y, at, 4, 1, &prompt, 1, 0, 0.95, &err), -1);   /* 2 prompts */
    assert_int_equal(stat_split(p, y, at, 6, 1, &prompt, 1, 1, 0.95, &err), -1);
    const uint32_t own[] = {0, 1, 2, 3, 4, 5};   /* one row each: term and noise are one */
    assert_int_equal(stat_split(p, y, own, 6, 1, &prompt, 1, 0, 0.95, &err), -1);
    assert_non_null(strstr(err.msg, "tell the terms apart"));
}

/* ---- bootstrap ---------------------------------------------------------------------------------------- */

static int first_draw(void *ctx, const uint32_t *draw, size_t n, double *v, struct idem_err *err)
{
    if (n == 0)
        return err_set(err, IDEM_ERR_USAGE, "empty");
    v[0] = ((const double *)ctx)[draw[0]];
    v[1] = draw[0] % 4 ? NAN : 1;   /* no value in three draws of four */
    return 0;
}

static void test_boot_edges(void **state)
{
    (void)state;
    double x[] = {1, 2, 3, 4, 5, 6, 7, 8};
    const size_t start[] = {0, 1, 2, 3, 4, 5, 6, 7, 8}, one[] = {0, 8};
    struct stat_boot b = {.seed = 5, .n_resamples = 4000, .confidence = 0.9, .ci = STAT_CI_BCA};
    struct stat_estimate e[2];
    struct idem_err err = {0};
    assert_int_equal(stat_boot_any(e, 2, first_draw, x, 8, &b, NULL), 0);
    assert_true(e[0].value == 1 && e[0].low >= 1 && e[0].high <= 8 && isnan(e[1].value) && isnan(e[1].low));
    b.ci = STAT_CI_STUDENT;
    assert_int_equal(stat_boot_any(e, 2, first_draw, x, 8, &b, &err), -1);
    assert_int_equal(stat_boot_any(e, 2, first_draw, x, 0, &b, &err), -1);
    assert_int_equal(stat_jackknife(e, 2, first_draw, x, 0, 0.95, &err), -1);
    /* one prompt says nothing of others */
    assert_int_equal(stat_boot_mean(e, x, one, 1, &b, NULL), 0);
    assert_true(e->value == 4.5 && isnan(e->low) && isnan(e->high));
    /* equal values: no width; nearly equal ones: no bound on the side of the odd one out */
    double flat[8] = {0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3};
    assert_int_equal(stat_boot_mean(e, flat, start, 8, &b, NULL), 0);
    assert_true(e->low == e->value && e->high == e->value);
    double odd[8] = {1, 0, 0, 0, 0, 0, 0, 0};
    assert_int_equal(stat_boot_mean(e, odd, start, 8, &b, NULL), 0);
    assert_true(e->value == 0.125 && e->low < 0.125 && isinf(e->high));
    /* symmetrical values: BCa is the percentile interval but for its own grain */
    struct stat_estimate p;
    b.ci = STAT_CI_BCA;
    assert_int_equal(stat_boot_mean(e, x, start, 8, &b, NULL), 0);
    b.ci = STAT_CI_PERCENTILE;
    assert_int_equal(stat_boot_mean(&p, x, start, 8, &b, NULL), 0);
    assert_true(fabs(e->low - p.low) <= 0.25 && fabs(e->high - p.high) <= 0.25 && e->se == p.se);
}

/* Results that went through most of the room, as they come out of gcc and clang at any level. */
static void test_bits(void **state)
{
    (void)state;
    double x[60], y[60];
    uint32_t k[60], n[60], level[120], terms[] = {1, 2};
    size_t start[31];
    struct rng r;
    rng_init(&r, 7, RNG_STREAM('t', 'e', 's', 't'));
    for (uint32_t i = 0; i < 60; i++) {
        x[i] = -det_log(uniform(&r));
        y[i] = uniform(&r) - 0.3;
        n[i] = 3;
        k[i] = (uniform(&r) < 0.8 - 0.3 * x[i] ? 1u : 0u) + (x[i] < 0.5 ? 1u : 0u);
        level[2 * i] = i % 12;
        level[2 * i + 1] = i % 5;
    }
    for (size_t i = 0; i < 31; i++)
        start[i] = 2 * i;
    struct stat_boot b = {.seed = 2, .n_resamples = 500, .confidence = 0.9, .ci = STAT_CI_STUDENT};
    struct stat_estimate e;
    struct stat_tost t;
    struct stat_coef c;
    struct stat_logit l;
    struct stat_part p[3];
    struct stat_permute m;
    struct stat_interval s = stat_sequence(17.5, 60, 0.95);
    assert_int_equal(stat_boot_mean(&e, y, start, 30, &b, NULL), 0);
    assert_int_equal(stat_tost(&t, y, 60, 0.5, 1, &b, NULL), 0);
    assert_int_equal(stat_regress(&c, y, x, 60, 1, NULL, NULL, 0.95, NULL), 0);
    assert_int_equal(stat_logit(&l, x, k, n, 60, NULL, NULL), 0);
    assert_int_equal(stat_split(p, y, level, 60, 2, terms, 2, 0, 0.95, NULL), 0);
    assert_int_equal(stat_permute(&m, y, 60, 3, 999, NULL), 0);
    const double got[] = {e.low, e.high, t.p_equal, t.high, c.value, c.low, l.a, l.b, l.var_b,
                          p[0].variance, p[2].high, m.p, s.low, s.high, stat_t_quantile(0.9, 7.5)};
    static const double want[] = {
        0x1.0c4fcd256c138p-3, 0x1.16be9afcadbf6p-2, 0x1.059eea0727586p-9, 0x1.1651a548d4009p-2,
        -0x1.abde94d9c6bbdp-4, -0x1.8529b27e2b004p-3, 0x1.115dd2668596ap-1, -0x1.1c398a0d810b8p+1,
        0x1.443fa1f73de4dp-3, -0x1.ea159ebbc4d78p-8, 0x1p+0, 0x1.0624dd2f1a9fcp-10,
        0x1.16252a3493515p-3, 0x1.f6a4754d8c67ep-2, 0x1.67bbf6ac4ef23p+0,
    };
    for (size_t i = 0; i < sizeof got / sizeof got[0]; i++)
        if (memcmp(&got[i], &want[i], sizeof got[i]) != 0)
            fail_msg("result %zu is %a, elsewhere %a", i, got[i], want[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_truncated),      cmocka_unit_test(test_dist_by_hand),
        cmocka_unit_test(test_semantic),       cmocka_unit_test(test_survival_edges),
        cmocka_unit_test(test_sensitivity),    cmocka_unit_test(test_edit_edges),
        cmocka_unit_test(test_permute_edges),  cmocka_unit_test(test_tost_edges),
        cmocka_unit_test(test_share_edges),    cmocka_unit_test(test_regress_edges),
        cmocka_unit_test(test_curve_edges),    cmocka_unit_test(test_flip_bound),
        cmocka_unit_test(test_split_edges),    cmocka_unit_test(test_boot_edges),
        cmocka_unit_test(test_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
