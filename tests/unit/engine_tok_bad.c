/* SPDX-License-Identifier: MIT
 * Vocabularies that are wrong or odd: each gets an error that names its key, or works as far as
 * it can, and none crashes. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/tokenizer.h"
#include "gguf_write.h"

/* A small sound vocabulary of either kind; a case changes one thing in it. */
struct vocab {
    const char *model, *pre;
    const char *const *tokens, *const *merges;
    size_t n_tokens, n_merges, n_scores, n_types, n_rows;
    const float *scores;
    const int32_t *types;
    const char *id_key;           /* one more key with a token id */
    uint32_t id;
    const char *flag_key;         /* one more key that is true */
    const int32_t *added, *flags; /* keys of idem's own */
    size_t n_added, n_flags;
    const char *prefix, *form;
    bool tokens_are_numbers, scores_are_ints, no_bos, id_is_text;
};

static const char *const bpe_tokens[] = {"a", "b", "c", "ab", "\xC4\xA0", "\xC4\xA0" "ab", "<|end|>", "abc"};
static const char *const bpe_merges[] = {"a b", "\xC4\xA0 ab", "ab c"};
static const int32_t bpe_types[] = {1, 1, 1, 1, 1, 1, 3, 1};
static const char *const spm_tokens[] = {"<unk>", "<s>", "</s>", "<0x61>", "a", "b", "ab", "\xE2\x96\x81"};
static const float spm_scores[] = {0, 0, 0, 0, -1, -2, -3, -4};
static const int32_t spm_types[] = {2, 3, 3, 6, 1, 1, 1, 1};

static const struct vocab bpe = {
    .model = "gpt2", .pre = "gpt-2", .tokens = bpe_tokens, .n_tokens = 8, .merges = bpe_merges,
    .n_merges = 3, .types = bpe_types, .n_types = 8};
static const struct vocab spm = {
    .model = "llama", .pre = "default", .tokens = spm_tokens, .n_tokens = 8, .scores = spm_scores,
    .n_scores = 8, .types = spm_types, .n_types = 8};

static struct tokenizer *open_it(const struct vocab *v, struct idem_err *err)
{
    struct gw w;
    gw_init(&w, 3, 32);
    if (v->model)
        gw_str(&w, "tokenizer.ggml.model", v->model);
    if (v->pre)
        gw_str(&w, "tokenizer.ggml.pre", v->pre);
    if (v->tokens_are_numbers)
        gw_i32s(&w, "tokenizer.ggml.tokens", v->types, v->n_types);
    else if (v->tokens)
        gw_strs(&w, "tokenizer.ggml.tokens", v->tokens, v->n_tokens);
    if (v->merges)
        gw_strs(&w, "tokenizer.ggml.merges", v->merges, v->n_merges);
    if (v->scores_are_ints)
        gw_i32s(&w, "tokenizer.ggml.scores", v->types, v->n_types);
    else if (v->scores)
        gw_f32s(&w, "tokenizer.ggml.scores", v->scores, v->n_scores);
    if (v->types)
        gw_i32s(&w, "tokenizer.ggml.token_type", v->types, v->n_types);
    if (v->id_key && v->id_is_text)
        gw_str(&w, v->id_key, "1");
    else if (v->id_key)
        gw_u32(&w, v->id_key, v->id);
    if (v->flag_key)
        gw_bool(&w, v->flag_key, true);
    if (v->model && strcmp(v->model, "llama") == 0 && !v->no_bos) {
        gw_u32(&w, "tokenizer.ggml.bos_token_id", 1);
        gw_u32(&w, "tokenizer.ggml.unknown_token_id", 0);
    }
    if (v->added)
        gw_i32s(&w, "tokenizer.idem.added_tokens", v->added, v->n_added);
    if (v->flags)
        gw_i32s(&w, "tokenizer.idem.added_flags", v->flags, v->n_flags);
    if (v->prefix)
        gw_str(&w, "tokenizer.idem.space_prefix", v->prefix);
    if (v->form)
        gw_str(&w, "tokenizer.idem.normalizer", v->form);
    size_t len;
    uint8_t *bytes = gw_finish(&w, &len);
    struct gguf *g = gguf_open_memory(bytes, len, "case.gguf", err);
    if (!g)
        fail_msg("%s", err->msg);
    struct tokenizer *t = tok_open(g, IDEM_NORMALIZE_MODEL, v->n_rows, err);
    gguf_close(g);
    free(bytes);
    return t;
}

