/* SPDX-License-Identifier: MIT
 * Models that are well-formed files but not what their architecture needs: idem_model_open names
 * the key or tensor. Small whole models of every architecture, each with one thing changed. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "idem.h"
#include "tiny_model.h"

static const char *const archs[] = {"llama", "qwen2", "gemma3"};
enum { N_ARCHS = 3, N_LAYER = 2 };

static struct idem_model *open_tiny(struct tiny *t, const struct idem_model_options *o,
                                    struct idem_err *err)
{
    char path[64];
    size_t len;
    uint8_t *bytes = tiny_model(t, &len);
    int fd = tiny_file(bytes, len, path);
    assert_true(fd >= 0);
    free(bytes);
    struct idem_model *m = idem_model_open(path, o, err);
    close(fd);
    return m;
}

static int count(void *ctx, size_t item, size_t pos, const float *logits)
{
    (void)item;
    (void)pos;
    for (int i = 0; i < TINY_VOCAB; i++)
        if (!isfinite(logits[i]))
            return 1;
    ++*(size_t *)ctx;
    return 0;
}

/* Decodes a few tokens; returns what idem_decode did. */
static int decode(struct idem_model *m, struct idem_err *err)
{
    static const int32_t ids[] = {1, 8, 12, 3, 20, 9};
    size_t n = 0;
    struct idem_session *s = idem_session_open(m, &(struct idem_session_options){.n_threads = 1}, err);
    assert_non_null(s);
    int seq = idem_seq_new(s, err);
    assert_true(seq >= 0);
    struct idem_item item = {.seq = seq, .tokens = ids, .n_tokens = 6, .want = IDEM_LOGITS_ALL};
    int rc = idem_decode(s, &item, 1, count, &n, err);
    assert_true(rc != 0 || n == 6);
    idem_session_close(s);
    return rc;
}

/* The controls: unchanged they open and run, in both modes and with every type used here. */
static void unchanged(void **state)
{
    (void)state;
    static const enum qtype types[] = {QTYPE_F32, QTYPE_F16, QTYPE_Q4_0, QTYPE_Q8_0};
    for (int a = 0; a < N_ARCHS; a++)
        for (size_t k = 0; k < sizeof types / sizeof types[0]; k++)
            for (int f32 = 0; f32 < 2; f32++) {
                struct idem_err err = {0};
                struct tiny t = {.arch = archs[a], .type = types[k], .n_layer = N_LAYER};
                struct idem_model_options o = {
                    .activations = f32 ? IDEM_ACTIVATIONS_F32 : IDEM_ACTIVATIONS_Q8, .n_threads = 1};
                struct idem_model *m = open_tiny(&t, &o, &err);
                if (!m)
                    fail_msg("%s: %s", archs[a], err.msg);
                assert_int_equal(idem_model_info(m)->head_dim, TINY_HEAD);
                assert_int_equal(idem_model_info(m)->n_vocab, TINY_VOCAB);
                if (decode(m, &err) != 0)
                    fail_msg("%s: %s", archs[a], err.msg);
                idem_model_close(m);
            }
}

/* Opening fails, the error names `name` in quotes and has the words. */
static void refuse(struct tiny *t, const char *name, const char *words)
{
    struct idem_err err = {0};
    char quoted[128];
    snprintf(quoted, sizeof quoted, "'%s'", name);
    struct idem_model *m = open_tiny(t, &(struct idem_model_options){.n_threads = 1}, &err);
    if (m)
        fail_msg("%s: %s: was accepted, but not with: %s", t->arch, name, words);
    if (strncmp(err.msg, "/proc/self/fd/", 14) != 0 || !strstr(err.msg, quoted) ||
        !strstr(err.msg, words))
        fail_msg("%s: expected %s … %s, got: %s", t->arch, quoted, words, err.msg);
    assert_true(err.code == IDEM_ERR_FORMAT || err.code == IDEM_ERR_UNSUPPORTED);
}

/* ---- keys ---------------------------------------------------------------------------------- */

/* A name without a dot in front is one of the architecture's keys. */
struct key_row { const char *name; enum tiny_op op; double v; const char *s; const char *culprit, *words; };

