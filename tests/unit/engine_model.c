/* SPDX-License-Identifier: MIT
 * What opening a model says: its facts, and which key or tensor is wrong and where. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/file.h"
#include "engine_model.h"
#include "idem.h"

static void facts(void **state)
{
    (void)state;
    char path[64];
    struct idem_err err = {0};
    struct tiny t = tiny_gemma3;
    t.str_key = "general.name";
    t.str_value = "Tiny Gemma";
    tiny_save(t, path);
    struct idem_model *m = idem_model_open(path, NULL, &err);
    if (!m)
        fail_msg("%s", err.msg);
    const struct idem_model_info *i = idem_model_info(m);
    assert_string_equal(i->path, path);
    assert_string_equal(i->name, "Tiny Gemma");
    assert_string_equal(i->arch, "gemma3");
    assert_string_equal(i->tokenizer, "llama/default");
    assert_null(i->chat_family);
    assert_int_equal(i->activations, IDEM_ACTIVATIONS_Q8);
    assert_int_equal(i->n_vocab, 77);
    assert_int_equal(i->n_ctx_train, 256);
    assert_int_equal(i->n_ctx, 256);
    assert_int_equal(i->n_embd, 64);
    assert_int_equal(i->n_layer, 3);
    assert_int_equal(i->n_head, 2);
    assert_int_equal(i->n_head_kv, 1);
    assert_int_equal(i->head_dim, 48);
    assert_int_equal(i->n_ff, 160);
    assert_int_equal(i->n_params, 77 * 64 + 64 + 3 * (64 * (96 + 48 + 48 + 96) + 4 * 64 + 2 * 48 +
                                                      3 * 64 * 160));
    assert_int_equal(i->kv_bytes_per_block, 3 * 2 * 48 * 64 * 2);
    assert_int_equal(i->bos, 0);
    assert_int_equal(i->eos, -1);
    assert_true(i->add_bos);
    idem_model_close(m);
    unlink(path);
}

static void context(void **state)
{
    (void)state;
    char path[64];
    struct idem_err err = {0};
    tiny_save(tiny_llama, path);
    struct idem_model *m = idem_model_open(path, &(struct idem_model_options){.n_ctx = 100}, &err);
    assert_non_null(m);
    assert_int_equal(idem_model_info(m)->n_ctx, 100);
    assert_int_equal(idem_model_info(m)->n_ctx_train, 256);
    idem_model_close(m);
    assert_null(idem_model_open(path, &(struct idem_model_options){.n_ctx = 257}, &err));
    assert_int_equal(err.code, IDEM_ERR_USAGE);
    assert_non_null(strstr(err.msg, "257"));
    assert_non_null(strstr(err.msg, "256"));
    unlink(path);
}

static void digest_is_the_files(void **state)
{
    (void)state;
    char path[64], want[65], got[65], again[65];
    struct idem_err err = {0};
    struct buf b;
    tiny_save(tiny_llama, path);
    buf_init(&b, 1 << 24);
    assert_int_equal(file_read(&b, path, &err), 0);
    digest_sha256(b.data, b.len, want);
    struct idem_model *m = idem_model_open(path, NULL, &err), *changed, *gone;
    changed = idem_model_open(path, NULL, &err);
    gone = idem_model_open(path, NULL, &err);
    assert_true(m && changed && gone);
    assert_int_equal(idem_model_digest(m, got, &err), 0);
    assert_string_equal(got, want);

    FILE *f = fopen(path, "ab");
    assert_true(f && fputc('x', f) != EOF && fclose(f) == 0);
    assert_int_equal(idem_model_digest(changed, got, &err), -1);
    assert_int_equal(err.code, IDEM_ERR_IO);
    assert_non_null(strstr(err.msg, "changed"));
    unlink(path);
    assert_int_equal(idem_model_digest(gone, got, &err), -1);
    assert_int_equal(err.code, IDEM_ERR_IO);
    assert_non_null(strstr(err.msg, path));
    assert_int_equal(idem_model_digest(m, again, &err), 0);      /* known already */
    assert_string_equal(again, want);
    idem_model_close(m);
    idem_model_close(changed);
    idem_model_close(gone);
    buf_release(&b);
}

