/* SPDX-License-Identifier: MIT
 * What becomes of a message: prefixes, length, and bytes that must not reach a terminal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/utf8.h"

static void printable(void **state)
{
    (void)state;
    static const struct { const char *in, *out; } rows[] = {
        {"plain \xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80 ~", "plain \xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80 ~"},
        {"\x1b[31mred\x1b[0m", "?[31mred?[0m"},
        {"a\nb\tc\rd\x7F", "a?b?c?d?"},
        {"\xC2\x9B" "2J", "??2J"},                         /* U+009B, CSI in one character */
        {"\xC2\xA0", "\xC2\xA0"},
        {"\xFF\xC3", "??"},
        {"\xED\xA0\x80", "???"},                           /* a surrogate */
        {"\xE2\x82", "??"},
        {"\xE2\x82\x1b", "???"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct idem_err err = {0};
        assert_int_equal(err_set(&err, IDEM_ERR_USAGE, "%s", rows[i].in), -1);
        assert_string_equal(err.msg, rows[i].out);
        assert_int_equal(err.code, IDEM_ERR_USAGE);
    }
    assert_int_equal(err_set(NULL, IDEM_ERR_USAGE, "nobody listens"), -1);
}

static void prefix(void **state)
{
    (void)state;
    struct idem_err err = {0};
    err_set(&err, IDEM_ERR_FORMAT, "wrong");
    assert_int_equal(err_prefix(&err, "file '%s'", "x\ny"), -1);
    assert_string_equal(err.msg, "file 'x?y': wrong");
    assert_int_equal(err.code, IDEM_ERR_FORMAT);
    assert_int_equal(err_prefix(NULL, "nobody"), -1);
}

/* Whatever the length, the message ends in a whole character. */
static void cut(void **state)
{
    (void)state;
    char text[2048];
    for (size_t shift = 0; shift < 4; shift++) {
        struct idem_err err = {0};
        memset(text, 'x', shift);
        for (size_t i = shift; i + 4 < sizeof text; i += 4)
            memcpy(text + i, "\xF0\x9F\x98\x80", 5);
        err_set(&err, IDEM_ERR_LIMIT, "%s", text);
        size_t len = strlen(err.msg);
        assert_true(len > sizeof err.msg - 6 && len < sizeof err.msg);
        assert_true(utf8_valid(err.msg, len, NULL));
        assert_int_equal((len - shift) % 4, 0);
        assert_null(strchr(err.msg, '?'));
        err_prefix(&err, "%s", text);
        assert_true(utf8_valid(err.msg, strlen(err.msg), NULL));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(printable), cmocka_unit_test(prefix), cmocka_unit_test(cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
