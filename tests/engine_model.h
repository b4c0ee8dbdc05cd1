/* SPDX-License-Identifier: MIT
 * For tests: small models with random weights of many types, one per architecture, as files. */
#ifndef TESTS_ENGINE_MODEL_H
#define TESTS_ENGINE_MODEL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/half.h"
#include "gguf_write.h"

struct tiny {
    const char *arch;
    uint32_t n_layer, n_embd, n_head, n_head_kv, head_dim, n_ff, n_vocab, n_ctx;
    enum qtype embd, qk, v, o, gate_up, down, output;   /* output 0: tied */
    bool biases, fused_qkv, rope_freqs;
    uint32_t window;             /* gemma3, with every second layer global */

    /* deviations, for tests of errors; names are full ones */
    const char *skip;            /* this key or tensor is left out */
    const char *wider;           /* this tensor gets one column (vector: element) block more */
    const char *taller;          /* this matrix gets one row more */
    const char *retype;          /* this tensor is of type retype_as */
    enum qtype retype_as;
    const char *extra;           /* one more tensor, F32 of 8 */
    const char *key;             /* this u32 key has value key_value */
    uint32_t key_value;
    const char *str_key, *str_value;
    const char *nan;             /* the last element of this F32 vector is NaN */
    uint64_t rng;
};

static const struct tiny tiny_llama = {
    .arch = "llama", .n_layer = 2, .n_embd = 64, .n_head = 6, .n_head_kv = 2, .head_dim = 16,
    .n_ff = 96, .n_vocab = 101, .n_ctx = 256, .embd = QTYPE_Q8_0, .qk = QTYPE_Q4_1,
    .v = QTYPE_Q5_1, .o = QTYPE_Q4_0, .gate_up = QTYPE_F16, .down = QTYPE_Q5_0,
    .rope_freqs = true, .rng = 1};
static const struct tiny tiny_qwen2 = {
    .arch = "qwen2", .n_layer = 2, .n_embd = 256, .n_head = 4, .n_head_kv = 1, .head_dim = 64,
    .n_ff = 256, .n_vocab = 90, .n_ctx = 300, .embd = QTYPE_Q4_K, .qk = QTYPE_Q4_K,
    .v = QTYPE_Q6_K, .o = QTYPE_Q5_K, .gate_up = QTYPE_Q5_0, .down = QTYPE_Q6_K,
    .output = QTYPE_Q6_K, .biases = true, .rng = 2};
static const struct tiny tiny_gemma3 = {
    .arch = "gemma3", .n_layer = 3, .n_embd = 64, .n_head = 2, .n_head_kv = 1, .head_dim = 48,
    .n_ff = 160, .n_vocab = 77, .n_ctx = 256, .embd = QTYPE_BF16, .qk = QTYPE_F32,
    .v = QTYPE_Q8_0, .o = QTYPE_BF16, .gate_up = QTYPE_Q8_0, .down = QTYPE_Q4_0,
    .window = 40, .rng = 3};
static const struct tiny tiny_small = {              /* the types of the smallest files */
    .arch = "llama", .n_layer = 2, .n_embd = 256, .n_head = 4, .n_head_kv = 2, .head_dim = 64,
    .n_ff = 512, .n_vocab = 83, .n_ctx = 256, .embd = QTYPE_Q2_K, .qk = QTYPE_Q2_K,
    .v = QTYPE_Q3_K, .o = QTYPE_IQ4_XS, .gate_up = QTYPE_IQ4_NL, .down = QTYPE_Q3_K,
    .output = QTYPE_IQ4_XS, .rng = 4};

