/* SPDX-License-Identifier: MIT
 * The hand-written pre-tokenizers against the regular expressions that define them (PCRE2), on
 * random texts over characters that matter to some expression, and on texts with known words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "engine/tok_pre.h"

#define GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define LLAMA3(n) "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}" n \
                  "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define TEKKEN "[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+|[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER "*|\\p{N}" \
               "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

static const struct { const char *name, *regex[TOK_PRE_STAGES]; } defined[] = {
    {"gpt-2", {GPT2}}, {"phi-2", {GPT2}},
    {"smollm", {"\\p{N}", GPT2}}, {"starcoder", {"\\p{N}", GPT2}}, {"refact", {"\\p{N}", GPT2}},
    {"llama-bpe", {LLAMA3("{1,3}")}}, {"qwen2", {LLAMA3("")}},
    {"llama3", {LLAMA3("{1,3}")}}, {"llama-v3", {LLAMA3("{1,3}")}}, {"deepseek-r1-qwen", {LLAMA3("")}},
    {"tekken", {TEKKEN}},
    {"default", {"[\\p{P}\\$\\+<=>\\^~\\|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]"}},
};
enum { N_DEFINED = sizeof defined / sizeof defined[0], MAX_ENDS = 512 };

struct ends { size_t n, at[MAX_ENDS]; };   /* where words end */

static int collect(void *ctx, size_t offset, size_t length)
{
    struct ends *e = ctx;
    assert_int_equal(offset, e->n ? e->at[e->n - 1] : 0);   /* no gaps */
    assert_true(length > 0 && e->n < MAX_ENDS);
    e->at[e->n++] = offset + length;
    return 0;
}

/* Splits each piece of `in` by one expression; stretches without a match stay whole. */
static void apply(pcre2_code *code, pcre2_match_data *md, const char *s, const struct ends *in,
                  struct ends *out)
{
    out->n = 0;
    for (size_t i = 0, from = 0; i < in->n; from = in->at[i++]) {
        size_t at = 0, len = in->at[i] - from;
        while (at < len) {
            /* a piece is a text of its own: what is around it cannot be seen */
            int rc = pcre2_match(code, (PCRE2_SPTR)s + from, len, at, PCRE2_NO_UTF_CHECK, md, NULL);
            assert_true(rc > 0 || rc == PCRE2_ERROR_NOMATCH);
            PCRE2_SIZE *v = pcre2_get_ovector_pointer(md), begin = rc > 0 ? v[0] : len;
            if (begin > at)
                out->at[out->n++] = from + begin;
            if (rc > 0)
                out->at[out->n++] = from + v[1];
            at = rc > 0 ? v[1] : len;
        }
    }
}

