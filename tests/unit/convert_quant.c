/* SPDX-License-Identifier: MIT
 * Conversion of elements: exact one way, to nearest even the other, and never silently infinite. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "base/half.h"
#include "convert/quant.h"

/* Every finite value of 16 bits survives the way to binary32 and back. */
static void test_identity(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        enum st_dtype dtype = kind ? ST_BF16 : ST_F16;
        enum qtype type = kind ? QTYPE_BF16 : QTYPE_F16;
        unsigned exponent = kind ? 0x7F80u : 0x7C00u;
        for (unsigned h = 0; h < 65536; h++) {
            uint8_t in[2] = {(uint8_t)h, (uint8_t)(h >> 8)}, out[2];
            float x;
            size_t lost;
            quant_load(dtype, in, 1, &x);
            assert_int_equal(quant_finite(&x, 1), (h & exponent) != exponent);
            if ((h & exponent) == exponent)
                continue;
            assert_int_equal(quant_store(type, &x, 1, out, &lost), 2);
            assert_memory_equal(in, out, 2);
            assert_int_equal(lost, 1);
        }
    }
}

static const struct { float x; uint16_t f16, bf16; } rounded[] = {
    {1.0f, 0x3C00, 0x3F80}, {-1.0f, 0xBC00, 0xBF80}, {0.0f, 0, 0}, {-0.0f, 0x8000, 0x8000},
    {1.0f + 0x1p-11f, 0x3C00, 0x3F80},               /* tie of f16: to even */
    {1.0f + 0x3p-11f, 0x3C02, 0x3F80}, {1.0f + 0x1p-11f + 0x1p-20f, 0x3C01, 0x3F80},
    {1.0f + 0x1p-8f, 0x3C04, 0x3F80},                /* tie of bf16: to even */
    {1.0f + 0x3p-8f, 0x3C0C, 0x3F82}, {1.0f + 0x1p-8f + 0x1p-20f, 0x3C04, 0x3F81},
    {65504.0f, 0x7BFF, 0x4780}, {0x1p-24f, 1, 0x3380}, {0x1p-25f, 0, 0x3300}, {0x1p-133f, 0, 1},
};

static void test_rounding(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rounded / sizeof rounded[0]; i++) {
        uint8_t out[4];
        size_t lost;
        quant_store(QTYPE_F16, &rounded[i].x, 1, out, &lost);
        assert_int_equal(out[0] | out[1] << 8, rounded[i].f16);
        quant_store(QTYPE_BF16, &rounded[i].x, 1, out, &lost);
        assert_int_equal(out[0] | out[1] << 8, rounded[i].bf16);
        assert_int_equal(quant_store(QTYPE_F32, &rounded[i].x, 1, out, &lost), 4);
        float back;
        quant_load(ST_F32, out, 1, &back);
        assert_memory_equal(&back, &rounded[i].x, 4);
    }
}

static void test_lost(void **state)
{
    (void)state;
    uint8_t out[256];
    size_t lost;
    float x[64] = {1, 65519.0f, 65520.0f, 1};
    quant_store(QTYPE_F16, x, 4, out, &lost);
    assert_int_equal(lost, 2);
    x[2] = 3.4e38f;                                   /* above the largest bfloat16 and a half step */
    quant_store(QTYPE_BF16, x, 4, out, &lost);
    assert_int_equal(lost, 2);
    memset(x, 0, sizeof x);
    x[40] = 127 * 65520.0f;
    quant_store(QTYPE_Q8_0, x, 64, out, &lost);
    assert_int_equal(lost, 32);
    const float odd[] = {1, INFINITY, 1}, nan[] = {1, 1, NAN};
    assert_int_equal(quant_finite(odd, 3), 1);
    assert_int_equal(quant_finite(nan, 3), 2);
}

/* d = 1 makes the steps visible: halves go away from zero. */
static void test_q8_0(void **state)
{
    (void)state;
    float x[32] = {127, -127, 0.5f, -0.5f, 1.5f, -1.5f, 2.5f, -2.5f, 0.49f, 126.5f, 1.0f};
    static const int8_t q[11] = {127, -127, 1, -1, 2, -2, 3, -3, 0, 127, 1};
    uint8_t out[34];
    size_t lost;
    assert_int_equal(quant_store(QTYPE_Q8_0, x, 32, out, &lost), 34);
    assert_int_equal(out[0] | out[1] << 8, 0x3C00);
    for (size_t i = 0; i < 11; i++)
        assert_int_equal((int8_t)out[2 + i], q[i]);
    memset(x, 0, sizeof x);
    x[3] = 1e-44f;                                    /* a scale whose inverse is infinite */
    quant_store(QTYPE_Q8_0, x, 32, out, &lost);
    for (size_t i = 0; i < 34; i++)
        assert_int_equal(out[i], 0);
    assert_int_equal(lost, 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_identity), cmocka_unit_test(test_rounding), cmocka_unit_test(test_lost),
        cmocka_unit_test(test_q8_0),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