static void expect_error(const struct vocab *v, enum idem_err_code code, const char *const *words)
{
    struct idem_err err = {0};
    struct tokenizer *t = open_it(v, &err);
    if (t)
        fail_msg("opened, but '%s' was expected", words[0]);
    assert_int_equal(err.code, code);
    assert_non_null(strstr(err.msg, "case.gguf"));
    for (; *words; words++)
        if (!strstr(err.msg, *words))
            fail_msg("'%s' is not in: %s", *words, err.msg);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void test_kinds(void **state)
{
    (void)state;
    struct vocab v = bpe;
    v.model = "bert";
    expect_error(&v, IDEM_ERR_UNSUPPORTED, WORDS("tokenizer.ggml.model", "'bert'", "gpt2", "llama"));
    v.model = NULL;
    expect_error(&v, IDEM_ERR_FORMAT, WORDS("tokenizer.ggml.model", "missing"));
    v = bpe;
    v.pre = "deepseek-v3\n\x1b[31m";
    expect_error(&v, IDEM_ERR_UNSUPPORTED, WORDS("tokenizer.ggml.pre", "'deepseek-v3??[31m'", "gpt-2", "phi-2",
                 "smollm", "starcoder", "refact", "llama-bpe", "qwen2", "default"));
    v = spm;
    v.pre = "gpt-2";
    expect_error(&v, IDEM_ERR_UNSUPPORTED, WORDS("tokenizer.ggml.pre", "'gpt-2'", "default"));
}

static void test_arrays(void **state)
{
    (void)state;
    struct vocab v = bpe;
    v.tokens = NULL;
    expect_error(&v, IDEM_ERR_FORMAT, WORDS("tokenizer.ggml.tokens", "missing"));
    v = bpe;
    v.n_tokens = 0;
    expect_error(&v, IDEM_ERR_FORMAT, WORDS("tokenizer.ggml.tokens", "0 tokens"));
    v = bpe;
    v.tokens_are_numbers = true;
    expect_error(&v, IDEM_ERR_FORMAT, WORDS("tokenizer.ggml.tokens", "array of i32"));
    v = bpe;
    v.n_rows = 7;
    expect_error(&v, IDEM_ERR_FORMAT, WORDS("tokenizer.ggml.tokens", "8 tokens", "7 rows"));
    v = bpe;
    v.n_types = 7;
    expect_error(&v, IDEM_ERR_FORMAT, WORDS("tokenizer.ggml.token_type", "7 elements", "8 tokens"));
    v = bpe;
    v.types = (const int32_t[]){1, 1, 9, 1, 1, 1, 3, 1};
    expect_error(&v, IDEM_ERR_FORMAT, WORDS("tokenizer.ggml.token_type", "element 2 is 9"));
    v.types = (const int32_t[]){1, -1, 1, 1, 1, 1, 3, 1};
    expect_error(&v, IDEM_ERR_FORMAT, WORDS("tokenizer.ggml.token_type", "element 1 is -1"));
    v = spm;
    v.n_scores = 5;
    expect_error(&v, IDEM_ERR_FORMAT, WORDS("tokenizer.ggml.scores", "5 elements", "8 tokens"));
    v = spm;
    v.scores = NULL;
    expect_error(&v, IDEM_ERR_FORMAT, WORDS("tokenizer.ggml.scores", "missing"));
    v = spm;
    v.scores_are_ints = true;
    expect_error(&v, IDEM_ERR_FORMAT, WORDS("tokenizer.ggml.scores", "array of i32"));
    v = spm;
    v.scores = (const float[]){0, 0, 0, 0, -1, NAN, -3, -4};
    expect_error(&v, IDEM_ERR_FORMAT, WORDS("tokenizer.ggml.scores", "element 5"));
}

static void test_merges(void **state)
{
    (void)state;
    static const struct { const char *merge; const char *word; } cases[] = {
        {"ab", "element 2 is not two parts"}, {"", "element 2 is not two parts"},
        {" b", "element 2 is not two parts"}, {"a ", "element 2 is not two parts"},
        {" ", "element 2 is not two parts"}, {"a b c", "element 2 has a character"},
        {"a \xE6\x97\xA5", "element 2 has a character"}, {"a \xFF", "element 2 has a character"},
        {"a x", "element 2: its right part"}, {"x a", "element 2: its left part"},
        {"c c", "element 2: what it gives"}, {"a bcdefghijklmnopqrstuvwxyz", "longer than any token"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *merges[] = {"a b", "\xC4\xA0 ab", cases[i].merge};
        struct vocab v = bpe;
        v.merges = merges;
        expect_error(&v, IDEM_ERR_FORMAT, WORDS("tokenizer.ggml.merges", cases[i].word));
    }
    struct vocab v = bpe;
    v.merges = NULL;
    expect_error(&v, IDEM_ERR_FORMAT, WORDS("tokenizer.ggml.merges", "missing"));
}

static void test_ids(void **state)
{
    (void)state;
    static const char *const keys[] = {"bos", "eos", "unknown", "padding", "eot", "eom"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        char key[64];
        snprintf(key, sizeof key, "tokenizer.ggml.%s_token_id", keys[i]);
        struct vocab v = bpe;
        v.id_key = key;
        v.id = 8;
        expect_error(&v, IDEM_ERR_FORMAT, WORDS(key, "token 8", "vocabulary of 8"));
        v.id = UINT32_MAX;
        expect_error(&v, IDEM_ERR_FORMAT, WORDS(key, "4294967295"));
        v.id_is_text = true;
        expect_error(&v, IDEM_ERR_FORMAT, WORDS(key, "string"));
    }
    struct vocab v = bpe;
    v.flag_key = "tokenizer.ggml.add_bos_token";
    expect_error(&v, IDEM_ERR_FORMAT, WORDS("tokenizer.ggml.bos_token_id", "missing"));
    v.flag_key = "tokenizer.ggml.add_eos_token";
    expect_error(&v, IDEM_ERR_FORMAT, WORDS("tokenizer.ggml.eos_token_id", "missing"));
    v = spm;
    v.no_bos = true;
    expect_error(&v, IDEM_ERR_FORMAT, WORDS("tokenizer.ggml.bos_token_id", "missing"));
}

static void test_own_keys(void **state)
{
    (void)state;
    struct vocab v = bpe;
    v.added = (const int32_t[]){6, 8};
    v.n_added = 2;
    expect_error(&v, IDEM_ERR_FORMAT, WORDS("tokenizer.idem.added_flags", "missing"));
    v.flags = (const int32_t[]){2, 0};
    v.n_flags = 1;
    expect_error(&v, IDEM_ERR_FORMAT, WORDS("tokenizer.idem.added_flags", "1 elements for the 2"));
    v.n_flags = 2;
    expect_error(&v, IDEM_ERR_FORMAT, WORDS("tokenizer.idem.added_tokens", "element 1 is 8", "vocabulary of 8"));
    v.added = (const int32_t[]){6, -1};
    expect_error(&v, IDEM_ERR_FORMAT, WORDS("tokenizer.idem.added_tokens", "element 1 is -1"));
    v.n_added = v.n_flags = 1;
    v.flags = (const int32_t[]){16};
    expect_error(&v, IDEM_ERR_FORMAT, WORDS("tokenizer.idem.added_flags", "element 0 is 16", "0 to 15"));
    v = bpe;
    v.form = "nfkc";
    expect_error(&v, IDEM_ERR_UNSUPPORTED, WORDS("tokenizer.idem.normalizer", "'nfkc'", "nfc, none"));
    v = spm;
    v.prefix = "sometimes";
    expect_error(&v, IDEM_ERR_UNSUPPORTED, WORDS("tokenizer.idem.space_prefix", "'sometimes'", "metaspace-first"));
    v = spm;
    v.merges = (const char *const[]){"a x"};
    v.n_merges = 1;
    expect_error(&v, IDEM_ERR_FORMAT, WORDS("tokenizer.ggml.merges", "element 0: its right part"));
}

/* ---- odd but sound ------------------------------------------------------------------------------------------ */

static void assert_gives(const struct tokenizer *t, const char *s, size_t len, const int32_t *want, size_t n_want)
{
    struct idem_err err = {0};
    int32_t ids[32];
    size_t n;
    if (tok_tokenize(t, s, len, IDEM_TOK_ADD_SPECIAL | IDEM_TOK_PARSE_SPECIAL, ids, 32, &n, &err) != 0)
        fail_msg("%s", err.msg);
    assert_int_equal(n, n_want);
    assert_memory_equal(ids, want, n * sizeof *ids);
}

#define GIVES(t, s, ...) \
    assert_gives(t, s, sizeof s - 1, (const int32_t[]){__VA_ARGS__}, \
                 sizeof((const int32_t[]){__VA_ARGS__}) / sizeof(int32_t))

static struct tokenizer *sound(const struct vocab *v)
{
    struct idem_err err = {0};
    struct tokenizer *t = open_it(v, &err);
    if (!t)
        fail_msg("%s", err.msg);
    return t;
}

static void test_small_bpe(void **state)
{
    (void)state;
    struct tokenizer *t = sound(&bpe);
    GIVES(t, "abc", 7);
    GIVES(t, "ab ab<|end|>c", 3, 5, 6, 2);
    assert_true(tok_is_eog(t, 6));
    tok_close(t);
}

/* Tokens that are not UTF-8, not of the byte alphabet, empty, or there twice. */
static void test_odd_tokens(void **state)
{
    (void)state;
    static const char *const tokens[] = {"a", "b", "\xFF\xFE", "\xE6\x97\xA5", "", "ab", "ab", "\xC3", "\xED\xA0\x80", "<\xFF>"};
    static const char *const merges[] = {"a b", "a b"};
    static const int32_t types[] = {1, 1, 1, 0, 1, 1, 1, 5, 6, 3};
    struct vocab v = bpe;
    v.tokens = tokens;
    v.types = types;
    v.n_tokens = v.n_types = 10;
    v.merges = merges;
    v.n_merges = 2;
    v.n_rows = 16;
    struct tokenizer *t = sound(&v);
    GIVES(t, "abab", 5, 5);
    size_t len;
    struct idem_err err = {0};
    assert_int_equal(tok_info(t)->n_vocab, 16);
    assert_memory_equal(tok_bytes(t, 2, &len), "\xFF\xFE", 2);
    assert_int_equal(len, 2);
    for (int32_t id = 10; id < 16; id++) {   /* rows without a token */
        assert_non_null(tok_bytes(t, id, &len));
        assert_int_equal(len, 0);
        assert_false(tok_is_control(t, id) || tok_is_eog(t, id));
    }
    assert_null(tok_bytes(t, 16, &len));
    char out[64];
    int32_t all[16];
    for (int32_t id = 0; id < 16; id++)
        all[id] = id;
    assert_int_equal(tok_detokenize(t, all, 16, true, out, sizeof out, &len, &err), 0);
    assert_int_equal(len, 1 + 1 + 2 + 3 + 0 + 2 + 2 + 1 + 3 + 3);
    int32_t ids[8];
    assert_int_equal(tok_tokenize(t, "abx", 3, 0, ids, 8, &len, &err), -1);
    assert_int_equal(err.code, IDEM_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "0x78"));
    tok_close(t);

    v = bpe;   /* without types every token is plain, without merges every byte is alone */
    v.types = NULL;
    v.n_merges = 0;
    t = sound(&v);
    GIVES(t, "abc", 0, 1, 2);
    assert_false(tok_is_eog(t, 6));
    tok_close(t);
}

static void test_small_spm(void **state)
{
    (void)state;
    struct tokenizer *t = sound(&spm);
    GIVES(t, "ab", 1, 7, 6);
    GIVES(t, "a\xE2\x96\x81" "b", 1, 7, 4, 7, 5);
    GIVES(t, "a</s>b", 1, 7, 4, 2, 7, 5);
    GIVES(t, "z\xC3\xA9", 1, 7, 0);        /* no bytes for them: one unknown token for the run */
    GIVES(t, "za\xC3\xA9z", 1, 7, 0, 4, 0);
    tok_close(t);

    /* scores decide, and of equal scores the leftmost pair */
    static const char *const tokens[] = {"<unk>", "<s>", "a", "b", "c", "ab", "bc", "aa"};
    struct vocab v = spm;
    v.tokens = tokens;
    v.types = (const int32_t[]){2, 3, 1, 1, 1, 1, 1, 1};
    v.flag_key = NULL;
    v.scores = (const float[]){0, 0, 0, 0, 0, -2, -1, -0.0f};
    v.pre = NULL;
    t = sound(&v);
    int32_t ids[8];
    size_t n;
    struct idem_err err = {0};
    assert_int_equal(tok_tokenize(t, "abc", 3, 0, ids, 8, &n, &err), 0);
    assert_int_equal(n, 3);   /* the space is unknown here */
    assert_int_equal(ids[0], 0);
    assert_int_equal(ids[1], 2);
    assert_int_equal(ids[2], 6);
    assert_int_equal(tok_tokenize(t, "aaa", 3, 0, ids, 8, &n, &err), 0);
    assert_int_equal(n, 3);
    assert_int_equal(ids[1], 7);
    assert_int_equal(ids[2], 2);
    tok_close(t);
}

/* Every byte of a file changed in several ways: an error or a tokenizer, never a crash. */
static void test_changed_bytes(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        const struct vocab *v = kind ? &spm : &bpe;
        struct gw w;
        gw_init(&w, 3, 32);
        gw_str(&w, "tokenizer.ggml.model", v->model);
        gw_str(&w, "tokenizer.ggml.pre", v->pre);
        gw_strs(&w, "tokenizer.ggml.tokens", v->tokens, v->n_tokens);
        if (kind)
            gw_f32s(&w, "tokenizer.ggml.scores", v->scores, v->n_scores);
        else
            gw_strs(&w, "tokenizer.ggml.merges", v->merges, v->n_merges);
        gw_i32s(&w, "tokenizer.ggml.token_type", v->types, v->n_types);
        gw_u32(&w, "tokenizer.ggml.bos_token_id", 1);
        size_t len;
        uint8_t *bytes = gw_finish(&w, &len);
        for (size_t i = 0; i < len; i++)
            for (int k = 0; k < 4; k++) {
                uint8_t was = bytes[i];
                bytes[i] = (uint8_t)(k == 0 ? was ^ 1 : k == 1 ? 0 : k == 2 ? 0xFF : was + 3);
                struct idem_err err = {0};
                struct gguf *g = gguf_open_memory(bytes, len, "changed", &err);
                struct tokenizer *t = g ? tok_open(g, IDEM_NORMALIZE_NFC, 0, &err) : NULL;
                int32_t ids[64];
                size_t n;
                if (t)
                    tok_tokenize(t, " ab<|end|>\xC3\xA9</s>", 16, 3, ids, 64, &n, &err);
                else
                    assert_true(err.code != IDEM_OK && err.msg[0]);
                tok_close(t);
                gguf_close(g);
                bytes[i] = was;
            }
        free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_arrays),
        cmocka_unit_test(test_merges),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_own_keys),
        cmocka_unit_test(test_small_bpe),
        cmocka_unit_test(test_odd_tokens),
        cmocka_unit_test(test_small_spm),
        cmocka_unit_test(test_changed_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
