/* SPDX-License-Identifier: MIT
 * The parts of HTTP that need no server, and what http_get refuses before it asks anybody. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "backend/http.h"

static void content_range(void **state)
{
    static const struct {
        const char *text;
        bool ok;
        uint64_t from, to, total;
    } rows[] = {
        {"bytes 0-0/1", true, 0, 0, 1},
        {"bytes 5-9/10", true, 5, 9, 10},
        {"Bytes  5-9/*", true, 5, 9, UINT64_MAX},
        {"bytes 0-18446744073709551613/18446744073709551614", true, 0, UINT64_MAX - 2, UINT64_MAX - 1},
        {"bytes 5-9/9", false, 0, 0, 0},
        {"bytes 9-5/10", false, 0, 0, 0},
        {"bytes */10", false, 0, 0, 0},
        {"bytes 5-/10", false, 0, 0, 0},
        {"bytes 5-9", false, 0, 0, 0},
        {"bytes 5-9/10 ", false, 0, 0, 0},
        {"bytes -5-9/10", false, 0, 0, 0},
        {"bytes=5-9/10", false, 0, 0, 0},
        {"items 5-9/10", false, 0, 0, 0},
        {"bytes 5-18446744073709551616/*", false, 0, 0, 0},
        {"", false, 0, 0, 0},
        {NULL, false, 0, 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t from = 0, to = 0, total = 0;
        assert_int_equal(http_content_range(rows[i].text, &from, &to, &total), rows[i].ok);
        if (rows[i].ok) {
            assert_true(from == rows[i].from && to == rows[i].to && total == rows[i].total);
        }
    }
}

static void number(void **state)
{
    static const struct {
        const char *text;
        bool ok;
        uint64_t value;
    } rows[] = {
        {"0", true, 0}, {"007", true, 7}, {"18446744073709551615", true, UINT64_MAX},
        {"18446744073709551616", false, 0}, {"99999999999999999999", false, 0}, {"-1", false, 0}, {"+1", false, 0},
        {" 1", false, 0}, {"1 ", false, 0}, {"1,1", false, 0}, {"0x10", false, 0}, {"1.5", false, 0},
        {"", false, 0}, {NULL, false, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t v = 0;
        assert_int_equal(http_number(rows[i].text, &v), rows[i].ok);
        assert_true(v == rows[i].value);
    }
}

static void retry_after(void **state)
{
    const int64_t now = 1445412480;   /* Wed, 21 Oct 2015 07:28:00 GMT */
    static const struct {
        const char *text;
        int64_t seconds;
    } rows[] = {
        {"0", 0}, {"120", 120}, {"99999999999", INT32_MAX}, {"-5", -1}, {"soon", -1}, {"", -1}, {NULL, -1},
        {"Wed, 21 Oct 2015 07:28:00 GMT", 0},
        {"Wed, 21 Oct 2015 07:29:30 GMT", 90},
        {"Thu, 22 Oct 2015 07:28:00 GMT", 86400},
        {"Tue, 01 Mar 2016 00:00:00 GMT", 11377920},
        {"Tue, 20 Oct 2015 07:28:00 GMT", 0},
        {"Wed, 21 Oct 2015 07:28:00", -1},
        {"Wed, 21 Oct 2015 07:28:00 GMT and more", -1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(http_retry_after(rows[i].text, now), rows[i].seconds);
}

static void strong_etag(void **state)
{
    (void)state;
    assert_true(http_strong_etag("\"abc\""));
    assert_true(http_strong_etag("\"\""));
    assert_false(http_strong_etag("W/\"abc\""));
    assert_false(http_strong_etag("abc"));
    assert_false(http_strong_etag("\"abc"));
    assert_false(http_strong_etag("\"a\"b\""));
    assert_false(http_strong_etag("\""));
    assert_false(http_strong_etag(""));
    assert_false(http_strong_etag(NULL));
}

static void headers(void **state)
{
    static const char raw[] = "ETag\0\"one\"\0X-Size\0" "7\0etag\0\"two\"";
    static const struct http_field fields[] = {{0, 5}, {11, 18}, {20, 25}};
    const struct http_head h = {.raw = raw, .n_headers = 3, .fields = fields};
    (void)state;
    assert_string_equal(http_header(&h, "eTAG"), "\"two\"");   /* the last one */
    assert_string_equal(http_header(&h, "x-size"), "7");
    assert_null(http_header(&h, "x-siz"));
    assert_null(http_header(&(struct http_head){.raw = ""}, "etag"));
}

/* Nothing of this may open a connection. */
static void refused_addresses(void **state)
{
    static const char *const urls[] = {
        "http://example.invalid/x", "http://127.example.invalid/x", "http://localhost.example.invalid/",
        "ftp://127.0.0.1/x", "file:///etc/passwd", "https://user:secret@127.0.0.1/x", "https://user@127.0.0.1/x",
        "//127.0.0.1/x", "127.0.0.1", "", "https://", "javascript:alert(1)",
    };
    struct idem_err err = {0};
    struct http *h = http_open(&err);
    (void)state;
    assert_non_null(h);
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        struct http_request r = {.url = urls[i]};
        enum http_fault fault = HTTP_FAULT_NONE;
        err = (struct idem_err){0};
        assert_int_equal(http_get(h, &r, &fault, &err), -1);
        assert_int_equal(fault, HTTP_FAULT_REFUSED);
        assert_int_equal(err.code, IDEM_ERR_USAGE);
        assert_null(strstr(err.msg, "secret@"));
    }
    http_close(h);
    http_close(NULL);
}

/* A port on which nobody listens: the error names host and port. */
static void nobody_there(void **state)
{
    struct idem_err err = {0};
    struct http *h = http_open(&err);
    struct http_request r = {.url = "http://127.0.0.1:1/x"};
    enum http_fault fault = HTTP_FAULT_NONE;
    (void)state;
    assert_non_null(h);
    assert_int_equal(http_get(h, &r, &fault, &err), -1);
    assert_int_equal(fault, HTTP_FAULT_CONNECT);
    assert_int_equal(err.code, IDEM_ERR_IO);
    assert_non_null(strstr(err.msg, "127.0.0.1:1 cannot be reached"));
    http_close(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(content_range), cmocka_unit_test(number), cmocka_unit_test(retry_after),
        cmocka_unit_test(strong_etag), cmocka_unit_test(headers), cmocka_unit_test(refused_addresses),
        cmocka_unit_test(nobody_there),
    };
    return cmocka_run_group_tests_name("backend_http", tests, NULL, NULL);
}
