/* SPDX-License-Identifier: MIT
 * The JSON reader: what it takes, what it refuses, and where it says that is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/jdoc.h"

static const struct jval *parse(struct jdoc *d, const char *text, struct idem_err *err)
{
    *d = (struct jdoc){0};
    return jdoc_parse(d, "x.json", text, strlen(text), 0, err) == 0 ? d->root : NULL;
}

static const struct { const char *text; size_t byte; const char *word; } refused[] = {
    {"", 0, "cut short"}, {"  ", 2, "cut short"}, {"{", 1, "key in quotes"}, {"[", 1, "cut short"},
    {"[1", 0, "without an end"}, {"{\"a\":1", 0, "without an end"}, {"[1,]", 3, "no value"}, {"[,1]", 1, "no value"},
    {"{\"a\" 1}", 5, "colon"}, {"{\"a\":1,}", 7, "key in quotes"}, {"{a:1}", 1, "key in quotes"},
    {"[1 2]", 3, "comma"}, {"1 2", 2, "more behind"}, {"NaN", 0, "NaN"}, {"[Infinity]", 1, "Infinity"},
    {"-Infinity", 0, "not a number"}, {"01", 0, "not a number"}, {"1.", 0, "not a number"}, {".5", 0, "no value"},
    {"1e", 0, "not a number"}, {"+1", 0, "no value"}, {"-", 0, "not a number"}, {"0x10", 1, "more behind"},
    {"tru", 0, "no value"}, {"nul", 0, "no value"}, {"'a'", 0, "no value"}, {"\"a", 0, "without an end"},
    {"\"a\\", 0, "without an end"}, {"\"a\nb\"", 2, "control character"}, {"\"\\x41\"", 1, "unknown escape"},
    {"\"\\u12\"", 5, "hexadecimal"}, {"\"\\ud800\"", 1, "surrogate"}, {"\"\\ud800\\u0041\"", 1, "surrogate"},
    {"\"\\udc00\"", 1, "surrogate"}, {"\"\xff\"", 1, "UTF-8"}, {"\"\xed\xa0\x80\"", 1, "UTF-8"},
    {"{\"a\":1,\"a\":2}", 11, "twice"}, {"{\"a\":1,\"\\u0061\":2}", 16, "twice"},
    {"/* */ 1", 0, "no value"}, {"\xef\xbb\xbf{}", 0, "no value"},
};

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct jdoc d;
        struct idem_err err = {0};
        char where[64];
        assert_null(parse(&d, refused[i].text, &err));
        snprintf(where, sizeof where, "x.json: byte %zu: ", refused[i].byte);
        if (!strstr(err.msg, where) || !strstr(err.msg, refused[i].word))
            fail_msg("%s: %s", refused[i].text, err.msg);
    }
}

static void test_strings(void **state)
{
    (void)state;
    static const struct { const char *text, *value; size_t len; } rows[] = {
        {"\"\"", "", 0}, {"\"abc\"", "abc", 3}, {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t", 8},
        {"\"\\u0041\\u00e9\\u4e2d\"", "A\xC3\xA9\xE4\xB8\xAD", 6}, {"\"\\uD83D\\uDE00\"", "\xF0\x9F\x98\x80", 4},
        {"\"a\\u0000b\"", "a\0b", 3}, {"\"\xC3\xA9\"", "\xC3\xA9", 2}, {"\"\\uFFFF\"", "\xEF\xBF\xBF", 3},
        {"\"\\u07ff\\u0800\"", "\xDF\xBF\xE0\xA0\x80", 5},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct jdoc d;
        struct idem_err err = {0};
        const struct jval *v = parse(&d, rows[i].text, &err);
        assert_non_null(v);
        assert_int_equal(v->type, JDOC_STRING);
        assert_int_equal(v->str.len, rows[i].len);
        assert_memory_equal(v->str.s, rows[i].value, rows[i].len);
        jdoc_close(&d);
    }
}

static void test_numbers(void **state)
{
    (void)state;
    static const struct { const char *text; double value; bool whole, finite; } rows[] = {
        {"0", 0, true, true}, {"-0", 0, false, true}, {"42", 42, true, true}, {"1.0", 1, false, true},
        {"1e3", 1000, false, true}, {"-1.5E-2", -0.015, false, true}, {"0.1", 0.1, false, true},
        {"9223372036854775807", 9223372036854775807.0, true, true},
        {"9223372036854775808", 9223372036854775808.0, false, true},
        {"99999999999999999999", 1e20, false, true}, {"1e999", 0, false, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct jdoc d;
        struct idem_err err = {0};
        uint64_t n;
        double x;
        const struct jval *v = parse(&d, rows[i].text, &err);
        assert_non_null(v);
        assert_int_equal(jdoc_u64(v, &n), rows[i].whole);
        assert_int_equal(jdoc_f64(v, &x), rows[i].finite);
        if (rows[i].finite)
            assert_true(x == rows[i].value);
        jdoc_close(&d);
    }
}

static void test_tree(void **state)
{
    (void)state;
    struct jdoc d;
    struct idem_err err = {0};
    const struct jval *v = parse(&d, " { \"a\" : [ 1 , [ ] , { } , null , true ] , \"b\" : \"x\" } ", &err);
    assert_non_null(v);
    assert_int_equal(v->n, 2);
    const struct jval *a = jdoc_get(v, "a");
    assert_int_equal(a->n, 5);
    assert_int_equal(a->at, 9);
    assert_int_equal(a->items[3].type, JDOC_NULL);
    assert_true(jdoc_is(jdoc_get(v, "b"), "x"));
    assert_null(jdoc_get(v, "c"));
    assert_null(jdoc_get(a, "c"));
    assert_null(jdoc_get(NULL, "c"));
    jdoc_err(&d, a, &err, "no %s", "good");
    assert_string_equal(err.msg, "x.json: byte 9: no good");
    jdoc_close(&d);
}

/* Depth is bounded; many members are looked at for duplicates too. */
static void test_large(void **state)
{
    (void)state;
    struct jdoc d;
    struct idem_err err = {0};
    char *text = malloc(1 << 20), *p = text;
    assert_non_null(text);
    for (int deep = JDOC_DEPTH; deep <= JDOC_DEPTH + 1; deep++) {
        memset(text, '[', (size_t)deep);
        memset(text + deep, ']', (size_t)deep);
        text[2 * deep] = '\0';
        const struct jval *v = parse(&d, text, &err);
        assert_int_equal(v != NULL, deep == JDOC_DEPTH);
        if (v)
            jdoc_close(&d);
    }
    *p++ = '{';
    for (int i = 0; i < 20000; i++)
        p += snprintf(p, 32, "\"key %d\":%d,", i * 7919 % 20000, i);
    char *end = p;
    snprintf(p - 1, 32, "}");
    assert_non_null(parse(&d, text, &err));
    assert_int_equal(d.root->n, 20000);
    jdoc_close(&d);
    snprintf(end - 1, 32, ",\"key 12345\":0}");
    assert_null(parse(&d, text, &err));
    assert_non_null(strstr(err.msg, "'key 12345' stands twice"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused), cmocka_unit_test(test_strings), cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_tree), cmocka_unit_test(test_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