static void check_keys(const char *arch, const struct key_row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char name[96], culprit[96];
        const struct key_row *r = &rows[i];
        bool own = r->name[0] == '.';
        snprintf(name, sizeof name, "%s%s", own ? arch : "", r->name);
        own = r->culprit && r->culprit[0] == '.';
        snprintf(culprit, sizeof culprit, "%s%s", own ? arch : "", r->culprit ? r->culprit : name);
        bool is_float = r->op == TINY_F32 || r->op == TINY_ADD_F32;
        struct tiny t = {.arch = arch, .type = QTYPE_Q4_0, .n_layer = N_LAYER};
        t.edit = (struct tiny_edit){.op = r->op, .name = name, .s = r->s};
        if (is_float)
            t.edit.f = (float)r->v;
        else
            t.edit.u = (uint32_t)r->v;
        refuse(&t, r->culprit ? culprit : name, r->words);
    }
}

static void keys(void **state)
{
    (void)state;
    static const struct key_row rows[] = {
        {"general.architecture", TINY_DROP, 0, NULL, NULL, "the key is missing"},
        {"general.architecture", TINY_STR, 0, "gpt9", NULL, "'gpt9' is not supported"},
        {"general.architecture", TINY_STR, 0, "", NULL, "(byte "},
        {"general.architecture", TINY_U32, 7, NULL, NULL, "its type is u32, string is needed"},
        {".block_count", TINY_DROP, 0, NULL, NULL, "the key is missing"},
        {".block_count", TINY_U32, 0, NULL, NULL, "0 is outside the range 1 to"},
        {".block_count", TINY_U32, 3, NULL, "blk.2.attn_norm.weight", "is missing"},
        {".block_count", TINY_U32, 1, NULL, "blk.1.attn_norm.weight", "has no such tensor"},
        {".block_count", TINY_U32, 4294967295.0, NULL, NULL, "4294967295 is outside the range"},
        {".block_count", TINY_F32, 2, NULL, NULL, "its type is f32, an integer is needed"},
        {".context_length", TINY_DROP, 0, NULL, NULL, "the key is missing"},
        {".context_length", TINY_U32, 0, NULL, NULL, "0 is outside the range 1 to"},
        {".context_length", TINY_U32, 4294967295.0, NULL, NULL, "is outside the range"},
        {".embedding_length", TINY_DROP, 0, NULL, NULL, "the key is missing"},
        {".embedding_length", TINY_U32, 0, NULL, NULL, "0 is outside the range 1 to"},
        {".embedding_length", TINY_U32, 4294967295.0, NULL, NULL, "is outside the range"},
        {".embedding_length", TINY_U32, 64, NULL, "token_embd.weight", "64 x 24 is expected"},
        {".feed_forward_length", TINY_DROP, 0, NULL, NULL, "the key is missing"},
        {".feed_forward_length", TINY_U32, 0, NULL, NULL, "0 is outside the range 1 to"},
        {".feed_forward_length", TINY_U32, 65, NULL, "blk.0.ffn_gate.weight", "32 x 65 is expected"},
        {".attention.head_count", TINY_DROP, 0, NULL, NULL, "the key is missing"},
        {".attention.head_count", TINY_U32, 0, NULL, NULL, "0 is outside the range 1 to"},
        {".attention.head_count", TINY_U32, 2147483648.0, NULL, NULL, "is outside the range"},
        {".attention.head_count_kv", TINY_U32, 0, NULL, NULL, "0 is outside the range 1 to"},
        {".attention.head_count_kv", TINY_U32, 3, NULL, NULL, "does not divide"},
        {".attention.head_count_kv", TINY_U32, 2, NULL, "blk.0.attn_k.weight", "32 x 32 is expected"},
        {".attention.layer_norm_rms_epsilon", TINY_DROP, 0, NULL, NULL, "the key is missing"},
        {".attention.layer_norm_rms_epsilon", TINY_F32, (double)NAN, NULL, NULL, "not a number"},
        {".attention.layer_norm_rms_epsilon", TINY_F32, (double)INFINITY, NULL, NULL, "infinite"},
        {".attention.layer_norm_rms_epsilon", TINY_F32, -1e-5, NULL, NULL, "is outside the range 0 to 1"},
        {".attention.layer_norm_rms_epsilon", TINY_U32, 1, NULL, NULL, "f32 is needed"},
        {".rope.freq_base", TINY_F32, (double)NAN, NULL, NULL, "not a number"},
        {".rope.freq_base", TINY_F32, 0, NULL, NULL, "is outside the range"},
        {".rope.freq_base", TINY_F32, -10000, NULL, NULL, "is outside the range"},
        {".rope.dimension_count", TINY_ADD, 0, NULL, NULL, "0 is outside the range 2 to 16"},
        {".rope.dimension_count", TINY_ADD, 15, NULL, NULL, "is odd"},
        {".rope.dimension_count", TINY_ADD, 18, NULL, NULL, "18 is outside the range 2 to 16"},
        {".rope.scaling.type", TINY_ADD, 0, "yarn", NULL, "'yarn' is not supported"},
        {".rope.scaling.factor", TINY_ADD_F32, (double)NAN, NULL, NULL, "not a number"},
        {".rope.scaling.factor", TINY_ADD_F32, -2, NULL, NULL, "is outside the range"},
        {".expert_count", TINY_ADD, 8, NULL, NULL, "not supported"},
        {"tokenizer.ggml.model", TINY_DROP, 0, NULL, NULL, "the key is missing"},
        {"tokenizer.ggml.model", TINY_STR, 0, "bert", NULL, "'bert' is not supported"},
        {"tokenizer.ggml.pre", TINY_STR, 0, "unheard-of", NULL, "'unheard-of' is not supported"},
        {"tokenizer.ggml.tokens", TINY_DROP, 0, NULL, NULL, "the key is missing"},
        {"tokenizer.ggml.tokens", TINY_STR, 0, "a", NULL, "array of string is needed"},
        {"tokenizer.ggml.token_type", TINY_U32, 1, NULL, NULL, "array of i32 is needed"},
        {"tokenizer.ggml.bos_token_id", TINY_U32, TINY_VOCAB, NULL, NULL, "outside the vocabulary of 24"},
        {"tokenizer.ggml.eos_token_id", TINY_U32, 4294967295.0, NULL, NULL, "outside the vocabulary"},
        {"tokenizer.ggml.eos_token_id", TINY_STR, 0, "</s>", NULL, "an integer is needed"},
        {"tokenizer.ggml.add_bos_token", TINY_U32, 1, NULL, NULL, "bool is needed"},
        {"tokenizer.chat_template", TINY_U32, 1, NULL, NULL, "string is needed"},
    };
    for (int a = 0; a < N_ARCHS; a++)
        check_keys(archs[a], rows, sizeof rows / sizeof rows[0]);
}

