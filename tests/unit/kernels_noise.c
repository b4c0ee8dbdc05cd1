/* SPDX-License-Identifier: MIT
 * Orders of sums: those of docs/numerics.md, against a second implementation of it and by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/noise.h"

enum { MOST = 1200 };

static uint64_t named(const char *name)
{
    return kern_stream(name, strlen(name));
}

static struct kern_order fill(uint32_t *steps, size_t n, const char *spec, uint64_t seed, uint64_t stream,
                              uint64_t pos, size_t columns)
{
    struct arith_noise z;
    struct kern_order o;
    struct idem_err err = {0};
    if (arith_noise_parse(spec, &z, &err) != 0)
        fail_msg("%s", err.msg);
    z.seed = seed;
    kern_order_fill(&o, steps, n, &z, stream, pos, columns);
    assert_ptr_equal(o.steps, steps);
    assert_int_equal(o.n, n);
    return o;
}

static void streams(void **state)
{
    (void)state;
    assert_true(named("") == 0xCBF29CE484222325u);           /* FNV-1a's own test values */
    assert_true(named("a") == 0xAF63DC4C8601EC8Cu);
    assert_true(named("blk.0.attn_q.weight") == 0xB2D88A5454E26C3Bu);
}

/* Computed in Python from the text of docs/numerics.md. */
static void shuffled(void **state)
{
    (void)state;
    static const uint32_t a[] = {0, 6, 9, 3, 2, 4, 8, 1, 7, 5}, b[] = {1, 2, 5, 4, 7, 0, 8, 9, 3, 6};
    uint32_t steps[MOST], other[MOST];
    fill(steps, 10, "shuffle", 7, named("blk.0.attn_q.weight"), 5, 1);
    assert_true(steps[9] & KERN_STEP_END);
    steps[9] &= ~KERN_STEP_END;
    assert_memory_equal(steps, a, sizeof a);
    fill(steps, 10, "shuffle", 42, named("norm") + 3, 0, 32);
    steps[9] &= ~KERN_STEP_END;
    assert_memory_equal(steps, b, sizeof b);

    fill(steps, 300, "shuffle", 1, 2, 3, 1);                 /* seed, stream and position enter */
    for (int i = 0; i < 3; i++) {
        fill(other, 300, "shuffle", 1 + (i == 0), 2 + (i == 1), 3 + (i == 2), 1);
        assert_memory_not_equal(steps, other, 300 * sizeof *steps);
    }
}

static void each_term_once(void **state)
{
    (void)state;
    static const char *const specs[] = {"shuffle", "pairwise", "splitk:2", "splitk:64", "batch:1", "batch:8",
                                        "batch:9", "batch:128", "batch:129", "bf16", "none"};
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++)
        for (size_t n = 1; n <= MOST; n += n < 140 ? 1 : 97) {
            uint32_t steps[MOST];
            uint8_t seen[MOST] = {0};
            fill(steps, n, specs[i], 3, 4, 5, n % 2 ? 1 : 32);
            assert_true(steps[n - 1] & KERN_STEP_END);
            for (size_t k = 0; k < n; k++) {
                uint32_t at = steps[k] & ~KERN_STEP_END;
                assert_true(at < n && !seen[at]);
                seen[at] = 1;
            }
        }
}

/* Parts by hand: '|' behind the last term of one. */
static void parts(void **state)
{
    (void)state;
    static const struct { const char *spec; size_t n, columns; bool tree; const char *want; } t[] = {
        {"none", 4, 1, false, "0 1 2 3|"},
        {"bf16", 3, 1, false, "0 1 2|"},
        {"pairwise", 3, 1, true, "0|1|2|"},
        {"splitk:3", 7, 1, false, "0 1 2|3 4 5|6|"},
        {"splitk:4", 2, 1, false, "0|1|"},
        {"batch:8", 9, 32, false, "0 1|2 3|4 5|6 7|8|"},
        {"batch:32", 9, 32, false, "0 1 2|3 4 5|6 7 8|"},
        {"batch:33", 5, 1, false, "0 1 2|3 4|"},
        {"batch:200", 5, 32, false, "0 1|2 3|4|"},
        {"batch:200", 5, 1, false, "0 1 2 3 4|"},
        {"batch:1", 3, 1, true, "0|1|2|"},
        {"batch:1", 34, 1, true, "0 32|1 33|2|3|4|5|6|7|8|9|10|11|12|13|14|15|16|17|18|19|20|21|22|23|24|25|"
                                 "26|27|28|29|30|31|"},
    };
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        uint32_t steps[64];
        char got[256];
        size_t len = 0;
        struct kern_order o = fill(steps, t[i].n, t[i].spec, 0, 0, 0, t[i].columns);
        for (size_t k = 0; k < t[i].n; k++)
            len += (size_t)snprintf(got + len, sizeof got - len, "%s%u%s",
                                    len && got[len - 1] != '|' ? " " : "", steps[k] & ~KERN_STEP_END,
                                    steps[k] & KERN_STEP_END ? "|" : "");
        assert_string_equal(got, t[i].want);
        assert_int_equal(o.tree, t[i].tree);
    }
}

/* One row of ones against numbers whose sum shows the order. */
static float sum_of(const char *spec, const float *x, size_t n)
{
    struct kern_matrix w;
    uint32_t steps[64];
    float ones[64], y = 0;
    _Alignas(64) uint8_t data[64 * 8 * 4], scratch[64 * 8 * 4 * 4];
    for (size_t i = 0; i < n; i++)
        ones[i] = 1;
    assert_true(kern_matrix_init(&w, QTYPE_F32, 1, n) > 0);
    w.data = data;
    kern_pack(&w, (const uint8_t *)ones, 0, 1);
    struct kern_order o = fill(steps, n, spec, 0, 0, 0, 1);
    kern_noise_ref()->matmul_f32(&y, 1, &w, x, n, 1, 0, 1, &o, scratch);
    return y;
}

static void sums_by_hand(void **state)
{
    (void)state;
    static const float big[] = {0x1p24f, 1, 1, 1};           /* 2^24 + 1 rounds to 2^24 */
    assert_true(sum_of("none", big, 4) == 0x1p24f);
    assert_true(sum_of("pairwise", big, 4) == 0x1p24f + 2);   /* (2^24 + 1) + (1 + 1) */
    assert_true(sum_of("splitk:2", big, 4) == 0x1p24f + 2);
    static const float odd[] = {0x1p24f, 1, 1, 1, 1};         /* ((2^24 + 1) + 2) + 1, a tie to even */
    assert_true(sum_of("pairwise", odd, 5) == 0x1p24f + 4);
    static const float small[] = {256, 1, 1, 1};              /* bf16 has 8 bits: 257 is not one */
    assert_true(sum_of("bf16", small, 4) == 256);
    assert_true(sum_of("splitk:2+bf16", small, 4) == 258);
    static const float mid[] = {2048, 1, 1, 1};               /* f16 has 11 bits */
    assert_true(sum_of("f16", mid, 4) == 2048);
    assert_true(sum_of("pairwise+f16", mid, 4) == 2050);
    static const float far[] = {60000, 10000, -20000};        /* f16 ends at 65504 */
    assert_true(sum_of("f16", far, 3) > 1e30f);
    assert_true(sum_of("bf16", far, 3) < 1e30f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams),
        cmocka_unit_test(shuffled),
        cmocka_unit_test(each_term_once),
        cmocka_unit_test(parts),
        cmocka_unit_test(sums_by_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