static uint32_t rnd(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static size_t random_text(char *s, size_t max, uint32_t *state)
{
    static const char *const alphabet[] = {
        " ", " ", " ", "\n", "\r", "\t", "\v", "'", "'", "s", "S", "t", "re", "VE", "m", "ll", "d",
        "a", "Z", "1", "2", "3", "4", "!", "$", "+", "_", "<", "=", "|", ".", ",", "-",
        "\xC5\xBF" /* long s */, "\xC3\xA9", "e\xCC\x81" /* a combining mark */, "\xD0\x96",
        "\xE6\x88\x91", "\xE1\x9E\x80", "\xC2\xA0" /* no-break space */, "\xE2\x80\x83",
        "\xE3\x80\x80", "\xC2\x85", "\xE2\x80\xA8", "\xC2\xBD" /* 1/2 */, "\xD9\xA3",
        "\xE2\x85\xA7" /* VIII */, "\xF0\x9F\x98\x80", "\xE2\x80\x8D", "\xC2\xAB", "\xE2\x82\xAC",
        "\xEF\xBB\xBF", "\xEF\xBC\x8C", "\x01", "\x1C",
        "/", "B", "C", "b", "\xC7\x85" /* Lt */, "\xCA\xB0" /* Lm */, "\xC4\x80", "\xC4\x81", "\xCC\x81", "\xE0\xA4\x95",
        "\xE0\xA4\xBC"};
    size_t len = 0;
    uint32_t n = rnd(state) % 24;
    for (uint32_t i = 0; i < n; i++) {
        const char *c = alphabet[rnd(state) % (sizeof alphabet / sizeof alphabet[0])];
        for (uint32_t k = rnd(state) % 8 == 0 ? rnd(state) % 5 : 1; k; k--) {
            if (len + strlen(c) > max)
                return len;
            memcpy(s + len, c, strlen(c));
            len += strlen(c);
        }
    }
    return len;
}

static void test_against_the_expressions(void **state)
{
    (void)state;
    for (size_t k = 0; k < N_DEFINED; k++) {
        const struct tok_pre *pre = tok_pre_find(defined[k].name, strlen(defined[k].name));
        assert_non_null(pre);
        pcre2_code *code[TOK_PRE_STAGES] = {0};
        size_t n_stages = 0;
        for (; n_stages < TOK_PRE_STAGES && defined[k].regex[n_stages]; n_stages++) {
            int error;
            PCRE2_SIZE where;
            code[n_stages] = pcre2_compile((PCRE2_SPTR)defined[k].regex[n_stages], PCRE2_ZERO_TERMINATED,
                                           PCRE2_UTF | PCRE2_UCP, &error, &where, NULL);
            assert_non_null(code[n_stages]);
        }
        pcre2_match_data *md = pcre2_match_data_create(4, NULL);
        uint32_t seed = 42;
        for (int round = 0; round < 20000; round++) {
            char s[256];
            size_t len = random_text(s, sizeof s, &seed);
            struct ends got = {0}, a = {0}, b;
            assert_int_equal(tok_pre_split(pre, s, len, collect, &got), 0);
            if (len)
                a = (struct ends){1, {len}};
            for (size_t i = 0; i < n_stages; i++) {
                apply(code[i], md, s, &a, &b);
                a = b;
            }
            if (got.n != a.n || memcmp(got.at, a.at, a.n * sizeof a.at[0]) != 0) {
                printf("%s, round %d: \"%.*s\"\n", defined[k].name, round, (int)len, s);
                for (size_t i = 0; i < got.n || i < a.n; i++)
                    printf("  ends %zu, by the expression %zu\n", i < got.n ? got.at[i] : 0,
                           i < a.n ? a.at[i] : 0);
                fail();
            }
        }
        pcre2_match_data_free(md);
        for (size_t i = 0; i < n_stages; i++)
            pcre2_code_free(code[i]);
    }
}

struct joined { const char *s; char text[512]; };

static int join(void *ctx, size_t offset, size_t length)
{
    struct joined *j = ctx;
    size_t n = strlen(j->text);
    snprintf(j->text + n, sizeof j->text - n, "[%.*s]", (int)length, j->s + offset);
    return 0;
}

static void test_known_words(void **state)
{
    (void)state;
    static const struct { const char *pre, *text, *words; } cases[] = {
        {"gpt-2", "I've 12 cats,  ok", "[I]['ve][ 12][ cats][,][ ][ ok]"},
        {"gpt-2", "I'VE", "[I]['][VE]"},
        {"gpt-2", "x   ", "[x][   ]"},
        {"gpt-2", " \tx", "[ ][\t][x]"},
        {"smollm", " 12 a", "[ ][1][2][ a]"},
        {"starcoder", "a  12", "[a][  ][1][2]"},
        {"llama-bpe", "I'VE 12345!\n\nx", "[I]['VE][ ][123][45][!\n\n][x]"},
        {"llama-bpe", "\thi  \n  there", "[\thi][  \n][ ][ there]"},
        {"qwen2", "a12\r\n", "[a][1][2][\r\n]"},
        {"tekken", "HelloWORLDx ABC 12/\n", "[Hello][WORLDx][ ABC][ ][1][2][/\n]"},
        {"default", "12345 (a)", "[123][45][ ][(][a][)]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct joined j = {.s = cases[i].text};
        const struct tok_pre *pre = tok_pre_find(cases[i].pre, strlen(cases[i].pre));
        assert_int_equal(tok_pre_split(pre, j.s, strlen(j.s), join, &j), 0);
        assert_string_equal(j.text, cases[i].words);
    }
}

static int stop_at_second(void *ctx, size_t offset, size_t length)
{
    (void)length;
    ++*(int *)ctx;
    return offset ? 7 : 0;
}

static void test_stops_when_told(void **state)
{
    (void)state;
    int calls = 0;
    assert_int_equal(tok_pre_split(tok_pre_find("smollm", 6), "a b c d", 7, stop_at_second, &calls), 7);
    assert_int_equal(calls, 2);
    assert_null(tok_pre_find("gpt", 3));
    assert_null(tok_pre_find("", 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_the_expressions),
        cmocka_unit_test(test_known_words),
        cmocka_unit_test(test_stops_when_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