static void keys_of_one_architecture(void **state)
{
    (void)state;
    /* no attention.key_length: the heads share the embedding */
    static const struct key_row shared[] = {
        {".attention.head_count", TINY_U32, 3, NULL, NULL, "does not divide"},
        {".attention.head_count", TINY_U32, 32, NULL, NULL, "dimension is not an even number"},
        {".attention.key_length", TINY_ADD, 15, NULL, NULL, "dimension is not an even number"},
        {".attention.key_length", TINY_ADD, 4097, NULL, NULL, "outside the range"},
        {".attention.key_length", TINY_ADD, 32, NULL, "blk.0.attn_q.weight", "32 x 64 is expected"},
        {".attention.value_length", TINY_ADD, 8, NULL, "blk.0.attn_v.weight", "32 x 8 is expected"},
        {".attention.value_length", TINY_ADD, 1, NULL, NULL, "outside the range"},
    };
    static const struct key_row bpe[] = {
        {"tokenizer.ggml.merges", TINY_DROP, 0, NULL, NULL, "the key is missing"},
        {"tokenizer.ggml.merges", TINY_U32, 1, NULL, NULL, "array of string is needed"},
    };
    static const struct key_row spm[] = {
        {"tokenizer.ggml.scores", TINY_DROP, 0, NULL, NULL, "the key is missing"},
        {"tokenizer.ggml.scores", TINY_U32, 1, NULL, NULL, "array of f32 is needed"},
        {"tokenizer.ggml.bos_token_id", TINY_DROP, 0, NULL, NULL, "the key is missing"},
    };
    static const struct key_row gemma3[] = {
        {".attention.key_length", TINY_U32, 0, NULL, NULL, "outside the range"},
        {".attention.key_length", TINY_U32, 8, NULL, "blk.0.attn_q.weight", "is expected"},
        {".attention.sliding_window", TINY_DROP, 0, NULL, NULL, "the key is missing"},
        {".attention.sliding_window", TINY_U32, 0, NULL, NULL, "0 is outside the range"},
        {".attention.sliding_window_pattern", TINY_U32, 0, NULL, NULL, "0 is outside the range"},
        {".final_logit_softcapping", TINY_ADD_F32, -1, NULL, NULL, "outside the range"},
        {".rope.freq_base_swa", TINY_ADD_F32, (double)NAN, NULL, NULL, "not a number"},
    };
    check_keys("llama", shared, sizeof shared / sizeof shared[0]);
    check_keys("qwen2", shared, sizeof shared / sizeof shared[0]);
    check_keys("qwen2", bpe, sizeof bpe / sizeof bpe[0]);
    check_keys("llama", spm, sizeof spm / sizeof spm[0]);
    check_keys("gemma3", spm, sizeof spm / sizeof spm[0]);
    check_keys("gemma3", gemma3, sizeof gemma3 / sizeof gemma3[0]);
}

