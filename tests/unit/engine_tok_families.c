/* SPDX-License-Identifier: MIT
 * Tiny tokenizers in the form of each family, against what the tokenizers package gives for them.
 *
 * tests/data/tok/NAME.tsv is written by tools/oracle/make_tok.py. Its columns: 1 if special tokens
 * were added and parsed; the text; its ids; the text of these ids without and with the special
 * tokens, where = is the text itself and - is not compared. \u{HEX} stands for a character. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/file.h"
#include "engine/tokenizer.h"

enum { MAX_IDS = 4096, MAX_TEXT = 16384 };

struct family { const char *name; size_t min_rows; };
static const struct family families[] = {
    {"added", 300}, {"gemma", 300}, {"gpt2", 300}, {"llama", 300}, {"llama-merges", 300}, {"llama3", 300},
    {"metaspace", 300}, {"minicpm3", 300}, {"mistral", 300}, {"phi2", 250}, {"phi3", 300}, {"qwen2", 300},
    {"smollm", 250}, {"spm-added", 300}, {"spm-no-bytes", 300}, {"tekken", 300},
};
enum { N_FAMILIES = sizeof families / sizeof families[0] };

static struct tokenizer *open_family(const char *name, enum idem_normalize normalize)
{
    struct idem_err err = {0};
    char path[256];
    snprintf(path, sizeof path, "tests/data/tok/%s.gguf", name);
    struct gguf *g = gguf_open(path, &err);
    if (!g)
        fail_msg("%s", err.msg);
    struct tokenizer *t = tok_open(g, normalize, 0, &err);
    gguf_close(g);
    if (!t)
        fail_msg("%s", err.msg);
    return t;
}

static size_t put_utf8(char *out, unsigned long cp)
{
    if (cp < 0x80)
        return out[0] = (char)cp, 1;
    size_t n = cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
    for (size_t i = n; i-- > 1; cp >>= 6)
        out[i] = (char)(0x80 | (cp & 0x3F));
    out[0] = (char)((n == 2 ? 0xC0 : n == 3 ? 0xE0 : 0xF0) | cp);
    return n;
}

/* The field s[0 .. len) with its escapes undone. */
static size_t unescape(const char *s, size_t len, char *out)
{
    size_t n = 0;
    assert_true(len < MAX_TEXT);
    for (size_t i = 0; i < len;) {
        if (s[i] != '\\') {
            out[n++] = s[i++];
            continue;
        }
        char *end;
        assert_true(len - i > 3 && s[i + 1] == 'u' && s[i + 2] == '{');
        unsigned long cp = strtoul(s + i + 3, &end, 16);
        assert_true(*end == '}');
        n += put_utf8(out + n, cp);
        i = (size_t)(end - s) + 1;
    }
    return n;
}

static void fail_ids(const char *name, const char *row, const int32_t *ids, size_t n)
{
    char got[1024] = "";
    for (size_t i = 0, at = 0; i < n && at < sizeof got - 16; i++)
        at += (size_t)snprintf(got + at, sizeof got - at, " %d", ids[i]);
    fail_msg("%s: %.300s\n  gives%s", name, row, got);
}

static void check_text(const char *name, const struct tokenizer *t, const char *row, const int32_t *ids, size_t n,
                       bool special, const char *field, size_t len, const char *text, size_t text_len)
{
    static char want[MAX_TEXT], got[MAX_TEXT];
    struct idem_err err = {0};
    size_t n_got, n_want = len;
    if (len == 1 && field[0] == '-')
        return;
    if (len == 1 && field[0] == '=')
        memcpy(want, text, n_want = text_len);
    else
        n_want = unescape(field, len, want);
    assert_int_equal(tok_detokenize(t, ids, n, special, got, sizeof got, &n_got, &err), 0);
    if (n_got != n_want || memcmp(got, want, n_want) != 0)
        fail_msg("%s: %.300s\n  decodes to \"%.*s\"", name, row, (int)(n_got < sizeof got ? n_got : sizeof got), got);
}

