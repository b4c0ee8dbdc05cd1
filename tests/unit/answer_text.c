/* SPDX-License-Identifier: MIT
 * Answers: found in outputs, brought to a normal form, compared; cases as data in tests/data/answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "answer/answer.h"
#include "base/file.h"

enum { MAX_COLUMNS = 5 };

/* \n, \r, \t, \\, \xHH. */
static size_t unescape(char *s)
{
    size_t n = 0;
    for (size_t i = 0; s[i]; i++) {
        if (s[i] != '\\') {
            s[n++] = s[i];
        } else if (s[++i] == 'x') {
            char hex[3] = {s[i + 1], s[i + 2], 0};
            s[n++] = (char)strtoul(hex, NULL, 16);
            i += 2;
        } else {
            s[n++] = s[i] == 'n' ? '\n' : s[i] == 't' ? '\t' : s[i] == 'r' ? '\r' : s[i];
        }
    }
    s[n] = '\0';
    return n;
}

typedef int (*case_fn)(char *col[MAX_COLUMNS], size_t len[MAX_COLUMNS]);   /* not 0: it is wrong */

static size_t each_case(const char *path, int n_columns, bool escaped, case_fn fn)
{
    struct buf b;
    struct idem_err err = {0};
    size_t n = 0, wrong = 0;
    buf_init(&b, 1 << 22);
    if (file_read(&b, path, &err))
        fail_msg("%s", err.msg);
    char *rest = b.data;
    for (char *line; (line = strsep(&rest, "\n"));) {
        char *col[MAX_COLUMNS];
        size_t len[MAX_COLUMNS];
        if (!line[0] || line[0] == '#')
            continue;
        for (int i = 0; i < n_columns; i++) {
            assert_non_null(col[i] = strsep(&line, "\t"));
            len[i] = escaped ? unescape(col[i]) : strlen(col[i]);
        }
        wrong += fn(col, len) != 0;
        n++;
    }
    buf_release(&b);
    assert_int_equal(wrong, 0);
    return n;
}

static int value_of(const char *word, const char *(*name)(int), int n)
{
    for (int i = 0; i < n; i++)
        if (strcmp(word, name(i)) == 0)
            return i;
    fail_msg("no such word: %s", word);
    return 0;
}

static const char *parse_name(int i) { return answer_parse_name((enum answer_parse_kind)i); }
static const char *normal_name(int i) { return answer_normal_name((enum answer_normal)i); }
static const char *match_name(int i) { return answer_match_name((enum answer_match)i); }

static int parse_case(char *col[MAX_COLUMNS], size_t len[MAX_COLUMNS])
{
    struct idem_err err = {0};
    struct answer_rule rule = {.parse = (enum answer_parse_kind)value_of(col[0], parse_name, ANSWER_JSON + 1), .arg = col[1]};
    struct answer *a = answer_open(&rule, &err);
    struct buf out;
    if (!a)
        fail_msg("%s %s: %s", col[0], col[1], err.msg);
    buf_init(&out, 1 << 16);
    int rc = answer_parse(a, col[2], len[2], &out, &err);
    bool none = strcmp(col[3], "!") == 0;
    bool ok = none ? rc == 0 && out.len == 0 : rc == 1 && strcmp(out.data, col[3]) == 0;
    if (!ok)
        print_error("%s '%s' of '%s'\n  expected: %s\n  got:      %d %s\n", col[0], col[1], col[2], col[3], rc,
                    out.data ? out.data : "");
    buf_release(&out);
    answer_close(a);
    return !ok;
}

static void test_parse(void **state)
{
    (void)state;
    assert_true(each_case("tests/data/answer/parse.txt", 4, true, parse_case) >= 42);
}

static int correct_case(char *col[MAX_COLUMNS], size_t len[MAX_COLUMNS])
{
    struct idem_err err = {0};
    struct answer_rule rule = {.normal = (enum answer_normal)value_of(col[0], normal_name, ANSWER_EXACT + 1),
                               .match = (enum answer_match)value_of(col[1], match_name, ANSWER_CONTAINS + 1)};
    struct answer *a = answer_open(&rule, &err);
    assert_non_null(a);
    int rc = answer_correct(a, col[2], len[2], col[3], len[3], &err);
    if (rc != atoi(col[4]))
        print_error("%s %s: '%s' against '%s' gives %d\n", col[0], col[1], col[2], col[3], rc);
    answer_close(a);
    return rc != atoi(col[4]);
}

static void test_correct(void **state)
{
    (void)state;
    assert_true(each_case("tests/data/answer/correct.txt", 5, true, correct_case) >= 24);
}