/* ---- tensors --------------------------------------------------------------------------------- */

static bool may_be_absent(const char *name)
{
    return strcmp(name, "output.weight") == 0 || strstr(name, ".bias") != NULL;
}

/* One change of one tensor. */
static void refuse_edit(const char *arch, struct tiny_edit e, const char *words)
{
    struct tiny t = {.arch = arch, .type = QTYPE_Q4_0, .n_layer = N_LAYER, .edit = e};
    refuse(&t, e.name, words);
}

/* Every tensor of every architecture: absent, with other shapes, and of types that cannot be. */
static void every_tensor(void **state)
{
    (void)state;
    size_t n = 0;
    for (int a = 0; a < N_ARCHS; a++) {
        struct idem_err err = {0};
        struct tiny t = {.arch = archs[a], .type = QTYPE_Q4_0, .n_layer = N_LAYER};
        size_t len;
        uint8_t *bytes = tiny_model(&t, &len);
        struct gguf *g = gguf_open_memory(bytes, len, "tiny", &err);
        assert_non_null(g);
        for (size_t i = 0; i < gguf_n_tensors(g); i++, n++) {
            const struct gguf_tensor *x = gguf_tensor_at(g, i);
            char name[65];
            snprintf(name, sizeof name, "%.*s", (int)x->name.len, x->name.data);
            const uint64_t k0 = x->ne[0], k1 = x->ne[1];
            bool vector = x->n_dims == 1;
            if (!may_be_absent(name))
                refuse_edit(archs[a], (struct tiny_edit){.op = TINY_DROP, .name = name}, "is missing");
            const struct { uint32_t n_dims; uint64_t ne[4]; } shapes[] = {
                {x->n_dims, {k0 + 32, k1, 1, 1}},              /* one block too wide */
                {x->n_dims, {k0 - 16 * (uint64_t)vector, k1 + !vector, 1, 1}},
                {3, {k0, k1, 2, 1}},
                {vector ? 2 : 1, {k0, k1, 1, 1}},
            };
            for (size_t k = 0; k < sizeof shapes / sizeof shapes[0]; k++) {
                struct tiny_edit e = {.op = TINY_SHAPE, .name = name, .n_dims = shapes[k].n_dims};
                memcpy(e.ne, shapes[k].ne, sizeof e.ne);
                /* the embedding's second dimension is what says how many tokens there are */
                bool more = strcmp(name, "token_embd.weight") == 0 && k == 1;
                if (!more)
                    refuse_edit(archs[a], e, "(byte ");
            }
            refuse_edit(archs[a], (struct tiny_edit){.op = TINY_TYPE, .name = name, .u = QTYPE_I32},
                        "type I32");
            if (vector && k0 % 32 == 0)
                refuse_edit(archs[a], (struct tiny_edit){.op = TINY_TYPE, .name = name, .u = QTYPE_Q8_0},
                            "type Q8_0");
        }
        gguf_close(g);
        free(bytes);
    }
    assert_true(n > 70);
}