/* A vocabulary opens without weights and of any architecture, and cannot compute. */
static void vocabulary_only(void **state)
{
    (void)state;
    char path[64];
    struct idem_err err = {0};
    struct tiny t = tiny_llama;
    t.str_key = "general.architecture";
    t.str_value = "starcoder";
    tiny_save(t, path);
    struct idem_model *m = idem_model_open(path, &(struct idem_model_options){.vocab_only = true},
                                           &err);
    if (!m)
        fail_msg("%s", err.msg);
    assert_string_equal(idem_model_info(m)->arch, "starcoder");
    assert_int_equal(idem_model_info(m)->n_vocab, 101);
    assert_null(idem_session_open(m, NULL, &err));
    assert_int_equal(err.code, IDEM_ERR_USAGE);
    idem_model_close(m);
    unlink(path);
}

/* ---- files that are wrong ----------------------------------------------------------------------- */

struct wrong {
    struct tiny t;
    enum idem_err_code code;
    const char *says[4];          /* all of these, besides the file's name */
};

#define LLAMA_QK(QK, ...) {.arch = "llama", .n_layer = 2, .n_embd = 64, .n_head = 4, .n_head_kv = 2, \
    .head_dim = 16, .n_ff = 96, .n_vocab = 101, .n_ctx = 256, .embd = QTYPE_Q8_0,             \
    .qk = QK, .v = QTYPE_Q5_1, .o = QTYPE_Q4_0, .gate_up = QTYPE_F16,                         \
    .down = QTYPE_Q5_0, .rng = 1, __VA_ARGS__}
#define LLAMA(...) LLAMA_QK(QTYPE_Q4_1, __VA_ARGS__)
#define MXFP4 (enum qtype)39      /* in the table of types for its name only */
#define GEMMA(...) {.arch = "gemma3", .n_layer = 1, .n_embd = 64, .n_head = 2, .n_head_kv = 1, \
    .head_dim = 48, .n_ff = 160, .n_vocab = 77, .n_ctx = 256, .embd = QTYPE_BF16,              \
    .qk = QTYPE_F32, .v = QTYPE_Q8_0, .o = QTYPE_BF16, .gate_up = QTYPE_Q8_0,                  \
    .down = QTYPE_Q4_0, .window = 40, .rng = 3, __VA_ARGS__}
#define FORMAT IDEM_ERR_FORMAT
#define UNSUPPORTED IDEM_ERR_UNSUPPORTED