static inline uint64_t tiny_next(struct tiny *m)      /* splitmix64 */
{
    uint64_t z = m->rng += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static inline float tiny_float(struct tiny *m)        /* in (-1, 1) */
{
    return (float)((int64_t)tiny_next(m) >> 40) * 0x1p-23f;
}

static inline void tiny_half(uint8_t *p, float f)
{
    uint16_t h = half_f32_to_f16(f);
    memcpy(p, &h, 2);
}

/* One block of random weights of about +-0.15. */
static inline void tiny_block(struct tiny *m, enum qtype type, uint8_t *p, size_t n_bytes)
{
    float f = tiny_float(m) * 0.15f;
    uint32_t u = half_f32_bits(f) >> 16;
    for (size_t i = 0; i < n_bytes; i++)
        p[i] = (uint8_t)tiny_next(m);
    switch (type) {
    case QTYPE_F32: memcpy(p, &f, 4); break;
    case QTYPE_F16: tiny_half(p, f); break;
    case QTYPE_BF16: memcpy(p, &u, 2); break;
    case QTYPE_Q4_0: tiny_half(p, f * 0.12f); break;
    case QTYPE_Q5_0: tiny_half(p, f * 0.06f); break;
    case QTYPE_Q8_0: tiny_half(p, f * 0.008f); break;
    case QTYPE_Q4_1: tiny_half(p, 0.02f); tiny_half(p + 2, -0.15f); break;
    case QTYPE_Q5_1: tiny_half(p, 0.01f); tiny_half(p + 2, -0.15f); break;
    case QTYPE_Q4_K:
    case QTYPE_Q5_K: tiny_half(p, f * 0.002f); tiny_half(p + 2, f * 0.02f); break;
    case QTYPE_Q6_K: tiny_half(p + 208, f * 0.0003f); break;
    case QTYPE_Q2_K: tiny_half(p + 80, f * 0.02f); tiny_half(p + 82, f * 0.03f); break;
    case QTYPE_Q3_K: tiny_half(p + 108, f * 0.008f); break;
    case QTYPE_IQ4_NL: tiny_half(p, f * 0.008f); break;
    case QTYPE_IQ4_XS: tiny_half(p, f * 0.0005f); break;
    default: break;
    }
}

static inline bool tiny_is(const char *a, const char *b)
{
    return a && strcmp(a, b) == 0;
}

/* n_rows 0: a vector around `mean`. */
static inline void tiny_tensor(struct tiny *m, struct gw *w, enum qtype type, uint64_t n_cols,
                               uint64_t n_rows, float mean, const char *name)
{
    if (tiny_is(m->skip, name))
        return;
    if (tiny_is(m->retype, name))
        type = m->retype_as;
    const struct qtype_info *q = qtype_info((uint32_t)type);
    if (tiny_is(m->wider, name))
        n_cols += q->block_elems;
    if (tiny_is(m->taller, name))
        n_rows++;
    uint64_t n = n_cols / q->block_elems * (n_rows ? n_rows : 1);
    uint8_t *data = malloc(n * q->block_bytes);
    if (!data)
        abort();
    for (uint64_t i = 0; i < n; i++) {
        uint8_t *p = data + i * q->block_bytes;
        tiny_block(m, type, p, q->block_bytes);
        if (n_rows == 0 && type == QTYPE_F32) {
            float f = mean + tiny_float(m) * 0.2f;
            if (tiny_is(m->nan, name) && i + 1 == n)
                f = half_bits_f32(0x7FC00000u);
            memcpy(p, &f, 4);
        }
    }
    gw_tensor(w, name, type, n_rows ? 2 : 1, (uint64_t[]){n_cols, n_rows}, data);
    free(data);
}

static inline const char *tiny_blk(char name[64], uint32_t il, const char *what)
{
    snprintf(name, 64, "blk.%u.%s", il, what);
    return name;
}

static inline void tiny_layer(struct tiny *m, struct gw *w, uint32_t il)
{
    char s[64];
    uint64_t e = m->n_embd, q = (uint64_t)m->n_head * m->head_dim;
    uint64_t kv = (uint64_t)m->n_head_kv * m->head_dim;
    tiny_tensor(m, w, QTYPE_F32, e, 0, 1, tiny_blk(s, il, "attn_norm.weight"));
    if (m->fused_qkv) {
        tiny_tensor(m, w, m->qk, e, q + 2 * kv, 0, tiny_blk(s, il, "attn_qkv.weight"));
    } else {
        tiny_tensor(m, w, m->qk, e, q, 0, tiny_blk(s, il, "attn_q.weight"));
        tiny_tensor(m, w, m->qk, e, kv, 0, tiny_blk(s, il, "attn_k.weight"));
        tiny_tensor(m, w, m->v, e, kv, 0, tiny_blk(s, il, "attn_v.weight"));
    }
    if (m->biases) {
        tiny_tensor(m, w, QTYPE_F32, q, 0, 0, tiny_blk(s, il, "attn_q.bias"));
        tiny_tensor(m, w, QTYPE_F16, kv, 0, 0, tiny_blk(s, il, "attn_k.bias"));
        tiny_tensor(m, w, QTYPE_BF16, kv, 0, 0, tiny_blk(s, il, "attn_v.bias"));
    }
    tiny_tensor(m, w, m->o, q, e, 0, tiny_blk(s, il, "attn_output.weight"));
    if (strcmp(m->arch, "gemma3") == 0) {
        tiny_tensor(m, w, QTYPE_F32, m->head_dim, 0, 1, tiny_blk(s, il, "attn_q_norm.weight"));
        tiny_tensor(m, w, QTYPE_F32, m->head_dim, 0, 1, tiny_blk(s, il, "attn_k_norm.weight"));
        tiny_tensor(m, w, QTYPE_F32, e, 0, 1, tiny_blk(s, il, "post_attention_norm.weight"));
        tiny_tensor(m, w, QTYPE_F32, e, 0, 1, tiny_blk(s, il, "post_ffw_norm.weight"));
    }
    tiny_tensor(m, w, QTYPE_F32, e, 0, 1, tiny_blk(s, il, "ffn_norm.weight"));
    tiny_tensor(m, w, m->gate_up, e, m->n_ff, 0, tiny_blk(s, il, "ffn_gate.weight"));
    tiny_tensor(m, w, m->gate_up, e, m->n_ff, 0, tiny_blk(s, il, "ffn_up.weight"));
    tiny_tensor(m, w, m->down, m->n_ff, e, 0, tiny_blk(s, il, "ffn_down.weight"));
}

static inline void tiny_u32(struct tiny *m, struct gw *w, const char *name, uint32_t v)
{
    char key[96];
    snprintf(key, sizeof key, "%s.%s", m->arch, name);
    if (tiny_is(m->skip, key))
        return;
    if (tiny_is(m->key, key)) {
        v = m->key_value;
        m->key = NULL;             /* written; else tiny_keys adds it */
    }
    gw_u32(w, key, v);
}

static inline void tiny_vocab(struct tiny *m, struct gw *w)
{
    uint32_t n = m->n_vocab;
    char (*text)[8] = malloc(n * sizeof *text);
    const char **tokens = malloc(n * sizeof *tokens);
    float *scores = malloc(n * sizeof *scores);
    if (!text || !tokens || !scores)
        abort();
    for (uint32_t i = 0; i < n; i++) {
        snprintf(text[i], sizeof *text, i ? "t%u" : "<s>", i);
        tokens[i] = text[i];
        scores[i] = -(float)i;
    }
    gw_str(w, "tokenizer.ggml.model", "llama");
    gw_strs(w, "tokenizer.ggml.tokens", tokens, n);
    gw_f32s(w, "tokenizer.ggml.scores", scores, n);
    gw_u32(w, "tokenizer.ggml.bos_token_id", 0);
    free(text);
    free(tokens);
    free(scores);
}

static inline void tiny_keys(struct tiny *m, struct gw *w)
{
    char eps[96];
    const char *arch = m->arch;
    if (tiny_is(m->str_key, "general.architecture"))
        arch = m->str_value;
    if (!tiny_is(m->skip, "general.architecture"))
        gw_str(w, "general.architecture", arch);
    tiny_u32(m, w, "block_count", m->n_layer);
    tiny_u32(m, w, "context_length", m->n_ctx);
    tiny_u32(m, w, "embedding_length", m->n_embd);
    tiny_u32(m, w, "feed_forward_length", m->n_ff);
    tiny_u32(m, w, "attention.head_count", m->n_head);
    tiny_u32(m, w, "attention.head_count_kv", m->n_head_kv);
    tiny_u32(m, w, "attention.key_length", m->head_dim);
    tiny_u32(m, w, "attention.value_length", m->head_dim);
    if (m->window) {
        tiny_u32(m, w, "attention.sliding_window", m->window);
        tiny_u32(m, w, "attention.sliding_window_pattern", 2);
    }
    snprintf(eps, sizeof eps, "%s.attention.layer_norm_rms_epsilon", m->arch);
    if (!tiny_is(m->skip, eps))
        gw_f32(w, eps, 1e-5f);
    if (m->key)
        gw_u32(w, m->key, m->key_value);
    if (m->str_key && !tiny_is(m->str_key, "general.architecture"))
        gw_str(w, m->str_key, m->str_value);
}

/* Writes the model to a new file and its name to path; the caller removes it. */
static inline void tiny_save(struct tiny m, char path[64])
{
    struct gw w;
    gw_init(&w, 3, 32);
    tiny_keys(&m, &w);
    tiny_vocab(&m, &w);
    tiny_tensor(&m, &w, m.embd, m.n_embd, m.n_vocab, 0, "token_embd.weight");
    tiny_tensor(&m, &w, QTYPE_F32, m.n_embd, 0, 1, "output_norm.weight");
    if (m.output)
        tiny_tensor(&m, &w, m.output, m.n_embd, m.n_vocab, 0, "output.weight");
    if (m.rope_freqs)
        tiny_tensor(&m, &w, QTYPE_F32, m.head_dim / 2, 0, 2, "rope_freqs.weight");
    for (uint32_t il = 0; il < m.n_layer; il++)
        tiny_layer(&m, &w, il);
    if (m.extra)
        tiny_tensor(&m, &w, QTYPE_F32, 8, 0, 1, m.extra);
    snprintf(path, 64, "/tmp/idem-engine-XXXXXX");
    int fd = mkstemp(path);
    if (fd < 0 || gw_save(&w, path) != 0)
        abort();
    close(fd);
}

#endif
