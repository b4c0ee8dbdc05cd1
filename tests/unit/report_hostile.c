/* SPDX-License-Identifier: MIT
 * Text from a model or an experiment can neither act in a page or a terminal nor break a layout; the
 * page is one file, and small enough. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/utf8.h"
#include "report/report_impl.h"
#include "unit/report_fixture.h"

static const struct hostile {
    const char *bytes;
    size_t len;
} hostile[] = {
#define H(s) {s, sizeof s - 1}
    H("<script>alert(1)</script>"),
    H("</script><script src=//x.example/y.js></script><!--"),
    H("<img src=x onerror=alert(1)>"),
    H("\" onmouseover=\"alert(1)"),
    H("' autofocus onfocus='alert(1)"),
    H("a\0b\0"),
    H("\xFF\xFE\xC0\x80\xED\xA0\x80\xF4\x90\x80\x80"),
    H("\xE2\x80\xAEgnirts\xE2\x80\xAC \xE2\x81\xA6x\xE2\x81\xA9"),
    H("\x1b[31mred\x1b]0;title\x07\x9b" "2J\r\b"),
    H("&lt;b&gt;&amp;&#60;"),
    H("\xE2\x80\xA8line\xE2\x80\xA9sep\xEF\xBB\xBF"),
    H("]]></style><style>*{display:none}</style>"),
    H("| a | b |\n|---|\n# head `x` [l](javascript:alert(1))"),
    H("{\"a\":1}\\u003c\\"),
    H("\xD8\xB9\xD8\xB1\xD8\xA8\xD9\x8A \xD7\xA2\xD7\x91\xD7\xA8\xD7\x99\xD7\xAA"),
    H("\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x94\xAC\xF3\xA0\x81\x81"),
#undef H
};
enum { N_HOSTILE = sizeof hostile / sizeof hostile[0] };

/* Every hostile text as output, and those that are C strings as prompt, kind, setting, title too. */
static struct rf *hostile_run(void)
{
    struct rf *f = rf_new(N_HOSTILE, 2);
    for (uint32_t p = 0; p < N_HOSTILE; p++) {
        for (uint64_t k = 0; k < 3; k++) {
            struct rf_output *o = rf_add(f, REC_PURPOSE_SEEDS, p, 0, 0, k, k == 2 ? "x" : hostile[p].bytes);
            o->len = k == 2 ? 1 : hostile[p].len;
            o->bits = "b";
        }
        rf_add(f, REC_PURPOSE_REPEATS, p, 1, 0, 1, hostile[p].bytes)->len = hostile[p].len;
        rf_add(f, REC_PURPOSE_REPEATS, p, 1, 0, 1, "differs");
        f->prompts[p].text = hostile[p].bytes;
        f->prompts[p].system = hostile[p].bytes;
        f->prompts[p].kind = hostile[p].bytes;
    }
    f->settings[0].name = hostile[0].bytes;
    f->settings[1].name = hostile[3].bytes;
    f->hosts[0].name = hostile[2].bytes;
    f->plan.run.title = hostile[1].bytes;
    f->plan.run.question = hostile[8].bytes;
    f->plan.run.model_name = hostile[7].bytes;
    f->plan.run.experiment_text = hostile[1].bytes;
    f->plan.run.rule = hostile[12].bytes;
    return f;
}

static size_t count(const char *in, size_t len, const char *what)
{
    size_t n = 0;
    for (const char *p = in; (p = memmem(p, len - (size_t)(p - in), what, strlen(what))); p++)
        n++;
    return n;
}

/* What must stand in no text that is shown: controls and characters that turn or hide others. */
static void assert_tame(const char *s, size_t len, bool joiners)
{
    for (size_t i = 0; i < len;) {
        int32_t cp;
        size_t n = utf8_next(s + i, len - i, &cp);
        bool bad = cp < 0 || (cp < 0x20 && cp != '\n' && cp != '\t') || (cp >= 0x7F && cp < 0xA0) ||
                   (cp >= 0x202A && cp <= 0x202E) || (cp >= 0x2066 && cp <= 0x2069) || cp == 0x2028 ||
                   cp == 0x2029 || cp == 0xFEFF || (!joiners && cp == 0x200D);
        if (bad)
            fail_msg("U+%04X at byte %zu: ...%.20s", (unsigned)cp, i, s + (i > 10 ? i - 10 : 0));
        i += n;
    }
}

