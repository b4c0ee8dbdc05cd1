/* SPDX-License-Identifier: MIT
 * The bootstrap: closed forms, coverage under known models, its stream, its errors. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "stats/boot.h"
#include "stats/interval.h"
#include "stats/rng.h"

static const struct stat_boot plain = {.seed = 1, .n_resamples = 10000, .confidence = 0.95};

static void test_rng(void **state)
{
    (void)state;
    struct stat_rng a, b;
    stat_rng_init(&a, 9);
    stat_rng_init(&b, 9);
    unsigned count[7] = {0}, differ = 0;
    for (int i = 0; i < 70000; i++) {
        uint32_t x = stat_rng_below(&a, 7);
        assert_true(x < 7 && x == stat_rng_below(&b, 7));
        count[x]++;
    }
    double chi = 0;
    for (int i = 0; i < 7; i++)
        chi += (count[i] - 10000.0) * (count[i] - 10000.0) / 10000.0;
    assert_true(chi < 22.46);   /* 0.999 quantile, 6 degrees; the seed is fixed */
    stat_rng_init(&b, 10);
    for (int i = 0; i < 100; i++)
        differ += stat_rng_below(&a, 1000) != stat_rng_below(&b, 1000);
    assert_true(differ > 90);
    /* 2^32 words on 3 * 2^30 numbers: without rejection every third number would come twice as
     * often as the others */
    uint32_t third = 0;
    for (int i = 0; i < 30000; i++)
        third += stat_rng_below(&a, 3u << 30) % 3 == 0;
    assert_true(abs((int)third - 10000) < 400);
    assert_int_equal(stat_rng_below(&a, 1), 0);
}

/* Two prompts with values 0 and 1: the resampled mean is 0, 1/2, 1 with 1/4, 1/2, 1/4. */
static void test_closed_form(void **state)
{
    (void)state;
    const double x[] = {0, 0, 0, 1};
    const size_t start[] = {0, 3, 4};
    struct stat_estimate e;
    assert_int_equal(stat_boot_mean(&e, x, start, 2, &plain, NULL), 0);
    assert_true(e.value == 0.5 && e.n_clusters == 2 && e.n_values == 4);   /* prompts count once */
    assert_true(fabs(e.se - sqrt(0.125)) < 0.005 && e.low == 0 && e.high == 1);
    /* many prompts of equal values: se = population deviation / sqrt(n) */
    double y[100];
    size_t s[101];
    for (size_t i = 0; i < 100; i++) {
        y[i] = (double)i;
        s[i] = i;
    }
    s[100] = 100;
    assert_int_equal(stat_boot_mean(&e, y, s, 100, &plain, NULL), 0);
    assert_true(fabs(e.se - sqrt((100.0 * 100 - 1) / 12) / 10) < 0.05);
    assert_true(e.low < 49.5 && e.high > 49.5);
    struct stat_estimate again;
    assert_int_equal(stat_boot_mean(&again, y, s, 100, &plain, NULL), 0);
    assert_memory_equal(&e, &again, sizeof e);
    struct stat_boot other = plain;
    other.seed = 2;
    assert_int_equal(stat_boot_mean(&again, y, s, 100, &other, NULL), 0);
    assert_true(again.value == e.value && again.se != e.se);
}

static int by_double(const void *pa, const void *pb)
{
    double a = *(const double *)pa, b = *(const double *)pb;
    return (a > b) - (a < b);
}

/* The interval by hand: the documented draws, the 5th of 100 resampled means from either end. */
static void test_percentile(void **state)
{
    (void)state;
    const double x[] = {1, 2, 4, 8, 16, 32, 64};
    const size_t start[] = {0, 1, 2, 3, 4, 5, 6, 7};
    struct stat_boot b = {.seed = 3, .n_resamples = 100, .confidence = 0.9};
    struct stat_estimate e;
    assert_int_equal(stat_boot_mean(&e, x, start, 7, &b, NULL), 0);
    struct stat_rng r;
    stat_rng_init(&r, 3);
    double re[100];
    for (int i = 0; i < 100; i++) {
        re[i] = 0;
        for (int j = 0; j < 7; j++)
            re[i] += x[stat_rng_below(&r, 7)];
        re[i] /= 7;
    }
    qsort(re, 100, sizeof *re, by_double);
    assert_true(re[3] < re[4] && re[4] < re[5] && re[94] < re[95] && re[95] < re[96]);
    assert_true(e.low == re[4] && e.high == re[95]);
}

static double normal(struct stat_rng *r)
{
    return stat_normal_quantile(((double)stat_rng_below(r, 1u << 30) + 0.5) / (double)(1u << 30));
}

/* 40 prompts with an effect of their own (sd 1) and 3 repeats each (sd 0.5): the interval holds
 * the true mean in about 95 of 100 worlds. A bootstrap that ignored the prompts would hold it in
 * about 78. */