static const struct wrong wrongs[] = {
    {LLAMA(.skip = "general.architecture"), FORMAT, {"general.architecture"}},
    {LLAMA(.str_key = "general.architecture", .str_value = "mamba"), UNSUPPORTED,
     {"general.architecture", "mamba", "llama, qwen2, qwen3, gemma2"}},
    {LLAMA(.skip = "llama.block_count"), FORMAT, {"llama.block_count"}},
    {LLAMA(.skip = "llama.attention.layer_norm_rms_epsilon"), FORMAT,
     {"llama.attention.layer_norm_rms_epsilon"}},
    {LLAMA(.key = "llama.block_count", .key_value = 3), FORMAT, {"blk.2.", "missing"}},
    {LLAMA(.key = "llama.block_count", .key_value = 1), UNSUPPORTED, {"blk.1.", "byte"}},
    {LLAMA(.key = "llama.block_count", .key_value = 0), FORMAT, {"llama.block_count", "byte"}},
    {LLAMA(.key = "llama.block_count", .key_value = 4000000000u), FORMAT,
     {"llama.block_count", "4000000000", "byte"}},
    {LLAMA(.key = "llama.context_length", .key_value = 0), FORMAT, {"llama.context_length", "byte"}},
    {LLAMA(.key = "llama.embedding_length", .key_value = 32), FORMAT,
     {"token_embd.weight", "64 x 101", "32 x 101"}},
    {LLAMA(.key = "llama.attention.head_count", .key_value = 0), FORMAT,
     {"llama.attention.head_count", "byte"}},
    {LLAMA(.key = "llama.attention.head_count_kv", .key_value = 3), FORMAT,
     {"llama.attention.head_count_kv", "divide"}},
    {LLAMA(.key = "llama.attention.value_length", .key_value = 8), FORMAT,
     {"blk.0.attn_v.weight", "64 x 16 is expected", "byte"}},
    {LLAMA(.key = "llama.rope.dimension_count", .key_value = 7), FORMAT,
     {"llama.rope.dimension_count", "odd"}},
    {LLAMA(.key = "llama.rope.dimension_count", .key_value = 18), FORMAT,
     {"llama.rope.dimension_count", "18"}},
    {LLAMA(.key = "llama.expert_count", .key_value = 8), UNSUPPORTED, {"llama.expert_count"}},
    {LLAMA(.str_key = "llama.rope.scaling.type", .str_value = "yarn"), UNSUPPORTED,
     {"llama.rope.scaling.type", "yarn", "linear"}},
    {LLAMA(.skip = "token_embd.weight"), FORMAT, {"token_embd.weight", "missing"}},
    {LLAMA(.skip = "output_norm.weight"), FORMAT, {"output_norm.weight", "missing"}},
    {LLAMA(.skip = "blk.1.ffn_down.weight"), FORMAT, {"blk.1.ffn_down.weight", "missing"}},
    {LLAMA(.wider = "blk.0.attn_norm.weight"), FORMAT, {"blk.0.attn_norm.weight", "byte", "65"}},
    {LLAMA(.wider = "blk.0.attn_k.weight"), FORMAT, {"blk.0.attn_k.weight", "byte", "96 x 32"}},
    {LLAMA(.taller = "blk.1.ffn_up.weight"), FORMAT, {"blk.1.ffn_up.weight", "byte", "64 x 97"}},
    {LLAMA(.taller = "token_embd.weight", .output = QTYPE_Q8_0), FORMAT,
     {"output.weight", "64 x 101", "64 x 102"}},
    {LLAMA(.retype = "blk.0.attn_q.weight", .retype_as = QTYPE_I32), UNSUPPORTED,
     {"blk.0.attn_q.weight", "I32", "1 tensor has it", "Q4_K"}},
    {LLAMA_QK(MXFP4, .fused_qkv = false), UNSUPPORTED,
     {"MXFP4", "4 tensors have it", "'blk.1.attn_q.weight' and others", "IQ4_XS"}},
    {LLAMA(.retype = "blk.0.attn_norm.weight", .retype_as = QTYPE_Q8_0), FORMAT,
     {"blk.0.attn_norm.weight", "Q8_0", "F32"}},
    {LLAMA(.extra = "blk.0.attn_q_norm.weight"), UNSUPPORTED, {"blk.0.attn_q_norm.weight", "byte"}},
    {LLAMA(.rope_freqs = true, .wider = "rope_freqs.weight"), FORMAT, {"rope_freqs.weight", "9"}},
    {LLAMA(.rope_freqs = true, .nan = "rope_freqs.weight"), FORMAT, {"rope_freqs.weight", "nan"}},
    {GEMMA(.skip = "gemma3.attention.sliding_window"), FORMAT, {"gemma3.attention.sliding_window"}},
    {GEMMA(.key = "gemma3.attention.sliding_window_pattern", .key_value = 0), FORMAT,
     {"gemma3.attention.sliding_window_pattern", "byte"}},
    {GEMMA(.skip = "blk.0.post_ffw_norm.weight"), FORMAT, {"blk.0.post_ffw_norm.weight"}},
    {GEMMA(.skip = "blk.0.attn_q_norm.weight"), FORMAT, {"blk.0.attn_q_norm.weight"}},
};

static void wrong_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wrongs / sizeof wrongs[0]; i++) {
        const struct wrong *w = &wrongs[i];
        char path[64];
        struct idem_err err = {0};
        tiny_save(w->t, path);
        struct idem_model *m = idem_model_open(path, NULL, &err);
        unlink(path);
        if (m)
            fail_msg("case %zu (%s) was opened", i, w->says[0]);
        if (err.code != w->code || !strstr(err.msg, path))
            fail_msg("case %zu: code %d: %s", i, (int)err.code, err.msg);
        for (size_t j = 0; j < 4 && w->says[j]; j++)
            if (!strstr(err.msg, w->says[j]))
                fail_msg("case %zu: '%s' is not in: %s", i, w->says[j], err.msg);
    }
}

static void absent_files(void **state)
{
    (void)state;
    static const char *const paths[] = {"/tmp/idem-engine-absent.gguf", "/tmp", "/dev/null"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct idem_err err = {0};
        assert_null(idem_model_open(paths[i], NULL, &err));
        assert_int_not_equal(err.code, IDEM_OK);
        assert_non_null(strstr(err.msg, paths[i]));
        assert_null(idem_model_open(paths[i], NULL, NULL));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(facts),
        cmocka_unit_test(context),
        cmocka_unit_test(digest_is_the_files),
        cmocka_unit_test(vocabulary_only),
        cmocka_unit_test(wrong_files),
        cmocka_unit_test(absent_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