static void a_page_holds_only_its_own_markup(void **state)
{
    (void)state;
    struct rf *f = hostile_run();
    struct store *s;
    struct report *r = rf_report(f, &s);
    struct buf b = rf_write(r, REPORT_HTML);
    assert_true(utf8_valid(b.data, b.len, NULL));
    assert_int_equal(strlen(b.data), b.len);                 /* no NUL */
    assert_tame(b.data, b.len, false);
    assert_int_equal(count(b.data, b.len, "<script"), 2);    /* data and program */
    assert_int_equal(count(b.data, b.len, "</script"), 2);
    assert_int_equal(count(b.data, b.len, "<style"), 1);
    assert_int_equal(count(b.data, b.len, "<!--"), 0);
    assert_int_equal(count(b.data, b.len, "<img"), 0);
    assert_int_equal(count(b.data, b.len, " onmouseover=\""), 0);
    assert_int_equal(count(b.data, b.len, " onfocus='"), 0);
    assert_int_equal(count(b.data, b.len, " style="), 0);    /* the policy would refuse it */
    assert_int_equal(count(b.data, b.len, "href=\"http"), 0);
    assert_int_equal(count(b.data, b.len, "src="), count(b.data, b.len, "src=//x.example/y.js&gt;") +
                     count(b.data, b.len, "src=//x.example/y.js>") + count(b.data, b.len, "src=x onerror"));
    assert_int_equal(count(b.data, b.len, "<script src"), 0);
    assert_non_null(strstr(b.data, "default-src 'none'"));
    assert_non_null(strstr(b.data, "&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert_non_null(strstr(b.data, "\xD8\xB9\xD8\xB1\xD8\xA8\xD9\x8A"));   /* honest right-to-left text stays */
    buf_release(&b);
    report_close(r);
    store_close(s);
    rf_free(f);
}

/* The data block is JSON and says of every output the tokens that it has. */
static void the_data_of_a_page_is_json(void **state)
{
    (void)state;
    struct rf *f = hostile_run();
    struct store *s;
    struct report *r = rf_report(f, &s);
    struct buf b = rf_write(r, REPORT_HTML);
    const char *from = strstr(b.data, "id=\"data\">") + 10;
    const char *to = strstr(from, "</script>");
    struct json_tokener *t = json_tokener_new();
    json_tokener_set_flags(t, JSON_TOKENER_STRICT);
    struct json_object *j = json_tokener_parse_ex(t, from, (int)(to - from));
    assert_non_null(j);
    size_t n = json_object_array_length(json_object_object_get(j, "outputs"));
    assert_int_equal(n, count(b.data, b.len, "data-v=\""));
    assert_true(n >= 2 * N_HOSTILE);
    size_t first = strlen(json_object_get_string(rf_at(j, "outputs.0.2")));
    assert_int_equal(first, hostile[0].len * (10 + 2 * 7));    /* two alternatives per token */
    json_object_put(j);
    json_tokener_free(t);
    buf_release(&b);
    report_close(r);
    store_close(s);
    rf_free(f);
}

static void text_is_safe_in_a_terminal(void **state)
{
    (void)state;
    struct rf *f = hostile_run();
    struct store *s;
    struct report *r = rf_report(f, &s);
    for (int md = 0; md < 2; md++) {
        struct buf b = rf_write(r, md ? REPORT_MD : REPORT_TEXT);
        assert_tame(b.data, b.len, false);
        if (md)
            assert_int_equal(count(b.data, b.len, "<script"), 0);
        for (char *line = strtok(b.data, "\n"); line && !md; line = strtok(NULL, "\n"))
            if (strlen(line) > 80)
                fail_msg("%zu columns: %s", strlen(line), line);
        buf_release(&b);
    }
    report_close(r);
    store_close(s);
    rf_free(f);
}

static void escapes_are_these(void **state)
{
    (void)state;
    static const struct { const char *in; size_t len, columns; const char *text, *html, *json; } cases[] = {
        {"plain", 5, 0, "plain", "plain", "\"plain\""},
        {"<a b=\"c\">&'", 11, 0, "<a b=\"c\">&'", "&lt;a b=&quot;c&quot;&gt;&amp;&#39;",
         "\"\\u003ca b=\\\"c\\\"\\u003e\\u0026'\""},
        {"a\0b", 3, 0, "a\\x00b", "a\xE2\x90\x80" "b", "\"a\xE2\x90\x80" "b\""},
        {"\x1b[0m", 4, 0, "\\x1b[0m", "\xE2\x90\x9B[0m", "\"\xE2\x90\x9B[0m\""},
        {"a\nb\tc\\", 6, 0, "a\\nb\\tc\\\\", "a\nb\tc\\", "\"a\\nb\\tc\\\\\""},
        {"\xE2\x80\xAE", 3, 0, "\\u202e", "[U+202E]", "\"[U+202E]\""},
        {"\xC3", 1, 0, "\\xc3", "\xEF\xBF\xBD", "\"\xEF\xBF\xBD\""},
        {"\xF3\xA0\x81\x81", 4, 0, "\\U000e0041", "[U+E0041]", "\"[U+E0041]\""},
        {"caf\xC3\xA9", 5, 0, "caf\xC3\xA9", "caf\xC3\xA9", "\"caf\xC3\xA9\""},
        {"abcdefgh", 8, 8, "abcdefgh", "abcdefgh", "\"abcdefgh\""},
        {"abcdefghi", 9, 8, "abcde...", "abcdefghi", "\"abcdefghi\""},
        {"\xE6\xBC\xA2\xE5\xAD\x97\xE6\xBC\xA2\xE5\xAD\x97", 12, 7, "\xE6\xBC\xA2\xE5\xAD\x97...",
         "\xE6\xBC\xA2\xE5\xAD\x97\xE6\xBC\xA2\xE5\xAD\x97",
         "\"\xE6\xBC\xA2\xE5\xAD\x97\xE6\xBC\xA2\xE5\xAD\x97\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf b;
        buf_init(&b, 1 << 16);
        report_esc_text(&b, cases[i].in, cases[i].len, cases[i].columns);
        assert_string_equal(b.data, cases[i].text);
        buf_clear(&b);
        report_esc_html(&b, cases[i].in, cases[i].len);
        assert_string_equal(b.data, cases[i].html);
        buf_clear(&b);
        report_esc_json_html(&b, cases[i].in, cases[i].len);
        assert_string_equal(b.data, cases[i].json);
        buf_release(&b);
    }
}

static void shares_never_round_to_certainty(void **state)
{
    (void)state;
    static const struct { double v; const char *s; } cases[] = {
        {0, "0 %"}, {1, "100 %"}, {0.00001, "< 0.01 %"}, {0.99999, "> 99.99 %"}, {0.0012, "0.12 %"},
        {0.5, "50.0 %"}, {0.9996, "99.96 %"}, {0.99949, "99.9 %"}, {NAN, "-"},
    };
    char b[REP_NUM];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_string_equal(rep_pct(b, cases[i].v), cases[i].s);
    assert_string_equal(rep_count(b, 1234567), "1,234,567");
    assert_string_equal(rep_count(b, 999), "999");
}

/* As large as H1 may become: all outputs distinct, eight alternatives per token. */
static void a_large_page_stays_below_5_mb(void **state)
{
    (void)state;
    enum { PROMPTS = 25, SETTINGS = 20, SEEDS = 10, TOKENS = 40 };
    struct rf *f = rf_new(PROMPTS, SETTINGS);
    static char text[PROMPTS * SETTINGS * SEEDS][TOKENS + 1];
    f->n_top = 8;
    for (uint32_t p = 0, n = 0; p < PROMPTS; p++)
        for (uint32_t k = 0; k < SETTINGS; k++)
            for (uint64_t i = 0; i < SEEDS; i++, n++) {
                for (uint32_t c = 0; c < TOKENS; c++)
                    text[n][c] = (char)('a' + (n * 7919u + c * c * (n % 13u + 3u)) % 26u);
                rf_add(f, REC_PURPOSE_SEEDS, p, k, 0, i, text[n]);
            }
    struct store *s;
    struct report *r = rf_report(f, &s);
    struct buf b = rf_write(r, REPORT_HTML);
    if (b.len >= 5000000)
        fail_msg("%zu bytes", b.len);
    assert_true(b.len > 2000000);              /* else the outputs are not in it */
    buf_release(&b);
    report_close(r);
    store_close(s);
    rf_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_holds_only_its_own_markup),
        cmocka_unit_test(the_data_of_a_page_is_json),
        cmocka_unit_test(text_is_safe_in_a_terminal),
        cmocka_unit_test(escapes_are_these),
        cmocka_unit_test(shares_never_round_to_certainty),
        cmocka_unit_test(a_large_page_stays_below_5_mb),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