static void test_coverage(void **state)
{
    (void)state;
    enum { WORLDS = 300, P = 40, R = 3 };
    struct stat_rng r;
    stat_rng_init(&r, 77);
    struct stat_boot b = {.n_resamples = 800, .confidence = 0.95};
    unsigned hit[2] = {0}, hit_diff = 0, wider = 0;
    for (unsigned w = 0; w < WORLDS; w++) {
        double x[P * R], y[P * R];
        size_t start[P + 1];
        for (size_t i = 0; i <= P; i++)
            start[i] = R * i;
        for (size_t i = 0; i < P; i++) {
            double effect = normal(&r), gain = 0.3 + 0.4 * normal(&r);
            for (size_t j = 0; j < R; j++) {
                x[i * R + j] = 2 + effect + 0.5 * normal(&r);
                y[i * R + j] = 2 + effect + gain + 0.5 * normal(&r);
            }
        }
        struct stat_estimate e[2], d;
        b.seed = w;
        for (int mode = 0; mode < 2; mode++) {
            b.mode = mode == 0 ? STAT_RESAMPLE_CLUSTERS : STAT_RESAMPLE_NESTED;
            assert_int_equal(stat_boot_mean(&e[mode], x, start, P, &b, NULL), 0);
            hit[mode] += e[mode].low <= 2 && 2 <= e[mode].high;
        }
        wider += e[1].se > e[0].se;
        b.mode = STAT_RESAMPLE_CLUSTERS;
        assert_int_equal(stat_boot_diff(&d, x, start, y, start, P, &b, NULL), 0);
        hit_diff += d.low <= 0.3 && 0.3 <= d.high;
    }
    print_message("coverage: clusters %u, nested %u, difference %u of %d\n", hit[0], hit[1],
                  hit_diff, WORLDS);
    assert_true(hit[0] > WORLDS * 0.91 && hit[0] < WORLDS * 0.99);
    assert_true(hit[1] >= hit[0] - 3 && wider > WORLDS / 2);
    assert_true(hit_diff > WORLDS * 0.91 && hit_diff < WORLDS * 0.99);
}

static void test_diff(void **state)
{
    (void)state;
    const double x[] = {1, 3, 10, 20, 5}, y[] = {4, 11, 13, 7, 1};
    const size_t xs[] = {0, 2, 3, 4, 5}, ys[] = {0, 1, 3, 3, 5};   /* prompt 2 lacks y */
    struct stat_estimate e;
    assert_int_equal(stat_boot_diff(&e, x, xs, y, ys, 4, &plain, NULL), 0);
    assert_int_equal(e.n_clusters, 3);
    assert_int_equal(e.n_values, 9);
    assert_true(fabs(e.value - (2.0 + 2.0 - 1.0) / 3) < 1e-15);
    assert_true(e.low == -1 && e.high == 2);
}

static void test_edges(void **state)
{
    (void)state;
    const double x[] = {1, 1, 1, NAN};
    const size_t one[] = {0, 3}, two[] = {0, 1, 2}, bad[] = {0, 4}, none[] = {0, 0};
    struct stat_estimate e;
    struct idem_err err = {0};
    assert_int_equal(stat_boot_mean(&e, x, one, 1, &plain, &err), 0);
    assert_true(e.value == 1 && isnan(e.low) && isnan(e.high) && isnan(e.se));
    struct stat_boot b = plain;
    b.mode = STAT_RESAMPLE_NESTED;
    assert_int_equal(stat_boot_mean(&e, x, one, 1, &b, &err), 0);
    assert_true(e.low == 1 && e.high == 1 && e.se == 0);
    assert_int_equal(stat_boot_mean(&e, x, two, 2, &plain, &err), 0);
    assert_true(e.low == 1 && e.high == 1);
    assert_int_equal(stat_boot_mean(&e, x, bad, 1, &plain, &err), -1);
    assert_int_equal(err.code, IDEM_ERR_NUMERIC);
    assert_non_null(strstr(err.msg, "value 3"));
    assert_int_equal(stat_boot_mean(&e, x, none, 1, &plain, &err), -1);
    assert_int_equal(stat_boot_mean(&e, x, none, 0, &plain, &err), -1);
    b.n_resamples = 99;
    assert_int_equal(stat_boot_mean(&e, x, one, 1, &b, &err), -1);
    assert_non_null(strstr(err.msg, "n_resamples is 99"));
    b = plain;
    b.confidence = 1;
    assert_int_equal(stat_boot_mean(&e, x, one, 1, &b, &err), -1);
    const size_t back[] = {2, 1};
    assert_int_equal(stat_boot_mean(&e, x, back, 1, &plain, &err), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rng),      cmocka_unit_test(test_closed_form),
        cmocka_unit_test(test_percentile),
        cmocka_unit_test(test_coverage), cmocka_unit_test(test_diff),
        cmocka_unit_test(test_edges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
