/* SPDX-License-Identifier: MIT
 * base/half against the definition of binary16 (IEEE 754-2019 §3.4): every value, every midpoint
 * between neighbours and the floats beside it; and against F16C where the CPU has it. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/half.h"

/* The value of a finite binary16, from its three fields, in binary64. */
static double value(uint16_t h)
{
    int e = h >> 10 & 31, m = h & 1023;
    double v = e ? ldexp(1024 + m, e - 25) : ldexp(m, -24);
    return h & 0x8000 ? -v : v;
}

static void test_widen(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        float f = half_f16_to_f32((uint16_t)h);
        if ((h & 0x7C00) != 0x7C00) {
            assert_true((double)f == value((uint16_t)h) && !signbit(f) == !(h & 0x8000));
        } else if (h & 0x3FF) {
            assert_true(isnan(f));
        } else {
            assert_true(isinf(f) && !signbit(f) == !(h & 0x8000));
        }
        assert_true(half_f32_bits(half_bf16_to_f32((uint16_t)h)) == h << 16);
        uint16_t back = half_f32_to_f16(f);
        if (isnan(f))
            assert_true((back & 0x7C00) == 0x7C00 && (back & 0x3FF));
        else
            assert_int_equal(back, h);
    }
}

static void check(float f, uint16_t want)
{
    uint16_t got = half_f32_to_f16(f);
    if (got != want)
        fail_msg("%a gives %04x, should be %04x", (double)f, got, want);
    got = half_f32_to_f16(-f);
    if (got != (want | 0x8000))
        fail_msg("%a gives %04x, should be %04x", (double)-f, got, want | 0x8000);
}

static void test_narrow(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x7C00; h++) {
        /* the neighbour above the largest would be 65536: from the midpoint on it is infinity */
        double above = h == 0x7BFF ? 65536.0 : value((uint16_t)(h + 1));
        float mid = (float)((value((uint16_t)h) + above) / 2);   /* exact in binary32 */
        assert_true((double)mid == (value((uint16_t)h) + above) / 2);
        check(mid, (uint16_t)(h + (h & 1)));                     /* to even */
        check(nextafterf(mid, 0.0f), (uint16_t)h);
        check(nextafterf(mid, INFINITY), (uint16_t)(h + 1));
    }
    check(INFINITY, 0x7C00);
    check(3e38f, 0x7C00);
    check(1e-45f, 0);
    check(0.0f, 0);
    assert_true((half_f32_to_f16(NAN) & 0x7FFF) > 0x7C00);
    assert_true((half_f32_to_f16(half_bits_f32(0x7F800001u)) & 0x7FFF) > 0x7C00);
}

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
__attribute__((target("f16c"))) static uint16_t f16c(float f)
{
    return (uint16_t)_cvtss_sh(f, _MM_FROUND_TO_NEAREST_INT);
}

static void test_f16c(void **state)
{
    (void)state;
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_F16C))
        skip();
    for (uint64_t u = 0; u < (uint64_t)1 << 32; u += 997) {
        float f = half_bits_f32((uint32_t)u);
        if (!isnan(f) && half_f32_to_f16(f) != f16c(f))
            fail_msg("%a: %04x, F16C %04x", (double)f, half_f32_to_f16(f), f16c(f));
    }
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_widen),
        cmocka_unit_test(test_narrow),
#if defined(__x86_64__)
        cmocka_unit_test(test_f16c),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