static void check_row(const char *name, const struct tokenizer *t, const char *row)
{
    static char text[MAX_TEXT];
    static int32_t ids[MAX_IDS];
    const char *field[6] = {row};
    for (int i = 1; i < 5; i++) {
        field[i] = strchr(field[i - 1], '\t');
        assert_non_null(field[i]);
        field[i]++;
    }
    field[5] = strchr(field[4], '\n') + 1;
    bool parse = row[0] == '1';
    size_t len = unescape(field[1], (size_t)(field[2] - field[1]) - 1, text), n, k = 0;
    struct idem_err err = {0};
    if (tok_tokenize(t, text, len, parse ? IDEM_TOK_ADD_SPECIAL | IDEM_TOK_PARSE_SPECIAL : 0, ids, MAX_IDS, &n, &err) != 0)
        fail_msg("%s: %.300s\n  %s", name, row, err.msg);
    assert_true(n <= MAX_IDS);
    for (const char *s = field[2]; *s != '\t'; k++) {
        char *end;
        long want = strtol(s, &end, 10);
        assert_true(end > s);
        if (k >= n || ids[k] != want)
            fail_ids(name, row, ids, n);
        s = *end == ' ' ? end + 1 : end;
    }
    if (k != n)
        fail_ids(name, row, ids, n);
    for (int i = 0; i < 2; i++)
        check_text(name, t, row, ids, n, i, field[3 + i], (size_t)(field[4 + i] - field[3 + i]) - 1, text, len);
}

static void test_tables(void **state)
{
    (void)state;
    size_t all = 0;
    for (size_t i = 0; i < N_FAMILIES; i++) {
        struct tokenizer *t = open_family(families[i].name, IDEM_NORMALIZE_MODEL);
        struct idem_err err = {0};
        struct buf b;
        char path[256];
        size_t rows = 0;
        buf_init(&b, 1 << 22);
        snprintf(path, sizeof path, "tests/data/tok/%s.tsv", families[i].name);
        if (file_read(&b, path, &err) != 0)
            fail_msg("%s", err.msg);
        for (const char *row = b.data, *end; (end = strchr(row, '\n')) != NULL; row = end + 1, rows++)
            check_row(families[i].name, t, row);
        assert_true(rows >= families[i].min_rows);
        all += rows;
        buf_release(&b);
        tok_close(t);
    }
    printf("%zu rows of %d tokenizers\n", all, (int)N_FAMILIES);
}

/* --normalize none and nfc change what the family does, and nothing else. */
static void test_normalize(void **state)
{
    (void)state;
    static const struct { const char *name; enum idem_normalize normalize; bool nfc; } cases[] = {
        {"qwen2", IDEM_NORMALIZE_MODEL, true}, {"qwen2", IDEM_NORMALIZE_NFC, true},
        {"qwen2", IDEM_NORMALIZE_NONE, false}, {"gpt2", IDEM_NORMALIZE_MODEL, false},
        {"gpt2", IDEM_NORMALIZE_NFC, true}, {"llama", IDEM_NORMALIZE_MODEL, false}, {"llama", IDEM_NORMALIZE_NFC, true},
        {"added", IDEM_NORMALIZE_MODEL, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tokenizer *t = open_family(cases[i].name, cases[i].normalize);
        int32_t a[16], b[16];
        size_t n_a, n_b;
        struct idem_err err = {0};
        assert_int_equal(tok_tokenize(t, "cafe\xCC\x81", 6, 0, a, 16, &n_a, &err), 0);
        assert_int_equal(tok_tokenize(t, "caf\xC3\xA9", 5, 0, b, 16, &n_b, &err), 0);
        bool same = n_a == n_b && memcmp(a, b, n_a * sizeof *a) == 0;
        if (same != cases[i].nfc)
            fail_msg("%s, case %zu: %s", cases[i].name, i, same ? "the same ids" : "other ids");
        tok_close(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_tables), cmocka_unit_test(test_normalize)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
