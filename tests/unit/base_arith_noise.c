/* SPDX-License-Identifier: MIT
 * Noise specifications: text, number and back; what is none of them is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/arith_noise.h"

static void texts_come_back(void **state)
{
    (void)state;
    static const struct { const char *text; struct arith_noise z; } t[] = {
        {"none", {0}},
        {"shuffle", {ARITH_ORDER_SHUFFLE, ARITH_ROUND_F32, 0, 0}},
        {"pairwise", {ARITH_ORDER_PAIRWISE, ARITH_ROUND_F32, 0, 0}},
        {"splitk:2", {ARITH_ORDER_SPLITK, ARITH_ROUND_F32, 2, 0}},
        {"splitk:64", {ARITH_ORDER_SPLITK, ARITH_ROUND_F32, 64, 0}},
        {"batch:1", {ARITH_ORDER_BATCH, ARITH_ROUND_F32, 1, 0}},
        {"batch:1048576", {ARITH_ORDER_BATCH, ARITH_ROUND_F32, 1048576, 0}},
        {"bf16", {ARITH_ORDER_PLAIN, ARITH_ROUND_BF16, 0, 0}},
        {"f16", {ARITH_ORDER_PLAIN, ARITH_ROUND_F16, 0, 0}},
        {"splitk:4+bf16", {ARITH_ORDER_SPLITK, ARITH_ROUND_BF16, 4, 0}},
        {"batch:1048576+bf16", {ARITH_ORDER_BATCH, ARITH_ROUND_BF16, 1048576, 0}},
        {"pairwise+f16", {ARITH_ORDER_PAIRWISE, ARITH_ROUND_F16, 0, 0}},
    };
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        struct arith_noise z = {.seed = 9}, back;
        struct idem_err err = {0};
        char text[ARITH_NOISE_TEXT];
        assert_int_equal(arith_noise_parse(t[i].text, &z, &err), 0);
        assert_int_equal(z.order, t[i].z.order);
        assert_int_equal(z.round, t[i].z.round);
        assert_int_equal(z.n, t[i].z.n);
        assert_int_equal(z.seed, 0);
        arith_noise_text(&z, text);
        assert_string_equal(text, t[i].text);
        back = arith_noise_unpack(arith_noise_pack(&z), 77);
        assert_true(back.order == z.order && back.round == z.round && back.n == z.n && back.seed == 77);
        assert_int_equal(arith_noise_is_none(&z), i == 0);
        assert_int_equal(arith_noise_pack(&z) == 0, i == 0);
        assert_int_equal(arith_noise_is_seeded(&z), i == 1);
    }
}

static void others_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", " ", "shuffles", "Shuffle", "splitk", "splitk:", "splitk:1", "splitk:65", "splitk:04",
        "splitk:-4", "splitk:4 ", "splitk:4x", "splitk:99999999999999999999", "batch:0", "batch:1048577",
        "bf16+shuffle", "bf16+f16", "shuffle+pairwise", "shuffle+", "+bf16", "none+bf16", "shuffle+f32",
        "f32", "shuffle:3", "pairwise:2", "off", "shuffle+bf16+f16",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct arith_noise z = {.n = 5};
        struct idem_err err = {0};
        assert_int_equal(arith_noise_parse(bad[i], &z, &err), -1);
        assert_int_equal(err.code, IDEM_ERR_USAGE);
        assert_non_null(strstr(err.msg, "splitk:N (2 to 64)"));
        assert_int_equal(z.n, 5);
    }
    static const uint32_t numbers[] = {1, 0x10000001u, 0x30000001u, 0x30000041u, 0x40000000u, 0x50000000u,
                                       0x03000000u, 0xFFFFFFFFu};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct arith_noise z = arith_noise_unpack(numbers[i], 3);
        assert_int_equal(arith_noise_pack(&z), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_come_back),
        cmocka_unit_test(others_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
