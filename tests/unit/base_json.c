/* SPDX-License-Identifier: MIT
 * JSON text and UTF-8 walking: every case is a row. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/utf8.h"

static const struct { const char *in; size_t len; const char *out; } strings[] = {
    {"", 0, "\"\""},
    {"The", 3, "\"The\""},
    {"a\"b\\c", 5, "\"a\\\"b\\\\c\""},
    {"\b\t\n\v\f\r\x1f\x7f", 8, "\"\\b\\t\\n\\u000b\\f\\r\\u001f\\u007f\""},
    {"a\0b", 3, "\"a\\u0000b\""},
    {"</script>", 9, "\"</script>\""},
    {"\xC3\xA9", 2, "\"\xC3\xA9\""},
    {"\xE2\x80\xA8", 3, "\"\\u2028\""},
    {"\xF0\x9F\x98\x80", 4, "\"\xF0\x9F\x98\x80\""},
    {"\xC3", 1, "\"\xEF\xBF\xBD\""},
    {"\xA9", 1, "\"\xEF\xBF\xBD\""},
    {"x\xF0\x9F\x98y", 5, "\"x\xEF\xBF\xBDy\""},              /* one for a broken-off character */
    {"\xC0\x80", 2, "\"\xEF\xBF\xBD\xEF\xBF\xBD\""},           /* overlong */
    {"\xED\xA0\x80", 3, "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""}, /* surrogate */
    {"\xF4\x90\x80\x80", 4, "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""},
};

static void test_strings(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof strings / sizeof strings[0]; i++) {
        struct buf b;
        buf_init(&b, 1000);
        struct json j = {.out = &b};
        json_str(&j, strings[i].in, strings[i].len);
        assert_false(b.failed);
        assert_string_equal(b.data, strings[i].out);
        buf_release(&b);
    }
}

static void test_structure(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1000);
    struct json j = {.out = &b};
    json_begin(&j, '{');
    json_key(&j, "a");
    json_begin(&j, '[');
    json_end(&j);
    json_key(&j, "b");
    json_begin(&j, '[');
    json_i64(&j, -1);
    json_u64(&j, UINT64_MAX);
    json_begin(&j, '{');
    json_key(&j, "c");
    json_strz(&j, NULL);
    json_end(&j);
    json_bool(&j, true);
    json_end(&j);
    json_key(&j, "d");
    json_bytes(&j, "\xFF" "A", 2);
    json_end(&j);
    assert_false(b.failed);
    assert_string_equal(b.data, "{\"a\": [], \"b\": [-1, 18446744073709551615, {\"c\": null}, true], "
                                "\"d\": [255, 65]}");
    buf_release(&b);
}

/* Every number must read back to the same bits. */
static void test_numbers(void **state)
{
    (void)state;
    static const double f64[] = {0, -0.0, 0.1, 1.0 / 3, 5e-324, 1.7976931348623157e308, -12345678.9};
    static const float f32[] = {0, 0.1f, 1e-45f, 3.4028235e38f, -0.25806f, 16777217.0f};
    char n[JSON_NUMBER_MAX];
    for (size_t i = 0; i < sizeof f64 / sizeof f64[0]; i++) {
        double back = strtod(json_number_f64(n, f64[i]), NULL);
        assert_memory_equal(&back, &f64[i], sizeof back);
    }
    for (size_t i = 0; i < sizeof f32 / sizeof f32[0]; i++) {
        float back = strtof(json_number_f32(n, f32[i]), NULL);
        assert_memory_equal(&back, &f32[i], sizeof back);
    }
    uint64_t s = 42;
    for (int i = 0; i < 100000; i++) {
        s = s * 6364136223846793005u + 1442695040888963407u;
        uint32_t u = (uint32_t)(s >> 32);
        float x, back;
        memcpy(&x, &u, sizeof x);
        if (!isfinite(x))
            continue;
        back = strtof(json_number_f32(n, x), NULL);
        assert_memory_equal(&back, &x, sizeof back);
    }
    assert_string_equal(json_number_f32(n, NAN), "null");
    assert_string_equal(json_number_f64(n, INFINITY), "null");
}

static void test_ceiling(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 4);
    struct json j = {.out = &b};
    json_strz(&j, "too long");
    assert_true(b.failed);
    buf_release(&b);
}

static void test_utf8_complete(void **state)
{
    (void)state;
    static const struct { const char *s; size_t want; } cases[] = {
        {"", 0}, {"abc", 3}, {"a\xC3", 1}, {"a\xC3\xA9", 3}, {"a\xF0\x9F\x98", 1},
        {"a\xF0\x9F\x98\x80", 5}, {"a\xE2\x82", 1}, {"a\x80\x80", 3}, {"\xFF", 1},
        {"\xE0\x80", 2},   /* can never become a character */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(utf8_complete(cases[i].s, strlen(cases[i].s)), cases[i].want);
    size_t bad = 0;
    assert_true(utf8_valid("d\xC3\xA9j\xC3\xA0", 7, &bad));
    assert_false(utf8_valid("ab\xFF", 3, &bad));
    assert_int_equal(bad, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strings), cmocka_unit_test(test_structure),
        cmocka_unit_test(test_numbers), cmocka_unit_test(test_ceiling),
        cmocka_unit_test(test_utf8_complete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