/* The normal form by a second implementation; twice is the same. */
static int normal_case(char *col[MAX_COLUMNS], size_t len[MAX_COLUMNS])
{
    struct buf once, twice;
    buf_init(&once, 1 << 16);
    buf_init(&twice, 1 << 16);
    buf_adds(&once, "x");            /* what stands there already stays */
    answer_normalize(ANSWER_SQUAD, col[0], len[0], &once);
    bool ok = strcmp(once.data + 1, col[1]) == 0;
    answer_normalize(ANSWER_SQUAD, once.data + 1, once.len - 1, &twice);
    bool same = twice.len == once.len - 1 && (twice.len == 0 || memcmp(twice.data, once.data + 1, twice.len) == 0);
    if (!ok || !same)
        print_error("'%s'\n  expected: '%s'\n  got:      '%s'\n", col[0], col[1], once.data + 1);
    buf_release(&once);
    buf_release(&twice);
    return !ok || !same;
}

static void test_normal(void **state)
{
    (void)state;
    assert_true(each_case("tests/data/answer/normal.tsv", 2, false, normal_case) > 500);
}

static void test_bad_rules(void **state)
{
    static const struct { struct answer_rule rule; const char *msg; } bad[] = {
        {{.parse = ANSWER_REGEX, .arg = "a("}, "the regular expression 'a(' is wrong at byte 2"},
        {{.parse = ANSWER_REGEX, .arg = ""}, "needs a text to look for"},
        {{.parse = ANSWER_AFTER}, "needs a text to look for"},
        {{.parse = ANSWER_FIRST_LINE, .arg = "x"}, "takes nothing more"},
        {{.parse = ANSWER_AFTER, .arg = "\xFF"}, "not valid UTF-8"},
        {{.parse = ANSWER_CHOICE, .arg = "A"}, "at least two letters"},
        {{.parse = ANSWER_CHOICE, .arg = "ABA"}, "different capital letters"},
        {{.parse = ANSWER_CHOICE, .arg = "abc"}, "different capital letters"},
        {{.parse = ANSWER_JSON, .arg = "a..b"}, "an empty name"},
        {{.parse = ANSWER_JSON, .arg = ".a"}, "an empty name"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct idem_err err = {0};
        assert_null(answer_open(&bad[i].rule, &err));
        if (!strstr(err.msg, bad[i].msg))
            fail_msg("%s", err.msg);
    }
    answer_close(NULL);
}

static void test_words(void **state)
{
    struct answer_rule r;
    struct idem_err err = {0};
    (void)state;
    assert_int_equal(answer_rule_words(&r, "choice", "AB", "exact", "contains", &err), 0);
    assert_true(r.parse == ANSWER_CHOICE && !strcmp(r.arg, "AB") && r.normal == ANSWER_EXACT && r.match == ANSWER_CONTAINS);
    assert_int_equal(answer_rule_words(&r, "whole", "", "squad", "equals", &err), 0);
    assert_true(r.parse == ANSWER_WHOLE && r.normal == ANSWER_SQUAD && r.match == ANSWER_EQUALS);
    assert_int_equal(answer_rule_words(&r, "line", "", "squad", "equals", &err), -1);
    assert_int_equal(answer_rule_words(&r, "whole", "", "squat", "equals", &err), -1);
    assert_int_equal(answer_rule_words(&r, "whole", "", "squad", "is", &err), -1);
    assert_non_null(strstr(err.msg, "allowed: whole, first_line"));
}

static void test_unmove(void **state)
{
    static const struct { char letter; const char *order; char was; } cases[] = {
        {'A', "2,0,1", 'C'}, {'B', "2,0,1", 'A'}, {'C', "2,0,1", 'B'}, {'D', "2,0,1", 0}, {'B', "", 'B'}, {'B', NULL, 'B'},
        {'a', "0,1", 0}, {'A', "x", 0}, {'B', "0,", 0}, {'A', "26", 0}, {'A', "25", 'Z'}, {'K', "0,1,2,3,4,5,6,7,8,9,11", 'L'},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (answer_unmove(cases[i].letter, cases[i].order) != cases[i].was)
            fail_msg("%c %s", cases[i].letter, cases[i].order ? cases[i].order : "(none)");
}

static void test_gives_up(void **state)
{
    struct idem_err err = {0};
    char text[41];
    struct buf out;
    (void)state;
    memset(text, 'a', 40);
    text[40] = 'b';
    buf_init(&out, 100);
    struct answer *a = answer_open(&(struct answer_rule){.parse = ANSWER_REGEX, .arg = "(a+)+$"}, &err);
    assert_int_equal(answer_parse(a, text, 41, &out, &err), -1);
    assert_non_null(strstr(err.msg, "gave up on an output of 41 bytes"));
    answer_close(a);
    a = answer_open(&(struct answer_rule){0}, &err);
    assert_int_equal(answer_correct(a, "x", 1, "[\"x\"", 4, &err), -1);
    assert_non_null(strstr(err.msg, "no JSON list"));
    assert_int_equal(answer_correct(a, "x", 1, "[null]", 6, &err), -1);
    answer_close(a);
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse), cmocka_unit_test(test_correct), cmocka_unit_test(test_normal),
        cmocka_unit_test(test_bad_rules), cmocka_unit_test(test_words), cmocka_unit_test(test_unmove), cmocka_unit_test(test_gives_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