static void single_tensors(void **state)
{
    (void)state;
    static const struct { const char *arch; struct tiny_edit e; const char *words; } rows[] = {
        {"llama", {.op = TINY_EXTRA, .name = "blk.0.ffn_gate_inp.weight", .n_dims = 2, .ne = {32, 4}},
         "has no such tensor"},
        {"llama", {.op = TINY_EXTRA, .name = "rope_freqs.weight", .n_dims = 1, .ne = {7}, .f = 1},
         "1 dimension of 8 is expected"},
        {"llama", {.op = TINY_EXTRA, .name = "rope_freqs.weight", .n_dims = 1, .ne = {8}, .f = 0},
         "element 0 is 0"},
        {"llama", {.op = TINY_EXTRA, .name = "rope_freqs.weight", .n_dims = 1, .ne = {8}, .f = NAN},
         "element 0 is nan"},
        {"llama", {.op = TINY_SHAPE, .name = "token_embd.weight", .n_dims = 2, .ne = {32, 23}},
         "24 tokens are more than the 23 rows"},
        {"qwen2", {.op = TINY_EXTRA, .name = "output.bias", .n_dims = 1, .ne = {23}},
         "1 dimension of 24 is expected"},
        {"qwen2", {.op = TINY_EXTRA, .name = "blk.1.attn_qkv.weight", .n_dims = 2, .ne = {32, 63}},
         "32 x 64 is expected"},
        {"gemma3", {.op = TINY_EXTRA, .name = "output.weight", .n_dims = 2, .ne = {32, 25}},
         "32 x 24 is expected"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct tiny t = {.arch = rows[i].arch, .type = QTYPE_Q4_0, .n_layer = N_LAYER, .edit = rows[i].e};
        bool tokens = strstr(rows[i].words, "tokens are more") != NULL;
        refuse(&t, tokens ? "tokenizer.ggml.tokens" : rows[i].e.name, rows[i].words);
    }
}

/* Weights that are no numbers: the model opens, and decoding names the layer. */
static void not_a_number(void **state)
{
    (void)state;
    for (int a = 0; a < N_ARCHS; a++) {
        for (int inf = 0; inf < 2; inf++) {
            struct idem_err err = {0};
            struct tiny t = {.arch = archs[a], .type = QTYPE_F32, .n_layer = N_LAYER};
            t.edit = (struct tiny_edit){.op = TINY_FILL, .name = "blk.1.ffn_norm.weight",
                                        .f = inf ? INFINITY : NAN};
            struct idem_model *m = open_tiny(&t, &(struct idem_model_options){.n_threads = 1}, &err);
            if (!m) {
                /* refusing it at once is as good, if the tensor is named */
                assert_non_null(strstr(err.msg, "'blk.1.ffn_norm.weight'"));
                continue;
            }
            assert_int_equal(decode(m, &err), -1);
            assert_int_equal(err.code, IDEM_ERR_NUMERIC);
            if (!strstr(err.msg, "layer 1"))
                fail_msg("%s", err.msg);
            idem_model_close(m);
        }
    }
}

/* Every prefix of a whole model, and of its vocabulary alone. */
static void truncated(void **state)
{
    (void)state;
    for (int a = 0; a < N_ARCHS; a++) {
        struct tiny t = {.arch = archs[a], .type = QTYPE_Q4_0, .n_layer = 1};
        size_t len;
        uint8_t *bytes = tiny_model(&t, &len);
        for (size_t n = 0; n < len; n += n < 3000 ? 13 : 131) {
            for (int vocab_only = 0; vocab_only < 2; vocab_only++) {
                struct idem_err err = {0};
                char path[64];
                int fd = tiny_file(bytes, n, path);
                assert_true(fd >= 0);
                struct idem_model_options o = {.n_threads = 1, .vocab_only = vocab_only != 0};
                assert_null(idem_model_open(path, &o, &err));
                assert_int_equal(err.code, IDEM_ERR_FORMAT);
                assert_non_null(strstr(err.msg, path));
                close(fd);
            }
        }
        free(bytes);
    }
}

static void without_weights(void **state)
{
    (void)state;
    struct idem_err err = {0};
    struct tiny t = {.arch = "llama", .type = QTYPE_Q4_0};
    char path[64];
    size_t len;
    gw_init(&t.w, 3, 32);
    tiny_hparams(&t);
    tiny_vocab(&t);
    uint8_t *bytes = gw_finish(&t.w, &len);
    int fd = tiny_file(bytes, len, path);
    assert_true(fd >= 0);
    struct idem_model_options o = {.vocab_only = true};
    struct idem_model *m = idem_model_open(path, &o, &err);
    assert_non_null(m);
    assert_int_equal(idem_model_info(m)->n_vocab, TINY_VOCAB);
    idem_model_close(m);
    assert_null(idem_model_open(path, NULL, &err));
    assert_non_null(strstr(err.msg, "has no tensors"));
    close(fd);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unchanged), cmocka_unit_test(keys), cmocka_unit_test(keys_of_one_architecture),
        cmocka_unit_test(every_tensor), cmocka_unit_test(single_tensors), cmocka_unit_test(not_a_number),
        cmocka_unit_test(truncated), cmocka_unit_test(without_weights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
